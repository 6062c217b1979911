//! The sheet: its rows, its columns, reading and writing.

pub(crate) mod columns;
mod figures;
pub(crate) mod read;
mod row;
mod write;

pub use figures::{Figure, Figures};
pub use read::RequestReader;
pub use row::{Load, RequestRow};
pub use write::write;
