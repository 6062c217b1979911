use serde::{Deserialize, Serialize};

/// A mean and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95% confidence interval of the mean (Student's t); None from a single value.
    pub half_width: Option<f64>,
}

/// Student's t for a two-sided 95% interval at 1, 2 ... degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

impl Mean {
    /// The mean of independent values; None if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let half_width = (count > 1).then(|| {
            let freedom = count - 1;
            Self::student_t(freedom) * (squares / freedom as f64 / count as f64).sqrt()
        });
        Some(Self { mean, half_width })
    }

    /// Student's t for a two-sided 95% interval with so many degrees of freedom; infinite with none.
    pub fn student_t(freedom: usize) -> f64 {
        // Beyond the table t is 1.96 + 2.4 / freedom to three digits.
        let place = freedom.checked_sub(1);
        place.map_or(f64::INFINITY, |place| T.get(place).copied().unwrap_or(1.96 + 2.4 / freedom as f64))
    }

    /// Whether half the interval is at most this share of the mean.
    pub fn is_within(&self, share: f64) -> bool {
        self.half_width.is_some_and(|half_width| half_width <= share * self.mean.abs())
    }

    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, half_width: self.half_width.map(|half_width| half_width * factor.abs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_students_t() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[3.0]), Some(Mean { mean: 3.0, half_width: None }));
        let five = Mean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        // s = sqrt(2.5), t(4) = 2.776.
        assert!((five.half_width.unwrap() - 2.776 * (2.5f64 / 5.0).sqrt()).abs() < 1e-12);
        assert!(five.is_within(0.7) && !five.is_within(0.6));
    }

    #[test]
    fn t_comes_from_the_table_and_then_from_its_limit() {
        let found = [0, 1, 2, 30, 31, 240].map(Mean::student_t);
        assert_eq!(found, [f64::INFINITY, 12.706, 4.303, 2.042, 1.96 + 2.4 / 31.0, 1.97]);
    }

    #[test]
    fn an_interval_is_held_against_the_size_of_the_mean() {
        let within = |half_width, share| Mean { mean: -2.0, half_width }.is_within(share);
        assert!(within(Some(0.5), 0.25) && !within(Some(0.5), 0.24) && !within(None, 1e9));
    }
}
