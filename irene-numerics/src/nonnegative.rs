use nalgebra::{DMatrix, DVector};

use crate::CovarianceFactor;

/// The x ≥ 0 that makes Σ (row·x - target)² least, whatever the columns' units; a column that is zero throughout, or repeats others,
/// gets 0.
///
/// ```
/// let x = irene_numerics::nonnegative_least_squares(&[[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], &[3.0, 2.0, 1.0]);
/// assert!((x[0] - 2.0).abs() < 1e-12 && x[1] == 0.0); // the slope would be -1
/// ```
pub fn nonnegative_least_squares<const N: usize>(rows: &[[f64; N]], targets: &[f64]) -> [f64; N] {
    let mut equations = NormalEquations::new();
    rows.iter().zip(targets).for_each(|(row, target)| equations.add(row, *target));
    equations.nonnegative()
}

/// The sums that least squares need, of any number of rows.
///
/// ```
/// let mut equations = irene_numerics::NormalEquations::new();
/// for (row, target) in [([1.0, 1.0], 3.0), ([1.0, 2.0], 5.0), ([1.0, 3.0], 7.0)] {
///     equations.add(&row, target);
/// }
/// let [level, slope] = equations.nonnegative();
/// assert!((level - 1.0).abs() < 1e-12 && (slope - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NormalEquations<const N: usize> {
    gram: [[f64; N]; N],
    right: [f64; N],
}

impl<const N: usize> Default for NormalEquations<N> {
    fn default() -> Self {
        Self { gram: [[0.0; N]; N], right: [0.0; N] }
    }
}

impl<const N: usize> NormalEquations<N> {
    /// Those of no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn add(&mut self, row: &[f64; N], target: f64) {
        for i in 0..N {
            self.right[i] += row[i] * target;
            for j in 0..N {
                self.gram[i][j] += row[i] * row[j];
            }
        }
    }

    /// Adds the rows of others, each as if it were there `weight` times.
    pub fn add_all(&mut self, others: &Self, weight: f64) {
        for i in 0..N {
            self.right[i] += weight * others.right[i];
            for j in 0..N {
                self.gram[i][j] += weight * others.gram[i][j];
            }
        }
    }

    /// The factor, at least 0, with which this x fits best.
    pub fn nonnegative_multiple(&self, of: &[f64; N]) -> f64 {
        let product = |row: &[f64; N]| row.iter().zip(of).map(|(a, b)| a * b).sum::<f64>();
        let square: f64 = self.gram.iter().zip(of).map(|(row, x)| x * product(row)).sum();
        if square > 0.0 { (product(&self.right) / square).max(0.0) } else { 0.0 }
    }

    /// The solution of [`nonnegative_least_squares`].
    pub fn nonnegative(&self) -> [f64; N] {
        // With columns of length 1, one tolerance suits all.
        let lengths: [f64; N] = std::array::from_fn(|i| self.gram[i][i].sqrt());
        let divisors = lengths.map(|length| if length > 0.0 { length } else { 1.0 });
        let right = DVector::from_fn(N, |i, _| self.right[i] / divisors[i]);
        let gram = DMatrix::from_fn(N, N, |i, j| self.gram[i][j] / (divisors[i] * divisors[j]));
        let x = nonnegative_minimum(&gram, &right, DVector::zeros(N));
        std::array::from_fn(|i| x[i] / divisors[i])
    }
}

