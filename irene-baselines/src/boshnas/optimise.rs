use irene_explore::{Error, Result};
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-4;
/// The learning rate at first, in a box of sides 1; then it falls as a cosine.
const LEARNING_RATE: f64 = 0.5;
/// The largest step along a coordinate, in a box of sides 1.
const TRUST: f64 = 0.25;
/// Half the distance of the two gradients whose difference gives the curvature.
const PROBE: f64 = 1e-3;

/// Looks for the minimum of `objective`, which gives value and gradient, within `bounds`: AdaHessian (Yao et al., 2021), as BOSHNAS
/// does on its surrogate's input (FlexiBERT, arXiv 2205.11656). Returns the best point that it came by, with its value.
///
/// AdaHessian is Adam with the square of the gradient replaced by that of the Hessian's diagonal, estimated as z ⊙ Hz for random z of
/// ±1 (Hutchinson); Hz is here the difference of two gradients along z.
///
/// # Errors
/// [`Error::Search`] if there is not a bound for every coordinate, or one is not finite or upside down.
pub(crate) fn optimise_input(
    objective: impl Fn(&[f64]) -> (f64, Vec<f64>),
    start: &[f64],
    bounds: &[(f64, f64)],
    steps: usize,
    seed: u64,
) -> Result<(Vec<f64>, f64)> {
    check(start, bounds)?;
    let spans: Vec<f64> = bounds.iter().map(|(least, most)| most - least).collect();
    let gradient = |at: &[f64]| {
        let (value, slopes) = objective(at);
        (value, slopes.iter().zip(&spans).map(|(slope, span)| slope * span).collect::<Vec<f64>>())
    };
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut at: Vec<f64> = start.iter().zip(bounds).map(|(x, (least, most))| x.clamp(*least, *most)).collect();
    let mut best = (at.clone(), f64::INFINITY);
    let (mut mean, mut square) = (vec![0.0; at.len()], vec![0.0; at.len()]);
    for step in 0..=steps {
        let (value, slopes) = gradient(&at);
        if value < best.1 || step == 0 {
            best = (at.clone(), value);
        }
        if step == steps {
            break;
        }
        let signs: Vec<f64> = at.iter().map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect();
        let probe = |by: f64| {
            let moved = at.iter().zip(&spans).zip(&signs).map(|((x, span), sign)| x + by * span * sign);
            gradient(&moved.collect::<Vec<_>>()).1
        };
        let (ahead, behind) = (probe(PROBE), probe(-PROBE));
        let rate = LEARNING_RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        let count = step as i32 + 1;
        let (first, second) = (1.0 - BETAS.0.powi(count), 1.0 - BETAS.1.powi(count));
        for (i, slope) in slopes.iter().enumerate().take(at.len()) {
            let curvature = signs[i] * (ahead[i] - behind[i]) / (2.0 * PROBE);
            mean[i] = BETAS.0 * mean[i] + (1.0 - BETAS.0) * slope;
            square[i] = BETAS.1 * square[i] + (1.0 - BETAS.1) * curvature * curvature;
            let move_by = rate * (mean[i] / first) / ((square[i] / second).sqrt() + EPSILON);
            if move_by.is_finite() {
                at[i] = (at[i] - spans[i] * move_by.clamp(-TRUST, TRUST)).clamp(bounds[i].0, bounds[i].1);
            }
        }
    }
    Ok(best)
}

fn check(start: &[f64], bounds: &[(f64, f64)]) -> Result<()> {
    if start.len() != bounds.len() {
        return Err(Error::Search(format!("{} coordinates to optimise with {} bounds", start.len(), bounds.len())));
    }
    let holds = |(least, most): &(f64, f64)| least.is_finite() && most.is_finite() && least <= most;
    match bounds.iter().position(|bound| !holds(bound)) {
        Some(at) => Err(Error::Search(format!(
            "coordinate {at} has the bounds {:?}: finite ones in order are needed",
            bounds[at]
        ))),
        None if start.iter().any(|x| x.is_nan()) => Err(Error::Search("a coordinate to start from is NaN".into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valley(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (x[0] - 2.0, x[1] + 30.0);
        (a * a + 1e-4 * b * b, vec![2.0 * a, 2e-4 * b])
    }

    #[test]
    fn minima_inside_and_at_the_bounds_are_found() {
        let (at, value) = optimise_input(valley, &[9.0, 90.0], &[(0.0, 10.0), (-100.0, 100.0)], 200, 1).unwrap();
        assert!((at[0] - 2.0).abs() < 0.1 && (at[1] + 30.0).abs() < 3.0 && value < 0.02, "{at:?}");
        let (at, _) = optimise_input(valley, &[9.0, 90.0], &[(5.0, 10.0), (7.0, 7.0)], 200, 1).unwrap();
        assert_eq!(at, [5.0, 7.0]);
    }

    #[test]
    fn hostile_bounds_and_objectives_are_survived() {
        for bounds in [vec![], vec![(0.0, 1.0), (2.0, 1.0)], vec![(0.0, f64::NAN), (0.0, 1.0)]] {
            assert!(optimise_input(valley, &[0.0, 0.0], &bounds, 10, 0).is_err());
        }
        let nothing = |_: &[f64]| (f64::NAN, vec![f64::NAN; 1]);
        assert_eq!(optimise_input(nothing, &[0.5], &[(0.0, 1.0)], 10, 0).unwrap().0, [0.5]);
        assert_eq!(optimise_input(valley, &[0.5, 0.5], &[(0.0, 1.0); 2], 0, 0).unwrap().0, [0.5, 0.5]);
    }
}
