//! Smooth factors on laws, where the training data departs from them. A correction is a Gaussian process (Rasmussen and Williams, 2006, section
//! 2.2) of the departures r = ln measured − ln law, e-folds:
//!
//! | | |
//! |---|---|
//! | x | the [`coordinates`] of a shape |
//! | k(x, y) = Σ σ² exp(−½ Σᵢ ((xᵢ − yᵢ) / ℓᵢ)²) | the covariance of departures: a sum of [`KERNELS`] with deviations σ and reaches ℓ |
//! | K | the covariances of the training shapes, plus `NOISE²` / count on the diagonal |
//! | w = K⁻¹ r | the weights |
//! | exp(Σ w k(x, ·)) | the factor at x |
//! | k(x, x) − k(x, ·)ᵀ K⁻¹ k(x, ·) + `NOISE²` | the variance of a measurement at x |
//!
//! Energies at the measured latency depart less: theirs is [`ENERGY_SCALE`]² k. Far from the training data all factors are 1.

use irene_numerics::{CovarianceFactor, drawn};
use nalgebra::DVector;

use super::{SHAPE, Sample, Shape};
use crate::{Result, Store, noise::NOISE};

/// The factors on a primitive's laws.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// The index in [`KERNELS`], which the marginal likelihood of the training data chose.
    kernels: usize,
    /// The [`coordinates`] of the training shapes.
    points: Vec<Shape>,
    /// The number of measurements of each shape.
    counts: Vec<f64>,
    /// The weight of each shape, for the logarithms of latency and of the energies given the latency.
    weights: Vec<Vec<f64>>,
    /// The factor of the latencies' covariance.
    factors: Option<CovarianceFactor>,
}

impl PartialEq for Correction {
    /// The factors follow from the rest.
    fn eq(&self, other: &Self) -> bool {
        (self.kernels, &self.points, &self.counts, &self.weights)
            == (other.kernels, &other.points, &other.counts, &other.weights)
    }
}

/// Sums of kernels, from smooth to jagged. In each a narrow one describes departures that belong to one shape alone.
const KERNELS: [&[Kernel]; 3] = [
    // Departures that neighbouring shapes share: an implementation suits some sizes of matrices better.
    &[Kernel { reach: [1.0, 0.7, 2.5, 2.0], deviation: 0.1 }, NARROW],
    // Also departures that depend on the form of the operands (how far their tiles are filled): short along intensity and sequence length.
    &[WIDE, Kernel { reach: [1.0, 0.3, 2.5, 0.3], deviation: 0.1 }, NARROW],
    // The same, where forms make a greater difference.
    &[WIDE, Kernel { reach: [1.0, 0.3, 2.5, 0.3], deviation: 0.2 }, NARROW],
];
const WIDE: Kernel = Kernel { reach: [2.0, 1.0, 2.5, 4.0], deviation: 0.2 };
const NARROW: Kernel = Kernel { reach: [0.05; 4], deviation: 0.03 };

/// The most shapes of one machine's correction: its time grows with their cube.
const MOST: usize = 1024;

/// The most of one that was carried over: what it brought along, and what was measured there.
const MOST_IN_ALL: usize = 2 * MOST;

/// At most so many of the samples, with their residuals.
fn thinned(samples: &[Sample], residuals: &[Vec<f64>], most: usize) -> (Vec<Sample>, Vec<Vec<f64>>) {
    let kept = drawn(samples.len(), most);
    let residuals = residuals.iter().map(|of| kept.iter().map(|&sample| of[sample]).collect());
    (kept.iter().map(|&sample| samples[sample]).collect(), residuals.collect())
}

/// Departures of energies from their law at the measured latency, as a share of those of latencies.
const ENERGY_SCALE: f64 = 1.0 / 3.0;

struct Kernel {
    /// Along each of the [`coordinates`], in e-folds.
    reach: Shape,
    /// As a share of the figure.
    deviation: f64,
}

