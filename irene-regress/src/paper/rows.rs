use irene_numerics::{StandardScaler, Triangle, least_squares};

use crate::table::Table;

/// Distinct rows that are kept.
pub(super) const MOST: usize = 1 << 15;

/// Rows of numbers to be standardised and fitted. Few are kept, equal ones once; of more, what their least squares need.
pub(super) enum Rows {
    Kept(Table),
    Folded(Triangle),
}

impl Rows {
    pub(super) fn new(width: usize) -> Self {
        Self::Kept(Table::new(width))
    }

    /// Inserts a row as often as it counts.
    pub(super) fn insert(&mut self, row: &[f64], count: u32) {
        match self {
            Self::Folded(triangle) => triangle.add(row, f64::from(count)),
            Self::Kept(table) => {
                table.insert(row, count);
                if table.len() > MOST {
                    *self = Self::Folded(folded(table, row.len()));
                }
            }
        }
    }

    /// The scaler of all rows.
    pub(super) fn scaler(self, columns: usize) -> StandardScaler {
        match self {
            Self::Kept(table) => StandardScaler::fit(columns, table.all()),
            Self::Folded(mut triangle) => triangle.scaler(),
        }
    }

    /// The least squares of the last column on the others: their scaler, their slopes when standardised, and the mean of the last.
    pub(super) fn regression(self, columns: usize) -> (StandardScaler, Vec<f64>, f64) {
        let table = match self {
            Self::Kept(table) => table,
            Self::Folded(mut triangle) => return triangle.regression(),
        };
        let scaler = StandardScaler::fit(columns, table.all().map(|row| &row[..columns]));
        let weights: Vec<f64> = (0..table.len()).map(|i| f64::from(table.count(i))).collect();
        let total: f64 = weights.iter().sum();
        let target = |i: usize| table.row(i)[columns];
        // Standardised columns have mean zero, so that the intercept is the mean.
        let mean = (0..table.len()).map(|i| weights[i] * target(i)).sum::<f64>() / total;
        let scaled: Vec<Vec<f64>> =
            (0..table.len()).map(|i| scaler.transformed(&table.row(i)[..columns]).collect()).collect();
        let rows: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
        let targets: Vec<f64> = (0..table.len()).map(|i| target(i) - mean).collect();
        let slopes = least_squares(&rows, &targets, &weights);
        (scaler, slopes, mean)
    }
}

fn folded(table: &Table, width: usize) -> Triangle {
    let mut triangle = Triangle::new(StandardScaler::fit(width, table.all()));
    (0..table.len()).for_each(|i| triangle.add(table.row(i), f64::from(table.count(i))));
    triangle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_than_are_kept_give_the_same_fit() {
        let row = |i: usize| {
            let (x, y) = ((i as f64).sin(), (i as f64 * 0.3).cos());
            [x, 3802.0, y, 2.0 * x - y + 0.1 * (i as f64 * 7.0).sin()]
        };
        let mut table = Table::new(4);
        let mut rows = Rows::new(4);
        for i in 0..2 * MOST {
            table.insert(&row(i), 1);
            rows.insert(&row(i), 1);
        }
        assert!(matches!(rows, Rows::Folded(_)));
        let (scaler, slopes, mean) = Rows::Kept(table).regression(3);
        let (folded_scaler, folded_slopes, folded_mean) = rows.regression(3);
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(&scaler.mean, &folded_scaler.mean) && close(&scaler.scale, &folded_scaler.scale));
        assert!(close(&slopes, &folded_slopes) && (mean - folded_mean).abs() < 1e-12);
    }
}
