//! The names of the format, once; columns of Parquet files have them too.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::Quantity;

pub(crate) const MODEL_NAME: &str = "model_name";
pub(crate) const BATCH_SIZE: &str = "batch_size";
pub(crate) const SEQ_LEN: &str = "seq_len";
pub(crate) const PAST_LEN: &str = "past_len";
pub(crate) const GENERATED: &str = "generated";
pub(super) const PRECISION: &str = "precision";
/// Eager or fused kernels; the field `kernels` is a node's count.
pub(crate) const EXECUTION: &str = "execution";
/// How the run is spread over GPUs.
pub(super) const PARALLEL: &str = "parallel";
/// How a step of training runs.
pub(crate) const TRAINING: &str = "training";
pub(super) const FRONTEND_TREE: &str = "frontend_tree";

pub(crate) const ID: &str = "id";
pub(crate) const SCOPE: &str = "scope";
pub(super) const PARENT_NAME: &str = "parent_name";
pub(crate) const LEVEL: &str = "level";
pub(crate) const INSTANCE_TYPE: &str = "instance_type";
pub(crate) const TYPE: &str = "type";
/// The size of a node that takes another size than the tree.
pub(super) const SIZE: &str = "size";
pub(crate) const TIMES: &str = "times";
/// How many GPUs run a node.
pub(crate) const GPUS: &str = "gpus";
pub(crate) const OPERATION: &str = "operation";
pub(crate) const MARKS: &str = "marks";
pub(super) const CHILD_NODES_OBJ: &str = "child_nodes_obj";
pub(super) const CHILD_NODES: &str = "child_nodes";

const KNOWN: [&str; 23] = [
    MODEL_NAME,
    BATCH_SIZE,
    SEQ_LEN,
    PAST_LEN,
    GENERATED,
    PRECISION,
    EXECUTION,
    PARALLEL,
    TRAINING,
    FRONTEND_TREE,
    ID,
    SCOPE,
    PARENT_NAME,
    LEVEL,
    INSTANCE_TYPE,
    TYPE,
    SIZE,
    TIMES,
    GPUS,
    OPERATION,
    MARKS,
    CHILD_NODES_OBJ,
    CHILD_NODES,
];

const _: () = assert!(Quantity::COUNT + KNOWN.len() <= 64, "a set of keys is one word");

/// How many of them are a tree's; the others are a node's.
const OF_TREES: usize = 10;

/// Whether a name is the format's own beside the node at the root.
pub(super) fn is_tree_field(name: &str) -> bool {
    KNOWN[..OF_TREES].contains(&name)
}

/// Whether a name is the format's own in a node.
pub(super) fn is_node_field(name: &str) -> bool {
    KNOWN[OF_TREES..].contains(&name) || Quantity::from_name(name).is_some()
}

/// A key of an object, matched against the names above without allocating.
#[derive(Clone)]
pub(super) enum Key {
    Quantity(Quantity),
    Known(&'static str),
    Other(String),
}

impl Key {
    /// A number below 64 for each known key.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Quantity(quantity) => Some(*quantity as u32),
            Self::Known(name) => {
                let place = KNOWN.iter().position(|known| known == name)?;
                Some((Quantity::COUNT + place) as u32)
            }
            Self::Other(_) => None,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Quantity(quantity) => quantity.name(),
            Self::Known(name) => name,
            Self::Other(name) => name,
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Key, E> {
                if let Some(quantity) = Quantity::from_name(name) {
                    return Ok(Key::Quantity(quantity));
                }
                Ok(match KNOWN.iter().find(|known| **known == name) {
                    Some(known) => Key::Known(known),
                    None => Key::Other(name.to_owned()),
                })
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
