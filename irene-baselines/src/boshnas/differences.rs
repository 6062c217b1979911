/// A gradient agrees with central differences of the function at a point.
pub(super) fn agree(gradient: &[f64], at: &[f64], mut function: impl FnMut(&[f64]) -> f64) {
    assert_eq!(gradient.len(), at.len());
    for (coordinate, slope) in gradient.iter().enumerate() {
        let by = 1e-5 * at[coordinate].abs().max(1.0);
        let mut moved = |by: f64| {
            let mut moved = at.to_vec();
            moved[coordinate] += by;
            function(&moved)
        };
        let difference = (moved(by) - moved(-by)) / (2.0 * by);
        assert!((difference - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{coordinate}: {difference} and {slope}");
    }
}
