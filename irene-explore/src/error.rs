/// What can go wrong in exploring a design space.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{origin}: {reason}")]
    File {
        /// The file, with the line or record where there is one.
        origin: String,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// A design is outside the space.
    #[error("{design} is outside the design space: {reason}")]
    Outside {
        /// The design.
        design: String,
        /// Which choice is not there, and which are.
        reason: String,
    },
    /// There is too little data for what was asked.
    #[error("{0}")]
    Data(String),
    /// Nothing fits what was asked for.
    #[error("{0}")]
    Search(String),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A design that cannot be traced or run.
    #[error(transparent)]
    Model(#[from] irene_models::Error),
}

/// The result of what can go wrong in this crate.
pub type Result<T> = std::result::Result<T, Error>;
