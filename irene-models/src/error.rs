use std::path::Path;

use irene_tree::{Shape, did_you_mean, file_fault};

/// An error in finding, building, tracing or running a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a built-in model nor a path.
    #[error("unknown model `{name}`{}; `irene models` lists the built-in ones, and a directory or file with a config.json works too, as does a model of the Hugging Face hub after `hf download {name} config.json`", did_you_mean(.similar))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// Built-in names that look like it.
        similar: Vec<String>,
    },
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A model's files are missing or malformed.
    #[error("{what}: {reason}")]
    Files {
        /// The file, directory or model id.
        what: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// No model can be built from a configuration.
    #[error("{origin}, field `{field}`: {reason}")]
    Config {
        /// The file or built-in model.
        origin: String,
        /// The field.
        field: String,
        /// The reason.
        reason: String,
    },
    /// The input does not fit the model.
    #[error("{model}: {reason}")]
    Input {
        /// The model.
        model: String,
        /// The reason.
        reason: String,
    },
    /// Tokens cannot be chosen this way.
    #[error("{setting}: {reason}")]
    Sampling {
        /// The setting.
        setting: &'static str,
        /// The values that it may have.
        reason: String,
    },
    /// A checkpoint lacks a tensor, or has it in another shape.
    #[error("{origin}, tensor `{key}`: expected {expected}, found {found}")]
    Weight {
        /// The checkpoint.
        origin: String,
        /// The tensor's key.
        key: String,
        /// The shape that the model needs.
        expected: Box<Shape>,
        /// The checkpoint's tensor, in words.
        found: String,
    },
    /// A parameter that is to be trained has no gradient.
    #[error("parameter `{key}` has no gradient: no operation from it to the loss passes one on")]
    Gradient {
        /// The parameter's key.
        key: String,
    },
    /// A step of training cannot run in this way.
    #[error("{setting}: {reason}")]
    Training {
        /// The setting.
        setting: &'static str,
        /// The reason, and the way out.
        reason: String,
    },
    /// An operation cannot take these tensors together.
    #[error("{operation}: {reason}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// The reason.
        reason: String,
    },
    /// A tree could not be built or joined.
    #[error(transparent)]
    Tree(#[from] irene_tree::Error),
    /// candle failed.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(Box<candle_core::Error>),
}

#[cfg(feature = "candle")]
impl From<candle_core::Error> for Error {
    fn from(mut error: candle_core::Error) -> Self {
        // candle would print its backtraces too; the error itself is one line.
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self::Candle(Box::new(error))
    }
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Reads a file, and after a failure tells if another thing stands in its place.
pub(crate) fn reading<T>(path: &Path, read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    read(path).map_err(|error| match file_fault(path) {
        Some(reason) => Error::Files { what: path.display().to_string(), reason },
        None => error,
    })
}
