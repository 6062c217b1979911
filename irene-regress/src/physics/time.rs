use irene_numerics::{LevenbergMarquardt, upper_median};
use nalgebra::{Matrix3, Vector3};

use super::{Sample, Shape, adapt::Transferable};

/// The latency of one launch of a primitive, s:
///
/// t = (Lᵖ + (f·F + b·B)ᵖ)^(1/p)
///
/// with F the MFLOP in tiles and B the MiB moved. A launch takes at least L; work that takes longer decides the latency. p says how sharp
/// the change from one to the other is.
///
/// | coefficient | unit |
/// |---|---|
/// | `launch` L | s |
/// | `per_mflop` f | s/MFLOP |
/// | `per_mib` b | s/MiB |
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimeCurve {
    pub(crate) launch: f64,
    pub(crate) per_mflop: f64,
    pub(crate) per_mib: f64,
}

/// p of the curve. From 2 to 8 the errors on the public data are nearly the same, leaving models or sizes out.
const SHARPNESS: f64 = 4.0;

/// The share of a launch in the latency of at least one sample, for it to be known.
const LEAST_SHARE: f64 = 0.45;

/// The relative deviation beyond which a sample counts less: some shapes suit the tiles badly.
const OUTLYING: f64 = 0.05;

impl TimeCurve {
    /// Fits ln t by least squares in which deviations beyond [`OUTLYING`] weigh less (Huber), by Levenberg and Marquardt over the
    /// coefficients' logarithms, which keeps them above 0.
    pub(crate) fn fit(samples: &[Sample]) -> Self {
        Self::search(samples, Self::guess(samples), [1.0; 3])
    }

