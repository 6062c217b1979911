//! The benchmarks share these: models to follow and data to train on.
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop

#[cfg(any(test, doctest))]
mod documentation;
/// A language model to time.
pub mod language_model;
mod plain_bert;

use std::time::Duration;

use criterion::Criterion;
use irene_models::{Config, ModelSpec};
use irene_tree::{Size, Tree, jsonl};
pub use plain_bert::PlainBert;

/// Short enough that all benchmarks together end within ten minutes.
pub fn criterion() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

/// A GPT-2-shaped model of so many layers of width 256.
pub fn gpt2_of(layers: usize) -> ModelSpec {
    let config = format!(
        r#"{{"model_type": "gpt2", "n_embd": 256, "n_layer": {layers}, "n_head": 4, "n_positions": 512,
        "vocab_size": 1000, "activation_function": "gelu_new"}}"#
    );
    ModelSpec::from_config("gpt2", Config::from_json("gpt2", config.as_bytes()).unwrap()).unwrap()
}

/// A GPT-2-shaped model of 7 billion parameters: 32 layers of width 4096, 50257 words.
pub fn gpt2_7b() -> ModelSpec {
    let config = r#"{"model_type": "gpt2", "n_embd": 4096, "n_layer": 32, "n_head": 32, "n_positions": 2048,
        "vocab_size": 50257, "activation_function": "gelu_new"}"#;
    ModelSpec::from_config("gpt2-7b", Config::from_json("gpt2-7b", config.as_bytes()).unwrap()).unwrap()
}

/// A built-in model.
pub fn model(name: &str) -> ModelSpec {
    ModelSpec::find(name).unwrap()
}

/// The tree of a built-in model with its costs.
pub fn annotated(name: &str, batch_size: usize, seq_len: usize) -> Tree {
    model(name).trace(Size::new(batch_size, seq_len)).unwrap()
}

/// The interchange lines of IrEne's device_1, if `IRENE_DATA` leads to its CSV files.
pub fn device_1() -> Option<String> {
    let dir = irene_tree::irene_csv::device_dir_from_env("device_1")?;
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    let mut import = irene_tree::irene_csv::read_dir(&dir, &class_of).unwrap();
    for tree in &mut import.trees {
        irene_features::join_specs(tree, &annotated(&tree.model_name, tree.size.sequences, tree.size.new)).unwrap();
    }
    Some(import.trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect())
}