/// The logarithms of bytes, FLOPs a byte, parameters and sequence length. An operation with (nearly) no FLOPs has intensity 1.
fn coordinates([flops, bytes, parameters, seq_len]: &Shape) -> Shape {
    const LEAST: f64 = 1e-3;
    let bytes = bytes + LEAST;
    let intensity = if *flops > 10.0 * LEAST { (flops / bytes).ln() } else { 0.0 };
    [bytes.ln(), intensity, (parameters + 1.0).ln(), seq_len.ln()]
}

/// The covariance of the departures at two points.
fn covariance(kernels: &[Kernel], x: &Shape, y: &Shape) -> f64 {
    let kernel = |kernel: &Kernel| {
        let steps = x.iter().zip(y).zip(&kernel.reach).map(|((x, y), reach)| (x - y) / reach);
        let square_distance: f64 = steps.map(|step| step * step).sum();
        kernel.deviation * kernel.deviation * (-0.5 * square_distance).exp()
    };
    kernels.iter().map(kernel).sum()
}

/// The logarithm of the marginal likelihood of residuals, but for a constant.
fn evidence(factor: Option<&CovarianceFactor>, residuals: &[f64]) -> f64 {
    let Some(factor) = factor else { return f64::NEG_INFINITY };
    let mut whitened = DVector::from_column_slice(residuals);
    factor.whiten(&mut whitened);
    -0.5 * whitened.norm_squared() - factor.half_log_determinant()
}

/// Weights that explain departures: none where there is no factor.
fn weights(factor: Option<&CovarianceFactor>, departures: &DVector<f64>) -> Vec<f64> {
    factor.map_or_else(|| vec![0.0; departures.len()], |factor| factor.solve(departures).as_slice().to_vec())
}

/// The correction at a shape.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// The factors on the laws of latency and energies.
    pub(crate) of: Vec<f64>,
    /// The standard deviation of the latency, in e-folds, given the training data; a measurement's own spread is in it.
    pub(crate) deviation: f64,
}

impl Correction {
    /// Learns from each sample's departures from the laws, in e-folds: first of latency, then of each energy.
    pub(crate) fn fit(samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let (samples, residuals) = &thinned(samples, residuals, MOST);
        let of_latency = residuals.first().map_or(&[][..], Vec::as_slice);
        let tried = (0..KERNELS.len()).map(|kernels| Self::unweighted(kernels, samples));
        let evidence = |of: &Self| evidence(of.factors.as_ref(), of_latency);
        let by_evidence = |a: &Self, b: &Self| evidence(a).total_cmp(&evidence(b));
        tried.max_by(by_evidence).unwrap_or_else(|| Self::none(0)).weighted(samples, residuals)
    }

    /// The samples as they count where measurements may scatter by more than [`NOISE`]: for latencies and for energies by the multiple of it that
    /// explains their departures best.
    pub(crate) fn with_their_noise(samples: &[Sample], residuals: &[Vec<f64>]) -> Vec<Sample> {
        const MULTIPLES: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
        /// So many tell it.
        const ENOUGH: usize = 128;
        let (some, of_some) = thinned(samples, residuals, ENOUGH);
        let times = |multiple: f64| multiple.powi(-2);
        let best = |figure: usize, scale: f64| {
            let Some(residuals) = of_some.get(figure) else { return 1.0 };
            let likelihood = |multiple: f64| {
                let counts: Vec<f64> =
                    some.iter().map(|sample| times(multiple) * [sample.count, sample.energy_count][figure]).collect();
                let kernels = (0..KERNELS.len()).map(|kernels| Self::unweighted(kernels, &some));
                kernels
                    .map(|of| evidence(of.factorised(scale, &counts).as_ref(), residuals))
                    .fold(f64::NEG_INFINITY, f64::max)
            };
            let tried = MULTIPLES.map(|multiple| (likelihood(multiple), multiple));
            tried.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(1.0, |(_, multiple)| times(multiple))
        };
        let (latency, energy) = (best(0, 1.0), best(1, ENERGY_SCALE));
        let counted = |sample: &Sample| Sample {
            count: latency * sample.count,
            energy_count: energy * sample.energy_count,
            ..*sample
        };
        samples.iter().map(counted).collect()
    }

