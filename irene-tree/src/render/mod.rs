//! A tree as a person or another program reads it: a text table, CSV, Graphviz DOT, folded stacks for flame graphs.

mod csv;
mod dot;
mod fit;
mod folded;
mod grid;
mod number;
mod table;

pub use csv::csv;
pub use dot::dot;
pub use folded::folded;
pub use number::{bytes, in_unit, quantity, range, range_beside, si};
pub use table::{Column, Row, Table, TableOptions};

// For irene's own crates alone: they may change with any version.
#[doc(hidden)]
pub use csv::csv_field;
#[doc(hidden)]
pub use fit::wrapped;
#[doc(hidden)]
pub use grid::{Grid, Heading};
