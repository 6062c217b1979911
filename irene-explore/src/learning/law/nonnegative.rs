use nalgebra::{Cholesky, DMatrix, DVector};

/// The x ≥ 0 that makes x·gram·x - 2·right·x least, for a positive definite matrix: the active-set method of Lawson and Hanson
/// (1974) on normal equations (Bro and de Jong, 1997), from the columns that `start` has above 0.
pub(super) fn solve(gram: &DMatrix<f64>, right: &DVector<f64>, start: DVector<f64>) -> DVector<f64> {
    const ENOUGH: f64 = 1e-10;
    /// What is left of a column that a step took to 0.
    const GONE: f64 = 1e-14;
    let size = right.len();
    let tolerance = ENOUGH * right.amax();
    let mut x = start;
    let mut free: Vec<bool> = x.iter().map(|value| *value > 0.0).collect();
    // Each round frees one column; a few go back and forth.
    for round in 0..4 * size {
        if round > 0 || !free.contains(&true) {
            let slopes = right - gram * &x;
            let steepest = (0..size).filter(|&column| !free[column]).max_by(|&a, &b| slopes[a].total_cmp(&slopes[b]));
            match steepest.filter(|&column| slopes[column] > tolerance) {
                Some(column) => free[column] = true,
                None => break,
            }
        }
        // Until the best over the free columns is not below 0 anywhere, go towards it and hold what gets to 0 first.
        while let Some(best) = over(gram, right, &free) {
            let blocking = (0..size).filter(|&column| free[column] && best[column] <= 0.0);
            let step = blocking.map(|column| x[column] / (x[column] - best[column])).fold(1.0, f64::min);
            let reached = step >= 1.0;
            x = if reached { best } else { &x + (best - &x) * step };
            if reached {
                break;
            }
            for (value, free) in x.iter_mut().zip(&mut free) {
                *free &= *value > GONE;
                *value = if *free { *value } else { 0.0 };
            }
            if !free.contains(&true) {
                break;
            }
        }
    }
    x
}

/// The least over the free columns, the others at 0.
fn over(gram: &DMatrix<f64>, right: &DVector<f64>, free: &[bool]) -> Option<DVector<f64>> {
    let columns: Vec<usize> = (0..free.len()).filter(|&column| free[column]).collect();
    let matrix = DMatrix::from_fn(columns.len(), columns.len(), |i, j| gram[(columns[i], columns[j])]);
    let part = DVector::from_fn(columns.len(), |i, _| right[columns[i]]);
    let solved = Cholesky::new(matrix)?.solve(&part);
    let mut x = DVector::zeros(free.len());
    columns.iter().zip(solved.iter()).for_each(|(&column, value)| x[column] = *value);
    Some(x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Karush, Kuhn and Tucker: x ≥ 0, no descent along a coordinate that is 0, none at all along the others.
        #[test]
        fn the_solution_meets_the_optimality_conditions(
            entries in prop::collection::vec(-1.0..1.0f64, 12 * 6),
            targets in prop::collection::vec(-1.0..1.0f64, 12),
            start in prop::collection::vec(0.0..1.0f64, 6),
        ) {
            let rows = DMatrix::from_vec(12, 6, entries);
            let gram = rows.tr_mul(&rows) + DMatrix::identity(6, 6) * 1e-3;
            let right = rows.tr_mul(&DVector::from_vec(targets));
            let cold = solve(&gram, &right, DVector::zeros(6));
            let slopes = &right - &gram * &cold;
            for (value, slope) in cold.iter().zip(slopes.iter()) {
                prop_assert!(*value >= 0.0 && *slope <= 1e-6);
                prop_assert!(*value == 0.0 || slope.abs() <= 1e-6);
            }
            let warm = solve(&gram, &right, DVector::from_vec(start));
            prop_assert!((warm - cold).amax() < 1e-5);
        }
    }
}
