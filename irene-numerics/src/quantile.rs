/// The median: the value in the middle; of an even count, the mean of the two. None if there are no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// The quantile of sorted values, between two of them in proportion. None if there are no values.
///
/// ```
/// assert_eq!(irene_numerics::quantile(&[1.0, 2.0, 4.0, 8.0], 0.5), Some(3.0));
/// ```
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    // Also between two that have no end.
    Some(if low == high { *low } else { low + (high - low) * place.fract() })
}

/// The value in the middle; of an even count, the greater of the two, so that it is one of the values. None if there are no values.
pub fn upper_median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied()
}

/// The least of sorted values that at least this share of them does not exceed. None if there are no values.
///
/// ```
/// assert_eq!(irene_numerics::rank_quantile(&[1.0, 2.0, 4.0, 8.0], 0.5), Some(2.0));
/// ```
pub fn rank_quantile(sorted: &[f64], share: f64) -> Option<f64> {
    at_rank(sorted, share.clamp(0.0, 1.0) * sorted.len() as f64)
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A bound that the next score keeps with at least this probability, from sorted scores so far (split conformal prediction, Lei et al.,
/// 2018). With too few scores it is the greatest of them, with none it is None.
///
/// ```
/// assert_eq!(irene_numerics::conformal_quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(3.0));
/// ```
pub fn conformal_quantile(sorted: &[f64], share: f64) -> Option<f64> {
    at_rank(sorted, (sorted.len() + 1) as f64 * share)
}

/// The value whose rank, from 1, is the least that is not below this one.
fn at_rank(sorted: &[f64], rank: f64) -> Option<f64> {
    let rank = rank.ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_from_0_to_1_give_the_least_to_the_greatest() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            [0.0, 0.2, 0.21, 0.9, 1.0].map(|share| rank_quantile(&sorted, share)),
            [1.0, 1.0, 2.0, 5.0, 5.0].map(Some)
        );
        assert_eq!(
            [0.0, 0.5, 0.9, 1.0].map(|share| conformal_quantile(&sorted, share)),
            [1.0, 3.0, 5.0, 5.0].map(Some)
        );
    }

    #[test]
    fn a_quantile_lies_between_two_values_in_proportion() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            [-1.0, 0.0, 0.125, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share)),
            [1.0, 1.0, 1.5, 3.0, 4.0, 5.0].map(Some)
        );
        assert_eq!([median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])], [Some(2.0), Some(2.5)]);
        assert_eq!([upper_median([3.0, 1.0, 2.0]), upper_median([4.0, 1.0, 2.0, 3.0])], [Some(2.0), Some(3.0)]);
        assert_eq!(median([1.0, f64::INFINITY, f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!([quantile(&[], 0.5), rank_quantile(&[], 0.5), conformal_quantile(&[], 0.5)], [None; 3]);
        assert_eq!([median([]), upper_median([])], [None; 2]);
    }
}
