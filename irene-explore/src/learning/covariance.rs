use irene_numerics::linear_and_matern52;
use serde::{Deserialize, Serialize};

/// Standard deviations of the training data that the smooth part reaches, for each root of a coordinate.
const REACH: f64 = 1.5;

/// The linear and the smooth (Matérn 5/2) part of the covariance of the logarithms of a figure at two standardised points, of scale 1.
pub(super) fn kernels(x: &[f64], y: &[f64]) -> (f64, f64) {
    let (linear, smooth) = linear_and_matern52(x, y, REACH);
    (1.0 + linear, smooth)
}

/// Prior standard deviations of both parts, in units of the noise's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KernelScales {
    pub(super) linear: f64,
    pub(super) smooth: f64,
}

impl KernelScales {
    /// The covariance by these [`kernels`].
    pub(super) fn covariance(self, (linear, smooth): (f64, f64)) -> f64 {
        self.linear * self.linear * linear + self.smooth * self.smooth * smooth
    }
}
