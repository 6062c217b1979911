use std::path::PathBuf;

use irene_features::MissingFeature;

/// What can go wrong in training, predicting and evaluating.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is not enough to learn from.
    #[error("training data: {0}")]
    Training(String),
    /// A node lacks a feature that the predictor needs.
    #[error(transparent)]
    MissingFeature(#[from] MissingFeature),
    /// A node has no ground truth, or none that a relative error can be taken of.
    #[error("{tree}, node `{scope}`: ground_truth_energy must be above 0, found {found}")]
    GroundTruth {
        /// Which tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// What is there.
        found: String,
    },
    /// A node took no time.
    #[error("{tree}, node `{scope}`: times_mean must be above 0, found {found}")]
    Latency {
        /// Which tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// What is there, s.
        found: f64,
    },
    /// A primitive that the predictor was not trained on.
    #[error("{tree}, node `{scope}`: this predictor never saw the operation {instance_type}; it knows {known}")]
    UnseenOperation {
        /// Which tree.
        tree: String,
        /// The node's scope.
        scope: String,
        /// The operation.
        instance_type: String,
        /// What the predictor knows.
        known: String,
    },
    /// A prediction is no number.
    #[error(
        "{tree}, node `{scope}`: the predicted energy is not finite; its features are beyond anything the predictor holds for"
    )]
    NotFinite {
        /// Which tree.
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
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no predictor, or a damaged one.
    #[error("{origin}: {reason}")]
    PredictorFile {
        /// The file or bundled profile.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such bundled profile.
    #[error("unknown device `{name}`; the bundled profiles are {known}, and --predictor takes a file")]
    UnknownDevice {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A tree that breaks the rules of a tree.
    #[error(transparent)]
    Tree(#[from] irene_tree::Error),
}

/// The result of what can go wrong in this crate.
pub type Result<T> = std::result::Result<T, Error>;
