use serde::{Deserialize, Serialize};

/// How the devices of a maker differ from NVIDIA's with the same data sheet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerLaw {
    /// The time of kernels, as a factor.
    pub kernels: f64,
    /// The time of starting them, and of the engine, as a factor.
    pub launches: f64,
}

/// No different.
impl Default for MakerLaw {
    fn default() -> Self {
        Self { kernels: 1.0, launches: 1.0 }
    }
}
