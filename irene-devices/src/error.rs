use std::path::PathBuf;

use crate::{Engine, named_operation::operation_names};

/// The faults of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An engine that is not known.
    #[error(
        "unknown engine `{name}`; known are {}; any other goes by the one that batches most like it (vllm-0.11 with continuous batching), best with \
         `irene calibrate`",
        engines()
    )]
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
    /// A cell of a table of operations that cannot be read.
    #[error("{column}: expected {expected}, found {found}")]
    OperationCell {
        /// The column.
        column: String,
        /// The text found.
        found: String,
        /// The text expected.
        expected: String,
    },
    /// A file of measurements that cannot be read.
    #[error("{}: {message}", path.display())]
    Measurements {
        /// The file.
        path: PathBuf,
        /// The fault, with its line if it has one.
        message: String,
    },
    /// A device that the catalogue does not have.
    #[error("unknown device `{name}`{}; `irene devices` lists all, and Device::read takes your own data sheet", irene_tree::did_you_mean(.similar))]
    Device {
        /// The name.
        name: String,
        /// Names that are near.
        similar: Vec<String>,
    },
    /// A data sheet with a fault.
    #[error("{origin}{}: {reason}", at(*.line))]
    Sheet {
        /// The file.
        origin: String,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// The field, and what is expected of it.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A power limit that no board of this device has.
    #[error("power limit of {found} W: {device} takes more than {lowest} W and at most {highest} W")]
    PowerLimit {
        /// The device.
        device: String,
        /// The limit that was asked for, W.
        found: f64,
        /// The power that it draws whatever it runs, W.
        lowest: f64,
        /// The highest limit, W.
        highest: f64,
    },
}

fn engines() -> String {
    Engine::all().iter().map(|engine| engine.name).collect::<Vec<_>>().join(", ")
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
