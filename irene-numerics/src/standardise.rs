/// Centres each column on its mean and divides it by its standard deviation (of the population), as scikit-learn's
/// `StandardScaler` does: z = (x - u) / s.
///
/// A column that is constant up to rounding is not scaled (s = 1).
///
/// ```
/// use irene_numerics::StandardScaler;
/// let scaler = StandardScaler::fit(2, [[1.0, 5.0], [3.0, 5.0]].iter().map(|row| row.as_slice()));
/// assert!(scaler.transformed(&[3.0, 6.0]).eq([1.0, 1.0]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StandardScaler {
    /// The mean u of each column.
    pub mean: Vec<f64>,
    /// The divisor s of each column, not zero.
    pub scale: Vec<f64>,
}

impl StandardScaler {
    /// Learns from rows of `columns` numbers each.
    pub fn fit<'a>(columns: usize, rows: impl Iterator<Item = &'a [f64]> + Clone) -> Self {
        let count = rows.clone().count().max(1) as f64;
        let mut mean = vec![0.0; columns];
        for row in rows.clone() {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        mean.iter_mut().for_each(|sum| *sum /= count);

        // The second sum corrects the rounding of the mean.
        let mut squares = vec![0.0; columns];
        let mut rest = vec![0.0; columns];
        for row in rows {
            for (column, x) in row.iter().enumerate() {
                let deviation = x - mean[column];
                squares[column] += deviation * deviation;
                rest[column] += deviation;
            }
        }
        let scale = (0..columns).map(|column| {
            let variance = (squares[column] - rest[column] * rest[column] / count) / count;
            divisor(count, mean[column], variance)
        });
        Self { scale: scale.collect(), mean }
    }

    /// The numbers of one row, transformed.
    pub fn transformed(&self, row: &[f64]) -> impl Iterator<Item = f64> {
        row.iter().zip(&self.mean).zip(&self.scale).map(|((x, mean), scale)| (x - mean) / scale)
    }
}

/// The divisor of a column: 1 where rounding alone explains its variance.
pub(crate) fn divisor(count: f64, mean: f64, variance: f64) -> f64 {
    let noise = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
    if variance <= noise { 1.0 } else { variance.sqrt() }
}

/// The mean; None if there are no numbers.
pub fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Mean and standard deviation (of the population); zeros if there are no numbers.
pub fn moments(numbers: impl IntoIterator<Item = f64, IntoIter: Clone>) -> (f64, f64) {
    let numbers = numbers.into_iter();
    let count = numbers.clone().count().max(1) as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let variance = numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9.1:
    /// ```python
    /// X = np.array([[8, 0.1, 3802], [16, 0.1, 3802], [24, 0.1, 3802], [24, 0.1, 3801.5]])
    /// s = StandardScaler().fit(X); print(s.mean_, s.scale_, s.transform(X)[3])
    /// ```
    #[test]
    fn it_agrees_with_scikit_learn() {
        let rows = [[8.0, 0.1, 3802.0], [16.0, 0.1, 3802.0], [24.0, 0.1, 3802.0], [24.0, 0.1, 3801.5]];
        let scaler = StandardScaler::fit(3, rows.iter().map(<[f64; 3]>::as_slice));
        assert_eq!(scaler.mean, [18.0, 0.1, 3801.875]);
        assert_eq!(scaler.scale, [6.6332495807108, 1.0, 0.21650635094610965]);
        assert!(scaler.transformed(&rows[3]).eq([0.9045340337332909, 0.0, -1.7320508075688774]));
    }

    #[test]
    fn moments_are_those_of_the_population() {
        assert_eq!(moments([1.0, 3.0]), (2.0, 1.0));
        assert_eq!((moments([]), mean(&[]), mean(&[1.0, 2.0])), ((0.0, 0.0), None, Some(1.5)));
    }
}
