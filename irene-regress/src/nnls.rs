/// The x ≥ 0 that makes Σ (row·x - target)² least, by coordinate descent on the normal equations.
///
/// For a handful of columns, where it converges in a few hundred cheap rounds. Columns that are zero throughout get 0.
pub(crate) fn solve<const N: usize>(rows: &[[f64; N]], targets: &[f64]) -> [f64; N] {
    const ROUNDS: usize = 10_000;
    const ENOUGH: f64 = 1e-14;
    let mut gram = [[0.0; N]; N];
    let mut right = [0.0; N];
    for (row, target) in rows.iter().zip(targets) {
        for i in 0..N {
            right[i] += row[i] * target;
            for j in 0..N {
                gram[i][j] += row[i] * row[j];
            }
        }
    }
    let scale: f64 = targets.iter().map(|target| target * target).sum();
    let mut x = [0.0f64; N];
    for _ in 0..ROUNDS {
        let mut moved = 0.0f64;
        for i in (0..N).filter(|&i| gram[i][i] > 0.0) {
            let slope = right[i] - (0..N).map(|j| gram[i][j] * x[j]).sum::<f64>();
            let next = (x[i] + slope / gram[i][i]).max(0.0);
            // How much the fit moves, whatever the column's unit.
            moved = moved.max((next - x[i]).powi(2) * gram[i][i]);
            x[i] = next;
        }
        if moved <= ENOUGH * ENOUGH * scale {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Where no coefficient wants to be negative, it is the solution of the normal equations.
        #[test]
        fn a_positive_solution_is_that_of_least_squares(
            rows in prop::collection::vec(prop::array::uniform3(0.1..1.0f64), 12..30),
            noise in prop::collection::vec(-0.01..0.01f64, 30),
        ) {
            let target = |(row, noise): (&[f64; 3], &f64)| 2.0 * row[0] + 3.0 * row[1] + 4.0 * row[2] + noise;
            let targets: Vec<f64> = rows.iter().zip(&noise).map(target).collect();
            let matrix = nalgebra::DMatrix::from_fn(rows.len(), 3, |i, j| rows[i][j]);
            let right = nalgebra::DVector::from_vec(targets.clone());
            let expected = (matrix.transpose() * &matrix).lu().solve(&(matrix.transpose() * right)).unwrap();
            // Columns that are nearly the same leave more to chance than noise can say.
            prop_assume!(expected.iter().all(|x| *x > 0.1));
            let x = solve(&rows, &targets);
            for (found, expected) in x.iter().zip(expected.iter()) {
                prop_assert!((found - expected).abs() < 1e-5, "{x:?} {expected}");
            }
        }

        /// Karush, Kuhn and Tucker: x ≥ 0, no descent along a coordinate that is 0, none at all along the others.
        #[test]
        fn the_solution_meets_the_optimality_conditions(
            rows in prop::collection::vec(prop::array::uniform4(0.0..1.0f64), 8..40),
            noise in prop::collection::vec(-2.0..2.0f64, 40),
        ) {
            let targets: Vec<f64> = rows.iter().zip(&noise).map(|(row, noise)| row[0] - 0.5 * row[1] + noise).collect();
            let x = solve(&rows, &targets);
            for i in 0..4 {
                let slope: f64 = rows.iter().zip(&targets).map(|(row, target)| {
                    let fit: f64 = row.iter().zip(&x).map(|(a, b)| a * b).sum();
                    row[i] * (fit - target)
                }).sum();
                prop_assert!(x[i] >= 0.0);
                prop_assert!(slope >= -1e-6, "column {i}: {slope}");
                prop_assert!(x[i] == 0.0 || slope.abs() <= 1e-6, "column {i}: {slope}");
            }
        }
    }
}
