use std::path::PathBuf;

/// An error in a tree or a file of trees.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason, and the way out.
        reason: String,
    },
    /// A line of an interchange file does not hold a tree.
    #[error("{origin}, line {line}, column {column}, field `{field}`: {reason}")]
    Line {
        /// The file or stream.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The field that was being read, after its node's scope if that is known.
        field: String,
        /// The reason.
        reason: String,
    },
    /// A row of a CSV file of measurements cannot be used.
    #[error("{path}, line {line}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The reason.
        reason: String,
    },
    /// A node breaks a rule of the model tree.
    #[error("{tree}, node `{scope}`: {reason}")]
    Node {
        /// The tree: model, batch size, sequence length.
        tree: String,
        /// The node.
        scope: String,
        /// The reason.
        reason: String,
    },
    /// A builder was used out of order.
    #[error("building the tree of {model}: {reason}")]
    Build {
        /// The model.
        model: String,
        /// The reason.
        reason: &'static str,
    },
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;
