//! The figures of a channel between two times.

use std::collections::VecDeque;

use super::{Series, UPDATES};
use crate::Metric;

/// A channel's figures between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Window {
    /// Mean of the readings; for power and energy the mean power, W.
    pub mean: f64,
    /// Standard deviation of the readings; for energy that of the power between two readings, W.
    pub std: f64,
    /// Least reading; for energy the least power between two, W.
    pub min: f64,
    /// Greatest reading; for energy the greatest power between two, W.
    pub max: f64,
    /// Joules, for power and energy.
    pub energy: Option<f64>,
    /// Peak power, W, for power and energy. For power it is the greatest reading; for energy the greatest mean over 0.1 s,
    /// because over a shorter time the steps of a counter look like peaks. A window shorter than that has its mean as its peak.
    pub peak: Option<f64>,
    /// Readings inside the window; for energy only those that differ from the one before.
    pub readings: usize,
}

/// Why there are no figures for a window.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Readings do not reach from its start to its end.
    #[error("the readings do not cover it")]
    NotCovered,
    /// Too few readings lie inside.
    #[error("it holds {0} reading{s}, which is too few", s = plural(.0))]
    TooFew(usize),
    /// It is shorter than two updates of the sensor, which come so many seconds apart.
    #[error("it is shorter than two updates of the sensor, which has something new every {0:.3} s")]
    TooShort(f64),
    /// It is shorter than twice the seconds of which each reading is the mean.
    #[error("it is shorter than twice the {0:.3} s of which the sensor gives the mean")]
    Averaged(f64),
    /// Power was not read for too long a time inside.
    #[error("there is a gap of {0:.1} s between readings")]
    Gap(f64),
    /// A counter was reset inside, or may have wrapped around more than once.
    #[error("the counter was reset, or cannot have counted right")]
    Broken,
}

fn plural(count: &usize) -> &'static str {
    if *count == 1 { "" } else { "s" }
}

/// The power of a counter is averaged over at least so many seconds to find its peak.
const PEAK_SPAN: f64 = 0.1;

/// An energy must rest on so many readings.
const LEAST_READINGS: usize = 2;

impl Series {
    /// An energy needs a window at least this long, seconds: two updates, and twice the time of which a reading is the mean. 0 if
    /// neither is known.
    pub fn shortest_window(&self) -> f64 {
        UPDATES * self.update_period().unwrap_or(0.0).max(self.averaging.seconds())
    }

    /// The figures from `from` to `to`, seconds. The energies of windows side by side add up to the energy of them all.
    ///
    /// # Errors
    /// [`WindowError`] if there are too few readings for a figure.
    pub fn window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        if self.metric.is_energy() { self.energy_window(from, to) } else { self.gauge_window(from, to) }
    }

    fn gauge_window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        // The start of the window is no longer kept.
        let is_cut =
            self.pushed > self.points.len() as u64 && self.points.front().is_none_or(|&(oldest, _)| oldest > from);
        if is_cut {
            return Err(WindowError::NotCovered);
        }
        let values = self.points().filter(|(time, _)| (from..=to).contains(time)).map(|(_, value)| value);
        let window = Window::of(values);
        if window.readings == 0 { Err(WindowError::TooFew(0)) } else { Ok(window) }
    }

    fn energy_window(&self, from: f64, to: f64) -> Result<Window, WindowError> {
        let covered = |points: &VecDeque<(f64, f64)>| points.front()?.0.le(&from).then_some(points.back()?.0 >= to);
        if to <= from || covered(&self.points) != Some(true) {
            return Err(WindowError::NotCovered);
        }
        // The readings inside, and one on each side.
        let first = self.points.partition_point(|&(time, _)| time <= from) - 1;
        let last = self.points.partition_point(|&(time, _)| time < to);
        if self.is_broken(self.points[first].0, self.points[last].0) {
            return Err(WindowError::Broken);
        }
        let steps = || (first..last).map(|i| (self.points[i], self.points[i + 1]));
        let longest_gap = self.longest_gap();
        if self.metric == Metric::Power
            && let Some(gap) = steps().map(|((start, _), (end, _))| end - start).find(|&gap| gap > longest_gap)
        {
            return Err(WindowError::Gap(gap));
        }
        let energy: f64 = steps().map(|(start, end)| self.energy_between(start, end, from, to)).sum();
        let inside = |&(time, _): &(f64, f64)| (from..=to).contains(&time);
        let readings = match self.metric {
            Metric::Power => (first..=last).filter(|&i| inside(&self.points[i])).count(),
            _ => steps().filter(|(start, end)| start.1 != end.1 && inside(end)).count(),
        };
        if readings < LEAST_READINGS {
            return Err(WindowError::TooFew(readings));
        }
        self.check_length(to - from)?;
        let spread = match self.metric {
            Metric::Power => Window::of((first..=last).map(|i| self.points[i]).filter(inside).map(|(_, watts)| watts)),
            _ => Window::of(steps().map(|((start, before), (end, after))| (after - before) / (end - start))),
        };
        let mean = energy / (to - from);
        let peak = match self.metric {
            Metric::Power => spread.max,
            _ => self.counted_peak(first, last, from, to).unwrap_or(mean),
        };
        // The power may have been greater between the readings at the edges.
        Ok(Window { mean, energy: Some(energy), peak: Some(peak.max(mean)), readings, ..spread })
    }

    /// Refuses a window that holds too little of what is new.
    fn check_length(&self, seconds: f64) -> Result<(), WindowError> {
        // Times are sums of others.
        let is_short = |least: f64| seconds < UPDATES * least * (1.0 - 1e-6);
        let (period, averaged) = (self.update_period().unwrap_or(0.0), self.averaging.seconds());
        if is_short(period) {
            Err(WindowError::TooShort(period))
        } else if is_short(averaged) {
            Err(WindowError::Averaged(averaged))
        } else {
            Ok(())
        }
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

    /// Joules between two neighbouring readings, as far as they lie inside the window. Straight lines join the readings.
    pub(super) fn energy_between(
        &self,
        (start, before): (f64, f64),
        (end, after): (f64, f64),
        from: f64,
        to: f64,
    ) -> f64 {
        let (left, right) = (start.max(from), end.min(to));
        if right <= left {
            return 0.0;
        }
        let share = |time: f64| time / (end - start);
        match self.metric {
            // The power in the middle is the mean of a straight line.
            Metric::Power => (before + (after - before) * share((left + right) / 2.0 - start)) * (right - left),
            _ => (after - before) * share(right - left),
        }
    }
}

impl Window {
    /// The figures of some readings.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let readings = values.clone().count();
        let mean = values.clone().sum::<f64>() / readings as f64;
        let std = (values.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / readings as f64).sqrt();
        let min = values.clone().fold(f64::INFINITY, f64::min);
        Self { mean, std, min, max: values.fold(f64::NEG_INFINITY, f64::max), energy: None, peak: None, readings }
    }
}
