use std::f64::consts::TAU;

/// Density and distribution function of the standard normal distribution: φ(x), and ½ + φ(x) (x + x³/3 + x⁵/15 + …) (Marsaglia,
/// "Evaluating the Normal Distribution", 2004), to 1e-15.
pub fn standard_normal(x: f64) -> (f64, f64) {
    let density = (-0.5 * x * x).exp() / TAU.sqrt();
    if x.abs() > 8.0 {
        return (density, f64::from(x > 0.0));
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    // Rounding can leave the range of probabilities by the last digit.
    (density, (0.5 + density * sum).clamp(0.0, 1.0))
}

/// 90% of a normal distribution lies within this many standard deviations of the mean.
pub const NORMAL_90: f64 = 1.644_853_626_951_472_7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_its_known_values() {
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (-3.0, 0.001_349_898_031_630_095), (9.0, 1.0)] {
            assert!((standard_normal(x).1 - expected).abs() < 1e-15, "{x}");
        }
        assert!((standard_normal(0.0).0 - 0.398_942_280_401_432_7).abs() < 1e-15);
        assert!((0..100).all(|i| (0.0..=1e-6).contains(&standard_normal(-5.0 - 0.1 * f64::from(i)).1)));
    }
}
