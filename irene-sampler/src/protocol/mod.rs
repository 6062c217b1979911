//! Repeats a closure until its time and energy are known.

mod mean;
mod measurement;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use mean::Mean;
pub use measurement::{ChannelFigure, Measurement, Round};
use serde::{Deserialize, Serialize};

use crate::Sampler;

/// The settings by which a closure is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuringProtocol {
    /// The closure runs for this long first, at least once.
    #[serde(rename = "warm_up_s", with = "seconds")]
    pub warm_up: Duration,
    /// The closure runs for this long to choose how often a round repeats it.
    #[serde(rename = "probe_s", with = "seconds")]
    pub probe: Duration,
    /// The least duration of a round. It is stretched for a meter that needs longer windows.
    #[serde(rename = "round_s", with = "seconds")]
    pub round: Duration,
    /// The least number of rounds.
    pub least_rounds: usize,
    /// The greatest number of rounds.
    pub most_rounds: usize,
    /// The pause before idle power is read, and before each round.
    #[serde(rename = "cool_down_s", with = "seconds")]
    pub cool_down: Duration,
    /// Idle power is read for this long before the first round; zero leaves it out.
    #[serde(rename = "stand_by_s", with = "seconds")]
    pub stand_by: Duration,
    /// Power before a round may be this share above idle power; if it is more, the pause is repeated.
    pub stand_by_tolerance: f64,
    /// Measuring ends when half the 95% intervals of time and energy are within this share of their means.
    pub target: f64,
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl MeasuringProtocol {
    /// IrEne's (Cao et al. 2021, section 4): 5 s of probing, rounds of 20 s, five of them, variation below 1%.
    pub fn paper() -> Self {
        Self {
            warm_up: Duration::from_secs(1),
            probe: Duration::from_secs(5),
            round: Duration::from_secs(20),
            least_rounds: 5,
            most_rounds: 20,
            cool_down: Duration::from_secs(5),
            stand_by: Duration::from_secs(5),
            stand_by_tolerance: 0.1,
            target: 0.01,
        }
    }

    /// Short rounds without pauses, until half the intervals are within 5%.
    pub fn quick() -> Self {
        Self {
            warm_up: Duration::ZERO,
            probe: Duration::from_millis(20),
            round: Duration::from_millis(200),
            least_rounds: 3,
            most_rounds: 10,
            cool_down: Duration::ZERO,
            stand_by: Duration::ZERO,
            stand_by_tolerance: 0.1,
            target: 0.05,
        }
    }
}

/// Why there is no measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError<E> {
    /// The closure failed.
    #[error(transparent)]
    Run(E),
    /// The caller stopped it before a round was over.
    #[error("stopped before a round was over")]
    Stopped,
}

/// The pause is repeated so often at most; then the round is measured all the same, and marked.
const MOST_COOL_DOWNS: usize = 4;

/// A first round that is far too short is run again with more repeats, so often at most, and so often a measurement begins again whose
/// meter turns out to need longer rounds.
const MOST_RETRIES: usize = 3;

/// A round is stretched for a slow meter up to so many seconds; a meter that is slower gives no energy, and says why.
const LONGEST_STRETCH: f64 = 60.0;

impl MeasuringProtocol {
    /// Measures a closure that cannot fail.
    ///
    /// # Errors
    /// [`MeasureError::Stopped`] if `stop` was set before a round was over.
    pub fn measure(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        mut run: impl FnMut(),
    ) -> Result<Measurement, MeasureError<Infallible>> {
        self.try_measure(sampler, stop, || {
            run();
            Ok(())
        })
    }

    /// Measures a closure: warm-up, choice of the repeats, idle power, then rounds until time and energy are known well enough.
    ///
    /// The energy is the sum of the sampler's totals. When `stop` becomes true, the rounds that are over make up the measurement.
    ///
    /// # Errors
    /// [`MeasureError::Run`] with the closure's error; [`MeasureError::Stopped`] if `stop` was set before a round was over.
    pub fn try_measure<E>(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        mut run: impl FnMut() -> Result<(), E>,
    ) -> Result<Measurement, MeasureError<E>> {
        let mut measurement = self.begin(sampler, stop, &mut run)?;
        while measurement.rounds.len() < self.most_rounds.max(1) && !self.is_enough(&measurement) {
            match self.round(sampler, stop, &mut measurement, &mut run) {
                Err(MeasureError::Stopped) if !measurement.rounds.is_empty() => break,
                round => round?,
            }
        }
        Ok(measurement.finished(self))
    }

    /// Adds one round to a measurement, or begins one with a round.
    ///
    /// Rounds with other work measured in between give an interval that also covers drift over minutes.
    ///
    /// # Errors
    /// As [`try_measure`](Self::try_measure).
    pub fn try_round<E>(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        earlier: Option<Measurement>,
        mut run: impl FnMut() -> Result<(), E>,
    ) -> Result<Measurement, MeasureError<E>> {
        let mut measurement = match earlier {
            Some(earlier) => {
                run().map_err(MeasureError::Run)?;
                earlier
            }
            None => self.begin(sampler, stop, &mut run)?,
        };
        self.round(sampler, stop, &mut measurement, &mut run)?;
        Ok(measurement.finished(self))
    }

