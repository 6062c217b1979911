use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::{SHAPE, Sample, Shape};
use crate::{Result, Store};

/// Smooth factors on laws, where the training data departs from them: the means of Gaussian processes over the logarithms of the
/// shape, in e-folds.
///
/// Three kernels add up. A wide one carries what neighbouring shapes share (how well a kernel suits larger matrices); a nearer one,
/// short along intensity and sequence length, what hangs on the form of the operands (how far their tiles are filled); a narrow one
/// what belongs to one shape alone. Far from the training data all vanish and the laws stand alone.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// Where the training shapes are.
    places: Vec<Shape>,
    /// How many measurements each stands for.
    counts: Vec<f64>,
    /// What each adds to the logarithms of latency and of the energies given the latency.
    weights: Vec<Vec<f64>>,
    /// Of the covariance of the latencies.
    factors: Option<Cholesky<f64, Dyn>>,
}

impl PartialEq for Correction {
    /// The factors follow from the rest.
    fn eq(&self, other: &Self) -> bool {
        (&self.places, &self.counts, &self.weights) == (&other.places, &other.counts, &other.weights)
    }
}

/// Docs/predictors.md has what else was tried, and how they were chosen.
const KERNELS: [Kernel; 3] = [
    Kernel { reach: [2.0, 1.0, 2.5, 4.0], deviation: 0.2 },
    Kernel { reach: [1.0, 0.3, 2.5, 0.3], deviation: 0.1 },
    Kernel { reach: [0.05; 4], deviation: 0.03 },
];

/// The spread of repeated measurements, as a share.
const NOISE: f64 = 0.01;

/// How far energies depart from their law at the latency that was measured, as a share of how far latencies depart from theirs.
const ENERGY_SCALE: f64 = 1.0 / 3.0;

struct Kernel {
    /// Along each [`place`], in e-folds.
    reach: Shape,
    /// As a share of the figure.
    deviation: f64,
}

/// Bytes, FLOPs for each byte, parameters and sequence length, as logarithms. What has (nearly) no FLOPs has no intensity.
fn place([flops, bytes, parameters, seq_len]: &Shape) -> Shape {
    const LEAST: f64 = 1e-3;
    let bytes = bytes + LEAST;
    let intensity = if *flops > 10.0 * LEAST { (flops / bytes).ln() } else { 0.0 };
    [bytes.ln(), intensity, (parameters + 1.0).ln(), seq_len.ln()]
}

/// Of two [`place`]s.
fn covariance(x: &Shape, y: &Shape) -> f64 {
    let kernel = |kernel: &Kernel| {
        let steps = x.iter().zip(y).zip(&kernel.reach).map(|((x, y), reach)| (x - y) / reach);
        let square_distance: f64 = steps.map(|step| step * step).sum();
        kernel.deviation * kernel.deviation * (-0.5 * square_distance).exp()
    };
    KERNELS.iter().map(kernel).sum()
}

/// What the data says of a shape.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// What to multiply the laws by: the latency's, the energies'.
    pub(crate) of: Vec<f64>,
    /// How far off the latency may be, in e-folds: the standard deviation that is left, a measurement's own spread included.
    pub(crate) deviation: f64,
}

impl Correction {
    /// From what the laws leave of each sample, in e-folds: first of latency, then of each energy.
    pub(crate) fn fit(samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let places = samples.iter().map(|sample| place(&sample.shape)).collect();
        let mut correction = Self::new(places, samples.iter().map(|sample| sample.count).collect(), Vec::new());
        let of_energies = correction.factorised(ENERGY_SCALE);
        for (figure, residuals) in residuals.iter().enumerate() {
            let factors = if figure == 0 { &correction.factors } else { &of_energies };
            let solved = factors.as_ref().map(|factors| factors.solve(&DVector::from_column_slice(residuals)));
            let weights = solved.map_or_else(|| vec![0.0; residuals.len()], |weights| weights.as_slice().to_vec());
            correction.weights.push(weights);
        }
        correction
    }

