use nalgebra::{DMatrix, DVector};

/// Singular values below this share of the largest are taken as zero: they belong to columns that repeat others.
const RANK_TOLERANCE: f64 = 1e-10;

/// The x that makes Σ weight·(row·x - target)² least, by singular values; if several do, the one of least norm.
///
/// # Panics
/// If there are fewer targets or weights than rows, or a row is shorter than the first.
pub fn least_squares(rows: &[&[f64]], targets: &[f64], weights: &[f64]) -> Vec<f64> {
    let columns = rows.first().map_or(0, |row| row.len());
    let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
    let matrix = DMatrix::from_fn(rows.len(), columns, |i, j| roots[i] * rows[i][j]);
    let mut right = DVector::from_fn(rows.len(), |i, _| roots[i] * targets[i]);
    // The triangle has the singular values of all rows.
    let factors = matrix.qr();
    factors.q_tr_mul(&mut right);
    let right = right.rows(0, rows.len().min(columns));
    let (scaled, directions) = orthogonal_columns(factors.r());
    let squares: Vec<f64> = scaled.column_iter().map(|column| column.norm_squared()).collect();
    let least = RANK_TOLERANCE.powi(2) * squares.iter().copied().fold(0.0, f64::max);
    let mut x = DVector::zeros(columns);
    for (place, square) in squares.into_iter().enumerate().filter(|(_, square)| *square > least) {
        x.axpy(scaled.column(place).dot(&right) / square, &directions.column(place), 1.0);
    }
    x.iter().copied().collect()
}

/// The columns of a matrix turned until each is at right angles to all others, which makes their lengths its singular values, and the
/// turns (one-sided Jacobi; Demmel and Veselić, 1992). Columns that repeat others come out exact, where the singular values of nalgebra
/// 0.35 may be wrong (its issue 1172).
fn orthogonal_columns(mut matrix: DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    /// A handful are enough.
    const MOST_SWEEPS: usize = 60;
    let columns = matrix.ncols();
    let mut turns = DMatrix::identity(columns, columns);
    for _ in 0..MOST_SWEEPS {
        let mut is_turned = false;
        for (p, q) in (0..columns).flat_map(|p| (p + 1..columns).map(move |q| (p, q))) {
            let [a, b] = [p, q].map(|place| matrix.column(place).norm_squared());
            let product = matrix.column(p).dot(&matrix.column(q));
            if product.abs() > f64::EPSILON * (a * b).sqrt() {
                is_turned = true;
                let cotangent = (b - a) / (2.0 * product);
                let tangent = cotangent.signum() / (cotangent.abs() + cotangent.hypot(1.0));
                turn(&mut matrix, p, q, tangent);
                turn(&mut turns, p, q, tangent);
            }
        }
        if !is_turned {
            break;
        }
    }
    (matrix, turns)
}

/// Turns two columns in their plane.
fn turn(matrix: &mut DMatrix<f64>, p: usize, q: usize, tangent: f64) {
    let cosine = 1.0 / tangent.hypot(1.0);
    for row in 0..matrix.nrows() {
        let (x, y) = (matrix[(row, p)], matrix[(row, q)]);
        matrix[(row, p)] = cosine * (x - tangent * y);
        matrix[(row, q)] = cosine * (tangent * x + y);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeated_columns_share_the_weight() {
        let rows: [&[f64]; 3] = [&[1.0, 1.0], &[2.0, 2.0], &[3.0, 3.0]];
        let x = least_squares(&rows, &[2.0, 4.0, 6.0], &[1.0; 3]);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 1.0).abs() < 1e-12, "{x:?}");
    }

    /// Columns that are equal, zero, or rounding alone; nalgebra's own singular values fail on many of these.
    #[test]
    fn columns_that_tell_nothing_change_nothing() {
        let size = |column: usize| [1.0, 3.0][column % 2];
        for (count, columns) in (2..12).flat_map(|count| (1..12).map(move |columns| (count, columns))) {
            let rows: Vec<Vec<f64>> = (0..count)
                .map(|i| {
                    let rounding = 1e-14 * f64::from(i * 7 % 5 - 2);
                    let alike = (0..columns).map(|j| f64::from(i + 1) * size(j));
                    [0.0, rounding].into_iter().chain(alike).collect()
                })
                .collect();
            let targets: Vec<f64> = (0..count).map(|i| 2.0 * f64::from(i + 1)).collect();
            let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let x = least_squares(&slices, &targets, &vec![1.0; rows.len()]);
            // The least norm shares the slope out in proportion to the columns.
            let squares: f64 = (0..columns).map(|j| size(j).powi(2)).sum();
            let is_right = x[2..].iter().enumerate().all(|(j, x)| (x - 2.0 * size(j) / squares).abs() < 1e-12);
            assert!(is_right && x[..2].iter().all(|x| x.abs() < 1e-12), "{count} x {columns}: {x:?}");
        }
    }

    proptest! {
        /// The gradient of the sum of squares is zero.
        #[test]
        fn what_is_left_is_at_right_angles_to_every_column(
            rows in prop::collection::vec(prop::collection::vec(-5.0..5.0f64, 4), 1..30),
            weight in 0.1..10.0f64,
        ) {
            let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let targets: Vec<f64> = rows.iter().map(|row| row[0] * row[1] - row[2]).collect();
            let weights: Vec<f64> = (0..rows.len()).map(|i| if i % 2 == 0 { weight } else { 1.0 }).collect();
            let x = least_squares(&slices, &targets, &weights);
            for column in 0..4 {
                let left = |i: usize| targets[i] - rows[i].iter().zip(&x).map(|(a, x)| a * x).sum::<f64>();
                let product: f64 = (0..rows.len()).map(|i| weights[i] * rows[i][column] * left(i)).sum();
                prop_assert!(product.abs() < 1e-7, "{column}: {product}");
            }
        }
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
