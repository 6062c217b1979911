/// Why a request gave no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The answer did not end in time.
    #[error("no whole answer in time")]
    Timeout,
    /// A status that is no success, with the beginning of its text.
    #[error("status {0}{separator}{1}", separator = if .1.is_empty() { "" } else { ": " })]
    Status(u16, String),
    /// The server sends clients to another address, which is not contacted.
    #[error("it redirects to {0}, which is not contacted")]
    Redirect(String),
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer")]
    Disconnect,
    /// The server says in its stream that it failed.
    #[error("the server says: {0}")]
    Server(String),
    /// The answer is not in the form of this API.
    #[error("the answer is none of this API: {0}")]
    Malformed(String),
    /// The counts of tokens cannot be true.
    #[error("its counts of tokens cannot be true: {0}")]
    Usage(String),
}

impl Failure {
    /// Whether the next request may fare better.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Status(status, _) => matches!(status, 429 | 500 | 502..),
            Self::Timeout | Self::Disconnect | Self::Server(_) | Self::Usage(_) => true,
            Self::Connect(_) | Self::Redirect(_) | Self::Malformed(_) => false,
        }
    }

    /// The word in sheets.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Connect(_) => "connect".into(),
            Self::Timeout => "timeout".into(),
            Self::Status(status, _) => format!("status_{status}"),
            Self::Redirect(_) => "redirect".into(),
            Self::Disconnect => "disconnect".into(),
            Self::Server(_) => "server".into(),
            Self::Malformed(_) => "malformed".into(),
            Self::Usage(_) => "usage".into(),
        }
    }
}
