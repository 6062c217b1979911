use irene_numerics::CovarianceFactor;
use nalgebra::DVector;

use super::{SHAPE, Sample, Shape};
use crate::{Result, Store, noise::NOISE};

/// Smooth factors on laws, where the training data departs from them: the means of Gaussian processes over the logarithms of the
/// shape, in e-folds. The marginal likelihood of the training data chooses one of a few [`KERNELS`]. Far from the training data all
/// factors are 1.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// The place among [`KERNELS`].
    kernels: usize,
    /// The training shapes' places.
    places: Vec<Shape>,
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
        (self.kernels, &self.places, &self.counts, &self.weights)
            == (other.kernels, &other.places, &other.counts, &other.weights)
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

/// Every nth sample with its residuals, so that there are at most [`MOST`].
fn thinned(samples: &[Sample], residuals: &[Vec<f64>]) -> (Vec<Sample>, Vec<Vec<f64>>) {
    let step = samples.len().div_ceil(MOST).max(1);
    let residuals = residuals.iter().map(|of| of.iter().copied().step_by(step).collect());
    (samples.iter().copied().step_by(step).collect(), residuals.collect())
}

/// Departures of energies from their law at the measured latency, as a share of those of latencies.
const ENERGY_SCALE: f64 = 1.0 / 3.0;

struct Kernel {
    /// Along each coordinate of a [`place`], in e-folds.
    reach: Shape,
    /// As a share of the figure.
    deviation: f64,
}

/// The logarithms of bytes, FLOPs a byte, parameters and sequence length. An operation with (nearly) no FLOPs has intensity 1.
fn place([flops, bytes, parameters, seq_len]: &Shape) -> Shape {
    const LEAST: f64 = 1e-3;
    let bytes = bytes + LEAST;
    let intensity = if *flops > 10.0 * LEAST { (flops / bytes).ln() } else { 0.0 };
    [bytes.ln(), intensity, (parameters + 1.0).ln(), seq_len.ln()]
}

