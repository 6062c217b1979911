use nalgebra::DMatrix;

use crate::{StandardScaler, least_squares, standardise::divisor};

/// Rows that are taken in at once.
const BLOCK: usize = 512;

/// Any number of rows in the memory of a few: the triangle R of the QR factorisation of their columns, with a column of ones before
/// them. Least squares on R are those on all rows, and as exact as with all of them at hand.
///
/// ```
/// use irene_numerics::{StandardScaler, Triangle};
/// // A guess of where the numbers lie keeps the rounding small.
/// let guess = StandardScaler { mean: vec![1.0, 3.0], scale: vec![1.0, 2.0] };
/// let mut triangle = Triangle::new(guess);
/// for row in [[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]] {
///     triangle.add(&row, 1.0);
/// }
/// let (scaler, slopes, mean) = triangle.regression();
/// assert!((slopes[0] / scaler.scale[0] - 2.0).abs() < 1e-12 && (mean - 3.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Triangle {
    /// The numbers are kept less this mean and divided by this scale.
    guess: StandardScaler,
    /// R, and below it rows that are not in it yet.
    rows: Vec<Vec<f64>>,
}

impl Triangle {
    /// A triangle without rows; each row will have as many numbers as the guess has columns.
    pub fn new(guess: StandardScaler) -> Self {
        Self { guess, rows: Vec::new() }
    }

    /// Adds a row as if it were there `count` times.
    pub fn add(&mut self, row: &[f64], count: f64) {
        let root = count.sqrt();
        let scaled = self.guess.transformed(row).map(|x| root * x);
        self.rows.push(std::iter::once(root).chain(scaled).collect());
        if self.rows.len() >= BLOCK + self.guess.mean.len() {
            self.settle();
        }
    }

    /// Takes the rows into R.
    fn settle(&mut self) {
        let columns = self.guess.mean.len() + 1;
        let matrix =
            DMatrix::from_fn(self.rows.len().max(columns), columns, |i, j| self.rows.get(i).map_or(0.0, |row| row[j]));
        let r = matrix.qr().r();
        self.rows = r.row_iter().map(|row| row.iter().copied().collect()).collect();
    }

    /// The mean and the standard deviation of each column, as [`StandardScaler::fit`] finds them.
    pub fn scaler(&mut self) -> StandardScaler {
        self.settle();
        // The first column is that of ones: its length is the root of the count, and below its row all is centred.
        let first = &self.rows[0];
        let count = first[0] * first[0];
        let moments = |column: usize| {
            let (centre, unit) = (self.guess.mean[column], self.guess.scale[column]);
            let mean = centre + if first[0] == 0.0 { 0.0 } else { unit * first[column + 1] / first[0] };
            let squares: f64 = self.rows[1..].iter().map(|row| row[column + 1] * row[column + 1]).sum();
            (mean, divisor(count, mean, unit * unit * squares / count.max(1.0)))
        };
        let (mean, scale) = (0..self.guess.mean.len()).map(moments).unzip();
        StandardScaler { mean, scale }
    }

    /// The least squares of the last column on the others: the scaler of the others, their slopes when standardised, and the mean
    /// of the last.
    pub fn regression(&mut self) -> (StandardScaler, Vec<f64>, f64) {
        let StandardScaler { mut mean, mut scale } = self.scaler();
        let (Some(target), Some(_)) = (mean.pop(), scale.pop()) else {
            return (StandardScaler { mean, scale }, Vec::new(), 0.0);
        };
        let columns = mean.len();
        let unit = |column: usize| self.guess.scale[column];
        let row = |row: &Vec<f64>| -> Vec<f64> {
            (0..columns).map(|column| row[column + 1] * unit(column) / scale[column]).collect()
        };
        let centred: Vec<Vec<f64>> = self.rows[1..].iter().map(row).collect();
        let targets: Vec<f64> = self.rows[1..].iter().map(|row| row[columns + 1] * unit(columns)).collect();
        let rows: Vec<&[f64]> = centred.iter().map(Vec::as_slice).collect();
        let slopes = least_squares(&rows, &targets, &vec![1.0; rows.len()]);
        (StandardScaler { mean, scale }, slopes, target)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Columns of any place and unit, one of them constant and one that repeats another; the target follows from two of them.
    fn rows(count: usize, noise: &[f64]) -> Vec<[f64; 5]> {
        let row = |i: usize| {
            let (x, y) = ((i as f64 * 0.7).sin() * 1e-3 + 5.0, (i as f64 * 1.3).cos() * 1e4);
            [x, y, 3802.1, 2.0 * x, 100.0 * x - y / 50.0 + noise[i % noise.len()]]
        };
        (0..count).map(row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_finds_what_all_rows_at_hand_give(
            count in 20..3000_usize,
            noise in prop::collection::vec(-1.0..1.0f64, 7),
        ) {
            let rows = rows(count, &noise);
            let guess = StandardScaler::fit(5, rows[..10].iter().map(<[f64; 5]>::as_slice));
            let mut triangle = Triangle::new(guess);
            rows.iter().for_each(|row| triangle.add(row, 1.0));
            let scaler = StandardScaler::fit(4, rows.iter().map(|row| &row[..4]));
            let mean = rows.iter().map(|row| row[4]).sum::<f64>() / count as f64;
            let scaled: Vec<Vec<f64>> = rows.iter().map(|row| scaler.transformed(&row[..4]).collect()).collect();
            let scaled: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
            let targets: Vec<f64> = rows.iter().map(|row| row[4] - mean).collect();
            let slopes = least_squares(&scaled, &targets, &vec![1.0; count]);
            let (found, found_slopes, found_mean) = triangle.regression();
            prop_assert!((found_mean - mean).abs() < 1e-8 * mean.abs().max(1.0));
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-7 * b.abs().max(1e-3));
            prop_assert!(close(&found.mean, &scaler.mean) && close(&found.scale, &scaler.scale), "{found:?} {scaler:?}");
            // On a constant column, what rounding leaves of it has any slope.
            let of_others = |slopes: &[f64]| [slopes[0], slopes[1], slopes[3]];
            prop_assert!(close(&of_others(&found_slopes), &of_others(&slopes)), "{found_slopes:?} {slopes:?}");
        }
    }

    #[test]
    fn a_count_is_as_many_rows() {
        let guess = || StandardScaler { mean: vec![0.0; 2], scale: vec![1.0; 2] };
        let (mut once, mut often) = (Triangle::new(guess()), Triangle::new(guess()));
        for (row, count) in [([1.0, 2.0], 3), ([2.0, 5.0], 1), ([4.0, 4.0], 2)] {
            once.add(&row, f64::from(count));
            (0..count).for_each(|_| often.add(&row, 1.0));
        }
        let ((a, x, m), (b, y, n)) = (once.regression(), often.regression());
        assert!((x[0] - y[0]).abs() < 1e-12 && (m - n).abs() < 1e-12 && (a.scale[0] - b.scale[0]).abs() < 1e-12);
    }
}
