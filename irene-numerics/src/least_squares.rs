use nalgebra::{DMatrix, DVector};

/// Singular values below this share of the largest are taken as zero: they belong to columns that repeat others.
const RANK_TOLERANCE: f64 = 1e-10;

/// The x that makes Σ weight·(row·x - target)² least, by singular values; if several do, the one of least norm.
pub fn least_squares(rows: &[&[f64]], targets: &[f64], weights: &[f64]) -> Vec<f64> {
    let columns = rows.first().map_or(0, |row| row.len());
    let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
    let matrix = DMatrix::from_fn(rows.len(), columns, |i, j| roots[i] * rows[i][j]);
    let right = DVector::from_fn(rows.len(), |i, _| roots[i] * targets[i]);
    let svd = matrix.svd(true, true);
    let tolerance = RANK_TOLERANCE * svd.singular_values.max();
    // Both factors were asked for, so there is a solution.
    svd.solve(&right, tolerance).map_or_else(|_| vec![0.0; columns], |x| x.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_columns_share_the_weight() {
        let rows: [&[f64]; 3] = [&[1.0, 1.0], &[2.0, 2.0], &[3.0, 3.0]];
        let x = least_squares(&rows, &[2.0, 4.0, 6.0], &[1.0; 3]);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 1.0).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn a_weight_counts_as_repetition() {
        let twice: [&[f64]; 4] = [&[1.0, 0.0], &[1.0, 0.0], &[1.0, 1.0], &[1.0, 2.0]];
        let once: [&[f64]; 3] = [&[1.0, 0.0], &[1.0, 1.0], &[1.0, 2.0]];
        let x = least_squares(&twice, &[1.0, 1.0, 5.0, 6.0], &[1.0; 4]);
        let y = least_squares(&once, &[1.0, 5.0, 6.0], &[2.0, 1.0, 1.0]);
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-12), "{x:?} {y:?}");
    }
}