    /// Learns from other samples with the same kernels.
    pub(crate) fn refitted(&self, samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let (samples, residuals) = &thinned(samples, residuals, MOST);
        Self::unweighted(self.kernels, samples).weighted(samples, residuals)
    }

    /// No correction, for so many figures.
    pub(crate) fn none(figures: usize) -> Self {
        Self { kernels: 0, points: Vec::new(), counts: Vec::new(), weights: vec![Vec::new(); figures], factors: None }
    }

    /// Whether there is no correction.
    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The factors for another machine: for so many figures, each to a power between 0 and 1.
    pub(crate) fn carried_over(&self, power: f64, figures: usize) -> Self {
        /// Counts so low that the deviation does not shrink by measurements of another machine.
        const ELSEWHERE: f64 = 1e-4;
        let scaled = |weights: &Vec<f64>| weights.iter().map(|weight| power * weight).collect();
        let weights = self.weights.iter().take(figures).map(scaled).collect();
        Self::new(self.kernels, self.points.clone(), vec![ELSEWHERE; self.counts.len()], weights)
    }

    /// The same with room for so many samples beside it: where it has too many shapes, by some of them, as near to it as these allow.
    pub(crate) fn with_room_for(self, samples: usize) -> Self {
        let room = MOST_IN_ALL - samples.min(MOST);
        if self.points.len() <= room {
            return self;
        }
        let kernels = KERNELS[self.kernels];
        let kept = drawn(self.points.len(), room);
        let points: Vec<Shape> = kept.iter().map(|&point| self.points[point]).collect();
        let counts = kept.iter().map(|&point| self.counts[point]).collect();
        let covariances = |i: usize, j: usize| covariance(kernels, &points[i], &points[j]);
        let factor = CovarianceFactor::of(points.len(), covariances, |_| NOISE * NOISE);
        let fewer = |all: &Vec<f64>| {
            let log_factor = |point: &Shape| -> f64 {
                let known = self.points.iter().zip(all);
                known.map(|(known, weight)| weight * covariance(kernels, point, known)).sum()
            };
            weights(factor.as_ref(), &DVector::from_iterator(points.len(), points.iter().map(log_factor)))
        };
        let weights = self.weights.iter().map(fewer).collect();
        Self::new(self.kernels, points, counts, weights)
    }

    /// The product with another correction by the same kernels.
    pub(crate) fn with(self, other: Self) -> Self {
        let weights = self.weights.into_iter().zip(other.weights).map(|(ours, theirs)| [ours, theirs].concat());
        let (points, counts) = ([self.points, other.points].concat(), [self.counts, other.counts].concat());
        Self::new(self.kernels, points, counts, weights.collect())
    }

    fn unweighted(kernels: usize, samples: &[Sample]) -> Self {
        let points = samples.iter().map(|sample| coordinates(&sample.shape)).collect();
        Self::new(kernels, points, samples.iter().map(|sample| sample.count).collect(), Vec::new())
    }

    fn new(kernels: usize, points: Vec<Shape>, counts: Vec<f64>, weights: Vec<Vec<f64>>) -> Self {
        let correction = Self { kernels, points, counts, weights, factors: None };
        let factors = if correction.points.is_empty() { None } else { correction.factorised(1.0, &correction.counts) };
        Self { factors, ..correction }
    }

    /// Solves for the weights that explain these residuals of its samples.
    fn weighted(mut self, samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let energy_counts: Vec<f64> = samples.iter().map(|sample| sample.energy_count).collect();
        let of_energy = self.factorised(ENERGY_SCALE, &energy_counts);
        // The driver's energies count as the latencies do; mostly all count alike.
        let of_gpu = if energy_counts == self.counts { None } else { self.factorised(ENERGY_SCALE, &self.counts) };
        let of_gpu = of_gpu.as_ref().or(of_energy.as_ref());
        for (figure, residuals) in residuals.iter().enumerate() {
            let factors = [self.factors.as_ref(), of_energy.as_ref(), of_gpu][figure.min(2)];
            self.weights.push(weights(factors, &DVector::from_column_slice(residuals)));
        }
        self
    }

