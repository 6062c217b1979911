//! Trees as Parquet files, one row a node, for Polars, DuckDB and whatever else reads tables; and rows of named figures, such as
//! request sheets and records.
//!
//! Everything that a line of the interchange format holds is there and comes back:
//!
//! | column | what it holds |
//! |---|---|
//! | `tree` | the tree's place in the file, from 0 |
//! | `model_name`, `batch_size`, `seq_len`, `past_len`, `generated` | the run |
//! | `weights`, `activations`, `cache`, `execution` | number formats; `eager` or `fused` |
//! | `tensor_parallel`, `pipeline_parallel`, `expert_parallel`, `data_parallel` | GPUs |
//! | `training`, `tree_extra` | JSON: the step of training; the tree's further fields (at its root) |
//! | `node`, `parent` | the node's place in its tree in pre-order, from 0, and that of the node above it |
//! | `id`, `scope`, `instance_type`, `type`, `level` | as in the interchange format: `level` is the depth |
//! | `times`, `gpus` | how often it runs in its parent; on how many GPUs |
//! | `num_parameters`, `flops_MFLOP`, `times_mean_s`, `predicted_energy_J` ... | every [`Quantity`](crate::Quantity) with its unit, null where it is unknown |
//! | `node_batch_size`, `node_seq_len`, `node_past_len` | the node's own size, where it has one |
//! | `marks` | warnings, separated by commas |
//! | `operation`, `extra` | JSON: the tensor operation; the node's further fields |
//!
//! Rows stand in pre-order, tree after tree. A file of another program needs them so, and the columns `model_name`, `batch_size`,
//! `seq_len`, `scope`, `instance_type`, `type` and `level` at least.
//!
//! ```
//! use irene_tree::{Level, Size, TreeBuilder, parquet};
//! # fn main() -> irene_tree::Result<()> {
//! let mut builder = TreeBuilder::new("tiny", Size::new(1, 8));
//! builder.enter("root", "Tiny", Level::Model);
//! builder.leaf("dense", "Linear", Level::Ml, None);
//! builder.leave();
//! let tree = builder.finish()?;
//!
//! let mut writer = parquet::TreeWriter::new(Vec::new())?;
//! writer.write(&tree)?;
//! let path = std::env::temp_dir().join("irene-tree-example.parquet");
//! std::fs::write(&path, writer.finish()?).unwrap();
//! let read: Vec<_> = parquet::TreeReader::open(&path)?.collect::<irene_tree::Result<_>>()?;
//! assert_eq!(read, [tree]);
//! # std::fs::remove_file(&path).unwrap();
//! # Ok(())
//! # }
//! ```

mod columns;
mod objects;
mod read;
mod table;
mod write;

pub use objects::{ObjectReader, write_objects};
pub use read::TreeReader;
pub use write::TreeWriter;

use std::path::Path;

use crate::{Error, Result};

/// The columns of a file, by their names.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if it is no Parquet file.
pub fn column_names(path: &Path) -> Result<Vec<String>> {
    Ok(table::Reader::open(path)?.names())
}

fn fault(path: &Path, reason: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), reason: reason.into() }
}