    /// Whether a measurement has enough rounds, and intervals that are narrow enough.
    pub fn is_enough(&self, measurement: &Measurement) -> bool {
        measurement.rounds.len() >= self.least_rounds && measurement.is_within(self.target)
    }

    /// Warm-up, choice of the repeats, idle power.
    fn begin<E>(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        run: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Measurement, MeasureError<E>> {
        let clock = sampler.clock();
        let mut run_for = |least: f64| {
            let (start, mut runs) = (clock.now(), 0_u64);
            loop {
                run().map_err(MeasureError::Run)?;
                runs += 1;
                let elapsed = clock.now() - start;
                if stop.load(Ordering::Relaxed) {
                    return Err(MeasureError::Stopped);
                }
                if elapsed >= least {
                    return Ok(elapsed / runs as f64);
                }
            }
        };
        run_for(self.warm_up.as_secs_f64())?;
        let a_run = run_for(self.probe.as_secs_f64())?;
        // If neither takes any time, the quotient is no number, which becomes 0.
        let repeats = ((self.round_for(sampler) / a_run).ceil().clamp(1.0, 1e9) as u32).max(1);
        let idle_watts = self.idle_power(sampler, stop);
        Ok(Measurement::new(self, sampler, repeats, idle_watts))
    }

    /// How long a round must be, seconds: as long as asked, and long enough for the meter.
    fn round_for(&self, sampler: &Sampler) -> f64 {
        // The repeats of a round take a little less time than the probe said, or more.
        const MARGIN: f64 = 1.25;
        self.round.as_secs_f64().max(MARGIN * stretch(sampler))
    }

    /// Whether a first round may count: it lasts half as long as asked, and the meter does not refuse it.
    fn is_long_enough(&self, sampler: &Sampler, seconds: f64) -> bool {
        2.0 * seconds >= self.round.as_secs_f64() && seconds >= stretch(sampler)
    }

    fn round<E>(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        measurement: &mut Measurement,
        run: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<(), MeasureError<E>> {
        loop {
            let settled = self.settle(sampler, stop, measurement.idle_watts);
            let (mut start, mut end) = self.repeat(sampler, stop, measurement.repeats, run)?;
            // If the machine was busy with something else during the probe, the round is too short for a meter.
            for _ in 0..MOST_RETRIES {
                if !measurement.rounds.is_empty() || self.is_long_enough(sampler, end - start) {
                    break;
                }
                let more = (self.round_for(sampler) / (end - start)).min(1e3) * f64::from(measurement.repeats);
                measurement.repeats = more.ceil().clamp(1.0, 1e9) as u32;
                (start, end) = self.repeat(sampler, stop, measurement.repeats, run)?;
            }
            sampler.wait_until_covered(start, end);
            measurement.add(sampler, (start, end), settled);
            // How often the meter has something new may have been learned meanwhile.
            if !measurement.begin_again_if_short(stretch(sampler)) {
                return Ok(());
            }
        }
    }

    /// Runs the closure so many times; the times of the start and the end.
    fn repeat<E>(
        &self,
        sampler: &Sampler,
        stop: &AtomicBool,
        repeats: u32,
        run: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<(f64, f64), MeasureError<E>> {
        let clock = sampler.clock();
        let start = clock.now();
        for _ in 0..repeats {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            run().map_err(MeasureError::Run)?;
        }
        let end = clock.now();
        if stop.load(Ordering::Relaxed) { Err(MeasureError::Stopped) } else { Ok((start, end)) }
    }

    /// The power while nothing runs, watts.
    fn idle_power(&self, sampler: &Sampler, stop: &AtomicBool) -> Option<f64> {
        if self.stand_by.is_zero() {
            return None;
        }
        // The warm-up and the probe have heated the device.
        pause(self.cool_down, stop);
        let start = sampler.clock().now();
        pause(self.stand_by, stop);
        power(sampler, start, sampler.clock().now())
    }

    /// Pauses before a round until power is near idle power; false if it stays above.
    fn settle(&self, sampler: &Sampler, stop: &AtomicBool, idle_watts: Option<f64>) -> bool {
        if self.cool_down.is_zero() {
            return true;
        }
        for _ in 0..MOST_COOL_DOWNS {
            let start = sampler.clock().now();
            pause(self.cool_down, stop);
            let end = sampler.clock().now();
            let Some((idle, now)) = idle_watts.zip(power(sampler, (start + end) / 2.0, end)) else { return true };
            if now <= idle * (1.0 + self.stand_by_tolerance) || stop.load(Ordering::Relaxed) {
                return true;
            }
        }
        false
    }
}

/// The shortest window of the meter, seconds, if a round can be so long.
fn stretch(sampler: &Sampler) -> f64 {
    let shortest = sampler.look(|recording| recording.shortest_window().map(|(seconds, _)| seconds));
    shortest.filter(|&seconds| seconds <= LONGEST_STRETCH).unwrap_or(0.0)
}

/// Sleeps, but no longer once it shall stop.
fn pause(time: Duration, stop: &AtomicBool) {
    const SLICE: Duration = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let now = left.min(SLICE);
        std::thread::sleep(now);
        left -= now;
    }
}

/// The mean power of the meter, watts.
fn power(sampler: &Sampler, from: f64, to: f64) -> Option<f64> {
    sampler.wait_until_covered(from, to);
    sampler.look(|recording| Some(recording.total().window(recording, from, to).ok()??.watts))
}
