use irene_numerics::{mean, quantile};

/// Absolute percentage errors 100·|P - M| / M of predictions P of measurements M, each given by its ratio P / M.
///
/// ```
/// let errors: irene_requests::PercentErrors = [0.9, 1.2, 1.0].into_iter().collect();
/// assert_eq!((errors.count(), errors.median().map(f64::round)), (3, Some(10.0)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PercentErrors {
    percentages: Vec<f64>,
    inside: usize,
    with_interval: usize,
}

impl PercentErrors {
    /// Adds a prediction that has no interval.
    pub fn add(&mut self, ratio: f64) {
        self.percentages.push(100.0 * (ratio - 1.0).abs());
    }

    /// Adds a prediction, and whether the measurement is inside its interval.
    pub fn add_with_interval(&mut self, ratio: f64, is_inside: bool) {
        self.add(ratio);
        self.with_interval += 1;
        self.inside += usize::from(is_inside);
    }

    /// The number of predictions.
    pub fn count(&self) -> usize {
        self.percentages.len()
    }

    /// The median error, percent; None without errors.
    pub fn median(&self) -> Option<f64> {
        self.at_share(0.5)
    }

    /// The mean error, percent; None without errors.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.percentages)
    }

    /// The error that nine in ten do not exceed, percent; None without errors.
    pub fn p90(&self) -> Option<f64> {
        self.at_share(0.9)
    }

    /// The share of the measurements that are inside their interval; None without one.
    pub fn coverage(&self) -> Option<f64> {
        (self.with_interval > 0).then(|| self.inside as f64 / self.with_interval as f64)
    }

    fn at_share(&self, share: f64) -> Option<f64> {
        let mut sorted = self.percentages.clone();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, share)
    }
}

impl FromIterator<f64> for PercentErrors {
    fn from_iter<T: IntoIterator<Item = f64>>(ratios: T) -> Self {
        let mut errors = Self::default();
        ratios.into_iter().for_each(|ratio| errors.add(ratio));
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_without_an_interval_say_nothing_of_coverage() {
        let mut errors: PercentErrors = [2.0].into_iter().collect();
        assert_eq!((errors.mean(), errors.coverage()), (Some(100.0), None));
        errors.add_with_interval(0.5, true);
        errors.add_with_interval(1.0, false);
        assert_eq!((errors.mean(), errors.median(), errors.coverage()), (Some(50.0), Some(50.0), Some(0.5)));
        assert_eq!(PercentErrors::default().median(), None);
    }
}
