//! A tree as a person or another program reads it: a text table, CSV, Graphviz DOT, folded stacks for flame
//! graphs.

mod csv;
mod dot;
mod folded;
mod number;
mod table;

pub use csv::csv;
pub use dot::dot;
pub use folded::folded;
pub use number::{bytes, quantity, si};
pub use table::{Column, Row, Table, TableOptions};
