use irene_numerics::CovarianceFactor;
use nalgebra::DVector;

use super::{SHAPE, Sample, Shape};
use crate::{Result, Store};

/// Smooth factors on laws, where the training data departs from them: the means of Gaussian processes over the logarithms of the
/// shape, in e-folds. Of a few [`KERNELS`] the evidence of the training data (its marginal likelihood) chooses. Far from the
/// training data all vanish and the laws stand alone.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// Which of [`KERNELS`].
    kernels: usize,
    /// Where the training shapes are.
    places: Vec<Shape>,
    /// How many measurements each stands for.
    counts: Vec<f64>,
    /// What each adds to the logarithms of latency and of the energies given the latency.
    weights: Vec<Vec<f64>>,
    /// Of the covariance of the latencies.
    factors: Option<CovarianceFactor>,
}

impl PartialEq for Correction {
    /// The factors follow from the rest.
    fn eq(&self, other: &Self) -> bool {
        (self.kernels, &self.places, &self.counts, &self.weights)
            == (other.kernels, &other.places, &other.counts, &other.weights)
    }
}

/// Sums of kernels. In each a narrow one carries what belongs to one shape alone. Beside it, from smooth to jagged:
const KERNELS: [&[Kernel]; 3] = [
    // what neighbouring shapes share: how well a kernel suits larger matrices;
    &[Kernel { reach: [1.0, 0.7, 2.5, 2.0], deviation: 0.1 }, NARROW],
    // with it, short along intensity and sequence length, what hangs on the form of the operands: how far their tiles are filled;
    &[WIDE, Kernel { reach: [1.0, 0.3, 2.5, 0.3], deviation: 0.1 }, NARROW],
    // the same, where forms make a greater difference.
    &[WIDE, Kernel { reach: [1.0, 0.3, 2.5, 0.3], deviation: 0.2 }, NARROW],
];
const WIDE: Kernel = Kernel { reach: [2.0, 1.0, 2.5, 4.0], deviation: 0.2 };
const NARROW: Kernel = Kernel { reach: [0.05; 4], deviation: 0.03 };

/// Shapes that one machine's correction rests on, at most: it takes time by their cube.
const MOST: usize = 1024;

