//! How often a sensor has something new, as its readings show.

/// So many of the newest times between updates are kept.
const KEPT: usize = 32;

/// A period is learned from so many of them.
const LEAST: usize = 4;

/// The times at which a sensor had something new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Updates {
    value: Option<f64>,
    /// When the last update was seen.
    last: Option<f64>,
    gaps: [f64; KEPT],
    seen: usize,
    /// Whether the sensor itself tells when it has something new.
    are_told: bool,
}

impl Updates {
    /// Takes a reading. A sensor that is polled had something new if the value is another one, and one that says when it is renewed
    /// (`is_new`) also if the value is the same.
    pub(crate) fn read(&mut self, time: f64, value: f64, is_new: bool) {
        let is_first = self.value.is_none();
        self.are_told = is_new;
        if !is_new && self.value == Some(value) {
            return;
        }
        self.value = Some(value);
        if let Some(last) = self.last {
            self.gaps[self.seen % KEPT] = time - last;
            self.seen += 1;
        }
        // Nobody knows how old a value was when it was polled first.
        self.last = (is_new || !is_first).then_some(time);
    }

    /// The time between updates, seconds. A steady power changes less often than it is renewed, and a sampler that comes late sees two
    /// updates as one, so this is the lower quartile and not the median.
    pub(crate) fn observed(&self) -> Option<f64> {
        let count = self.seen.min(KEPT);
        let mut gaps = self.gaps;
        gaps[..count].sort_by(f64::total_cmp);
        gaps[..count].get(count / 4).copied()
    }

    /// The same, if enough of them were seen to rely on it.
    pub(crate) fn learned(&self) -> Option<f64> {
        self.observed().filter(|_| self.seen >= LEAST)
    }

    /// The same, if the sensor itself tells when it has something new: a log, by its lines. A steady power that is
    /// polled may change seldom.
    pub(crate) fn told(&self) -> Option<f64> {
        if self.are_told { self.learned() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(is_new: bool, readings: impl IntoIterator<Item = (f64, f64)>) -> Updates {
        let mut updates = Updates::default();
        readings.into_iter().for_each(|(time, value)| updates.read(time, value, is_new));
        updates
    }

    #[test]
    fn a_period_is_the_time_between_changes() {
        // Polled every 10 ms, renewed every 100 ms, and every third value is that before.
        let polled = (0..400).map(|i| (f64::from(i) / 100.0, f64::from(i / 10 - i / 30)));
        let period = observed(false, polled).learned().unwrap();
        assert!((period - 0.1).abs() < 1e-9, "{period}");
    }

    #[test]
    fn too_few_changes_teach_nothing() {
        let steady = (0..400).map(|i| (f64::from(i) / 100.0, f64::from(i / 100)));
        let updates = observed(false, steady);
        assert_eq!(updates.learned(), None, "three changes");
        assert_eq!(updates.observed(), Some(1.0));
        assert_eq!(observed(false, (0..9).map(|i| (f64::from(i), 5.0))).observed(), None);
    }

    #[test]
    fn a_line_of_a_log_is_something_new_whatever_it_says() {
        assert_eq!(observed(true, (0..9).map(|i| (f64::from(i), 5.0))).learned(), Some(1.0));
    }
}
