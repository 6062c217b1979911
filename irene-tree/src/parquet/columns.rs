//! The columns of trees, once: what each holds of a node, for the writer, and how the reader finds it.

use super::table::Kind;
use crate::Quantity;

pub(super) const TREE: &str = "tree";
pub(super) const MODEL_NAME: &str = "model_name";
pub(super) const BATCH_SIZE: &str = "batch_size";
pub(super) const SEQ_LEN: &str = "seq_len";
pub(super) const PAST_LEN: &str = "past_len";
pub(super) const GENERATED: &str = "generated";
pub(super) const WEIGHTS: &str = "weights";
pub(super) const ACTIVATIONS: &str = "activations";
pub(super) const CACHE: &str = "cache";
pub(super) const EXECUTION: &str = "execution";
pub(super) const PARALLEL: [&str; 4] = ["tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel"];
pub(super) const TRAINING: &str = "training";
pub(super) const TREE_EXTRA: &str = "tree_extra";
pub(super) const NODE: &str = "node";
pub(super) const PARENT: &str = "parent";
pub(super) const ID: &str = "id";
pub(super) const SCOPE: &str = "scope";
pub(super) const INSTANCE_TYPE: &str = "instance_type";
pub(super) const TYPE: &str = "type";
pub(super) const LEVEL: &str = "level";
pub(super) const TIMES: &str = "times";
pub(super) const GPUS: &str = "gpus";
pub(super) const NODE_SIZE: [&str; 3] = ["node_batch_size", "node_seq_len", "node_past_len"];
pub(super) const MARKS: &str = "marks";
pub(super) const OPERATION: &str = "operation";
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
