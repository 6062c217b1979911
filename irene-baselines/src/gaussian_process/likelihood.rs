use irene_numerics::{CovarianceFactor, matern52};
use nalgebra::{DMatrix, DVector};

use super::kernel::Kernel;

/// Natural logarithms of length scale, of the linear variance over the Matérn's, and of the noise over it: where to look, in a coarse
/// grid first.
const GRID: [&[f64]; 3] = [&[-1.0, 0.0, 1.0, 2.5], &[-5.0, -1.0, 2.0], &[-7.0, -3.0, -1.0]];
const BOUNDS: [(f64, f64); 3] = [(-2.5, 4.0), (-9.0, 5.0), (-9.0, 2.5)];
const FIRST_STEP: f64 = 1.0;
const LAST_STEP: f64 = 0.1;

/// The Matérn plus linear kernel and noise of the largest marginal likelihood (Rasmussen and Williams, 2006, equation 5.8), all
/// variances in proportion to σ² = yᵀ C⁻¹ y / n, their best for given proportions C: a coarse grid, then a search by coordinate with
/// steps that halve.
pub(super) fn most_likely(rows: &[Vec<f64>], figures: &[f64]) -> (Kernel, f64) {
    // Two records fit anything; equal figures nothing.
    if rows.len() < 3 || figures.iter().all(|figure| *figure == 0.0) {
        return (Kernel::default(), 1e-8);
    }
    let pairs = Pairs::new(rows, figures);
    let mut best = Best { at: [0.0, 0.0, -3.0], likelihood: f64::NEG_INFINITY, variance: 1.0 };
    for &length in GRID[0] {
        for &linear in GRID[1] {
            for &noise in GRID[2] {
                best.consider(&pairs, [length, linear, noise]);
            }
        }
    }
    let mut step = FIRST_STEP;
    while step > LAST_STEP {
        let before = best.at;
        for coordinate in 0..3 {
            for by in [step, -step] {
                let (mut next, (least, most)) = (best.at, BOUNDS[coordinate]);
                next[coordinate] = (next[coordinate] + by).clamp(least, most);
                best.consider(&pairs, next);
            }
        }
        if best.at == before {
            step /= 2.0;
        }
    }
    let [length, linear, noise] = best.at.map(f64::exp);
    (Kernel::MaternLinear { length, matern: best.variance, linear: best.variance * linear }, best.variance * noise)
}

/// The most likely parameters so far.
struct Best {
    at: [f64; 3],
    likelihood: f64,
    variance: f64,
}

impl Best {
    fn consider(&mut self, pairs: &Pairs, at: [f64; 3]) {
        if at == self.at {
            return;
        }
        if let Some((likelihood, variance)) = pairs.likelihood(at)
            && likelihood > self.likelihood
        {
            *self = Self { at, likelihood, variance };
        }
    }
}

/// The terms of the kernel that do not depend on its parameters.
struct Pairs {
    /// Distances over √d.
    distances: DMatrix<f64>,
    /// Inner products over d.
    products: DMatrix<f64>,
    figures: DVector<f64>,
}

impl Pairs {
    fn new(rows: &[Vec<f64>], figures: &[f64]) -> Self {
        let (count, width) = (rows.len(), rows.first().map_or(1, Vec::len) as f64);
        let pairs = |of: &dyn Fn(&[f64], &[f64]) -> f64| DMatrix::from_fn(count, count, |i, j| of(&rows[i], &rows[j]));
        let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        Self {
            distances: pairs(&|a, b| (square(a, b) / width).sqrt()),
            products: pairs(&|a, b| product(a, b) / width),
            figures: DVector::from_column_slice(figures),
        }
    }

    /// The logarithm of the marginal likelihood but for a constant, and σ²; none where C cannot be factorised.
    fn likelihood(&self, [length, linear, noise]: [f64; 3]) -> Option<(f64, f64)> {
        let (length, linear, noise) = (length.exp(), linear.exp(), noise.exp());
        let mut matrix = self.distances.map(|distance| matern52(distance / length));
        matrix.zip_apply(&self.products, |covariance, product| *covariance += linear * product);
        let count = matrix.nrows();
        (0..count).for_each(|at| matrix[(at, at)] += noise);
        let factor = CovarianceFactor::new(matrix)?;
        let mut whitened = self.figures.clone();
        factor.whiten(&mut whitened);
        let variance = whitened.norm_squared() / count as f64;
        let likelihood = -0.5 * count as f64 * variance.ln() - factor.half_log_determinant();
        likelihood.is_finite().then_some((likelihood, variance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_from_noise() {
        let rows: Vec<Vec<f64>> = (0..40).map(|i| vec![f64::from(i) / 10.0 - 2.0]).collect();
        let line: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        let (_, noise) = most_likely(&rows, &line);
        assert!(noise < 1e-2, "{noise}");
        let alternating: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let (_, noise) = most_likely(&rows, &alternating);
        assert!(noise > 0.5, "{noise}");
    }
}
