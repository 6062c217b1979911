//! Apple's computers, by the output of `powermetrics` in a growing file: property lists (`-f plist`, with NULs between them) or text.
//!
//! Each sample has the time that it covers and the mean power of processors, GPU and neural engine over that time. The samples follow
//! each other without a gap, so they are counters of energy. Apple calls the powers estimates (the manual page powermetrics(1)), and so
//! does irene.

mod sample;

use sample::{PARTS, Parser, Sample};

use crate::{Channel, Readings, Resource, Sensor, Stamp};

use super::{
    Kind, Places, Unavailable,
    growing_file::{GrowingFile, texts},
    log_time::not_of_now,
};

pub(super) const KIND: Kind = Kind {
    name: "powermetrics",
    what: "estimate: Apple's processors, GPU and neural engine (powermetrics:FILE)",
    open,
};

const FIX: &str = "on a Mac write its samples to a file, `sudo powermetrics -s cpu_power,gpu_power,ane_power -i 200 -b 0 -f plist >> power.plist &`, and give \
     it by Places::powermetrics_log";

/// So much of the file's end is read at the start: some samples, of which each has a few kilobytes and more with other samplers.
const HEAD_START: u64 = 1 << 17;

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let Some(path) = &places.powermetrics_log else {
        return Err(Unavailable::new("no file of powermetrics was named").fixed_by(FIX));
    };
    let file = GrowingFile::open(path, HEAD_START).map_err(|why| why.fixed_by(FIX))?;
    let channels = PARTS.map(|part| Channel::estimate(Resource::Soc(part)));
    let counters = Counters { ahead: places.power_log_ahead, ..Counters::default() };
    Ok(Box::new(PowerMetrics { channels, file, parser: Parser::default(), counters }))
}

struct PowerMetrics {
    channels: [Channel; PARTS.len()],
    file: GrowingFile,
    parser: Parser,
    counters: Counters,
}

/// The samples so far.
#[derive(Default)]
struct Counters {
    ahead: f64,
    joules: [f64; PARTS.len()],
    /// Whether a part was in the sample before, so that its count goes on.
    goes_on: [bool; PARTS.len()],
    /// The end of the newest sample by the system's clock.
    end: Option<f64>,
}

/// A sample that ends so much earlier or later than the one before it says, seconds, does not follow it: some were lost.
const SLACK: f64 = 1.5;

impl Counters {
    fn take(&mut self, sample: &Sample, readings: &mut Readings<'_>) {
        let now = readings.stamp().wall;
        let (end, follows) = self.end_of(sample, now);
        // A sample that says it began before the end of the last one counts from there on.
        let start = self.end.map_or(end - sample.seconds, |last| last.max(end - sample.seconds));
        let seconds = if follows { sample.seconds } else { end - start };
        if seconds <= 0.0 {
            return;
        }
        self.end = Some(end);
        for (channel, watts) in sample.watts.into_iter().enumerate() {
            let Some(watts) = watts else {
                self.goes_on[channel] = false;
                continue;
            };
            if !(follows && self.goes_on[channel]) {
                readings.push_at_wall_after_break(channel, start, self.joules[channel]);
                self.goes_on[channel] = true;
            }
            self.joules[channel] += watts * seconds;
            readings.push_at_wall(channel, end, self.joules[channel]);
        }
    }

    /// When a sample ended, and whether it follows the one before. Its own time has whole seconds alone; how long it lasted is exact, and
    /// a sample cannot have been read before its end.
    fn end_of(&self, sample: &Sample, now: f64) -> (f64, bool) {
        let told = sample.time - self.ahead;
        let latest = (told + 1.0).min(now).max(told);
        let expected = self.end.map(|end| end + sample.seconds);
        match expected.filter(|expected| (expected - expected.clamp(told, latest)).abs() < SLACK) {
            Some(expected) => (expected.clamp(told, latest), true),
            // A sample that is read as it is written has just ended.
            None if now < told + 1.0 => (latest, false),
            None => (told + 0.5, false),
        }
    }
}

impl Sensor for PowerMetrics {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.file.follow(|lines| {
            for line in texts(lines) {
                if let Some(sample) = self.parser.take_line(line) {
                    self.counters.take(&sample, readings);
                }
            }
        });
    }

    fn trouble(&self, now: Stamp, longest_gap: f64) -> Option<String> {
        match self.counters.end {
            None if self.parser.lacks_power() => {
                Some("its samples have no power; run powermetrics with `-s cpu_power,gpu_power,ane_power`".into())
            }
            None => Some("the file has no whole sample of powermetrics yet".into()),
            Some(end) => not_of_now(end, now.wall, self.counters.ahead, longest_gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of a second says that it ended in the second after 100 s.
    fn end(last: Option<f64>, now: f64, ahead: f64) -> (f64, bool) {
        let sample = Sample { time: 100.0, seconds: 1.0, watts: [None; PARTS.len()] };
        Counters { ahead, end: last, ..Counters::default() }.end_of(&sample, now)
    }

    #[test]
    fn a_sample_ends_when_it_is_read_or_in_the_middle_of_its_second() {
        assert_eq!(end(None, 100.25, 0.0), (100.25, false));
        assert_eq!(end(None, 99.0, 0.0), (100.0, false), "the clocks differ");
        assert_eq!(end(None, 101.0, 0.0), (100.5, false), "it was read late");
        assert_eq!(end(None, 150.0, 10.0), (90.5, false));
    }

    #[test]
    fn a_sample_follows_the_one_before_within_a_second_and_a_half() {
        assert_eq!(end(Some(99.25), 150.0, 0.0), (100.25, true));
        assert_eq!(end(Some(99.25), 100.125, 0.0), (100.125, true), "it cannot have been read before its end");
        assert_eq!(end(Some(97.75), 150.0, 0.0), (100.0, true));
        assert_eq!(end(Some(97.5), 150.0, 0.0), (100.5, false));
        assert_eq!(end(Some(101.25), 150.0, 0.0), (101.0, true));
        assert_eq!(end(Some(101.5), 150.0, 0.0), (100.5, false));
    }
}
