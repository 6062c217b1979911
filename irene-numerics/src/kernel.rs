/// xᵀx' / d over d coordinates, and [Matérn 5/2](matern52) of their distance over √d in length scales.
pub fn linear_and_matern52(x: &[f64], y: &[f64], length: f64) -> (f64, f64) {
    let (mut product, mut square) = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        product += x * y;
        square += (x - y) * (x - y);
    }
    let width = x.len() as f64;
    (product / width, matern52((square / width).sqrt() / length))
}

/// Matérn 5/2 of a distance r in length scales: (1 + √5 r + 5r²/3) exp(−√5 r).
pub fn matern52(distance: f64) -> f64 {
    let a = 5f64.sqrt() * distance;
    (1.0 + a + a * a / 3.0) * (-a).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_have_their_closed_forms() {
        assert_eq!(matern52(0.0), 1.0);
        // √5 · 1 / 1 from a distance √2 over two coordinates.
        let expected = (1.0 + 5f64.sqrt() + 5.0 / 3.0) * (-5f64.sqrt()).exp();
        let (linear, smooth) = linear_and_matern52(&[1.0, 2.0], &[2.0, 3.0], 1.0);
        assert!((smooth - expected).abs() < 1e-12 && (linear - 4.0).abs() < 1e-12);
    }
}