/// The x ≥ 0 that makes x·gram·x - 2·right·x least, for a positive semidefinite matrix: the active-set method of Lawson and Hanson
/// (1974) on normal equations (Bro and de Jong, 1997), from the columns that `start` has above 0. A column that repeats others gets 0.
pub fn nonnegative_minimum(gram: &DMatrix<f64>, right: &DVector<f64>, start: DVector<f64>) -> DVector<f64> {
    /// The slope, as a share of the steepest at 0, that frees no column.
    const FLAT: f64 = 1e-10;
    /// Below this, what a step left of a column is 0.
    const GONE: f64 = 1e-14;
    let size = right.len();
    let tolerance = FLAT * right.amax();
    let mut x = start;
    let mut free: Vec<bool> = x.iter().map(|value| *value > 0.0).collect();
    let mut repeats = vec![false; size];
    // Each round frees one column; a few go back and forth.
    for round in 0..4 * size {
        let mut freed = None;
        if round > 0 || !free.contains(&true) {
            let slopes = right - gram * &x;
            let held = (0..size).filter(|&column| !free[column] && !repeats[column]);
            let steepest = held.max_by(|&a, &b| slopes[a].total_cmp(&slopes[b]));
            freed = steepest.filter(|&column| slopes[column] > tolerance);
            match freed {
                Some(column) => free[column] = true,
                None => break,
            }
        }
        // Until the best over the free columns is not below 0 anywhere, go towards it and hold what gets to 0 first.
        loop {
            let Some(best) = minimum_over(gram, right, &free) else {
                freed.into_iter().for_each(|column| (free[column], repeats[column]) = (false, true));
                break;
            };
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

/// The minimum over the free columns, the others at 0; None if a free column repeats others.
fn minimum_over(gram: &DMatrix<f64>, right: &DVector<f64>, free: &[bool]) -> Option<DVector<f64>> {
    /// The share of a column's square that the other columns have to leave of it.
    const OWN: f64 = 1e-10;
    let columns: Vec<usize> = (0..free.len()).filter(|&column| free[column]).collect();
    let matrix = DMatrix::from_fn(columns.len(), columns.len(), |i, j| gram[(columns[i], columns[j])]);
    let part = DVector::from_fn(columns.len(), |i, _| right[columns[i]]);
    let factor = CovarianceFactor::new(matrix)?;
    if columns.iter().zip(factor.pivots()).any(|(&column, pivot)| pivot * pivot <= OWN * gram[(column, column)]) {
        return None;
    }
    let solved = factor.solve(&part);
    let mut x = DVector::zeros(free.len());
    columns.iter().zip(solved.iter()).for_each(|(&column, value)| x[column] = *value);
    Some(x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_column_of_zeros_and_one_that_repeats_others_get_0() {
        let rows = [1.0, 2.0, 5.0, 7.0].map(|x: f64| [x, 1e9 * x, 0.0, x * x, x + x * x]);
        let targets = rows.map(|row| 3.0 * row[0] + 2.0 * row[3]);
        let x = nonnegative_least_squares(&rows, &targets);
        let fits = rows
            .iter()
            .zip(targets)
            .all(|(row, target)| (row.iter().zip(&x).map(|(a, b)| a * b).sum::<f64>() - target).abs() < 1e-6 * target);
        assert!(fits && x[2] == 0.0 && x.iter().filter(|x| **x > 0.0).count() == 2, "{x:?}");
        assert_eq!(nonnegative_least_squares::<2>(&[], &[]), [0.0; 2]);
    }

    proptest! {
        /// If the plain least squares are positive, they are the solution.
        #[test]
        fn a_positive_solution_is_that_of_least_squares(
            rows in prop::collection::vec(prop::array::uniform3(0.1..1.0f64), 12..30),
            noise in prop::collection::vec(-0.01..0.01f64, 30),
        ) {
            let target = |(row, noise): (&[f64; 3], &f64)| 2.0 * row[0] + 3.0 * row[1] + 4.0 * row[2] + noise;
            let targets: Vec<f64> = rows.iter().zip(&noise).map(target).collect();
            let slices: Vec<&[f64]> = rows.iter().map(<[f64; 3]>::as_slice).collect();
            let expected = crate::least_squares(&slices, &targets, &vec![1.0; rows.len()]);
            // The noise may say more of columns that are nearly the same than their coefficients do.
            prop_assume!(expected.iter().all(|x| *x > 0.1));
            let x = nonnegative_least_squares(&rows, &targets);
            for (found, expected) in x.iter().zip(expected.iter()) {
                prop_assert!((found - expected).abs() < 1e-5, "{x:?} {expected}");
            }
        }

        /// Karush, Kuhn and Tucker: x ≥ 0, no descent along a coordinate that is 0, none at all along the others.
        #[test]
        fn the_solution_meets_the_optimality_conditions_whatever_the_units(
            rows in prop::collection::vec(prop::array::uniform4(0.0..1.0f64), 8..40),
            noise in prop::collection::vec(-2.0..2.0f64, 40),
            units in prop::array::uniform4(-9..9i32),
        ) {
            let targets: Vec<f64> = rows.iter().zip(&noise).map(|(row, noise)| row[0] - 0.5 * row[1] + noise).collect();
            let unit = units.map(|power| 10f64.powi(power));
            let in_units: Vec<[f64; 4]> = rows.iter().map(|row| std::array::from_fn(|i| row[i] * unit[i])).collect();
            let found = nonnegative_least_squares(&in_units, &targets);
            let x: [f64; 4] = std::array::from_fn(|i| found[i] * unit[i]);
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

        #[test]
        fn a_warm_start_leads_to_the_same_place(
            entries in prop::collection::vec(-1.0..1.0f64, 12 * 6),
            targets in prop::collection::vec(-1.0..1.0f64, 12),
            start in prop::collection::vec(0.0..1.0f64, 6),
        ) {
            let rows = DMatrix::from_vec(12, 6, entries);
            let gram = rows.tr_mul(&rows) + DMatrix::identity(6, 6) * 1e-3;
            let right = rows.tr_mul(&DVector::from_vec(targets));
            let cold = nonnegative_minimum(&gram, &right, DVector::zeros(6));
            let slopes = &right - &gram * &cold;
            for (value, slope) in cold.iter().zip(slopes.iter()) {
                prop_assert!(*value >= 0.0 && *slope <= 1e-6);
                prop_assert!(*value == 0.0 || slope.abs() <= 1e-6);
            }
            let warm = nonnegative_minimum(&gram, &right, DVector::from_vec(start));
            prop_assert!((warm - cold).amax() < 1e-5);
        }
    }
}
