/// Errors of exploring a design space.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{origin}: {reason}")]
    File {
        /// The file, with the line or record where there is one.
        origin: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// A design is outside the space.
    #[error("{design} is outside the design space: {reason}")]
    Outside {
        /// The design.
        design: String,
        /// The choice that is not in the space, and those that are.
        reason: String,
    },
    /// The data does not suffice for the request.
    #[error("{0}")]
    Data(String),
    /// No design fits the request.
    #[error("{0}")]
    Search(String),
    /// The work was stopped.
    #[error("stopped")]
    Stopped,
    /// A design that cannot be traced or run.
    #[error(transparent)]
    Model(#[from] irene_models::Error),
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;
