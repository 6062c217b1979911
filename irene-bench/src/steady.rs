use irene_sampler::Mean;

/// A time in which a server's throughput was steady.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steady {
    /// The ends of its rounds, s; the first is its start.
    pub(crate) bounds: Vec<f64>,
}

impl Steady {
    /// Its start, s.
    pub(crate) fn from(&self) -> f64 {
        self.bounds.first().copied().unwrap_or(f64::NAN)
    }

    /// Its end, s.
    pub(crate) fn to(&self) -> f64 {
        self.bounds.last().copied().unwrap_or(f64::NAN)
    }

    /// Its rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }
}

/// A steady time has so many rounds at least.
pub(crate) const LEAST_ROUNDS: usize = 4;

/// So many rounds are told apart; with more requests a round has more of them.
const MOST_ROUNDS: usize = 64;

/// Rounds of the first and the second half may differ by this share of their mean without being told apart by statistics.
const SAME: f64 = 0.05;

/// The steady part of a run in which so many requests run at once, by the times at which requests ended; None while there is none.
///
/// A round is the time in which as many requests end as run at once, or a multiple of that: then each took part in it
/// about once, and a round begins and ends at the same point of the requests' ways. The rounds to leave out at the
/// start are those that make the standard error of the mean of the others least (MSER; White 1997), at most half of
/// all. The rest is steady if it has four rounds, and if the means of its halves differ by less than 5%, or by less
/// than the 95% intervals of both together.
pub(crate) fn steady(ends: &[f64], at_once: usize) -> Option<Steady> {
    let bounds = bounds(ends, at_once);
    let rounds: Vec<f64> = bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let left_out = transient(&rounds)?;
    let kept = &rounds[left_out..];
    let (first, second) = kept.split_at(kept.len() / 2);
    let (first, second) = (Mean::of(first)?, Mean::of(second)?);
    let mean = (first.mean + second.mean) / 2.0;
    let width = first.half_width?.hypot(second.half_width?);
    let is_steady = (first.mean - second.mean).abs() <= (SAME * mean).max(width);
    is_steady.then(|| Steady { bounds: bounds[left_out..].to_vec() })
}

/// The ends of all rounds, the newest end last.
pub(crate) fn bounds(ends: &[f64], at_once: usize) -> Vec<f64> {
    let at_once = at_once.max(1);
    let step = at_once * (ends.len() / (at_once * MOST_ROUNDS)).max(1);
    // The rest is at the start.
    let skipped = ends.len().saturating_sub(1) % step;
    ends.iter().skip(skipped).step_by(step).copied().collect()
}

/// How many rounds to leave out at the start; None if too few would be left.
fn transient(rounds: &[f64]) -> Option<usize> {
    let most = (rounds.len() / 2).min(rounds.len().checked_sub(LEAST_ROUNDS)?);
    let error = |left_out: &usize| {
        let kept = &rounds[*left_out..];
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        kept.iter().map(|round| (round - mean).powi(2)).sum::<f64>() / (kept.len() as f64).powi(2)
    };
    // Among equals the first, which keeps most.
    (0..=most).min_by(|a, b| error(a).total_cmp(&error(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of requests by the times between two.
    fn ends(steps: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut now = 0.0;
        let mut next = |step: f64| {
            now += step;
            now
        };
        steps.into_iter().map(&mut next).collect()
    }

    #[test]
    fn a_slow_start_is_left_out() {
        let slow = [3.0, 2.5, 2.0, 1.5];
        let found = steady(&ends(slow.into_iter().chain([1.0, 1.01].into_iter().cycle().take(20))), 1).unwrap();
        assert!((18..=20).contains(&found.rounds()), "of 23: {found:?}");
        assert!((found.to() - found.from()) / found.rounds() as f64 <= 1.01);
    }

    #[test]
    fn requests_that_go_in_step_are_steady_by_rounds() {
        // Eight end at once, again and again.
        let waves = ends((0..80).map(|place| if place % 8 == 0 { 1.0 } else { 1e-4 }));
        let found = steady(&waves, 8).unwrap();
        let rounds: Vec<f64> = found.bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(rounds.iter().all(|round| (round - 1.0007).abs() < 1e-6), "{rounds:?}");
    }

    #[test]
    fn few_rounds_and_a_drift_are_not_steady() {
        assert_eq!(steady(&ends([1.0; 4]), 1), None);
        assert_eq!(steady(&ends([1.0; 30]), 8), None);
        assert_eq!(steady(&[], 8), None);
        assert_eq!(steady(&ends((0..40).map(|place| 1.1_f64.powi(place))), 1), None);
        assert!(steady(&ends([1.0; 6]), 1).is_some());
    }

    #[test]
    fn many_requests_make_rounds_of_several() {
        let found = steady(&ends([0.01; 10_000]), 1).unwrap();
        assert!((LEAST_ROUNDS..=2 * MOST_ROUNDS).contains(&found.rounds()));
    }
}
