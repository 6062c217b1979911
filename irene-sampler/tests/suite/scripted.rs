//! Sensors whose readings a test makes up.

use std::time::Duration;

use irene_sampler::{Channel, Metric, Readings, Resource, Sampler, SamplerOptions, Sensor, Sensors, Stamp};

pub(crate) const WATTS: f64 = 50.0;

/// Longer than any of these waits takes, and not so long that a failure stays unseen.
pub(crate) const LONG: Duration = Duration::from_secs(30);

struct Scripted<F> {
    channel: Channel,
    reading: F,
}

impl<F: FnMut(Stamp) -> Option<f64> + Send> Sensor for Scripted<F> {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        if let Some(reading) = (self.reading)(readings.stamp()) {
            readings.push(0, reading);
        }
    }
}

/// A sensor that reads a value of each moment, or none.
pub(crate) fn sensor(channel: Channel, reading: impl FnMut(Stamp) -> Option<f64> + Send + 'static) -> Box<dyn Sensor> {
    Box::new(Scripted { channel, reading })
}

/// A meter of this name, by a reading of each moment.
pub(crate) fn meter(
    name: &str,
    metric: Metric,
    mut reading: impl FnMut(Stamp) -> f64 + Send + 'static,
) -> Box<dyn Sensor> {
    sensor(Channel::new(Resource::Meter(name.into()), metric), move |stamp| Some(reading(stamp)))
}

pub(crate) fn power() -> Box<dyn Sensor> {
    meter("power", Metric::Power, |_| WATTS)
}

pub(crate) fn counter() -> Box<dyn Sensor> {
    meter("counter", Metric::Energy, |stamp| WATTS * stamp.time)
}

/// A sampler that samples all the time.
pub(crate) fn sampler(sensors: impl Into<Sensors>) -> Sampler {
    Sampler::start(sensors, SamplerOptions { period: Duration::from_millis(1), capacity: 1 << 13 }).unwrap()
}

/// Lets the sampler take so many samples.
pub(crate) fn samples(sampler: &Sampler, count: usize) {
    for _ in 0..count {
        assert!(sampler.wait_past(sampler.clock().now(), LONG));
    }
}
