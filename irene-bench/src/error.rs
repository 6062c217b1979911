use std::path::PathBuf;

use crate::Setting;

/// Why a server cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a server's address.
    #[error("{url}: {reason}")]
    Address {
        /// The text that was given.
        url: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// Nothing answers at the address.
    #[error("{url}: {reason}; is the server running, and is this its address?")]
    Unreachable {
        /// The address.
        url: String,
        /// The system's reason.
        reason: String,
    },
    /// The server speaks none of the known APIs, or not the one that was asked for.
    #[error("{url}: {reason}")]
    Api {
        /// The address.
        url: String,
        /// The APIs that were tried, and their answers.
        reason: String,
    },
    /// No prompt of this length can be made.
    #[error("a prompt of {asked} tokens: {reason}")]
    Prompt {
        /// Tokens that were asked for.
        asked: usize,
        /// The reason, and the way out.
        reason: String,
    },
    /// A setting has no figures.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting.
        setting: Setting,
        /// The reason, and the way out.
        reason: String,
    },
    /// A sheet cannot be continued.
    #[error("{}{}: {reason}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Resume {
        /// The sheet.
        path: PathBuf,
        /// Its line.
        line: Option<u64>,
        /// The reason, and the way out.
        reason: String,
    },
    /// A sheet cannot be read.
    #[error(transparent)]
    Sheet(#[from] irene_requests::Error),
    /// The system gives no file, thread or socket.
    #[error("{what}: {source}")]
    Io {
        /// The consequence.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The caller stopped it.
    #[error("stopped before the setting was measured")]
    Stopped,
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
