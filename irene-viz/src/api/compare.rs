//! Two models or sizes, node by node: `GET compare`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use irene_regress::{Bottleneck, bottlenecks};
use irene_tree::{NodeId, Quantity, Size, Tree};

use super::{
    Shared,
    answers::{Comparison, NodePair, TypePair, Whole, energy, per_token},
    queries::{CompareQuery, Params, whole},
};
use crate::{
    app::{App, compute},
    problem::Problem,
};

/// Two models or sizes, node by node
#[utoipa::path(get, path = "/api/v1/compare", params(CompareQuery),
    responses((status = 200, body = Comparison), (status = "4XX", body = Problem)))]
pub(super) async fn compare(
    State(app): Shared,
    Params(query): Params<CompareQuery>,
) -> Result<Json<Comparison>, Problem> {
    let compared = move |app: &App| {
        let predict = |model: &str, size: Size, device: Option<&str>| {
            let device = app.device(device)?;
            let tree = app.predict(device, &app.model(model)?, whole(size))?;
            let energy = energy(&tree)?;
            let whole = Whole {
                model: model.to_owned(),
                batch_size: size.sequences,
                seq_len: size.new,
                device: device.name.clone(),
                energy_j: energy,
                energy_per_token_j: per_token(&tree, energy),
            };
            Ok::<_, Problem>((tree, whole))
        };
        let size = Size::new(query.batch_size, query.seq_len);
        let other_size = Size {
            sequences: query.other_batch_size.unwrap_or(size.sequences),
            new: query.other_seq_len.unwrap_or(size.new),
            ..size
        };
        let device = query.device.as_deref();
        let (a_tree, a) = predict(&query.model, size, device)?;
        let other_model = query.other_model.as_ref().unwrap_or(&query.model);
        let (b_tree, b) = predict(other_model, other_size, query.other_device.as_deref().or(device))?;
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
    Ok(Json(compute(&app, compared).await?))
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
