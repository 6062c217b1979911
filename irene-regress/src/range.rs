use crate::{Result, Store};

/// Least and greatest value of each of N numbers in the training data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range<const N: usize>([[f64; 2]; N]);

impl<const N: usize> Range<N> {
    pub(crate) fn of(rows: impl Iterator<Item = [f64; N]>) -> Self {
        let widened = |range: [[f64; 2]; N], row: [f64; N]| {
            std::array::from_fn(|column| [range[column][0].min(row[column]), range[column][1].max(row[column])])
        };
        Self(rows.fold([[f64::INFINITY, f64::NEG_INFINITY]; N], widened))
    }

    /// The range that holds both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let both = |column: usize| {
            let ([low, high], [other_low, other_high]) = (self.0[column], other.0[column]);
            [low.min(other_low), high.max(other_high)]
        };
        Self(std::array::from_fn(both))
    }

    /// The factor by which each number is beyond the nearest value that was seen, if it is.
    pub(crate) fn beyond(&self, row: &[f64; N]) -> [Option<f64>; N] {
        // Numbers that went through text may differ in the last digits.
        const SLACK: f64 = 1e-9;
        // Added to both, so that zeros have a ratio.
        const LEAST: f64 = 1e-9;
        // A feature that the training data never has lies this far out.
        const MOST: f64 = 1e6;
        std::array::from_fn(|column| {
            let ([low, high], value) = (self.0[column], row[column]);
            let factor = if value > high { (value + LEAST) / (high + LEAST) } else { (low + LEAST) / (value + LEAST) };
            (factor > 1.0 + SLACK).then_some(factor.min(MOST))
        })
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        store.put(name, self.0.as_flattened());
    }

    pub(crate) fn read(name: &str, store: &Store) -> Result<Self> {
        let ends = store.take(name, 2 * N)?;
        Ok(Self(std::array::from_fn(|column| [ends[2 * column], ends[2 * column + 1]])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_factor_to_the_nearest_end() {
        let range = Range::of([[1.0, 10.0], [4.0, 20.0]].into_iter());
        assert_eq!(range.beyond(&[2.0, 20.0]), [None, None]);
        let [below, above] = range.beyond(&[0.5, 30.0]).map(Option::unwrap);
        assert!((below - 2.0).abs() < 1e-5 && (above - 1.5).abs() < 1e-5, "{below} {above}");
    }
}