/// Evenly fewer samples with their residuals, if there are too many.
fn thinned(samples: &[Sample], residuals: &[Vec<f64>]) -> (Vec<Sample>, Vec<Vec<f64>>) {
    let step = samples.len().div_ceil(MOST).max(1);
    let residuals = residuals.iter().map(|of| of.iter().copied().step_by(step).collect());
    (samples.iter().copied().step_by(step).collect(), residuals.collect())
}

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
fn covariance(kernels: &[Kernel], x: &Shape, y: &Shape) -> f64 {
    let kernel = |kernel: &Kernel| {
        let steps = x.iter().zip(y).zip(&kernel.reach).map(|((x, y), reach)| (x - y) / reach);
        let square_distance: f64 = steps.map(|step| step * step).sum();
        kernel.deviation * kernel.deviation * (-0.5 * square_distance).exp()
    };
    kernels.iter().map(kernel).sum()
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
        let (samples, residuals) = &thinned(samples, residuals);
        let of_latency = residuals.first().map_or(&[][..], Vec::as_slice);
        let tried = (0..KERNELS.len()).map(|kernels| Self::on(kernels, samples));
        let by_evidence = |a: &Self, b: &Self| a.evidence(of_latency).total_cmp(&b.evidence(of_latency));
        tried.max_by(by_evidence).unwrap_or_else(|| Self::none(0)).weighted(residuals)
    }

    /// The same kernels on other samples.
    pub(crate) fn refitted(&self, samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let (samples, residuals) = &thinned(samples, residuals);
        Self::on(self.kernels, samples).weighted(residuals)
    }

    /// Of so many figures, all by their laws alone.
    pub(crate) fn none(figures: usize) -> Self {
        Self { kernels: 0, places: Vec::new(), counts: Vec::new(), weights: vec![Vec::new(); figures], factors: None }
    }

    /// Whether all is by the laws alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The same factors to a power between 0 and 1, of so many figures, on which nothing of another machine was tried.
    pub(crate) fn carried_over(&self, power: f64, figures: usize) -> Self {
        /// Measurements elsewhere say nothing of how far off this machine's may be.
        const ELSEWHERE: f64 = 1e-4;
        let scaled = |weights: &Vec<f64>| weights.iter().map(|weight| power * weight).collect();
        let weights = self.weights.iter().take(figures).map(scaled).collect();
        Self::new(self.kernels, self.places.clone(), vec![ELSEWHERE; self.counts.len()], weights)
    }

    /// With the factors of another by the same kernels, on top.
    pub(crate) fn with(self, other: Self) -> Self {
        let weights = self.weights.into_iter().zip(other.weights).map(|(ours, theirs)| [ours, theirs].concat());
        let (places, counts) = ([self.places, other.places].concat(), [self.counts, other.counts].concat());
        Self::new(self.kernels, places, counts, weights.collect())
    }

    fn on(kernels: usize, samples: &[Sample]) -> Self {
        let places = samples.iter().map(|sample| place(&sample.shape)).collect();
        Self::new(kernels, places, samples.iter().map(|sample| sample.count).collect(), Vec::new())
    }

    fn new(kernels: usize, places: Vec<Shape>, counts: Vec<f64>, weights: Vec<Vec<f64>>) -> Self {
        let correction = Self { kernels, places, counts, weights, factors: None };
        let factors = if correction.places.is_empty() { None } else { correction.factorised(1.0) };
        Self { factors, ..correction }
    }

    /// With the weights that these residuals of its samples give.
    fn weighted(mut self, residuals: &[Vec<f64>]) -> Self {
        let of_energies = self.factorised(ENERGY_SCALE);
        for (figure, residuals) in residuals.iter().enumerate() {
            let factors = if figure == 0 { &self.factors } else { &of_energies };
            let solved = factors.as_ref().map(|factors| factors.solve(&DVector::from_column_slice(residuals)));
            let weights = solved.map_or_else(|| vec![0.0; residuals.len()], |weights| weights.as_slice().to_vec());
            self.weights.push(weights);
        }
        self
    }

    /// The logarithm of the likelihood of residuals of latency, but for a constant.
    fn evidence(&self, residuals: &[f64]) -> f64 {
        let Some(factors) = &self.factors else { return f64::NEG_INFINITY };
        let mut whitened = DVector::from_column_slice(residuals);
        factors.whiten(&mut whitened);
        -0.5 * whitened.norm_squared() - factors.half_log_determinant()
    }

    /// The covariance of the training data, with deviations times `scale`. The noise on the diagonal keeps it positive definite.
    fn factorised(&self, scale: f64) -> Option<CovarianceFactor> {
        let kernels = KERNELS[self.kernels];
        let covariance = |i: usize, j: usize| scale * scale * covariance(kernels, &self.places[i], &self.places[j]);
        CovarianceFactor::of(self.places.len(), covariance, |i| NOISE * NOISE / self.counts[i])
    }

    /// What the training data says of a shape.
    pub(crate) fn at(&self, shape: &Shape) -> Factors {
        let (place, kernels) = (place(shape), KERNELS[self.kernels]);
        let mut near = DVector::from_iterator(
            self.places.len(),
            self.places.iter().map(|point| covariance(kernels, &place, point)),
        );
        let factor = |(figure, weights): (usize, &Vec<f64>)| {
            let scale = if figure == 0 { 1.0 } else { ENERGY_SCALE };
            let terms = weights.iter().zip(near.iter()).map(|(weight, covariance)| weight * covariance);
            (scale * scale * terms.sum::<f64>()).exp()
        };
        let of = self.weights.iter().enumerate().map(factor).collect();
        let mut variance = covariance(kernels, &place, &place);
        if let Some(factors) = &self.factors {
            factors.whiten(&mut near);
            variance -= near.norm_squared();
        }
        Factors { of, deviation: (variance.max(0.0) + NOISE * NOISE).sqrt() }
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        let places: Vec<f64> = self.places.iter().flatten().copied().collect();
        store.put(&format!("{name}.kernels"), &[self.kernels as f64]);
        store.put(&format!("{name}.places"), &places);
        store.put(&format!("{name}.counts"), &self.counts);
        for (figure, weights) in self.weights.iter().enumerate() {
            store.put(&format!("{name}.weights.{figure}"), weights);
        }
    }

    /// With weights for so many figures.
    pub(crate) fn read(name: &str, figures: usize, store: &Store) -> Result<Self> {
        let [kernels] = store.take_coefficients(&format!("{name}.kernels"))?;
        if kernels.fract() != 0.0 || kernels >= KERNELS.len() as f64 {
            return Err(store.error(format!("`{name}.kernels` is {kernels}, which this irene does not know")));
        }
        let counts = store.take_any(&format!("{name}.counts"))?;
        if counts.len() > 2 * MOST {
            return Err(store.error(format!("`{name}.counts` has {} numbers, more than any predictor", counts.len())));
        }
        if counts.iter().any(|count| *count <= 0.0) {
            return Err(store.error(format!("`{name}.counts` must be above 0")));
        }
        let places = store.take(&format!("{name}.places"), SHAPE.len() * counts.len())?;
        let places = places.as_chunks().0.to_vec();
        let weights = |figure| store.take(&format!("{name}.weights.{figure}"), counts.len());
        let weights = (0..figures).map(weights).collect::<Result<_>>()?;
        Ok(Self::new(kernels as usize, places, counts, weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_more_shapes_than_there_may_be_is_refused_before_it_takes_memory() {
        let mut store = Store::new("specs");
        store.put("x.kernels", &[0.0]);
        store.put("x.counts", &vec![1.0; 100_000]);
        store.put("x.places", &vec![1.0; 400_000]);
        let error = Correction::read("x", 2, &store).err().unwrap().to_string();
        assert!(error.contains("`x.counts` has 100000 numbers, more than any predictor"), "{error}");
    }

    #[test]
    fn too_many_samples_are_thinned_evenly() {
        let sample = |i: usize| Sample {
            shape: [i as f64, i as f64, 0.0, 32.0],
            log_time: 0.0,
            log_energy: 0.0,
            log_gpu_energy: None,
            count: 1.0,
        };
        let samples: Vec<Sample> = (1..=3000).map(sample).collect();
        let (thin, residuals) = thinned(&samples, &[(1..=3000).map(f64::from).collect()]);
        assert!(thin.len() <= MOST && thin.len() > MOST / 2, "{}", thin.len());
        assert!(thin.iter().zip(&residuals[0]).all(|(sample, residual)| sample.shape[0] == *residual));
    }
}