    /// The same factors to a power between 0 and 1, of so many figures, on which nothing of another machine was tried.
    pub(crate) fn carried_over(&self, power: f64, figures: usize) -> Self {
        /// Measurements elsewhere say nothing of how far off this machine's may be.
        const ELSEWHERE: f64 = 1e-4;
        let scaled = |weights: &Vec<f64>| weights.iter().map(|weight| power * weight).collect();
        let weights = self.weights.iter().take(figures).map(scaled).collect();
        Self::new(self.places.clone(), vec![ELSEWHERE; self.counts.len()], weights)
    }

    /// With the factors of another, on top.
    pub(crate) fn with(self, other: Self) -> Self {
        let weights = self.weights.into_iter().zip(other.weights).map(|(ours, theirs)| [ours, theirs].concat());
        Self::new([self.places, other.places].concat(), [self.counts, other.counts].concat(), weights.collect())
    }

    /// Of so many figures, all by their laws alone.
    pub(crate) fn none(figures: usize) -> Self {
        Self { places: Vec::new(), counts: Vec::new(), weights: vec![Vec::new(); figures], factors: None }
    }

    fn new(places: Vec<Shape>, counts: Vec<f64>, weights: Vec<Vec<f64>>) -> Self {
        let correction = Self { places, counts, weights, factors: None };
        let factors = if correction.places.is_empty() { None } else { correction.factorised(1.0) };
        Self { factors, ..correction }
    }

    /// The covariance of the training data, with deviations times `scale`. The noise on the diagonal keeps it positive definite.
    fn factorised(&self, scale: f64) -> Option<Cholesky<f64, Dyn>> {
        let mut matrix = DMatrix::from_fn(self.places.len(), self.places.len(), |i, j| {
            scale * scale * covariance(&self.places[i], &self.places[j])
        });
        for (i, count) in self.counts.iter().enumerate() {
            matrix[(i, i)] += NOISE * NOISE / count;
        }
        matrix.cholesky()
    }

    /// What the training data says of a shape.
    pub(crate) fn at(&self, shape: &Shape) -> Factors {
        let place = place(shape);
        let mut near =
            DVector::from_iterator(self.places.len(), self.places.iter().map(|point| covariance(&place, point)));
        let factor = |(figure, weights): (usize, &Vec<f64>)| {
            let scale = if figure == 0 { 1.0 } else { ENERGY_SCALE };
            let terms = weights.iter().zip(near.iter()).map(|(weight, covariance)| weight * covariance);
            (scale * scale * terms.sum::<f64>()).exp()
        };
        let of = self.weights.iter().enumerate().map(factor).collect();
        let mut variance = covariance(&place, &place);
        if let Some(factors) = &self.factors
            && factors.l_dirty().solve_lower_triangular_mut(&mut near)
        {
            variance -= near.norm_squared();
        }
        Factors { of, deviation: (variance.max(0.0) + NOISE * NOISE).sqrt() }
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        let places: Vec<f64> = self.places.iter().flatten().copied().collect();
        store.put(&format!("{name}.places"), &places);
        store.put(&format!("{name}.counts"), &self.counts);
        for (figure, weights) in self.weights.iter().enumerate() {
            store.put(&format!("{name}.weights.{figure}"), weights);
        }
    }

    /// With weights for so many figures.
    pub(crate) fn read(name: &str, figures: usize, store: &Store) -> Result<Self> {
        let counts = store.take_any(&format!("{name}.counts"))?;
        if counts.iter().any(|count| *count <= 0.0) {
            return Err(store.error(format!("`{name}.counts` must be above 0")));
        }
        let places = store.take(&format!("{name}.places"), SHAPE.len() * counts.len())?;
        let places = places.as_chunks().0.to_vec();
        let weights = |figure| store.take(&format!("{name}.weights.{figure}"), counts.len());
        let weights = (0..figures).map(weights).collect::<Result<_>>()?;
        Ok(Self::new(places, counts, weights))
    }
}
