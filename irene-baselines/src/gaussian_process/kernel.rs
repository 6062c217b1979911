use irene_numerics::linear_and_matern52;
use serde::{Deserialize, Serialize};

/// How alike the figures of two records are, by their coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kernel {
    /// exp(−r² / 2ℓ²) with r the Euclidean distance.
    Rbf {
        /// ℓ.
        length: f64,
    },
    /// m (1 + a + a²/3) exp(−a) + l xᵀx' / d with a = √5 r / (ℓ √d) over d coordinates: Matérn 5/2 plus linear.
    MaternLinear {
        /// ℓ.
        length: f64,
        /// m, the variance of the Matérn kernel.
        matern: f64,
        /// l, the variance of the linear kernel.
        linear: f64,
    },
}

impl Default for Kernel {
    fn default() -> Self {
        Self::MaternLinear { length: 1.0, matern: 1.0, linear: 1.0 }
    }
}

impl Kernel {
    pub(super) fn between(&self, a: &[f64], b: &[f64]) -> f64 {
        match *self {
            Self::Rbf { length } => {
                let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                (-square / (2.0 * length * length)).exp()
            }
            Self::MaternLinear { length, matern, linear } => {
                let (product, smooth) = linear_and_matern52(a, b, length);
                matern * smooth + linear * product
            }
        }
    }

    /// Lengths and variances are above 0 and finite.
    pub(super) fn holds(&self) -> bool {
        let usable = |number: f64| number > 0.0 && number < 1e100;
        match *self {
            Self::Rbf { length } => usable(length),
            Self::MaternLinear { length, matern, linear } => [length, matern, linear].into_iter().all(usable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_their_closed_forms() {
        let rbf = Kernel::Rbf { length: 2.0 };
        assert!((rbf.between(&[0.0, 0.0], &[2.0, 2.0]) - (-1f64).exp()).abs() < 1e-15);
        // √5 · 1 / 1 from a distance √2 over two coordinates: (1 + √5 + 5/3) exp(−√5) = 0.52399...
        let kernel = Kernel::MaternLinear { length: 1.0, matern: 2.0, linear: 3.0 };
        let matern = (1.0 + 5f64.sqrt() + 5.0 / 3.0) * (-5f64.sqrt()).exp();
        assert!((kernel.between(&[1.0, 2.0], &[2.0, 3.0]) - (2.0 * matern + 3.0 * 8.0 / 2.0)).abs() < 1e-12);
    }
}
