//! The parameters of requests.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Kernels, Precision, Size};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// A query whose errors become a [`Problem`].
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// A built-in model at a size.
#[derive(PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ModelQuery {
    /// A built-in model's name.
    pub(crate) model: String,
    /// Sequences in the batch.
    pub(crate) batch_size: usize,
    /// Tokens in a sequence.
    pub(crate) seq_len: usize,
    /// Tokens of each sequence that are in the cache already.
    #[serde(default)]
    pub(crate) past_len: usize,
    /// Tokens of each sequence that are generated; 0 for a single pass.
    #[serde(default)]
    pub(crate) generate: usize,
    /// The number formats: `bf16`, or `q4_k,f16` for weights and activations; by default the config's, or `f32`.
    pub(crate) dtype: Option<String>,
    /// How operations become kernels: `eager` or `fused`.
    #[serde(default)]
    #[param(value_type = String)]
    pub(crate) kernels: Kernels,
    /// The head on top of the trunk: `none`, `lm` or `classification`.
    #[serde(default)]
    #[param(value_type = String)]
    pub(crate) head: TaskHead,
    /// A device's name; the first by default.
    pub(crate) device: Option<String>,
    /// Whether the single operations of modules are nodes.
    #[serde(default)]
    pub(crate) math: bool,
}

/// `run` of a query about one model.
macro_rules! asks_for_a_run {
    ($($query:ident),+) => {
        $(impl $query {
            pub(crate) fn run(&self, spec: &ModelSpec) -> Result<Run, Problem> {
                let precision = match self.dtype.as_deref().map(str::parse::<Precision>) {
                    Some(asked) => asked.map_err(|error| Problem::refused(&error))?,
                    None => spec.config().precision().map_err(|error| Problem::refused(&error))?,
                };
                Ok(Run {
                    precision,
                    kernels: self.kernels,
                    head: self.head,
                    generate: self.generate,
                    shows_math: self.math,
                    ..Size::new(self.batch_size, self.seq_len).after(self.past_len).into()
                })
            }
        })+
    };
}

asks_for_a_run!(ModelQuery, ConfigQuery);

/// A single pass over whole sequences, without single operations.
pub(crate) fn whole(size: Size) -> Run {
    Run { shows_math: false, ..size.into() }
}

/// A size for the config in the body.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConfigQuery {
    /// Sequences in the batch.
    pub(crate) batch_size: usize,
    /// Tokens in a sequence.
    pub(crate) seq_len: usize,
    /// Tokens of each sequence that are in the cache already.
    #[serde(default)]
    pub(crate) past_len: usize,
    /// Tokens of each sequence that are generated; 0 for a single pass.
    #[serde(default)]
    pub(crate) generate: usize,
    /// The number formats: `bf16`, or `q4_k,f16` for weights and activations; by default the config's, or `f32`.
    pub(crate) dtype: Option<String>,
    /// How operations become kernels: `eager` or `fused`.
    #[serde(default)]
    #[param(value_type = String)]
    pub(crate) kernels: Kernels,
    /// The head on top of the trunk: `none`, `lm` or `classification`.
    #[serde(default)]
    #[param(value_type = String)]
    pub(crate) head: TaskHead,
    /// A device's name; the first by default.
    pub(crate) device: Option<String>,
    /// Whether the single operations of modules are nodes.
    #[serde(default)]
    pub(crate) math: bool,
    /// The model's name.
    pub(crate) name: Option<String>,
}

/// How measured trees are predicted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TreesQuery {
    /// A device's name; the first by default.
    pub(crate) device: Option<String>,
    /// Which nodes of the trees were measured.
    #[serde(default)]
    pub(crate) method: Method,
}

/// Which nodes were measured.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// Every node's latency and driver energy.
    Measured,
    /// Latency and driver energy of the primitives.
    Primitives,
    /// Nothing.
    #[default]
    Specs,
}

/// Two selections.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareQuery {
    /// a's model.
    pub(crate) model: String,
    /// a's sequences in the batch.
    pub(crate) batch_size: usize,
    /// a's tokens in a sequence.
    pub(crate) seq_len: usize,
    /// a's device; the first by default.
    pub(crate) device: Option<String>,
    /// b's model; a's by default.
    pub(crate) other_model: Option<String>,
    /// b's sequences in the batch; a's by default.
    pub(crate) other_batch_size: Option<usize>,
    /// b's tokens in a sequence; a's by default.
    pub(crate) other_seq_len: Option<usize>,
    /// b's device; a's by default.
    pub(crate) other_device: Option<String>,
}

/// A model at several sizes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SweepQuery {
    /// A built-in model's name.
    pub(crate) model: String,
    /// A device's name; the first by default.
    pub(crate) device: Option<String>,
    /// Batch sizes, with commas between them.
    pub(crate) batch_sizes: Option<String>,
    /// Sequence lengths, with commas between them.
    pub(crate) seq_lens: Option<String>,
}

/// One size for many models.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SizeQuery {
    /// Sequences in the batch.
    pub(crate) batch_size: usize,
    /// Tokens in a sequence.
    pub(crate) seq_len: usize,
    /// A device's name; the first by default.
    pub(crate) device: Option<String>,
}

impl SizeQuery {
    pub(crate) fn size(&self) -> Size {
        Size::new(self.batch_size, self.seq_len)
    }
}
