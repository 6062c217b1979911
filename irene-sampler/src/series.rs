use std::collections::VecDeque;

use crate::{Channel, Unit};

/// The readings of one channel, of which the newest are kept. Nothing is allocated after the start.
#[derive(Clone, Debug)]
pub struct Series {
    unit: Unit,
    limit_watts: f64,
    longest_gap: f64,
    update_period: f64,
    capacity: usize,
    /// Time in seconds, and reading.
    points: VecDeque<(f64, f64)>,
    /// Times of counter readings before which an unknown amount was used.
    breaks: VecDeque<f64>,
    pushed: u64,
    refused: u64,
}

/// What a channel did between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Mean; of energy channels the mean power in watts.
    pub mean: f64,
    /// Standard deviation of the readings; of counters, of the power between them.
    pub std: f64,
    /// Least reading; of counters, least power between two.
    pub min: f64,
    /// Greatest reading; of counters, greatest power between two.
    pub max: f64,
    /// Joules, of energy channels.
    pub energy: Option<f64>,
    /// Watts, of energy channels: the greatest reading; of counters, the greatest mean over [`PEAK_SPAN`], or the mean of a
    /// shorter window. Over less, the steps in which sensors count would be taken for peaks.
    pub peak: Option<f64>,
    /// Readings inside the window that the figures rest on; of counters, readings that differ from the one before.
    pub readings: usize,
}

/// Why there are no figures for a window.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum WindowError {
    /// Readings do not reach from its start to its end.
    #[error("the readings do not cover it")]
    NotCovered,
    /// Too few readings lie inside.
    #[error("it holds {0} readings, which is too few")]
    TooFew(usize),
    /// It is shorter than the sensor's own update period.
    #[error("it is shorter than the sensor's update period of {0} s")]
    TooShort(f64),
    /// Power was not read for too long inside.
    #[error("there is a gap of {0:.1} s between readings")]
    Gap(f64),
    /// A counter was reset inside, or went further round than can be told.
    #[error("the counter was reset, or cannot have counted right")]
    Broken,
}

/// Seconds over which a counter's power is averaged at least where its peak is looked for.
pub const PEAK_SPAN: f64 = 0.1;

/// Readings that an energy must rest on.
const LEAST_READINGS: usize = 2;

/// Breaks that are remembered; there is one when a counter is reset.
const BREAKS: usize = 64;

/// How far sums of energies are off at most, as a share.
const ROUNDING: f64 = 1e-12;

impl Series {
    /// An empty series that keeps `capacity` readings.
    pub fn new(channel: &Channel, capacity: usize) -> Self {
        Self {
            unit: channel.unit,
            limit_watts: channel.limit_watts,
            longest_gap: channel.longest_gap.as_secs_f64(),
            update_period: channel.update_period.map_or(0.0, |period| period.as_secs_f64()),
            capacity: capacity.max(2),
            points: VecDeque::with_capacity(capacity.max(2)),
            breaks: VecDeque::with_capacity(BREAKS),
            pushed: 0,
            refused: 0,
        }
    }

    /// Adds a reading. One that is no number, not later than the one before, or a power that cannot be, is left out; an energy
    /// below the one before, or above it by more than the device can draw, was counted by somebody who lost count in between.
    pub fn push(&mut self, time: f64, value: f64) {
        let last = self.points.back().copied();
        let late = last.is_none_or(|(last, _)| time > last);
        let possible = self.unit != Unit::Watts || (0.0..=self.limit_watts).contains(&value);
        if !(value.is_finite() && time.is_finite() && late && possible) {
            self.refused += 1;
            return;
        }
        if let Some((last_time, last)) = last.filter(|_| self.unit == Unit::Joules) {
            // A sensor shows what it counted in one of its own periods at once.
            let most = self.limit_watts * (time - last_time + self.update_period) + ROUNDING * value.abs();
            if !(0.0..=most).contains(&(value - last)) {
                self.break_before(time);
            }
        }
        if self.points.len() == self.capacity {
            self.points.pop_front();
        }
        self.points.push_back((time, value));
        self.pushed += 1;
    }

    /// Adds a counter's reading before which an unknown amount was used.
    pub fn push_broken(&mut self, time: f64, value: f64) {
        self.break_before(time);
        self.push(time, value);
    }

    fn break_before(&mut self, time: f64) {
        if self.breaks.back() == Some(&time) {
            return;
        }
        if self.breaks.len() == BREAKS
            && let Some(forgotten) = self.breaks.pop_front()
        {
            // What lies before a break that is forgotten must not bear figures across it.
            let gone = self.points.partition_point(|&(time, _)| time < forgotten);
            self.points.drain(..gone);
        }
        self.breaks.push_back(time);
    }

