//! FLOPs of whole passes beside those that PyTorch's FlopCounterMode counts for the same configs (tests/flops/count.py).

use std::collections::HashSet;

use irene_models::{BuiltinModel, ModelSpec, Run, TaskHead};
use irene_tree::{Quantity, Size, Tree};

use crate::support::product_flops;

struct Figure {
    model: String,
    size: Size,
    flops: f64,
}

fn figures() -> Vec<Figure> {
    let file: serde_json::Value = serde_json::from_str(include_str!("../flops/figures.json")).unwrap();
    let count = |figure: &serde_json::Value, field: &str| usize::try_from(figure[field].as_u64().unwrap()).unwrap();
    let figure = |figure: &serde_json::Value| Figure {
        model: figure["model"].as_str().unwrap().to_owned(),
        size: Size::new(count(figure, "batch_size"), count(figure, "seq_len")),
        flops: figure["flops"].as_f64().unwrap(),
    };
    file["figures"].as_array().unwrap().iter().map(figure).collect()
}

/// A pass with the logits of every token, as transformers' classes of language models give them.
fn traced(figure: &Figure) -> Tree {
    let spec = ModelSpec::builtin(&figure.model).unwrap_or_else(|| panic!("{} is not built", figure.model));
    let head = if spec.cache(irene_tree::Kernels::Eager).unwrap().is_some() { TaskHead::Lm } else { TaskHead::None };
    spec.trace(Run { head, ..figure.size.into() }).unwrap()
}

/// The figures that a count misses by more than a share, of models at least this wide.
fn off_by_more_than(share: f64, width: usize, count: impl Fn(&Tree) -> f64) -> Vec<String> {
    let is_wide = |figure: &&Figure| BuiltinModel::find(&figure.model).unwrap().width() >= Some(width);
    let missed = |figure: &Figure| {
        let off = count(&traced(figure)) / figure.flops - 1.0;
        (off.abs() > share).then(|| format!("{} at {}: off by {off:.5}", figure.model, figure.size))
    };
    figures().iter().filter(is_wide).filter_map(missed).collect()
}

/// FlopCounterMode knows no others.
#[test]
fn matrix_products_are_those_that_pytorch_counts() {
    let products = |tree: &Tree| -> f64 {
        let of_node = |id| tree.node(id).operation.as_ref().map_or(0.0, |operation| product_flops(operation));
        tree.ids().map(|id| of_node(id) * tree.runs(id)).sum()
    };
    let missed = off_by_more_than(1e-4, 0, products);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// irene counts additions, norms, activations and softmax as well. They are a small share of the work, the smaller the wider a model is.
#[test]
fn whole_passes_agree_to_half_a_percent() {
    let missed = off_by_more_than(0.005, 1024, |tree| tree.root().get(Quantity::Flops).unwrap() * 1e6);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_figures_are_of_many_families() {
    let family = |figure: Figure| BuiltinModel::find(&figure.model).unwrap().family();
    let families: HashSet<&str> = figures().into_iter().map(family).collect();
    assert!(families.len() >= 35, "{families:?}");
}
