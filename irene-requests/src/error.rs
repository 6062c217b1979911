/// A fault of a sheet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{origin}: {source}")]
    Io {
        /// The file or stream.
        origin: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The first line has no titles of a sheet.
    #[error("{origin}, line 1: {reason}")]
    Titles {
        /// The file or stream.
        origin: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// A file is of no known format.
    #[error("{origin}: not recognised; looked for {looked_for}")]
    Unrecognised {
        /// The file or folder.
        origin: String,
        /// The mark of a known one.
        looked_for: String,
    },
    /// Two sheets cannot be compared.
    #[error("{truth} and {predicted}: {reason}")]
    Compare {
        /// The file of measurements.
        truth: String,
        /// The file of predictions.
        predicted: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// A row of a sheet cannot be used; those after it can.
    #[error("{origin}, line {line}{}: {reason}", in_column(.column))]
    Row {
        /// The file or stream.
        origin: String,
        /// The line, from 1.
        line: u64,
        /// The title of the column; empty for the whole row.
        column: String,
        /// The reason, and the way out.
        reason: String,
    },
}

fn in_column(column: &str) -> String {
    if column.is_empty() { String::new() } else { format!(", column `{column}`") }
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
