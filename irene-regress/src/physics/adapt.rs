//! Laws of one machine carried over to another, from a few measurements there.
//!
//! The logarithm of every coefficient is shifted: by a shift of that kind of coefficient, which all primitives share, and by one of
//! the primitive's own, which is held close to zero. With little data the machine as a whole is scaled; with more, each primitive
//! finds its own coefficients. It is the most likely shift under normal priors, by Levenberg and Marquardt, around the start that
//! suits the data best: as it is, or scaled as a whole.

use irene_numerics::{CovarianceFactor, LevenbergMarquardt, upper_median};
use nalgebra::{DMatrix, DVector};

use super::Sample;
use crate::{Result, Store, noise::NOISE};

/// A law with three coefficients, none negative, that can be carried over to another machine.
pub(crate) trait Transferable: Copy {
    fn coefficients(&self) -> [f64; 3];

    fn with(coefficients: [f64; 3]) -> Self;

    /// The figure at a sample's shape, and ∂ ln figure by ∂ ln coefficient for each coefficient.
    fn at(&self, sample: &Sample) -> (f64, [f64; 3]);

    fn write(&self, name: &str, store: &mut Store) {
        store.put(name, &self.coefficients());
    }

    fn read(name: &str, store: &Store) -> Result<Self> {
        Ok(Self::with(store.take_coefficients(name)?))
    }
}

/// The prior standard deviation of the shift of one kind of coefficient, in e-folds: a factor of 12 is two of these.
const SHARED: f64 = 1.25;

/// The prior standard deviation of a primitive's shift from the machine's, in e-folds.
const OWN: f64 = 0.2;

/// The standard deviation of measurements from a law, in e-folds. It is large because departures of neighbouring shapes are correlated.
const MISFIT: f64 = 0.15;

/// A primitive's law on one machine and its samples on the other.
pub(crate) struct Known<'a, L> {
    pub(crate) law: L,
    pub(crate) samples: &'a [Sample],
    /// The target of the law for each sample: the logarithm of the measured figure, less its correction.
    pub(crate) targets: Vec<f64>,
    /// How many measurements each target counts as.
    pub(crate) counts: Vec<f64>,
}

/// The shifts, in e-folds.
pub(crate) struct Shifts {
    /// The machine's shift of each kind of coefficient.
    pub(crate) shared: [f64; 3],
    /// Each primitive's own shift, in addition.
    pub(crate) own: Vec<[f64; 3]>,
    /// The sum of the squares of the residuals and of the shifts, over their variances.
    pub(crate) loss: f64,
}

pub(crate) fn shifted<L: Transferable>(law: &L, shared: &[f64; 3], own: &[f64; 3]) -> L {
    let coefficients = law.coefficients();
    L::with(std::array::from_fn(|i| coefficients[i] * (shared[i] + own[i]).exp()))
}