    /// Time and value of the readings that are kept, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + ExactSizeIterator + Clone + '_ {
        self.points.iter().copied()
    }

    /// Readings ever taken; the oldest of more than the capacity are gone.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Readings that were left out.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Median time between changes of the value, seconds: how often the sensor really has something new.
    pub fn observed_period(&self) -> Option<f64> {
        let mut changes = Vec::new();
        let mut last: Option<f64> = None;
        for (time, value) in self.points() {
            if last != Some(value) {
                changes.push(time);
                last = Some(value);
            }
        }
        let mut periods: Vec<f64> = changes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        periods.sort_by(f64::total_cmp);
        periods.get(periods.len() / 2).copied()
    }

    /// The least difference between two readings after one another that differ: what the sensor can tell apart.
    pub fn observed_resolution(&self) -> Option<f64> {
        let pairs = self.points().zip(self.points().skip(1));
        let steps = pairs.map(|((_, before), (_, after))| (after - before).abs()).filter(|&step| step > 0.0);
        steps.min_by(f64::total_cmp)
    }

    /// What happened from `from` to `to`, seconds. Energies of windows that adjoin add up to that of the whole.
    ///
    /// # Errors
    /// [`WindowError`] if the readings do not bear a figure.
    pub fn window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        if self.unit.is_energy() { self.energy_window(from, to) } else { self.gauge_window(from, to) }
    }

    fn gauge_window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        // Of a window whose beginning is no longer kept, the rest is not the whole.
        let is_cut =
            self.pushed > self.points.len() as u64 && self.points.front().is_none_or(|&(oldest, _)| oldest > from);
        if is_cut {
            return Err(WindowError::NotCovered);
        }
        let values = || self.points().filter(|(time, _)| (from..=to).contains(time)).map(|(_, value)| value);
        let readings = values().count();
        if readings == 0 {
            return Err(WindowError::TooFew(0));
        }
        let spread = Spread::of(values());
        Ok(Window {
            mean: spread.mean,
            std: spread.std,
            min: spread.min,
            max: spread.max,
            energy: None,
            peak: None,
            readings,
        })
    }

    fn energy_window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        let covered = |points: &VecDeque<(f64, f64)>| points.front()?.0.le(&from).then_some(points.back()?.0 >= to);
        if to <= from || covered(&self.points) != Some(true) {
            return Err(WindowError::NotCovered);
        }
        if to - from < self.update_period {
            return Err(WindowError::TooShort(self.update_period));
        }
        // The readings inside, and one on each side.
        let first = self.points.partition_point(|&(time, _)| time <= from) - 1;
        let last = self.points.partition_point(|&(time, _)| time < to).max(first + 1).min(self.points.len() - 1);
        if self.breaks.iter().any(|&time| time > self.points[first].0 && time <= self.points[last].0) {
            return Err(WindowError::Broken);
        }
        let steps = || (first..last).map(|i| (self.points[i], self.points[i + 1]));
        if self.unit == Unit::Watts
            && let Some(gap) = steps().map(|((start, _), (end, _))| end - start).find(|&gap| gap > self.longest_gap)
        {
            return Err(WindowError::Gap(gap));
        }
        let energy: f64 = steps().map(|(start, end)| self.energy_between(start, end, from, to)).sum();
        let inside = |&(time, _): &(f64, f64)| (from..=to).contains(&time);
        let readings = match self.unit {
            Unit::Watts => (first..=last).filter(|&i| inside(&self.points[i])).count(),
            _ => steps().filter(|(start, end)| start.1 != end.1 && inside(end)).count(),
        };
        if readings < LEAST_READINGS {
            return Err(WindowError::TooFew(readings));
        }
        let spread = match self.unit {
            Unit::Watts => Spread::of((first..=last).map(|i| self.points[i]).filter(inside).map(|(_, watts)| watts)),
            _ => Spread::of(steps().map(|((start, before), (end, after))| (after - before) / (end - start))),
        };
        let mean = energy / (to - from);
        let peak = match self.unit {
            Unit::Watts => spread.max,
            _ => self.counted_peak(first, last, from, to).unwrap_or(mean),
        };
        // Between the readings at the edges it may have been more.
        let peak = peak.max(mean);
        let Spread { std, min, max, .. } = spread;
        Ok(Window { mean, std, min, max, energy: Some(energy), peak: Some(peak), readings })
    }

    /// The greatest mean power between two changes of a counter inside the window that lie [`PEAK_SPAN`] apart or a little more.
    fn counted_peak(&self, first: usize, last: usize, from: f64, to: f64) -> Option<f64> {
        let changed = |&i: &usize| {
            let (time, value) = self.points[i];
            (from..=to).contains(&time) && i > 0 && self.points[i - 1].1 != value
        };
        let mut ends = (first..=last).filter(changed).peekable();
        let mut peak: Option<f64> = None;
        for (start, before) in (first..=last).filter(changed).map(|i| self.points[i]) {
            while ends.next_if(|&end| self.points[end].0 < start + PEAK_SPAN).is_some() {}
            let Some((end, after)) = ends.peek().map(|&end| self.points[end]) else { break };
            let watts = (after - before) / (end - start);
            peak = Some(peak.map_or(watts, |peak| peak.max(watts)));
        }
        peak
    }

    /// Joules between two neighbouring readings, as far as they lie inside the window: readings are joined by straight lines.
    fn energy_between(&self, (start, before): (f64, f64), (end, after): (f64, f64), from: f64, to: f64) -> f64 {
        let (left, right) = (start.max(from), end.min(to));
        if right <= left {
            return 0.0;
        }
        let share = |time: f64| time / (end - start);
        match self.unit {
            // The power in the middle, of which there is as much below as above.
            Unit::Watts => (before + (after - before) * share((left + right) / 2.0 - start)) * (right - left),
            _ => (after - before) * share(right - left),
        }
    }
}

struct Spread {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let std = (values.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let min = values.clone().fold(f64::INFINITY, f64::min);
        Self { mean, std, min, max: values.fold(f64::NEG_INFINITY, f64::max) }
    }
}
