//! Nodes, classes and parts of two trees beside each other.

use std::collections::BTreeMap;

use irene_regress::{Bottleneck, bottlenecks};
use irene_tree::{Component, NodeId, Quantity, Tree};
use serde::Serialize;

const ENERGY: Quantity = Quantity::PredictedEnergy;

/// The energy of a part of the model in both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentPair {
    /// The part.
    pub component: &'static str,
    /// a's, J.
    pub a_j: f64,
    /// b's, J.
    pub b_j: f64,
    /// b's less a's, J.
    pub difference_j: f64,
}

/// The energy of the nodes of a class in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TypePair {
    /// The class.
    pub instance_type: String,
    /// Its level.
    pub level: &'static str,
    /// a's, J.
    pub a_j: f64,
    /// b's, J.
    pub b_j: f64,
    /// b's less a's, J.
    pub difference_j: f64,
}

/// A node in both, all of its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodePair {
    /// Its scope.
    pub scope: String,
    /// Its class.
    pub instance_type: String,
    /// Its level.
    #[serde(rename = "type")]
    pub level: &'static str,
    /// a's, J; absent where a has no such node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a_j: Option<f64>,
    /// b's, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_j: Option<f64>,
    /// b's less a's, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference_j: Option<f64>,
}

/// The parts of both in the order in which data flows; those that neither has are left out.
pub(super) fn components(a: &Tree, b: &Tree, [of_a, of_b]: [f64; 2]) -> Vec<ComponentPair> {
    let (a, b) = (a.components(ENERGY), b.components(ENERGY));
    let joules = |of: &[(Component, f64)], part| of.iter().find(|(known, _)| *known == part).map(|(_, joules)| *joules);
    let pair = |part: Component| {
        let (a_j, b_j) = (joules(&a, part), joules(&b, part));
        a_j.or(b_j)?;
        let (a_j, b_j) = (a_j.unwrap_or_default() * of_a, b_j.unwrap_or_default() * of_b);
        Some(ComponentPair { component: part.name(), a_j, b_j, difference_j: b_j - a_j })
    };
    Component::ALL.into_iter().filter_map(pair).collect()
}

/// Classes, those that differ most first.
pub(super) fn types(a: &Tree, b: &Tree, shares: [f64; 2]) -> Vec<TypePair> {
    let mut types: BTreeMap<(String, &'static str), [f64; 2]> = BTreeMap::new();
    for (side, tree) in [a, b].into_iter().enumerate() {
        for Bottleneck { instance_type, level, energy_j, .. } in bottlenecks(tree, ENERGY) {
            types.entry((instance_type, level.name())).or_default()[side] += energy_j * shares[side];
        }
    }
    let pair = |((instance_type, level), [a_j, b_j]): ((String, &'static str), [f64; 2])| TypePair {
        instance_type,
        level,
        a_j,
        b_j,
        difference_j: b_j - a_j,
    };
    let mut pairs: Vec<TypePair> = types.into_iter().map(pair).collect();
    pairs.sort_by(|x, y| y.difference_j.abs().total_cmp(&x.difference_j.abs()));
    pairs
}

/// Nodes by scope, class and place among equals: a's in their order, then those that only b has.
pub(super) fn nodes(a: &Tree, b: &Tree, [of_a, of_b]: [f64; 2]) -> Vec<NodePair> {
    let joules = |tree: &Tree, id: NodeId, share: f64| tree.total(id, ENERGY).map(|joules| joules * share);
    // In reverse order, so that `pop` gives equals in order.
    let mut others: BTreeMap<(&str, &str), Vec<NodeId>> = BTreeMap::new();
    for id in b.ids().rev() {
        others.entry((b.node(id).scope(), b.node(id).instance_type())).or_default().push(id);
    }
    let pair = |tree: &Tree, id: NodeId, a_j: Option<f64>, b_j: Option<f64>| NodePair {
        scope: tree.node(id).scope().to_owned(),
        instance_type: tree.node(id).instance_type().to_owned(),
        level: tree.node(id).level().name(),
        a_j,
        b_j,
        difference_j: a_j.zip(b_j).map(|(a, b)| b - a),
    };
    let mut nodes: Vec<NodePair> = a
        .ids()
        .map(|id| {
            let other = others.get_mut(&(a.node(id).scope(), a.node(id).instance_type())).and_then(Vec::pop);
            pair(a, id, joules(a, id, of_a), other.and_then(|other| joules(b, other, of_b)))
        })
        .collect();
    let mut left: Vec<NodeId> = others.into_values().flatten().collect();
    left.sort_unstable();
    nodes.extend(left.into_iter().map(|id| pair(b, id, None, joules(b, id, of_b))));
    nodes
}
