/// Whether the first costs dominate the second: none is higher, and at least one is lower.
///
/// ```
/// use irene_numerics::dominates;
/// assert!(dominates(&[1.0, 2.0], &[1.0, 3.0]));
/// assert!(!dominates(&[1.0, 2.0], &[1.0, 2.0]) && !dominates(&[1.0, 4.0], &[2.0, 3.0]));
/// ```
pub fn dominates(one: &[f64], other: &[f64]) -> bool {
    let mut better = false;
    for (a, b) in one.iter().zip(other) {
        if a > b {
            return false;
        }
        better |= a < b;
    }
    better
}
