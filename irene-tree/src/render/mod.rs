//! A tree as a person or another program reads it: a text table, CSV, Graphviz DOT, folded stacks for flame
//! graphs; and tables and lines of text that fit a terminal.

mod csv;
mod dot;
mod fit;
mod folded;
mod grid;
mod number;
mod table;

pub use csv::{csv, csv_field};
pub use dot::dot;
pub use fit::wrapped;
pub use folded::folded;
pub use grid::{Grid, Heading};
pub use number::{bytes, in_unit, quantity, range, range_beside, si};
pub use table::{Column, Row, Table, TableOptions};
