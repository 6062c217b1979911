//! IrEne's interchange format: one JSON object a line, one line a tree.

mod fields;
mod node_fields;
mod read;
mod write;

pub use read::{TreeReader, parse_tree, read_trees};
pub use write::{to_json, write_trees};
