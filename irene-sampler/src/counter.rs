use crate::Channel;

/// An energy counter that wraps around and may be reset, as one that only grows.
///
/// What it gives is never less than before, and never grows faster than the device can draw. Where the readings leave open how
/// much was used (a reset, more than one wrap, an impossible step), it says so instead.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Where the counter wraps around, joules; None if nobody says.
    range: Option<f64>,
    /// What the device can draw, watts.
    limit_watts: f64,
    /// Between two readings, however close, the sensor may show what it counted in so many seconds at once.
    update_period: f64,
    /// Time and reading.
    last: Option<(f64, f64)>,
    total: f64,
}

/// What a reading says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Joules used since the first reading.
    Total(f64),
    /// The same, with an unknown amount used since the reading before.
    Broken(f64),
}

impl Counter {
    /// A counter from 0 to `range` joules, on a device that draws at most `limit_watts`.
    pub fn new(range: Option<f64>, limit_watts: f64) -> Self {
        Self { range, limit_watts, update_period: 0.0, last: None, total: 0.0 }
    }

    /// The counter of a channel, by what the channel says of its device.
    pub fn of(channel: &Channel, range: Option<f64>) -> Self {
        let update_period = channel.update_period.map_or(0.0, |period| period.as_secs_f64());
        Self { update_period, ..Self::new(range, channel.limit_watts) }
    }

    /// Takes a reading, joules, at a time in seconds. None for one that is no number or not later than the one before.
    pub fn advance(&mut self, time: f64, joules: f64) -> Option<Step> {
        if !joules.is_finite() || !time.is_finite() {
            return None;
        }
        let Some((last_time, last)) = self.last else {
            self.last = Some((time, joules));
            return Some(Step::Total(self.total));
        };
        let elapsed = time - last_time;
        if elapsed <= 0.0 {
            return None;
        }
        self.last = Some((time, joules));
        let most = self.limit_watts * (elapsed + self.update_period);
        let delta = match self.range {
            // In this time it may have gone round more than once.
            Some(range) if most >= range => None,
            Some(range) if joules < last && joules >= 0.0 && last <= range => Some(joules + (range - last)),
            _ => Some(joules - last),
        };
        match delta.filter(|delta| (0.0..=most).contains(delta)) {
            Some(delta) => {
                self.total += delta;
                Some(Step::Total(self.total))
            }
            None => Some(Step::Broken(self.total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(counter: &mut Counter, readings: &[f64]) -> Vec<Step> {
        readings.iter().enumerate().filter_map(|(time, &joules)| counter.advance(time as f64, joules)).collect()
    }

    #[test]
    fn a_wrap_goes_on_and_a_reset_is_a_break() {
        use Step::{Broken, Total};
        let mut wraps = Counter::new(Some(100.0), 30.0);
        assert_eq!(steps(&mut wraps, &[80.0, 95.0, 5.0, 10.0]), [Total(0.0), Total(15.0), Total(25.0), Total(30.0)]);
        let mut unknown_range = Counter::new(None, 30.0);
        assert_eq!(
            steps(&mut unknown_range, &[80.0, 95.0, 5.0, 10.0]),
            [Total(0.0), Total(15.0), Broken(15.0), Total(20.0)]
        );
        let mut reset = Counter::new(Some(100.0), 30.0);
        assert_eq!(steps(&mut reset, &[50.0, 0.0]), [Total(0.0), Broken(0.0)], "50 J round the end in 1 s is too much");
    }

    #[test]
    fn a_long_pause_may_hide_wraps() {
        let mut counter = Counter::new(Some(100.0), 30.0);
        counter.advance(0.0, 10.0);
        assert_eq!(counter.advance(4.0, 20.0), Some(Step::Broken(0.0)));
    }
}
