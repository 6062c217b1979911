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
