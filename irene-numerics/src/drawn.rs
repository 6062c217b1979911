/// The step of SplitMix64: the odd number nearest to 2^64 divided by the golden ratio.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that looks random, always the same from the same one: the finaliser of SplitMix64 (Steele, Lea and Flood 2014), whose
/// state goes on by [`GOLDEN`]. Different numbers give different ones.
///
/// ```
/// use irene_numerics::{GOLDEN, mixed};
/// assert_eq!(mixed(GOLDEN), 0xe220_a839_7b1d_cdaf);
/// ```
pub fn mixed(number: u64) -> u64 {
    let mut x = number;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that looks random, always the same from the same words.
pub fn rank(of: &[u64]) -> u64 {
    of.iter().fold(0, |seed: u64, &word| mixed((seed ^ word).wrapping_add(GOLDEN)))
}

/// The places of so many at most of a list, in order: all, or as if drawn by chance, and always the same ones. Every nth would have one kind
/// alone of what a list has in turn.
///
/// ```
/// assert_eq!(irene_numerics::drawn(3, 5), [0, 1, 2]);
/// let some = irene_numerics::drawn(1000, 500);
/// assert_eq!(some.len(), 500);
/// assert!((200..300).contains(&some.iter().filter(|place| **place % 2 == 0).count()));
/// ```
pub fn drawn(count: usize, most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    if count > most {
        places.sort_by_cached_key(|place| rank(&[*place as u64]));
        places.truncate(most);
        places.sort_unstable();
    }
    places
}
