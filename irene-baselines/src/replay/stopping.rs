use super::learning::{Plan, Standing};
use super::{learned, learned::Learned};
use crate::Result;

/// The squared error that ProTran stops at, of figures divided by twice the largest of the first 16.
pub const PUBLISHED_ERROR: f64 = 0.005;

/// The published way starts with as many records.
const FEWEST: usize = 16;

/// When enough designs are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stopping {
    /// Ours: the relative error that is expected over the designs not measured, of the measure where it is largest, has been at most
    /// `error` for so many rounds. A surrogate that states calibrated deviations is needed, as the law does.
    Expected {
        /// As a share: 0.1 is ten percent.
        error: f64,
        /// In a row.
        rounds: usize,
    },
    /// As published: learned from the first of the records, the mean squared error of the last is at most `error` for each measure,
    /// figures divided by twice the largest of the first 16. Says nothing before there are 16.
    HeldOut {
        /// Of the records that are held out; published with 0.2.
        share: f64,
        /// Published with [`PUBLISHED_ERROR`].
        error: f64,
    },
    /// So many designs are measured.
    Budget(usize),
}

impl Stopping {
    /// As published.
    pub fn published() -> Self {
        Self::HeldOut { share: 0.2, error: PUBLISHED_ERROR }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expected { .. } => "expected error",
            Self::HeldOut { .. } => "error on the last records",
            Self::Budget(_) => "budget",
        }
    }

    /// Rounds whose expected errors it looks at.
    pub(super) fn rounds(self) -> usize {
        match self {
            Self::Expected { rounds, .. } => rounds.max(1),
            Self::HeldOut { .. } | Self::Budget(_) => 0,
        }
    }

    /// Whether it is time.
    pub(super) fn says(self, plan: &Plan<'_>, standing: &Standing<'_>) -> Result<bool> {
        match self {
            Self::Budget(most) => Ok(standing.measured.len() >= most),
            Self::Expected { error, rounds } => {
                let rounds = rounds.max(1);
                let last = &standing.expected[standing.expected.len().saturating_sub(rounds)..];
                Ok(last.len() == rounds && last.iter().all(|expected| *expected <= error))
            }
            Self::HeldOut { share, error } => {
                let count = standing.measured.len();
                let held = ((share.clamp(0.0, 1.0) * count as f64).ceil() as usize).max(1);
                if count < FEWEST || held >= count {
                    return Ok(false);
                }
                let (kept, held) = standing.measured.split_at(count - held);
                let scales = learned::scales(standing.measured, plan.measures)?;
                let learned = Learned::fit(plan.learner, kept, plan.measures, scales, plan.seed)?;
                let errors = learned.errors(held)?;
                Ok(errors.iter().all(|measure| measure.squared <= error))
            }
        }
    }
}

/// The first count of samples from which all errors stay at most `most`: of counts, ascending, and the errors there.
pub fn converged_at<'a>(errors: impl DoubleEndedIterator<Item = (usize, &'a [f64])>, most: f64) -> Option<usize> {
    let is_low = |(_, errors): &(usize, &[f64])| errors.iter().all(|error| *error <= most);
    errors.rev().take_while(is_low).last().map(|(samples, _)| samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_to_stay_low() {
        let of = |errors: &[[f64; 2]]| {
            let samples = errors.iter().enumerate().map(|(at, errors)| (at + 4, &errors[..]));
            converged_at(samples, 0.005)
        };
        assert_eq!(of(&[[1.0, 1.0], [0.001, 0.001], [0.001, 0.01], [0.005, 0.001], [0.001, 0.0]]), Some(7));
        assert_eq!(of(&[[0.0, 0.0], [0.001, 0.001]]), Some(4));
        assert_eq!(of(&[[0.0, 0.0], [0.001, 0.006]]), None);
        assert_eq!(of(&[[0.0, f64::NAN]]), None);
        assert_eq!(of(&[]), None);
    }
}
