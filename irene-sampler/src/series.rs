mod window;

use std::collections::VecDeque;

pub use window::{Window, WindowError};

use crate::{Averaging, Channel, Metric, counter::Counter, updates::Updates};

/// The newest readings of one channel. It allocates when it is made, and as it grows beyond 65,536 readings.
#[derive(Clone, Debug)]
pub struct Series {
    metric: Metric,
    limit_watts: f64,
    longest_gap: f64,
    /// How often it has something new by its maker, seconds.
    told_period: Option<f64>,
    averaging: Averaging,
    updates: Updates,
    counter: Counter,
    capacity: usize,
    /// Time in seconds, and reading; for energy the sum since the first reading.
    points: VecDeque<(f64, f64)>,
    /// Times of a counter's readings after a break: how much was used before them is unknown.
    breaks: VecDeque<f64>,
    pushed: u64,
    /// The integral of a power since the first reading, J.
    integral: f64,
    gaps: u64,
}

/// An energy must cover so many updates of its sensor.
const UPDATES: f64 = 2.0;

/// So many breaks are remembered. A counter that is reset makes one.
const BREAKS: usize = 64;

impl Series {
    /// An empty series that keeps `capacity` readings.
    pub fn new(channel: &Channel, capacity: usize) -> Self {
        Self {
            metric: channel.id.metric,
            limit_watts: channel.limit_watts,
            longest_gap: channel.longest_gap.as_secs_f64(),
            told_period: channel.update_period.map(|period| period.as_secs_f64()),
            averaging: channel.averaging,
            updates: Updates::default(),
            counter: Counter::of(channel),
            capacity: capacity.max(2),
            // Room for what most need; a log may have far more.
            points: VecDeque::with_capacity(capacity.clamp(2, 1 << 16)),
            breaks: VecDeque::with_capacity(BREAKS),
            pushed: 0,
            integral: 0.0,
            gaps: 0,
        }
    }

    /// Adds a reading, unless it is no number, not later than the one before, or an impossible power.
    ///
    /// A counter of energy may wrap around. If it was reset, or counts more than the device can draw, no window across this reading
    /// has an energy.
    pub fn push(&mut self, time: f64, value: f64) {
        self.add(time, value, false);
    }

    /// The same. A sensor that has taken its reading anew (`is_new`) has something new even if the value is that before.
    pub(crate) fn add(&mut self, time: f64, value: f64, is_new: bool) {
        let is_later = self.points.back().is_none_or(|&(last, _)| time > last);
        let is_possible = self.metric != Metric::Power || (0.0..=self.limit_watts).contains(&value);
        if !(value.is_finite() && time.is_finite() && is_later && is_possible) {
            return;
        }
        self.updates.read(time, value, is_new);
        let value = if self.metric == Metric::Energy { self.count(time, value) } else { value };
        if self.metric == Metric::Power {
            self.integrate(time, value);
        }
        if self.points.len() == self.capacity {
            self.points.pop_front();
        }
        self.points.push_back((time, value));
        self.pushed += 1;
    }

    /// The sum of the energy after a counter's reading.
    fn count(&mut self, time: f64, joules: f64) -> f64 {
        let so_far = self.points.back().map_or(0.0, |&(_, total)| total);
        let used = self.counter.advance(time, joules);
        if used.is_none() {
            self.break_before(time);
        }
        so_far + used.unwrap_or(0.0)
    }

    /// Adds the energy of a power since the reading before.
    fn integrate(&mut self, time: f64, watts: f64) {
        let Some(&(last_time, last_watts)) = self.points.back() else { return };
        let seconds = time - last_time;
        if seconds <= self.longest_gap() {
            self.integral += (last_watts + watts) / 2.0 * seconds;
        } else {
            self.gaps += 1;
        }
    }

    /// Joules from the first reading to the newest, for power and energy: they never fall, and they go on when old readings are
    /// dropped. Energy that is unknown (before a reset, in a gap) is not in them; [`gaps`](Self::gaps) counts how often that was.
    pub fn joules(&self) -> Option<f64> {
        let &(_, newest) = self.points.back()?;
        match self.metric {
            Metric::Energy => Some(newest),
            Metric::Power => Some(self.integral),
            _ => None,
        }
    }

