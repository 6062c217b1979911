use std::path::PathBuf;

use irene_features::MissingFeature;

/// An error of training, predicting or evaluating.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The training data is not enough.
    #[error("training data: {0}")]
    Training(String),
    /// The training data lacks measurements that go together.
    #[error("training data: {0}")]
    Unmeasured(&'static str),
    /// A node lacks a feature that the predictor needs.
    #[error(transparent)]
    MissingFeature(#[from] MissingFeature),
    /// A node has no ground truth above 0, which relative errors need.
    #[error("{tree}, node `{scope}`: ground_truth_energy must be above 0, found {found}")]
    GroundTruth {
        /// The tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// The value found.
        found: String,
    },
    /// A node has no latency above 0.
    #[error("{tree}, node `{scope}`: times_mean must be above 0, found {found}")]
    Latency {
        /// The tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// The value found, s.
        found: f64,
    },
    /// A primitive that the predictor was not trained on.
    #[error("{tree}, node `{scope}`: this predictor never saw the operation {instance_type}; it knows {known}")]
    UnseenOperation {
        /// The tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// The operation.
        instance_type: String,
        /// The operations that the predictor knows.
        known: String,
    },
    /// A predicted figure is not finite.
    #[error(
        "{tree}, node `{scope}`: its prediction is not finite; its features are beyond anything the predictor holds for"
    )]
    NotFinite {
        /// The tree.
        tree: String,
        /// The node's scope.
        scope: String,
    },
    /// A predicted node has no counterpart in the truth, or the other way round.
    #[error("{0}")]
    Unmatched(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not a predictor file, or is damaged.
    #[error("{origin}: {reason}")]
    PredictorFile {
        /// The file or bundled profile.
        origin: String,
        /// The reason.
        reason: String,
    },
    /// There is no such bundled profile.
    #[error("unknown device `{name}`{}; the bundled profiles are {known}, and DeviceProfile::read takes a file", irene_tree::did_you_mean(.similar))]
    UnknownDevice {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
        /// The known names that look like it.
        similar: Vec<String>,
    },
    /// A tree that breaks the rules of a tree.
    #[error(transparent)]
    Tree(#[from] irene_tree::Error),
}

impl Error {
    /// Whether it says that the training data lacks measurements, rather than that one is wrong.
    pub(crate) fn is_about_what_is_missing(&self) -> bool {
        matches!(self, Self::MissingFeature(_) | Self::Unmeasured(_))
    }
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
