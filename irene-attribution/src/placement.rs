//! When was the work of a piece done? Only its begin and its end are known.

/// Work that was done at some time between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The owner.
    pub(crate) owner: usize,
    /// ns.
    pub(crate) from: u64,
    /// ns.
    pub(crate) to: u64,
    pub(crate) work: u128,
}

/// A part of a spread within an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) spread: usize,
    pub(crate) interval: usize,
    pub(crate) work: u128,
    /// The share of the spread's work.
    share: f64,
}

/// The most rounds of fitting.
const ROUNDS: usize = 64;

/// It is over when so much of the energy would have to move at most.
const FITTED: f64 = 1e-3;

/// It is over too when a round moves less than this share of what would have to move: the work does not explain the energy.
const GAIN: f64 = 0.01;

/// Divides each spread among the intervals that it covers: `ends` are their ends after `start`, and `energies` what each had to do the
/// work with, if it is known.
///
/// At first the work is even over time. Then it moves to where the energy was, by iterative proportional fitting: each interval's parts
/// are scaled to its energy, and each spread's parts to its work, in turns, until the first `count` intervals fit. A token that waited
/// while another request's prompt was worked on thereby gets out of the way of that prompt. Sums over requests are of whole numbers, so
/// that their order does not matter.
pub(crate) fn place(start: u64, ends: &[u64], energies: &[Option<u64>], spreads: &[Spread], count: usize) -> Vec<Part> {
    let mut parts = evenly(start, ends, spreads);
    let mut before = f64::INFINITY;
    for _ in 0..ROUNDS {
        let Some((factors, off)) = factors(energies, &parts, count) else { break };
        if off > (1.0 - GAIN) * before {
            break;
        }
        before = off;
        for own in parts.chunk_by_mut(|one, next| one.spread == next.spread) {
            let whole: f64 = own.iter().map(|part| part.share * factors[part.interval]).sum();
            if whole > 0.0 && own.len() > 1 {
                let (before, work) = (own.iter().map(|part| part.share).sum::<f64>(), spreads[own[0].spread].work);
                for part in own {
                    part.share *= factors[part.interval] * (before / whole);
                    part.work = (work as f64 * part.share) as u128;
                }
            }
        }
    }
    parts
}

/// How many times more work each interval had the energy for, and the energy that would have to move; None if it is little.
fn factors(energies: &[Option<u64>], parts: &[Part], count: usize) -> Option<(Vec<f64>, f64)> {
    let mut sums = vec![0_u128; energies.len()];
    parts.iter().for_each(|part| sums[part.interval] = sums[part.interval].saturating_add(part.work));
    let known = energies.iter().zip(sums.iter()).filter_map(|(energy, &sum)| Some(((*energy)?, sum)));
    let known: Vec<(u64, u128)> = known.take(count).collect();
    let (energy, work) = known
        .iter()
        .fold((0, 0_u128), |(energy, work), (more, sum)| (energy + u128::from(*more), work.saturating_add(*sum)));
    let usual = energy as f64 / work as f64;
    // Energy of an interval without work cannot be fitted.
    let off = |&(energy, sum): &(u64, u128)| if sum == 0 { 0.0 } else { (energy as f64 - usual * sum as f64).abs() };
    let off = known.iter().map(off).sum::<f64>();
    if energy == 0 || work == 0 || off <= FITTED * energy as f64 {
        return None;
    }
    let factor = |(energy, sum): (&Option<u64>, u128)| match energy {
        Some(energy) if sum > 0 => *energy as f64 / sum as f64,
        _ => usual,
    };
    Some((energies.iter().zip(sums).map(factor).collect(), off))
}

/// The parts that lie within the intervals, in the order of the spreads.
fn evenly(start: u64, ends: &[u64], spreads: &[Spread]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(2 * spreads.len());
    for (spread, &Spread { from, to, work, .. }) in spreads.iter().enumerate() {
        let first = ends.partition_point(|&end| end <= from);
        for (interval, &end) in ends.iter().enumerate().skip(first) {
            let begin = if interval == 0 { start } else { ends[interval - 1] };
            if begin >= to {
                break;
            }
            let share = (end.min(to) - begin.max(from)) as f64 / (to - from) as f64;
            let work = if share == 1.0 { work } else { (work as f64 * share) as u128 };
            parts.push(Part { spread, interval, work, share });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works(ends: &[u64], energies: &[u64], spreads: &[(u64, u64, u128)]) -> Vec<(usize, usize, u128)> {
        let spreads: Vec<Spread> =
            spreads.iter().enumerate().map(|(owner, &(from, to, work))| Spread { owner, from, to, work }).collect();
        let energies: Vec<Option<u64>> = energies.iter().copied().map(Some).collect();
        place(0, ends, &energies, &spreads, ends.len())
            .iter()
            .map(|part| (part.spread, part.interval, part.work))
            .collect()
    }

    #[test]
    fn work_of_one_alone_is_where_the_energy_was() {
        assert_eq!(works(&[10, 20], &[100, 300], &[(0, 20, 1000)]), [(0, 0, 250), (0, 1, 750)]);
        assert_eq!(works(&[10, 20], &[0, 0], &[(0, 20, 1000)]), [(0, 0, 500), (0, 1, 500)], "where it cannot be told");
    }

    #[test]
    fn a_token_gets_out_of_the_way_of_a_prompt() {
        // A prompt of 200 J in the first interval alone, while the token of 100 J waits for the second.
        let found = works(&[10, 20], &[200, 100], &[(0, 10, 200_000), (0, 20, 100_000)]);
        let [(.., prompt), (.., waits), (.., works)] = found[..] else { unreachable!("{found:?}") };
        assert_eq!(prompt, 200_000);
        assert!(waits < 15_000 && works > 85_000, "{waits} and {works}");
    }

    #[test]
    fn what_lies_beyond_the_intervals_stays_there() {
        assert_eq!(works(&[10], &[100], &[(0, 40, 1000), (20, 30, 7)]), [(0, 0, 250)]);
    }

    #[test]
    fn an_interval_whose_energy_is_not_known_is_like_the_others() {
        let spread = Spread { owner: 0, from: 0, to: 30, work: 900 };
        let parts = place(0, &[10, 20, 30], &[Some(50), None, Some(50)], &[spread], 3);
        assert_eq!(parts.iter().map(|part| part.work / 10).collect::<Vec<_>>(), [30, 30, 30]);
    }
}
