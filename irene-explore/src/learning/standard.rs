use irene_numerics::moments;
use serde::{Deserialize, Serialize};

/// A coordinate further than this many deviations from the training data's mean counts as this far: nothing is extrapolated beyond.
const FARTHEST: f64 = 4.0;
/// Added to deviations, so that a column of equal values can be divided by.
const LEAST: f64 = 1e-9;

/// Coordinates with a mean of 0 and a deviation of 1 on the training data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Standard {
    pub(super) means: Vec<f64>,
    pub(super) deviations: Vec<f64>,
}

impl Standard {
    /// From points of equal length.
    pub(crate) fn of<P: AsRef<[f64]>>(points: &[P]) -> Self {
        let size = points.first().map_or(0, |point| point.as_ref().len());
        let of_column = |at: usize| {
            let (mean, deviation) = moments(points.iter().map(|point| point.as_ref()[at]));
            (mean, deviation + LEAST)
        };
        let (means, deviations) = (0..size).map(of_column).unzip();
        Self { means, deviations }
    }

    /// The scaled coordinates of a point.
    pub(crate) fn place(&self, point: &[f64]) -> Vec<f64> {
        let scales = self.means.iter().zip(&self.deviations);
        point.iter().zip(scales).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
    }

    /// The same, clamped to the reach of what was learned.
    pub(crate) fn within_reach(&self, point: &[f64]) -> Vec<f64> {
        let mut place = self.place(point);
        place.iter_mut().for_each(|value| *value = value.clamp(-FARTHEST, FARTHEST));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_mean_0_and_deviation_1_and_an_end() {
        let points = [[1.0, 7.0], [3.0, 7.0]];
        let standard = Standard::of(&points);
        let places = points.map(|point| standard.within_reach(&point));
        assert!((places[0][0] + 1.0).abs() < 1e-8 && (places[1][0] - 1.0).abs() < 1e-8);
        assert_eq!([places[0][1], places[1][1]], [0.0, 0.0], "what never differs says nothing");
        assert_eq!(standard.within_reach(&[1e6, 7.0]), [4.0, 0.0]);
        assert!((standard.place(&[12.0, 7.0])[0] - 10.0).abs() < 1e-6);
    }
}
