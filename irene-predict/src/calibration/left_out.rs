//! How far off calibrations on all other settings are on each.

use irene_devices::FigureSpread;
use irene_numerics::{NORMAL_90, conformal_quantile};
use nalgebra::{DMatrix, DVector};

use super::{
    constants::scaled,
    likeness::{POWER, TIME},
    part::{Part, factor},
};
use crate::Measured;

/// The error of a calibration on a setting that was left out of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeftOutError {
    /// The logarithm of the predicted over the measured figure, in the mean over repeats of the setting.
    pub residual: f64,
    /// Whether it lies in the 90% interval, whose width comes from the other settings.
    pub is_within: bool,
}

/// The same, with how far off the calibration expects to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    pub(super) residual: f64,
    pub(super) deviation: f64,
    /// Whether it says something of the width of intervals: a figure that is doubted does not.
    pub(super) counts: bool,
}

impl Miss {
    /// In deviations.
    fn size(&self) -> f64 {
        (self.residual / self.deviation).abs()
    }
}

/// By how much deviations have to be multiplied so that nine of ten settings lie in the interval: as they are, or by more.
pub(super) fn width<'a>(misses: impl Iterator<Item = &'a Miss>) -> Option<f64> {
    let sizes = misses.filter(|miss| miss.counts).map(Miss::size);
    let mut sizes: Vec<f64> = sizes.filter(|size| size.is_finite()).collect();
    sizes.sort_by(f64::total_cmp);
    conformal_quantile(&sizes, 0.9).map(|size| (size / NORMAL_90).max(1.0))
}

/// The widths of intervals of time, power and energy; of a figure that was never measured as wide as the widest.
pub(super) fn widths(misses: &[Vec<Miss>; 3]) -> [f64; 3] {
    let known = [0, 1, 2].map(|figure| width(misses[figure].iter()));
    let widest = known.iter().flatten().copied().fold(1.0, f64::max);
    known.map(|width| width.unwrap_or(widest))
}

/// The errors of settings, each judged by an interval at least so wide that the others lie in.
pub(super) fn errors(misses: &[Miss], least: f64) -> Vec<LeftOutError> {
    let judged = |(place, miss): (usize, &Miss)| {
        let others = misses.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, other)| other);
        let is_within = miss.size() <= NORMAL_90 * width(others).unwrap_or(1.0).max(least);
        LeftOutError { residual: miss.residual, is_within }
    };
    misses.iter().enumerate().map(judged).collect()
}

impl Part {
    /// For each figure, how far off a calibration on all others is, and how far that expects to be (in the form and with the freedom of this one;
    /// Rasmussen and Williams, 2006, section 5.4.2).
    pub(super) fn errors_left_out(&self) -> Vec<[f64; 2]> {
        let count = self.weights.len();
        let mut inverse = DMatrix::identity(count, count);
        self.covariance.whiten(&mut inverse);
        let of = |at: usize| {
            let row = self.weighted_slopes.row(at);
            let slopes = DVector::from_iterator(row.len(), row.iter().copied());
            // The constants are found again without it.
            let precision = inverse.column(at).norm_squared() - slopes.dot(&self.of_constants.solve(&slopes));
            [self.weights[at] / precision, precision.sqrt().recip()]
        };
        (0..count).map(of).collect()
    }

    /// How far off predictions of time, of power at the measured time, and of energy are by calibrations on all other settings.
    pub(super) fn missed(&self, measured: &[&Measured]) -> [Vec<Miss>; 3] {
        let (figures, observations) = (&self.data.figures, &self.data.observations);
        let errors = self.errors_left_out();
        let factor = |at: usize| factor(errors[at][0] - observations[at].residual);
        let mut missed: [Vec<Miss>; 3] = Default::default();
        for (at, figure) in figures.iter().enumerate() {
            let power = Some(at + 1).filter(|next| figures.get(*next).is_some_and(|next| next.mixture == POWER));
            let (factors, deviations) = match figure.mixture {
                // It stands behind its time.
                POWER => continue,
                TIME => {
                    let (of_time, of_power) = (errors[at][1], power.map_or(0.0, |next| errors[next][1]));
                    let of_energy = of_power.hypot(figure.time_in_energy * of_time);
                    ([factor(at), power.map_or(1.0, factor)], [of_time, of_power, of_energy])
                }
                _ => ([1.0, factor(at)], [errors[at][1]; 3]),
            };
            let law = scaled(&self.data.law, factors, FigureSpread::default());
            let residuals: Vec<[Option<f64>; 3]> =
                figure.rows.iter().map(|&row| measured[row].residuals(&law)).collect();
            let counts = observations[at].worth >= 1.0 && power.is_none_or(|next| observations[next].worth >= 1.0);
            for (kind, deviation) in deviations.into_iter().enumerate() {
                // Repeats of a setting have the same figures.
                let sum: Option<f64> = residuals.iter().map(|residuals| residuals[kind]).sum();
                let residual = sum.map(|sum| sum / residuals.len() as f64).filter(|residual| residual.is_finite());
                missed[kind].extend(residual.map(|residual| Miss { residual, deviation, counts }));
            }
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misses(sizes: &[f64]) -> Vec<Miss> {
        let of = |size: &f64| Miss { residual: 0.1 * size, deviation: 0.1, counts: true };
        sizes.iter().map(of).collect()
    }

    #[test]
    fn intervals_are_as_wide_as_nine_of_ten_settings_need_them() {
        let small = [0.5; 9];
        let far = [&small[..], &[10.0 * NORMAL_90]].concat();
        let found = widths(&[misses(&far), misses(&small), Vec::new()]);
        assert!((found[0] - 10.0).abs() < 1e-9 && found[1] == 1.0, "{found:?}");
        // A figure that was never measured may be as far off as the rest.
        assert_eq!(found[2], found[0]);
        let mut doubted = misses(&far);
        doubted[9].counts = false;
        assert_eq!(widths(&[doubted, Vec::new(), Vec::new()]), [1.0; 3]);
    }

    #[test]
    fn a_setting_does_not_widen_the_interval_that_judges_it() {
        let found = errors(&misses(&[0.5, 1.0, 10.0]), 1.0);
        assert_eq!(found.iter().map(|error| error.is_within).collect::<Vec<_>>(), [true, true, false]);
        assert!(errors(&misses(&[0.5, 1.0, 10.0]), 7.0).iter().all(|error| error.is_within));
    }
}
