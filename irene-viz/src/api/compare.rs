//! Two models or sizes, node by node: `GET compare`.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use irene_regress::{Bottleneck, bottlenecks};
use irene_tree::{NodeId, Quantity, Tree};

use super::{
    Shared, answer,
    answers::{Comparison, NodePair, TypePair, Whole, energy, per_token},
    fields::Params,
    queries::{CompareQuery, ModelQuery},
};
use crate::{answer::Asked, app::App, problem::Problem};

pub(super) async fn compare(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<CompareQuery>,
) -> Result<Response, Problem> {
    let compared = move |app: &App| {
        let predict = |ModelQuery { model, run, device }: &ModelQuery| {
            let (device, spec, size) = (app.device(device.as_deref())?, app.model(model)?, run.size);
            let tree = app.predict(device, &spec, run.run(&spec)?)?;
            let energy = energy(&tree)?;
            let whole = Whole {
                model: model.clone(),
                batch_size: size.sequences,
                seq_len: size.new,
                device: device.name.clone(),
                estimated: device.profile.provenance.estimated,
                energy_j: energy,
                energy_per_token_j: per_token(&tree, energy),
            };
            Ok::<_, Problem>((tree, whole))
        };
        let ((a_tree, a), (b_tree, b)) = (predict(&query.a)?, predict(&query.b)?);
        let (difference_j, ratio) = (b.energy_j - a.energy_j, b.energy_j / a.energy_j);
        Ok(Comparison {
            a,
            b,
            difference_j,
            ratio,
            nodes: pairs(&a_tree, &b_tree),
            by_type: type_pairs(&a_tree, &b_tree),
        })
    };
    answer(&app, asked, compared).await
}

/// Nodes by scope, instance type and place among equals: a's in their order, then those that only b has.
fn pairs(a: &Tree, b: &Tree) -> Vec<NodePair> {
    let joules = |tree: &Tree, id: NodeId| tree.node(id).get(Quantity::PredictedEnergy);
    let key = |tree: &Tree, id: NodeId| (tree.node(id).scope().to_owned(), tree.node(id).instance_type().to_owned());
    // In reverse order, so that `pop` gives equals in order.
    let mut others: BTreeMap<(String, String), Vec<NodeId>> = BTreeMap::new();
    for id in b.ids().rev() {
        others.entry(key(b, id)).or_default().push(id);
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
            let other = others.get_mut(&key(a, id)).and_then(Vec::pop);
            pair(a, id, joules(a, id), other.and_then(|other| joules(b, other)))
        })
        .collect();
    let mut left: Vec<NodeId> = others.into_values().flatten().collect();
    left.sort_unstable();
    nodes.extend(left.into_iter().map(|id| pair(b, id, None, joules(b, id))));
    nodes
}

fn type_pairs(a: &Tree, b: &Tree) -> Vec<TypePair> {
    let mut types: BTreeMap<(String, &'static str), [f64; 2]> = BTreeMap::new();
    for (side, tree) in [a, b].into_iter().enumerate() {
        for Bottleneck { instance_type, level, energy_j, .. } in bottlenecks(tree, Quantity::PredictedEnergy) {
            types.entry((instance_type, level.name())).or_default()[side] += energy_j;
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
