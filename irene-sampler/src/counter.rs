use crate::Channel;

/// Reads a counter of energy that wraps around and may be reset.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    wraps_at: Option<f64>,
    limit_watts: f64,
    /// The sensor shows at once what it counted in so many seconds, however close two readings are.
    update_period: f64,
    /// Time and joules of the last reading.
    last: Option<(f64, f64)>,
}

impl Counter {
    /// A counter with the limits of a channel.
    pub(crate) fn of(channel: &Channel) -> Self {
        let update_period = channel.update_period.map_or(0.0, |period| period.as_secs_f64());
        Self { wraps_at: channel.wraps_at, limit_watts: channel.limit_watts, update_period, last: None }
    }

    /// The last reading.
    pub(crate) fn reading(&self) -> Option<f64> {
        self.last.map(|(_, joules)| joules)
    }

    /// Joules used since the last reading, 0 at the first. None if the readings do not tell: after a reset, when the counter may have
    /// wrapped around more than once, and when the device cannot draw so much.
    pub(crate) fn advance(&mut self, time: f64, joules: f64) -> Option<f64> {
        let Some((last_time, last)) = self.last.replace((time, joules)) else { return Some(0.0) };
        let most = self.limit_watts * (time - last_time + self.update_period);
        let used = match self.wraps_at {
            Some(end) if most >= end => return None,
            Some(end) if joules < last && joules >= 0.0 && last <= end => joules + (end - last),
            _ => joules - last,
        };
        (0.0..=most).contains(&used).then_some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Resource};

    fn used(wraps_at: Option<f64>, readings: &[(f64, f64)]) -> Vec<Option<f64>> {
        let limits = Channel::new(Resource::Gpu(0), Metric::Energy);
        let mut counter = Counter::of(&Channel { wraps_at, limit_watts: 30.0, ..limits });
        readings.iter().map(|&(time, joules)| counter.advance(time, joules)).collect()
    }

    #[test]
    fn a_wrap_goes_on_and_a_reset_is_unknown() {
        let readings = [(0.0, 80.0), (1.0, 95.0), (2.0, 5.0), (3.0, 10.0)];
        assert_eq!(used(Some(100.0), &readings), [Some(0.0), Some(15.0), Some(10.0), Some(5.0)]);
        assert_eq!(used(None, &readings), [Some(0.0), Some(15.0), None, Some(5.0)]);
        assert_eq!(used(Some(100.0), &[(0.0, 50.0), (1.0, 0.0)])[1], None, "50 J round the end in 1 s is too much");
    }

    #[test]
    fn a_long_pause_may_hide_wraps() {
        assert_eq!(used(Some(100.0), &[(0.0, 10.0), (4.0, 20.0)])[1], None);
    }

    #[test]
    fn a_counter_may_count_as_much_as_the_device_draws_and_no_more() {
        assert_eq!(used(None, &[(0.0, 5.0), (1.0, 35.0)])[1], Some(30.0));
        assert_eq!(used(None, &[(0.0, 5.0), (1.0, 35.1)])[1], None);
        // It shows at once what it counted since it was renewed.
        let limits = Channel::new(Resource::Gpu(0), Metric::Energy);
        let update_period = Some(std::time::Duration::from_secs(1));
        let mut counter = Counter::of(&Channel { update_period, limit_watts: 30.0, ..limits });
        assert_eq!((counter.reading(), counter.advance(0.0, 5.0), counter.reading()), (None, Some(0.0), Some(5.0)));
        assert_eq!((counter.advance(1.0, 65.0), counter.advance(2.0, 126.0)), (Some(60.0), None));
    }

    #[test]
    fn a_reading_below_zero_or_beyond_the_end_is_no_wrap() {
        assert_eq!(used(Some(100.0), &[(0.0, 99.0), (1.0, -0.5)])[1], None);
        assert_eq!(used(Some(100.0), &[(0.0, 101.0), (1.0, 5.0)])[1], None);
        assert_eq!(used(Some(100.0), &[(0.0, 100.0), (1.0, 5.0)])[1], Some(5.0));
        // In two seconds it may have gone round once and stand where it stood.
        assert_eq!(used(Some(60.0), &[(0.0, 5.0), (2.0, 10.0)])[1], None);
    }
}