    /// Fits several primitives of one machine. Samples that a launch hardly bounds do not tell how long it takes: then it takes no longer
    /// than the shortest of the others, for smaller work would be predicted too long.
    pub(crate) fn fit_together<'s>(primitives: impl Iterator<Item = &'s [Sample]>) -> Vec<Self> {
        let fits: Vec<(&[Sample], Self)> = primitives.map(|samples| (samples, Self::fit(samples))).collect();
        let share = |(samples, curve): &(&[Sample], Self)| {
            samples.iter().map(|sample| curve.shares(&sample.shape)[0]).fold(0.0, f64::max)
        };
        let known = |fit: &&(&[Sample], Self)| share(fit) >= LEAST_SHARE;
        let shortest = fits.iter().filter(known).map(|(_, curve)| curve.launch).fold(f64::INFINITY, f64::min);
        let curve = |fit: &(&[Sample], Self)| {
            let (samples, curve) = *fit;
            let is_free = share(fit) >= LEAST_SHARE || curve.launch <= shortest;
            if is_free { curve } else { Self::search(samples, Self { launch: shortest, ..curve }, [0.0, 1.0, 1.0]) }
        };
        fits.iter().map(curve).collect()
    }

    /// Coefficients that are not free (0) stay as they are.
    fn search(samples: &[Sample], from: Self, free: [f64; 3]) -> Self {
        const SEARCH: LevenbergMarquardt = LevenbergMarquardt { rounds: 200, tolerance: 1e-12, most_damping: 1e12 };
        let step = |curve: &Self, damping: f64| Some(curve.stepped(samples, damping, free));
        SEARCH.minimise(from, |curve| curve.loss(samples), step)
    }

    /// The latency of a shape, s.
    pub(crate) fn seconds(&self, shape: &Shape) -> f64 {
        let [flops, bytes, ..] = *shape;
        let work = self.per_mflop * flops + self.per_mib * bytes;
        let (more, less) = if work > self.launch { (work, self.launch) } else { (self.launch, work) };
        // Scaled by the larger, so that powers of small numbers do not vanish.
        if more > 0.0 { more * (1.0 + (less / more).powf(SHARPNESS)).powf(1.0 / SHARPNESS) } else { 0.0 }
    }

    fn guess(samples: &[Sample]) -> Self {
        let least = samples.iter().map(|sample| sample.log_time.exp()).fold(f64::INFINITY, f64::min);
        let rate = |column: usize| {
            let with_work = samples.iter().filter(|sample| sample.shape[column] > 0.0);
            let rates = with_work.map(|sample| sample.log_time.exp() / sample.shape[column]);
            // FLOPs and bytes share the work: half of the time each.
            upper_median(rates).map_or(0.0, |rate| rate / 2.0)
        };
        Self { launch: least, per_mflop: rate(0), per_mib: rate(1) }
    }

    fn loss(&self, samples: &[Sample]) -> f64 {
        let huber = |residual: f64| {
            let size = residual.abs();
            if size <= OUTLYING { size * size } else { OUTLYING * (2.0 * size - OUTLYING) }
        };
        samples.iter().map(|sample| sample.count * huber(self.residual(sample))).sum()
    }

    fn residual(&self, sample: &Sample) -> f64 {
        self.seconds(&sample.shape).ln() - sample.log_time
    }

    /// One damped Gauss-Newton step in ln L, ln f, ln b.
    fn stepped(&self, samples: &[Sample], damping: f64, free: [f64; 3]) -> Self {
        let mut gram = Matrix3::zeros();
        let mut right = Vector3::zeros();
        for sample in samples {
            let residual = self.residual(sample);
            let weight = sample.count * (OUTLYING / residual.abs()).min(1.0);
            let slope = Vector3::from(self.shares(&sample.shape)).component_mul(&Vector3::from(free));
            gram += weight * slope * slope.transpose();
            right -= weight * residual * slope;
        }
        for i in 0..3 {
            gram[(i, i)] += damping * gram[(i, i)].max(1e-9);
        }
        let step = gram.lu().solve(&right).unwrap_or_default();
        // A coefficient may change by a factor of e at most.
        let moved = |coefficient: f64, step: f64| coefficient * step.clamp(-1.0, 1.0).exp();
        let coefficients = self.coefficients();
        Self::with(std::array::from_fn(|i| moved(coefficients[i], step[i])))
    }

    /// The shares of launch, FLOPs and bytes in the latency, which are also ∂ ln t by ∂ ln L, ∂ ln f and ∂ ln b.
    pub(crate) fn shares(&self, shape: &Shape) -> [f64; 3] {
        let [flops, bytes, ..] = *shape;
        let (by_flops, by_bytes) = (self.per_mflop * flops, self.per_mib * bytes);
        let work = by_flops + by_bytes;
        let seconds = self.seconds(shape);
        let launch_share = (self.launch / seconds).powf(SHARPNESS);
        let work_share = (work / seconds).powf(SHARPNESS);
        let part = |of: f64| if work > 0.0 { work_share * of / work } else { 0.0 };
        [launch_share, part(by_flops), part(by_bytes)]
    }
}

impl Transferable for TimeCurve {
    fn coefficients(&self) -> [f64; 3] {
        [self.launch, self.per_mflop, self.per_mib]
    }

    fn with([launch, per_mflop, per_mib]: [f64; 3]) -> Self {
        Self { launch, per_mflop, per_mib }
    }

    fn at(&self, sample: &Sample) -> (f64, [f64; 3]) {
        (self.seconds(&sample.shape), self.shares(&sample.shape))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::sample, *};

    const TRUTH: TimeCurve = TimeCurve { launch: 4e-3, per_mflop: 6e-5, per_mib: 1e-3 };

    fn samples() -> Vec<Sample> {
        let shapes = (0..60).map(|i| {
            let size = 1.2f64.powi(i % 30);
            [size * if i < 30 { 20.0 } else { 2.0 }, size, 0.0, 1.0]
        });
        shapes.map(|shape| sample(shape, TRUTH.seconds(&shape), 1.0)).collect()
    }

    #[test]
    fn the_fit_finds_the_coefficients_that_made_the_data() {
        let fit = TimeCurve::fit(&samples());
        let close = |found: f64, truth: f64| (found / truth - 1.0).abs() < 1e-3;
        assert!(close(fit.launch, TRUTH.launch), "{fit:?}");
        assert!(close(fit.per_mflop, TRUTH.per_mflop), "{fit:?}");
        assert!(close(fit.per_mib, TRUTH.per_mib), "{fit:?}");
    }

