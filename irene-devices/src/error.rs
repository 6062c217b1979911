use std::path::PathBuf;

use crate::Engine;
use crate::named_operation::operation_names;

/// The faults of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An engine that is not known.
    #[error("unknown engine `{name}`; known are {}", engines())]
    Engine {
        /// The name.
        name: String,
    },
    /// An operation whose name is not known.
    #[error("unknown operation `{name}`; known are {}", operation_names())]
    OperationName {
        /// The name.
        name: String,
    },
    /// An operation that lacks a size.
    #[error("operation `{op}` needs `{size}` from 1 to 2147483648")]
    OperationSize {
        /// The operation.
        op: String,
        /// The size.
        size: &'static str,
    },
    /// A file of measurements that cannot be read.
    #[error("{}: {message}", path.display())]
    Measurements {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where it is one.
        message: String,
    },
}

fn engines() -> String {
    Engine::all().iter().map(|engine| engine.name).collect::<Vec<_>>().join(", ")
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
