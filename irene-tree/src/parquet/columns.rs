//! The columns of trees, once: what each holds of a node, for the writer, and how the reader finds it.

use super::table::Kind;
use crate::Quantity;
pub(super) use crate::jsonl::fields::{
    BATCH_SIZE, EXECUTION, GENERATED, GPUS, ID, INSTANCE_TYPE, LEVEL, MARKS, MODEL_NAME, OPERATION, PAST_LEN, SCOPE,
    SEQ_LEN, TIMES, TRAINING, TYPE,
};

pub(super) const TREE: &str = "tree";
pub(super) const WEIGHTS: &str = "weights";
pub(super) const ACTIVATIONS: &str = "activations";
pub(super) const CACHE: &str = "cache";
pub(super) const PARALLEL: [&str; 4] = ["tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel"];
pub(super) const TREE_EXTRA: &str = "tree_extra";
pub(super) const NODE: &str = "node";
pub(super) const PARENT: &str = "parent";
pub(super) const NODE_SIZE: [&str; 3] = ["node_batch_size", "node_seq_len", "node_past_len"];
pub(super) const EXTRA: &str = "extra";

/// A quantity's column: its name and its unit.
pub(super) fn of_quantity(quantity: Quantity) -> String {
    match quantity.unit() {
        "" => quantity.name().to_owned(),
        "%" => format!("{}_percent", quantity.name()),
        unit => format!("{}_{unit}", quantity.name()),
    }
}

/// All columns in the order in which they are written.
pub(super) fn all() -> Vec<(String, Kind)> {
    use Kind::{Number, Text, Whole};
    let before = [
        (TREE, Whole),
        (MODEL_NAME, Text),
        (BATCH_SIZE, Whole),
        (SEQ_LEN, Whole),
        (PAST_LEN, Whole),
        (GENERATED, Whole),
        (WEIGHTS, Text),
        (ACTIVATIONS, Text),
        (CACHE, Text),
        (EXECUTION, Text),
    ];
    let between = [
        (TRAINING, Text),
        (TREE_EXTRA, Text),
        (NODE, Whole),
        (PARENT, Whole),
        (ID, Text),
        (SCOPE, Text),
        (INSTANCE_TYPE, Text),
        (TYPE, Text),
        (LEVEL, Whole),
        (TIMES, Number),
        (GPUS, Whole),
    ];
    let after =
        NODE_SIZE.map(|name| (name, Whole)).into_iter().chain([(MARKS, Text), (OPERATION, Text), (EXTRA, Text)]);
    let named = |(name, kind): (&str, Kind)| (name.to_owned(), kind);
    let run = before.into_iter().chain(PARALLEL.map(|name| (name, Whole))).chain(between).map(named);
    run.chain(Quantity::all().map(|quantity| (of_quantity(quantity), Number))).chain(after.map(named)).collect()
}