/// The covariance of the departures at two [`place`]s.
fn covariance(kernels: &[Kernel], x: &Shape, y: &Shape) -> f64 {
    let kernel = |kernel: &Kernel| {
        let steps = x.iter().zip(y).zip(&kernel.reach).map(|((x, y), reach)| (x - y) / reach);
        let square_distance: f64 = steps.map(|step| step * step).sum();
        kernel.deviation * kernel.deviation * (-0.5 * square_distance).exp()
    };
    kernels.iter().map(kernel).sum()
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
        let (samples, residuals) = &thinned(samples, residuals);
        let of_latency = residuals.first().map_or(&[][..], Vec::as_slice);
        let tried = (0..KERNELS.len()).map(|kernels| Self::on(kernels, samples));
        let by_evidence = |a: &Self, b: &Self| a.evidence(of_latency).total_cmp(&b.evidence(of_latency));
        tried.max_by(by_evidence).unwrap_or_else(|| Self::none(0)).weighted(samples, residuals)
    }

    /// Learns from other samples with the same kernels.
    pub(crate) fn refitted(&self, samples: &[Sample], residuals: &[Vec<f64>]) -> Self {
        let (samples, residuals) = &thinned(samples, residuals);
        Self::on(self.kernels, samples).weighted(samples, residuals)
    }

    /// No correction, for so many figures.
    pub(crate) fn none(figures: usize) -> Self {
        Self { kernels: 0, places: Vec::new(), counts: Vec::new(), weights: vec![Vec::new(); figures], factors: None }
    }

    /// Whether there is no correction.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The factors for another machine: for so many figures, each to a power between 0 and 1.
    pub(crate) fn carried_over(&self, power: f64, figures: usize) -> Self {
        /// Counts so low that the deviation does not shrink by measurements of another machine.
        const ELSEWHERE: f64 = 1e-4;
        let scaled = |weights: &Vec<f64>| weights.iter().map(|weight| power * weight).collect();
        let weights = self.weights.iter().take(figures).map(scaled).collect();
        Self::new(self.kernels, self.places.clone(), vec![ELSEWHERE; self.counts.len()], weights)
    }

    /// The product with another correction by the same kernels.
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
        let factors = if correction.places.is_empty() { None } else { correction.factorised(1.0, &correction.counts) };
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
            let solved = factors.map(|factors| factors.solve(&DVector::from_column_slice(residuals)));
            let weights = solved.map_or_else(|| vec![0.0; residuals.len()], |weights| weights.as_slice().to_vec());
            self.weights.push(weights);
        }
        self
    }

    /// The logarithm of the marginal likelihood of residuals of latency, but for a constant.
    fn evidence(&self, residuals: &[f64]) -> f64 {
        let Some(factors) = &self.factors else { return f64::NEG_INFINITY };
        let mut whitened = DVector::from_column_slice(residuals);
        factors.whiten(&mut whitened);
        -0.5 * whitened.norm_squared() - factors.half_log_determinant()
    }

    /// The covariance of the training data, with deviations times `scale`. The noise on the diagonal keeps it positive definite.
    fn factorised(&self, scale: f64, counts: &[f64]) -> Option<CovarianceFactor> {
        let kernels = KERNELS[self.kernels];
        let covariance = |i: usize, j: usize| scale * scale * covariance(kernels, &self.places[i], &self.places[j]);
        CovarianceFactor::of(self.places.len(), covariance, |i| NOISE * NOISE / counts[i])
    }

    /// The correction at a shape.
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

    /// Reads a correction with weights for so many figures.
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
            energy_count: 1.0,
        };
        let samples: Vec<Sample> = (1..=3000).map(sample).collect();
        let (thin, residuals) = thinned(&samples, &[(1..=3000).map(f64::from).collect()]);
        assert!(thin.len() <= MOST && thin.len() > MOST / 2, "{}", thin.len());
        assert!(thin.iter().zip(&residuals[0]).all(|(sample, residual)| sample.shape[0] == *residual));
    }

    const SHAPE: Shape = [200.0, 50.0, 999.0, 32.0];

    /// The first kernels, at a distance of nothing: deviations of 10% and of 3%.
    const AT_ONCE: f64 = 0.1 * 0.1 + 0.03 * 0.03;

    fn at(shape: Shape) -> Sample {
        super::super::tests::sample(shape, 1.0, 1.0)
    }

    /// One shape that departs by so many e-folds in each figure, by the first kernels.
    fn one(sample: Sample, residuals: &[f64]) -> Correction {
        Correction::none(0).refitted(&[sample], &residuals.iter().map(|residual| vec![*residual]).collect::<Vec<_>>())
    }

    fn logs(correction: &Correction, shape: &Shape) -> Vec<f64> {
        correction.at(shape).of.into_iter().map(f64::ln).collect()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 + 1e-9 * expected.abs(), "{found} {expected}");
    }

    /// The mean and the variance of a normal variable of this variance, given one noisy measurement.
    fn posterior(variance: f64, noise: f64) -> (f64, f64) {
        let gain = variance / (variance + noise * noise);
        (gain, variance * (1.0 - gain))
    }

    #[test]
    fn a_departure_is_followed_as_far_as_its_measurements_are_to_be_trusted() {
        for (count, noise) in [(1.0, NOISE), (4.0, NOISE / 2.0), (0.25, 2.0 * NOISE)] {
            let correction = one(Sample { count, energy_count: count, ..at(SHAPE) }, &[0.1, -0.2, 0.3]);
            let (of_time, variance) = posterior(AT_ONCE, noise);
            let (of_energy, _) = posterior(AT_ONCE / 9.0, noise);
            let found = logs(&correction, &SHAPE);
            close(found[0], 0.1 * of_time);
            close(found[1], -0.2 * of_energy);
            close(found[2], 0.3 * of_energy);
            close(correction.at(&SHAPE).deviation, (variance + NOISE * NOISE).sqrt());
        }
    }

    #[test]
    fn energies_at_the_wall_count_by_their_own_measurements() {
        let correction = one(Sample { energy_count: 4.0, ..at(SHAPE) }, &[0.1, 0.1, 0.1]);
        let found = logs(&correction, &SHAPE);
        close(found[1], 0.1 * posterior(AT_ONCE / 9.0, NOISE / 2.0).0);
        close(found[2], 0.1 * posterior(AT_ONCE / 9.0, NOISE).0);
    }

    /// The reaches of the wide one of the first kernels: 1 e-fold of bytes, 0.7 of intensity, 2.5 of parameters, 2 of the sequence.
    #[test]
    fn a_departure_fades_along_each_coordinate_by_its_reach() {
        let correction = one(at(SHAPE), &[0.1]);
        let gain = 0.1 / (AT_ONCE + NOISE * NOISE);
        let [flops, bytes, parameters, seq_len] = SHAPE;
        let by = f64::exp;
        let near = 0.01 * by(-0.5);
        // The coordinates add a thousandth of a MiB, and one parameter.
        let longer = by(1.0) * (bytes + 1e-3) - 1e-3;
        let moved = [
            [flops * by(1.0), longer, parameters, seq_len],
            [flops * by(0.7), bytes, parameters, seq_len],
            [flops, bytes, by(2.5) * 1000.0 - 1.0, seq_len],
            [flops, bytes, parameters, seq_len * by(2.0)],
        ];
        for shape in moved {
            close(logs(&correction, &shape)[0], gain * near);
        }
        let far = correction.at(&[flops * 1e6, bytes * 1e6, parameters, seq_len]);
        assert_eq!(far.of, [1.0]);
        close(far.deviation, (AT_ONCE + NOISE * NOISE).sqrt());
    }

    #[test]
    fn an_operation_with_nearly_no_flops_has_intensity_one() {
        let place = |flops: f64, bytes: f64| place(&[flops, bytes, 0.0, 1.0]);
        assert_eq!(place(0.0, 50.0), place(0.009, 50.0));
        close(place(0.0, 50.0)[1], 0.0);
        close(place(0.5, 50.0)[1], (0.5f64 / 50.001).ln());
        assert_eq!((place(0.0, 0.999)[0], place(0.0, 1.0)[2], place(0.0, 1.0)[3]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn the_data_chooses_between_smooth_and_jagged_departures() {
        let shapes: Vec<Sample> = (0..40).map(|i| at([50.0 * 1.2f64.powi(i), 50.0, 0.0, 32.0])).collect();
        let chosen = |departure: fn(f64) -> f64| {
            let residuals = shapes.iter().map(|sample| departure((sample.shape[0] / sample.shape[1]).ln())).collect();
            Correction::fit(&shapes, &[residuals, vec![0.0; 40]]).kernels
        };
        assert_eq!(chosen(|intensity| 0.05 * (intensity / 2.0).cos()), 0);
        assert_eq!(chosen(|intensity| 0.3 * (intensity / 0.35).sin()), 2);
    }

    #[test]
    fn corrections_multiply_and_carry_over_to_a_power() {
        let [here, there] = [SHAPE, [400.0, 50.0, 999.0, 32.0]];
        let first = one(at(here), &[0.1, 0.2, 0.3]);
        let second = one(at(there), &[-0.05, 0.0, 0.1]);
        let half = first.carried_over(0.5, 2);
        let expected: Vec<f64> = logs(&first, &there)[..2].iter().map(|log| 0.5 * log).collect();
        let found = logs(&half, &there);
        assert_eq!(found.len(), 2);
        found.iter().zip(&expected).for_each(|(found, expected)| close(*found, *expected));
        // Measurements of another machine say nothing of the deviation on this one.
        assert!(half.at(&here).deviation > 0.99 * Correction::none(0).at(&here).deviation);
        assert!(first.at(&here).deviation < 0.2 * half.at(&here).deviation);
        let sums: Vec<f64> = logs(&first, &here).iter().zip(logs(&second, &here)).map(|(a, b)| a + b).collect();
        let both = logs(&first.clone().with(second), &here);
        both.iter().zip(&sums).for_each(|(found, expected)| close(*found, *expected));
        assert!(!first.is_empty() && Correction::none(3).is_empty());
        assert_eq!(Correction::none(3).at(&here).of, [1.0; 3]);
    }

    #[test]
    fn a_correction_survives_its_file_and_another_is_not_equal() {
        let correction = one(at(SHAPE), &[0.1, 0.2]);
        let mut store = Store::new("specs");
        correction.write("x", &mut store);
        assert_eq!(Correction::read("x", 2, &store).unwrap(), correction);
        assert_ne!(one(at(SHAPE), &[0.1, 0.3]), correction);
        assert_ne!(one(at([1.0; 4]), &[0.1, 0.2]), correction);
    }

    #[test]
    fn a_file_of_what_no_correction_can_be_is_refused() {
        let error = |kernels: f64, counts: &[f64]| {
            let mut store = Store::new("specs");
            store.put("x.kernels", &[kernels]);
            store.put("x.counts", counts);
            store.put("x.places", &[1.0; 4]);
            Correction::read("x", 0, &store).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(error(0.0, &[1.0]), "");
        for kernels in [0.5, 3.0, 7.0] {
            assert!(error(kernels, &[1.0]).contains("which this irene does not know"), "{kernels}");
        }
        for count in [0.0, -1.0] {
            assert!(error(2.0, &[count]).contains("must be above 0"), "{count}");
        }
        // As many as two machines can have, whose places are missing; and one more.
        assert!(error(0.0, &[1.0; 2 * MOST]).contains("x.places"));
        assert!(error(0.0, &[1.0; 2 * MOST + 1]).contains("more than any predictor"));
    }
}
