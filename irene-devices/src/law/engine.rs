use serde::{Deserialize, Serialize};

use super::Pass;

/// What an engine adds to the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineLaw {
    /// Seconds of each pass.
    pub pass_s: f64,
    /// Seconds of each layer.
    pub layer_s: f64,
    /// Seconds of each sequence.
    pub sequence_s: f64,
}

impl Default for EngineLaw {
    fn default() -> Self {
        Self { pass_s: 2e-3, layer_s: 1e-5, sequence_s: 1e-5 }
    }
}

impl EngineLaw {
    /// Seconds that a pass takes beside its kernels.
    pub fn seconds(&self, pass: &Pass) -> f64 {
        self.pass_s + self.layer_s * pass.layers + self.sequence_s * pass.sequences
    }
}
