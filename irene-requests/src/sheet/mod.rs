//! The sheet: its rows, its columns, reading and writing.

mod columns;
mod figures;
mod read;
mod row;
mod write;

pub use figures::{Figure, Figures};
pub use read::RequestReader;
pub use row::{Load, RequestRow};
pub use write::write;