    #[test]
    fn where_no_sample_is_bound_by_a_launch_it_takes_no_longer_than_the_shortest_of_the_others() {
        let small = samples();
        // Times of large work that grow a little less than the work.
        let large: Vec<Sample> = (0..20)
            .map(|place| {
                let size = 1e3 * 1.2f64.powi(place);
                let seconds = 1e-3 * size * (1.0 + 100.0 / size);
                sample([0.0, size, 0.0, 1.0], seconds, 1.0)
            })
            .collect();
        let alone = TimeCurve::fit(&large);
        let curves = TimeCurve::fit_together([&small[..], &large[..]].into_iter());
        let (of_small, of_large) = (curves[0], curves[1]);
        assert_eq!(of_small, TimeCurve::fit(&small));
        assert!(alone.launch > 10.0 * of_small.launch && of_large.launch == of_small.launch, "{alone:?} {of_large:?}");
    }

    #[test]
    fn the_shares_agree_with_finite_differences() {
        let shape = [50.0, 2.0, 0.0, 1.0];
        let moved = |place: usize, by: f64| {
            let mut logs = TRUTH.coefficients().map(f64::ln);
            logs[place] += by;
            TimeCurve::with(logs.map(f64::exp)).seconds(&shape).ln()
        };
        for (place, slope) in TRUTH.shares(&shape).into_iter().enumerate() {
            let expected = (moved(place, 1e-6) - moved(place, -1e-6)) / 2e-6;
            assert!((slope - expected).abs() < 1e-8, "{place}: {slope} {expected}");
        }
    }

    #[test]
    fn a_launch_or_the_work_decides_the_latency() {
        let seconds = |flops: f64, bytes: f64| TRUTH.seconds(&[flops, bytes, 0.0, 1.0]);
        assert_eq!(seconds(0.0, 0.0), TRUTH.launch);
        assert!((seconds(1e6, 0.0) / 60.0 - 1.0).abs() < 1e-9 && (seconds(0.0, 1e6) / 1e3 - 1.0).abs() < 1e-9);
        // Where both take the same, the fourth root of two of either; more work never takes less.
        assert!((seconds(0.0, 4.0) / (2f64.powf(0.25) * TRUTH.launch) - 1.0).abs() < 1e-12);
        assert!((seconds(50.0, 0.5) - (4e-3f64.powi(4) + 3.5e-3f64.powi(4)).powf(0.25)).abs() < 1e-15);
        assert_eq!(TimeCurve { launch: 0.0, per_mflop: 0.0, per_mib: 0.0 }.seconds(&[1.0; 4]), 0.0);
        assert_eq!(TimeCurve { launch: 0.0, ..TRUTH }.seconds(&[0.0, 5.0, 0.0, 1.0]), 5e-3);
    }

    #[test]
    fn the_shares_add_up_to_one_even_without_work() {
        for shape in [[0.0, 0.0, 0.0, 1.0], [50.0, 2.0, 0.0, 1.0], [1e5, 1.0, 0.0, 1.0]] {
            let sum: f64 = TRUTH.shares(&shape).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{shape:?}: {sum}");
        }
        assert_eq!(TRUTH.shares(&[0.0, 0.0, 0.0, 1.0]), [1.0, 0.0, 0.0]);
    }

    /// A launch alone, and work by FLOPs or bytes beside which a launch is nothing: each depends on one coefficient.
    const ALONE: [Shape; 3] = [[0.0, 0.0, 0.0, 1.0], [1e9, 0.0, 0.0, 1.0], [0.0, 1e9, 0.0, 1.0]];

    /// A sample that takes so many e-folds longer than the law says.
    fn off(shape: Shape, by: f64) -> Sample {
        sample(shape, TRUTH.seconds(&shape) * by.exp(), 1.0)
    }