    /// The covariance of the training data, with deviations times `scale`. The noise on the diagonal keeps it positive definite.
    fn factorised(&self, scale: f64, counts: &[f64]) -> Option<CovarianceFactor> {
        let kernels = KERNELS[self.kernels];
        let covariance = |i: usize, j: usize| scale * scale * covariance(kernels, &self.points[i], &self.points[j]);
        CovarianceFactor::of(self.points.len(), covariance, |i| NOISE * NOISE / counts[i])
    }

    /// The correction at a shape.
    pub(crate) fn at(&self, shape: &Shape) -> Factors {
        let (here, kernels) = (coordinates(shape), KERNELS[self.kernels]);
        let mut covariances = self.covariances(&here);
        let of = self.logs(&covariances).into_iter().map(f64::exp).collect();
        let mut variance = covariance(kernels, &here, &here);
        if let Some(factors) = &self.factors {
            factors.whiten(&mut covariances);
            variance -= covariances.norm_squared();
        }
        Factors { of, deviation: (variance.max(0.0) + NOISE * NOISE).sqrt() }
    }

    /// The logarithms of the factors at a shape alone, without the deviation, which takes longer.
    pub(crate) fn log_factors(&self, shape: &Shape) -> Vec<f64> {
        self.logs(&self.covariances(&coordinates(shape)))
    }

    fn covariances(&self, here: &Shape) -> DVector<f64> {
        let covariances = self.points.iter().map(|point| covariance(KERNELS[self.kernels], here, point));
        DVector::from_iterator(self.points.len(), covariances)
    }

    fn logs(&self, covariances: &DVector<f64>) -> Vec<f64> {
        let log = |(figure, weights): (usize, &Vec<f64>)| {
            let scale = if figure == 0 { 1.0 } else { ENERGY_SCALE };
            let terms = weights.iter().zip(covariances.iter()).map(|(weight, covariance)| weight * covariance);
            scale * scale * terms.sum::<f64>()
        };
        self.weights.iter().enumerate().map(log).collect()
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        let points: Vec<f64> = self.points.iter().flatten().copied().collect();
        store.put(&format!("{name}.kernels"), &[self.kernels as f64]);
        store.put(&format!("{name}.places"), &points);
        store.put(&format!("{name}.counts"), &self.counts);
        for (figure, weights) in self.weights.iter().enumerate() {
            store.put(&format!("{name}.weights.{figure}"), weights);
        }
    }

    /// Reads a correction with weights for so many figures.
    pub(crate) fn read(name: &str, figures: usize, store: &Store) -> Result<Self> {
        let [kernels] = store.take_coefficients(&format!("{name}.kernels"))?;
        if kernels.fract() != 0.0 || kernels >= KERNELS.len() as f64 {
            return Err(store.error(format!("`{name}.kernels` is {kernels}, which this irene does not know")));
        }
        let counts = store.take_any(&format!("{name}.counts"))?;
        if counts.len() > MOST_IN_ALL {
            return Err(store.error(format!("`{name}.counts` has {} numbers, more than any predictor", counts.len())));
        }
        if counts.iter().any(|count| *count <= 0.0) {
            return Err(store.error(format!("`{name}.counts` must be above 0")));
        }
        let points = store.take(&format!("{name}.places"), SHAPE.len() * counts.len())?;
        let points = points.as_chunks().0.to_vec();
        let weights = |figure| store.take(&format!("{name}.weights.{figure}"), counts.len());
        let weights = (0..figures).map(weights).collect::<Result<_>>()?;
        Ok(Self::new(kernels as usize, points, counts, weights))
    }
}

#[cfg(test)]
mod tests;
