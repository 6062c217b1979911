//! Whole nanojoules, split so that nothing is lost.

/// Whole part of `pot * part / whole`; `part` is at most `whole`.
pub(crate) fn portion(pot: u64, part: u128, whole: u128) -> u64 {
    if whole == 0 || part == 0 {
        return 0;
    }
    // Both fit 64 bits then, and their proportion stays.
    let shift = (u128::BITS - whole.leading_zeros()).saturating_sub(u64::BITS);
    let share = u128::from(pot) * (part >> shift) / (whole >> shift);
    share.min(u128::from(pot)) as u64
}

/// Gives each part its portion of a pot. Less than a nanojoule for each part is left over, and returned: whoever gets it would depend
/// on the order.
pub(crate) fn split(pot: u64, parts: impl Iterator<Item = u128> + Clone, mut give: impl FnMut(usize, u64)) -> u64 {
    let whole = parts.clone().fold(0, u128::saturating_add);
    let mut left = pot;
    for (place, part) in parts.enumerate() {
        let share = portion(pot, part, whole).min(left);
        left -= share;
        give(place, share);
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(pot: u64, parts: &[u128]) -> (Vec<u64>, u64) {
        let mut shares = vec![0; parts.len()];
        let left = split(pot, parts.iter().copied(), |place, share| shares[place] = share);
        (shares, left)
    }

    #[test]
    fn parts_get_their_proportion() {
        assert_eq!(shares(10, &[1, 2, 0]), (vec![3, 6, 0], 1));
        assert_eq!(shares(10, &[0, 0]), (vec![0, 0], 10), "nobody did anything");
        assert_eq!(shares(7, &[]), (vec![], 7));
        assert_eq!(shares(u64::MAX, &[u128::MAX / 4, u128::MAX / 4]).0, [u64::MAX / 2; 2]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made(pot in any::<u64>(), parts in prop::collection::vec(0..u128::MAX >> 8, 0..64)) {
            let (shares, left) = shares(pot, &parts);
            prop_assert_eq!(shares.iter().map(|&share| u128::from(share)).sum::<u128>() + u128::from(left), u128::from(pot));
            let whole: u128 = parts.iter().sum();
            if whole > 0 {
                for (share, part) in shares.into_iter().zip(parts) {
                    let exact = pot as f64 * (part as f64 / whole as f64);
                    prop_assert!((share as f64 - exact).abs() <= 1.0 + 1e-9 * pot as f64, "{share} is not {exact}");
                    prop_assert!(part > 0 || share == 0);
                }
            }
        }
    }
}