    /// The steps of launch, FLOPs and bytes from the law, in e-folds.
    fn step(samples: &[Sample], damping: f64) -> [f64; 3] {
        let stepped = TRUTH.stepped(samples, damping, [1.0; 3]).coefficients();
        std::array::from_fn(|i| (stepped[i] / TRUTH.coefficients()[i]).ln())
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn the_search_begins_at_the_least_latency_and_half_the_usual_times_by_work() {
        let at = |flops: f64, bytes: f64, seconds: f64| sample([flops, bytes, 0.0, 1.0], seconds, 1.0);
        let samples = [at(0.0, 0.0, 3.0), at(2.0, 0.0, 4.0), at(4.0, 1.0, 16.0), at(1.0, 0.0, 6.0)];
        close(&TimeCurve::guess(&samples).coefficients(), &[3.0, 2.0, 8.0]);
        close(&TimeCurve::guess(&samples[..1]).coefficients(), &[3.0, 0.0, 0.0]);
    }

    #[test]
    fn a_step_goes_to_the_data_by_as_much_as_damping_and_an_e_fold_let_it() {
        let samples: Vec<Sample> = ALONE.into_iter().zip([0.6, -0.4, 0.02]).map(|(shape, by)| off(shape, by)).collect();
        close(&step(&samples, 0.0), &[0.6, -0.4, 0.02]);
        close(&step(&samples, 3.0), &[0.15, -0.1, 0.005]);
        let far: Vec<Sample> = ALONE.into_iter().zip([2.0, -3.0, 4.0]).map(|(shape, by)| off(shape, by)).collect();
        close(&step(&far, 0.0), &[1.0, -1.0, 1.0]);
        // A coefficient that no sample is of stays.
        close(&step(&samples[..2], 1.0), &[0.3, -0.2, 0.0]);
    }

    #[test]
    fn a_deviation_counts_by_its_square_up_to_5_percent_and_in_proportion_beyond() {
        let counted = |count: f64, by: f64| Sample { count, ..off(ALONE[0], by) };
        let loss = |count: f64, by: f64| TRUTH.loss(&[counted(count, by)]);
        close(&[loss(1.0, 0.03), loss(2.0, -0.03), loss(1.0, 0.25)], &[9e-4, 18e-4, 0.05 * 0.45]);
        assert!((loss(1.0, 0.05) - 0.0025).abs() < 1e-12);
        // Beyond 5% a sample pulls no more than one at 5%: one that is off by a factor of e counts a twentieth.
        for count in [1.0, 3.0] {
            let samples = [counted(1.0, 0.02), counted(count, 1.0), off(ALONE[1], 0.0), off(ALONE[2], 0.0)];
            close(&step(&samples, 0.0), &[(0.02 + 0.05 * count) / (1.0 + 0.05 * count), 0.0, 0.0]);
        }
    }

    fn largest_change(from: &TimeCurve, to: &TimeCurve) -> f64 {
        let ratios = from.coefficients().into_iter().zip(to.coefficients()).map(|(a, b)| (a / b).ln().abs());
        ratios.fold(0.0, f64::max)
    }

    #[test]
    fn a_few_shapes_that_are_far_off_do_not_turn_the_fit() {
        let mut samples = samples();
        for place in [7, 25, 48] {
            samples[place].log_time += 1.0;
        }
        let change = largest_change(&TimeCurve::fit(&samples), &TRUTH);
        assert!(change < 0.02, "{change}");
    }

    #[test]
    fn a_sample_that_counts_as_three_is_as_good_as_three() {
        let mut several = samples();
        for (place, sample) in several.iter_mut().enumerate() {
            sample.log_time += 0.03 * f64::from(place as u8 % 5) - 0.06;
        }
        let mut counted = several.clone();
        for place in [3, 31, 32] {
            counted[place].count = 3.0;
            several.extend([several[place]; 2]);
        }
        let change = largest_change(&TimeCurve::fit(&counted), &TimeCurve::fit(&several));
        assert!(change < 1e-5, "{change}");
    }
}
