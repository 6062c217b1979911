//! Reads tables of your own measurements and joins them onto the trees of models.
//!
//! [`Columns`] says which column holds what and in which unit; [`read`] gives the [`Row`]s of a file, whatever separates and quotes its
//! cells; [`join`] puts them on the nodes that they name, by scope or by class, and says which found none.
//!
//! ```
//! use irene_tree::{Level, Quantity, Size, TreeBuilder, measurements::{self, Columns}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let columns = Columns::parse("scope=layer,seq_len=tokens,energy=energy (mJ)")?;
//! let file = "layer;tokens;energy (mJ)\nmlp.up;16;1,5\nmlp.down;16;\n";
//! let table = measurements::read([("mine.csv".to_owned(), file.as_bytes())], &columns)?;
//! assert_eq!(table.used, ["scope from `layer`", "seq_len from `tokens`", "energy from `energy (mJ)` in mJ"]);
//!
//! let given = measurements::Given { model_name: Some("mine".into()), batch_size: Some(4), ..Default::default() };
//! let joined = measurements::join(table.rows, &given, &mut |name, size| {
//!     let mut builder = TreeBuilder::new(name, size);
//!     builder.enter("root", "Mlp", Level::Model);
//!     builder.leaf("mlp.up", "Linear", Level::Ml, None);
//!     builder.leave();
//!     builder.finish().map_err(|error| error.to_string())
//! });
//! assert_eq!(joined.trees[0].nodes()[1].get(Quantity::GroundTruthEnergy), Some(0.0015));
//! assert_eq!((joined.by_scope, joined.empty), (1, 1));
//! # Ok(())
//! # }
//! ```

mod columns;
mod join;
mod rows;
mod scopes;
mod unit;

pub use columns::{Columns, Field, WrongColumns};
pub use join::{Given, Joined, Unmatched, join};
pub use rows::{Row, Table, read};
