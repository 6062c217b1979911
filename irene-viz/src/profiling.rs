use std::sync::atomic::AtomicBool;

use irene_models::ModelSpec;
use irene_tree::{Size, Tree};
use serde::Serialize;
use utoipa::ToSchema;

/// Measures models on the server's machine. The caller provides it, so that this crate runs no model itself.
pub trait Profiling: Send + Sync {
    /// Measures the nodes of a model at a size. It runs on a thread of its own, and no other measurement runs beside it.
    ///
    /// It reports every step, and ends soon after `stop` has become true. The tree comes with its measurements in the form of the
    /// interchange format.
    ///
    /// # Errors
    /// [`ProfilingError`] if nothing was measured, or not all.
    fn profile(
        &self,
        request: &ProfilingRequest<'_>,
        progress: &mut dyn FnMut(Progress),
        stop: &AtomicBool,
    ) -> Result<Tree, ProfilingError>;
}

/// The model and size to measure.
#[derive(Clone, Copy, Debug)]
pub struct ProfilingRequest<'a> {
    /// The model; it has no weights, and made-up ones cost the same.
    pub spec: &'a ModelSpec,
    /// The input size.
    pub size: Size,
}

/// How far a measurement is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Progress")]
pub struct Progress {
    /// Nodes to measure; nodes that do the same count once. 0 until it is known.
    pub nodes: usize,
    /// The nodes that need no more rounds.
    pub measured: usize,
    /// Rounds of measuring so far, of all nodes.
    pub rounds: usize,
    /// The scope of the node that was measured last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Why there is no measured tree, in a line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProfilingError(pub String);