/// The most likely shifts, from the start that leads to the least loss.
pub(crate) fn fit<L: Transferable>(known: &[Known<'_, L>], starts: &[[f64; 3]]) -> Shifts {
    let from = |start: &[f64; 3]| {
        let law = |known: &Known<'_, L>| shifted(&known.law, start, &[0.0; 3]);
        let known: Vec<Known<'_, L>> = known
            .iter()
            .map(|of| Known { law: law(of), targets: of.targets.clone(), counts: of.counts.clone(), ..*of })
            .collect();
        let shifts = fit_from_here(&known);
        Shifts { shared: std::array::from_fn(|i| shifts.shared[i] + start[i]), ..shifts }
    };
    let none = Shifts { shared: [0.0; 3], own: vec![[0.0; 3]; known.len()], loss: f64::INFINITY };
    starts.iter().map(from).min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap_or(none)
}

/// The median of the laws' errors, in e-folds.
pub(crate) fn scale<L: Transferable>(known: &[Known<'_, L>]) -> f64 {
    let off = |known: &Known<'_, L>| -> Vec<f64> {
        let off = |(sample, target): (&Sample, &f64)| target - known.law.at(sample).0.max(f64::MIN_POSITIVE).ln();
        known.samples.iter().zip(&known.targets).map(off).collect()
    };
    upper_median(known.iter().flat_map(off)).unwrap_or_default()
}

fn fit_from_here<L: Transferable>(known: &[Known<'_, L>]) -> Shifts {
    const SEARCH: LevenbergMarquardt = LevenbergMarquardt { rounds: 100, tolerance: 1e-10, most_damping: 1e9 };
    let start = linearised(known, DVector::zeros(3 * (1 + known.len())));
    let Linearised { shifts, loss, .. } =
        SEARCH.minimise(start, |at| at.loss, |at, damping| stepped(known, at, damping));
    let of = |place: usize| std::array::from_fn(|i| shifts[3 * place + i]);
    Shifts { shared: of(0), own: (1..=known.len()).map(of).collect(), loss }
}

/// One damped Gauss-Newton step; no shift changes by more than an e-fold.
fn stepped<L: Transferable>(known: &[Known<'_, L>], at: &Linearised, damping: f64) -> Option<Linearised> {
    let mut matrix = at.gram.clone();
    for i in 0..matrix.nrows() {
        matrix[(i, i)] *= 1.0 + damping;
    }
    // The priors keep it positive definite.
    let step = CovarianceFactor::new(matrix)?.solve(&at.slope);
    Some(linearised(known, &at.shifts - step.map(|step| step.clamp(-1.0, 1.0))))
}

/// The standard deviation of a target from a law, e-folds: that of a measurement with a wide interval of its own is larger.
fn spread(count: f64) -> f64 {
    (MISFIT * MISFIT + NOISE * NOISE * (1.0 / count - 1.0).max(0.0)).sqrt()
}

/// The loss around some shifts.
struct Linearised {
    shifts: DVector<f64>,
    loss: f64,
    /// Its second derivatives as Gauss and Newton have them, halved.
    gram: DMatrix<f64>,
    /// Half its slope.
    slope: DVector<f64>,
}

fn linearised<L: Transferable>(known: &[Known<'_, L>], shifts: DVector<f64>) -> Linearised {
    let mut gram = DMatrix::zeros(shifts.len(), shifts.len());
    let mut slope = DVector::zeros(shifts.len());
    let mut loss = 0.0;
    for (i, shift) in shifts.iter().enumerate() {
        let precision = if i < 3 { SHARED } else { OWN }.powi(-2);
        gram[(i, i)] += precision;
        slope[i] += precision * shift;
        loss += precision * shift * shift;
    }
    for (place, Known { law, samples, targets, counts }) in known.iter().enumerate() {
        let own = 3 + 3 * place;
        let law = shifted(law, &[shifts[0], shifts[1], shifts[2]], &[shifts[own], shifts[own + 1], shifts[own + 2]]);
        for ((sample, target), count) in samples.iter().zip(targets).zip(counts) {
            let (figure, shares) = law.at(sample);
            let spread = spread(*count);
            let residual = (figure.max(f64::MIN_POSITIVE).ln() - target) / spread;
            loss += residual * residual;
            for (i, by) in shares.iter().map(|share| share / spread).enumerate() {
                for row in [i, own + i] {
                    slope[row] += residual * by;
                    for (j, other) in shares.iter().map(|share| share / spread).enumerate() {
                        gram[(row, j)] += by * other;
                        gram[(row, own + j)] += by * other;
                    }
                }
            }
        }
    }
    Linearised { shifts, loss, gram, slope }
}

#[cfg(test)]
mod tests {
    use super::super::{
        TimeCurve,
        primitive::tests::{TIME, by_law, scaled},
    };
    use super::*;

    fn samples(law: &TimeCurve) -> Vec<Sample> {
        by_law(law, |_| 1.0)
    }

    #[test]
    fn a_machine_that_is_scaled_as_a_whole_is_found() {
        let there = TimeCurve { launch: 6e-5, per_mflop: 1e-7, per_mib: 4e-6 };
        let shifts = fit(&[known(TIME, &samples(&there), 1.0)], &[[0.0; 3]]);
        let found = shifted(&TIME, &shifts.shared, &shifts.own[0]);
        for (found, truth) in found.coefficients().into_iter().zip(there.coefficients()) {
            assert!((found / truth - 1.0).abs() < 0.05, "{found} {truth}");
        }
        // Most of it is shared, for primitives that were not measured.
        assert!(shifts.shared[0] > 3.0 * shifts.own[0][0].abs(), "{:?} {:?}", shifts.shared, shifts.own);
    }

    fn known<'a>(law: TimeCurve, samples: &'a [Sample], count: f64) -> Known<'a, TimeCurve> {
        let targets = samples.iter().map(|sample| sample.log_time).collect();
        Known { law, samples, targets, counts: vec![count; samples.len()] }
    }

    #[test]
    fn a_measurement_of_many_rounds_is_as_far_off_as_the_law_and_one_of_few_is_further() {
        assert_eq!((spread(1.0), spread(4.0)), (MISFIT, MISFIT));
        assert!((spread(0.25) - (0.15f64 * 0.15 + 3.0 * 0.01 * 0.01).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_scale_of_a_machine_is_the_median_of_all_errors() {
        let (twice, thrice) = (samples(&scaled(2.0)), samples(&scaled(3.0)));
        let off = scale(&[known(TIME, &twice, 1.0), known(TIME, &thrice[..5], 1.0)]);
        assert!((off - 2f64.ln()).abs() < 1e-9, "{off}");
        assert_eq!(scale::<TimeCurve>(&[]), 0.0);
    }

    #[test]
    fn a_primitive_that_differs_from_the_machine_has_a_shift_of_its_own() {
        let (slow, slower) = (samples(&scaled(2.0)), samples(&scaled(3.0)));
        let all = [known(TIME, &slow, 1.0), known(TIME, &slow, 1.0), known(TIME, &slower, 1.0)];
        let shifts = fit(&all, &[[0.0; 3]]);
        let total = |place: usize| shifts.shared[2] + shifts.own[place][2];
        assert!((total(0) - 2f64.ln()).abs() < 0.05, "{:?} {:?}", shifts.shared, shifts.own);
        assert!((total(2) - 3f64.ln()).abs() < 0.05, "{:?} {:?}", shifts.shared, shifts.own);
        assert!(shifts.own[2][2] > 0.05 && shifts.own[0][2] < 0.0, "{:?}", shifts.own);
    }

    #[test]
    fn the_start_that_suits_the_data_is_taken_and_is_part_of_the_shift() {
        let far = samples(&scaled(200.0));
        let all = [known(TIME, &far, 1.0)];
        let start = [200f64.ln(); 3];
        let (near, without) = (fit(&all, &[[0.0; 3], start]), fit(&all, &[[0.0; 3]]));
        assert!(near.loss < 1e-6 && without.loss > 1.0, "{} {}", near.loss, without.loss);
        for shift in near.shared {
            assert!((shift - start[0]).abs() < 1e-3, "{:?}", near.shared);
        }
        let none = fit(&all, &[]);
        assert_eq!((none.shared, none.own, none.loss), ([0.0; 3], vec![[0.0; 3]], f64::INFINITY));
    }

    /// With a matrix G of the derivatives and a damping d, a step s solves G s + d diag(G) s = slope.
    #[test]
    fn damping_shortens_a_step_and_none_is_longer_than_an_e_fold() {
        let step = |factor: f64, damping: f64| {
            let there = samples(&scaled(factor));
            let all = [known(TIME, &there, 1.0)];
            let at = linearised(&all, DVector::zeros(6));
            let step = -stepped(&all, &at, damping).unwrap().shifts;
            (at, step)
        };
        for damping in [0.0, 0.5, 30.0] {
            let (at, step) = step(1.2, damping);
            for i in 0..6 {
                let by_matrix: f64 = (0..6).map(|j| at.gram[(i.max(j), i.min(j))] * step[j]).sum();
                let found = by_matrix + damping * at.gram[(i, i)] * step[i];
                assert!((found - at.slope[i]).abs() < 1e-9 * at.slope.amax(), "{damping} {i}: {found} {}", at.slope[i]);
            }
        }
        assert_eq!(step(1e30, 0.0).1.amax(), 1.0);
    }

    /// Central differences of the loss are twice the slope; of the slope, where nothing is off, the matrix.
    #[test]
    fn slope_and_matrix_are_the_derivatives_of_the_loss() {
        const STEP: f64 = 1e-5;
        let (twice, same) = (samples(&scaled(2.0)), samples(&TIME));
        let moved = |shifts: &[f64], place: usize, by: f64| {
            let mut shifts = DVector::from_column_slice(shifts);
            shifts[place] += by;
            shifts
        };
        let far = [known(TIME, &twice, 0.1), known(scaled(1.5), &same[..3], 1.0)];
        let at: Vec<f64> = (0..9).map(|i| 0.1 * f64::from(i) - 0.3).collect();
        let exact = linearised(&far, DVector::from_column_slice(&at));
        for i in 0..9 {
            let ends = [STEP, -STEP].map(|by| linearised(&far, moved(&at, i, by)).loss);
            let slope = (ends[0] - ends[1]) / (4.0 * STEP);
            assert!((slope - exact.slope[i]).abs() < 1e-5 * (1.0 + slope.abs()), "{i}: {slope} {}", exact.slope[i]);
        }
        let near = [known(TIME, &same, 0.1), known(TIME, &same[..3], 1.0)];
        let exact = linearised(&near, DVector::zeros(9));
        assert!(exact.loss < 1e-12);
        for i in 0..9 {
            let ends = [STEP, -STEP].map(|by| linearised(&near, moved(&[0.0; 9], i, by)).slope);
            for (j, (plus, minus)) in ends[0].iter().zip(&ends[1]).enumerate() {
                let second = (plus - minus) / (2.0 * STEP);
                let found = exact.gram[(j, i)];
                // The solver reads the lower half.
                assert!(i > j || (second - found).abs() < 1e-3 * (1.0 + second.abs()), "{i} {j}: {second} {found}");
            }
        }
    }
}
