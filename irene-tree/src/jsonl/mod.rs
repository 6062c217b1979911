//! IrEne's interchange format: one JSON object a line, one line a tree.

pub(crate) mod fields;
mod node_fields;
mod parse;
mod read;
mod reading;
mod write;

pub use parse::parse_tree;
pub use read::{TreeReader, read_trees};
pub use write::{to_json, write_trees};
