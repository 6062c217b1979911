//! Dropouts: where transformers has them (tests/training/dropouts.py), and nowhere but in training.

use std::collections::BTreeMap;

use irene_models::{Batch, Cx, ModelSpec, Run, ShapesOnly, TaskHead, TreeVisitor};
use irene_tree::{Kernels, OpKind, Operation, Size, Tree};
use serde_json::Value;

use crate::support::{self, fixture, refused};

const ALONE: f64 = 0.5;

/// The config of a tiny checkpoint with this probability for one key and 0 for the others.
fn spec(model: &str, keys: &[&str], key: &str) -> ModelSpec {
    let config = std::fs::read(fixture(model).join("config.json")).unwrap();
    let mut fields: Value = serde_json::from_slice(&config).unwrap();
    for other in keys {
        fields[*other] = (if *other == key { ALONE } else { 0.0 }).into();
    }
    support::spec(fields)
}

fn trained_pass(spec: &ModelSpec, head: TaskHead, kernels: Kernels, size: Size) -> Tree {
    let model = spec.build_with_head(&ShapesOnly::default(), head).unwrap();
    let mut visitor = TreeVisitor::new(spec.name(), size);
    let mut cx = Cx::visited(&mut visitor).with_kernels(kernels).in_training();
    model.run(&mut cx, &Batch::of_shape(size)).unwrap();
    visitor.finish().unwrap()
}

fn operations(tree: &Tree) -> impl Iterator<Item = &Operation> {
    tree.nodes().iter().filter_map(|node| node.operation.as_deref())
}

/// Numbers that a dropout goes over: of its own operation, or of the weights of an attention's values.
fn dropped(operation: &Operation) -> Option<u64> {
    match operation.kind {
        OpKind::Dropout => Some(operation.output.shape.elements()),
        OpKind::Attention if operation.fused.contains(&OpKind::Dropout) => {
            let [query, key] = [operation.inputs[0].shape, operation.inputs[1].shape];
            Some(query.elements() / query.last() as u64 * key.dims()[2] as u64)
        }
        _ => None,
    }
}

fn counted(tree: &Tree) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for elements in operations(tree).filter_map(dropped) {
        *counts.entry(elements).or_default() += 1;
    }
    counts
}

#[test]
fn dropouts_are_where_transformers_has_them() {
    let file: Value = serde_json::from_str(include_str!("../training/dropouts.json")).unwrap();
    let count = |field: &str| usize::try_from(file[field].as_u64().unwrap()).unwrap();
    let size = Size::new(count("batch_size"), count("seq_len"));
    let figures = file["figures"].as_array().unwrap();
    let mut wrong = Vec::new();
    for figure in figures {
        let (model, key) = (figure["model"].as_str().unwrap(), figure["key"].as_str().unwrap());
        let of_model = figures.iter().filter(|other| other["model"] == model);
        let keys: Vec<&str> = of_model.map(|other| other["key"].as_str().unwrap()).collect();
        let head: TaskHead = serde_json::from_value(figure["head"].clone()).unwrap();
        let expected: BTreeMap<u64, u64> = serde_json::from_value(figure["calls"].clone()).unwrap();
        let spec = spec(model, &keys, key);
        for kernels in [Kernels::Eager, Kernels::Fused] {
            let found = counted(&trained_pass(&spec, head, kernels, size));
            if found != expected {
                wrong.push(format!("{model} {head:?} {key} {kernels:?}: {found:?}, not {expected:?}"));
            }
        }
    }
    assert!(figures.len() > 200 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those of BERT: the embeddings, and in each layer the weights of the values and what both parts add. Each number counts once.
#[test]
fn flexibert_has_the_dropouts_of_bert() {
    let keys = ["hidden_dropout_prob", "attention_probs_dropout_prob"];
    let size = Size::new(2, 5);
    let of = |key| counted(&trained_pass(&spec("flexibert", &keys, key), TaskHead::None, Kernels::Eager, size));
    // Layers of 5, 4 and 2 heads; hidden sizes 26, 32 and 32.
    assert_eq!(of(keys[1]), BTreeMap::from([(2 * 5 * 25, 1), (2 * 4 * 25, 1), (2 * 2 * 25, 1)]));
    assert_eq!(of(keys[0]), BTreeMap::from([(10 * 26, 3), (10 * 32, 4)]));
}

#[test]
fn no_inference_has_a_node_of_training() {
    let of_training = |operation: &&Operation| {
        let kinds = [OpKind::Dropout, OpKind::Sgd, OpKind::AdamW, OpKind::Adafactor];
        operation.is_gradient || kinds.iter().any(|kind| operation.kind == *kind || operation.fused.contains(kind))
    };
    let mut followed = 0;
    for name in ModelSpec::builtin_names() {
        let spec = ModelSpec::builtin(&name).unwrap();
        for &head in spec.heads() {
            for kernels in [Kernels::Eager, Kernels::Fused] {
                let tree = spec.trace(Run { kernels, head, ..Size::new(1, 8).into() }).unwrap();
                let found = operations(&tree).find(of_training);
                assert_eq!((found, tree.training), (None, None), "{name} {head:?} {kernels:?}");
                followed += 1;
            }
        }
    }
    assert!(followed > 500, "{followed}");
}

#[test]
fn a_probability_is_from_0_to_1() {
    for wrong in ["-0.1", "1.5", "\"much\"", "true"] {
        let error = refused(format!(
            r#"{{"model_type":"bert","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
                "vocab_size":9,"max_position_embeddings":9,"hidden_dropout_prob":{wrong}}}"#
        ));
        assert!(error.contains("`hidden_dropout_prob`") && error.contains("from 0 to 1"), "{error}");
    }
}
