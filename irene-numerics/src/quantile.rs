/// The value in the middle; of an even count, the greater of the two. None if there are no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The quantile of sorted values: the least value that at least this share of them does not exceed. None if there are no values.
///
/// ```
/// assert_eq!(irene_numerics::quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
/// ```
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    at_rank(sorted, share.clamp(0.0, 1.0) * sorted.len() as f64)
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
            [0.0, 0.2, 0.21, 0.9, 1.0].map(|share| quantile(&sorted, share)),
            [1.0, 1.0, 2.0, 5.0, 5.0].map(Some)
        );
        assert_eq!(
            [0.0, 0.5, 0.9, 1.0].map(|share| conformal_quantile(&sorted, share)),
            [1.0, 3.0, 5.0, 5.0].map(Some)
        );
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!([quantile(&[], 0.5), conformal_quantile(&[], 0.5), median([])], [None; 3]);
        assert_eq!([median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])], [Some(2.0), Some(3.0)]);
    }
}
