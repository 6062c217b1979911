use irene_tree::Shape;

/// What can go wrong between a name and a traced or running model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a built-in model nor a path.
    #[error("unknown model `{name}`{}; `irene models` lists the built-in ones, and a directory or file with a config.json works too", near(.similar))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// Built-in names that look like it.
        similar: Vec<String>,
    },
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model's files are not there, or not what they should be.
    #[error("{what}: {reason}")]
    Files {
        /// The file, directory or model id.
        what: String,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// A configuration is not one of a model that can be built.
    #[error("{origin}, field `{field}`: {reason}")]
    Config {
        /// The file or built-in model.
        origin: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The input does not fit the model.
    #[error("{model}: {reason}")]
    Input {
        /// The model.
        model: String,
        /// What does not fit.
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
        /// What the checkpoint has.
        found: String,
    },
    /// Tensors that an operation cannot take together.
    #[error("{operation}: {reason}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// What does not fit.
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
        // candle prints the backtraces that it carries; what went wrong is one line.
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self::Candle(Box::new(error))
    }
}

fn near(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => format!(", did you mean `{}`?", names.join("`, `")),
    }
}

/// The result of what can go wrong in this crate.
pub type Result<T> = std::result::Result<T, Error>;