    /// The same up to a time between two readings that are kept.
    pub fn joules_at(&self, time: f64) -> Option<f64> {
        let newest = self.joules()?;
        let [oldest, last] = self.span()?;
        if !(oldest..=last).contains(&time) {
            return None;
        }
        let first = self.points.partition_point(|&(before, _)| before <= time) - 1;
        let steps = self.points().skip(first).zip(self.points().skip(first + 1));
        let is_known = |(start, end): &((f64, f64), (f64, f64))| {
            self.metric != Metric::Power || end.0 - start.0 <= self.longest_gap()
        };
        let later: f64 = steps.filter(is_known).map(|(start, end)| self.energy_between(start, end, time, last)).sum();
        Some(newest - later)
    }

    /// How often the energy between two readings was unknown: a counter was reset or cannot have counted right, or power was not read
    /// for too long.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Says that an unknown amount was used before the reading of this time.
    pub(crate) fn break_before(&mut self, time: f64) {
        if self.breaks.back() == Some(&time) {
            return;
        }
        self.gaps += 1;
        if self.breaks.len() == BREAKS
            && let Some(forgotten) = self.breaks.pop_front()
        {
            // No window may reach across a break that is forgotten.
            let gone = self.points.partition_point(|&(time, _)| time < forgotten);
            self.points.drain(..gone);
        }
        self.breaks.push_back(time);
    }

    /// Whether an unknown amount was used after one reading and up to another.
    pub(crate) fn is_broken(&self, after: f64, to: f64) -> bool {
        self.breaks.iter().any(|&time| time > after && time <= to)
    }

    /// Time and value of the readings, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + ExactSizeIterator + Clone + '_ {
        self.points.iter().copied()
    }

    /// The times of the oldest and the newest reading.
    pub(crate) fn span(&self) -> Option<[f64; 2]> {
        Some([self.points.front()?.0, self.points.back()?.0])
    }

    /// The amount that a counter counted over the readings.
    pub(crate) fn counted(&self) -> f64 {
        self.points.back().zip(self.points.front()).map_or(0.0, |(newest, oldest)| newest.1 - oldest.1)
    }

    /// The last reading of a counter, as it stands in the device.
    pub(crate) fn counter_reading(&self) -> Option<f64> {
        self.counter.reading()
    }

    /// The number of readings that were ever added; only the newest are kept.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How often the sensor has something new, seconds, by the newest readings: the lower quartile of the times between changes.
    pub fn observed_period(&self) -> Option<f64> {
        self.updates.observed()
    }

    /// How often the sensor has something new, seconds: what its maker tells or its readings show, whichever is less. None if neither
    /// is known.
    pub fn update_period(&self) -> Option<f64> {
        let learned = self.updates.learned();
        self.told_period.map(|told| learned.map_or(told, |learned| told.min(learned))).or(learned)
    }

    /// Power is not interpolated over a longer time without readings, seconds: that of its channel, or two lines of a log that is written
    /// less often.
    pub fn longest_gap(&self) -> f64 {
        self.longest_gap.max(UPDATES * self.line_period())
    }

    /// How often a log has a new line, seconds; 0 for what is no log, or was not seen long enough.
    pub(crate) fn line_period(&self) -> f64 {
        self.updates.told().unwrap_or(0.0)
    }

    /// The least change between one reading and the next: what the sensor can tell apart.
    pub fn observed_resolution(&self) -> Option<f64> {
        let pairs = self.points().zip(self.points().skip(1));
        let steps = pairs.map(|((_, before), (_, after))| (after - before).abs()).filter(|&step| step > 0.0);
        steps.min_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn room_for_very_many_readings_is_not_taken_before_they_come() {
        let series = Series::new(&Channel::new(Resource::Gpu(0), Metric::Power), 1 << 22);
        assert!(series.capacity == 1 << 22 && series.points.capacity() < 1 << 18, "{}", series.points.capacity());
    }
}
