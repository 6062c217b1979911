//! The power of a whole server by its management controller: the text of `ipmitool dcmi power reading`, appended to a log over and over.
//!
//! A record, as ipmitool's lib/ipmi_dcmi.c prints it:
//!
//! ```text
//!     Instantaneous power reading:                   240 Watts
//!     Minimum during sampling period:                132 Watts
//!     Maximum during sampling period:                384 Watts
//!     Average power reading over sample period:      204 Watts
//!     IPMI timestamp:                           03/06/2025 07:40:35 UTC
//!     Sampling period:                          00000001 Seconds.
//!     Power reading state is:                   activated
//! ```
//!
//! The first line is the reading. Least, greatest and average power are statistics over the sampling period, which is that of the
//! statistics (days, on some servers) and not the time between readings. A controller that does not measure says `deactivated`, and shows
//! an old number. The time is that of the controller's own clock: in its zone, on some versions with the name of it, as C prints it or
//! in the order of the locale.

use crate::{Channel, Metric, Readings, Resource, Sensor, Stamp, resource::IPMI};

use super::{
    Kind, Places, Unavailable,
    growing_file::{GrowingFile, ROOM, texts},
    log_time::{LogClock, LogTime, asctime, digits, moment},
};

pub(super) const KIND: Kind =
    Kind { name: IPMI, what: "a whole server by its management controller (ipmi:FILE)", open };

const FIX: &str = "append readings to a file, `while sleep 1; do sudo ipmitool dcmi power reading; done >> ipmi.log &` (without /dev/ipmi0 first `sudo \
     modprobe ipmi_devintf ipmi_si`), and give it by Places::ipmi_log";

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let Some(path) = &places.ipmi_log else {
        return Err(Unavailable::new("no log of ipmitool was named").fixed_by(FIX));
    };
    let file = GrowingFile::open(path, ROOM as u64).map_err(|why| why.fixed_by(FIX))?;
    let channel = Channel::new(Resource::Meter(IPMI.into()), Metric::Power);
    Ok(Box::new(Ipmi { channel, file, log: Log { clock: LogClock::new(places.power_log_ahead), ..Log::default() } }))
}

struct Ipmi {
    channel: Channel,
    file: GrowingFile,
    log: Log,
}

/// The state of the log so far.
#[derive(Default)]
struct Log {
    clock: LogClock,
    record: Record,
    /// Why there is no reading.
    trouble: Option<&'static str>,
}

/// The lines of a record so far.
#[derive(Default)]
struct Record {
    watts: Option<f64>,
    time: Option<LogTime>,
}

impl Log {
    /// Takes a line. The last one of a record makes a reading of it; half a record has none.
    fn take_line(&mut self, line: &str, readings: &mut Readings<'_>) {
        let Some((name, value)) = line.split_once(':') else { return };
        let (name, value) = (name.trim(), value.trim());
        match name {
            "Instantaneous power reading" => self.record = Record { watts: watts(value), time: None },
            TIME => self.record.time = timestamp(value, readings.stamp().wall),
            "Power reading state is" => {
                let record = std::mem::take(&mut self.record);
                self.finish(record, value, readings);
            }
            "DCMI request failed because" => {
                self.trouble =
                    Some("the management controller does not tell power by DCMI; the log has ipmitool's reason");
            }
            _ => {}
        }
    }

    fn finish(&mut self, record: Record, state: &str, readings: &mut Readings<'_>) {
        if state != "activated" {
            self.trouble = Some("the management controller says that it does not measure power (`deactivated`)");
            return;
        }
        let (Some(watts), Some(time)) = (record.watts, record.time) else {
            self.trouble = Some("a record of ipmitool in the log has no power, or no time");
            return;
        };
        self.trouble = None;
        if let Some(time) = self.clock.take(time, readings.stamp().wall) {
            readings.push_at_wall(0, time, watts);
        }
    }
}

/// The text before a record's time.
const TIME: &str = "IPMI timestamp";

/// Watts of `240 Watts`.
fn watts(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    number.parse().ok().filter(|_| unit.trim() == "Watts")
}

/// The time of the controller's clock. Some versions put the next line behind it.
fn timestamp(text: &str, now: f64) -> Option<LogTime> {
    let text = text.split("Sampling period").next()?.trim();
    asctime(text).or_else(|| in_order_of_locale(text, now))
}

/// `03/06/2025 07:40:35 UTC` or `10/08/2026 06:02:12 PM EDT`. Month and day stand in the order that comes nearer to now.
fn in_order_of_locale(text: &str, now: f64) -> Option<LogTime> {
    let (date, clock) = text.split_once(' ')?;
    let mut parts = date.split('/');
    let (first, second, year) = (digits(parts.next()?, 1..=31)?, digits(parts.next()?, 1..=31)?, parts.next()?);
    let year = digits(year, 0..=9999)? + if year.len() == 2 { 2000 } else { 0 };
    let mut words = clock.split_ascii_whitespace();
    let clock = words.next()?;
    let hours = half_day(clock, words.clone().next());
    let is_utc = words.any(|word| ["UTC", "GMT"].contains(&word));
    let at = |month: i64, day: i64| match moment(year, month, day, clock)? {
        _ if month > 12 => None,
        LogTime::Local(time) => Some(time + 3600.0 * hours),
        LogTime::Unix(_) => None,
    };
    let orders = [at(first, second), at(second, first)];
    let distance = |time: &f64| (time - now).abs();
    let time = orders.into_iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(if is_utc { LogTime::Unix(time) } else { LogTime::Local(time) })
}

/// Hours to add to a clock of twelve hours.
fn half_day(clock: &str, word: Option<&str>) -> f64 {
    match (word, clock.starts_with("12")) {
        (Some("PM"), false) => 12.0,
        (Some("AM"), true) => -12.0,
        _ => 0.0,
    }
}

impl Sensor for Ipmi {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.file.follow(|lines| {
            let now = readings.stamp().wall;
            self.log.clock.find_zone(lines, now, |line| {
                timestamp(line.strip_prefix(TIME)?.trim_start().strip_prefix(':')?.trim(), now)
            });
            texts(lines).for_each(|line| self.log.take_line(line, readings));
        });
    }

    fn trouble(&self, now: Stamp, longest_gap: f64) -> Option<String> {
        let unset = "the management controller's clock is not set; `sudo ipmitool sel time set now` sets it";
        match (self.log.trouble, self.log.clock.newest()) {
            (Some(trouble), _) => Some(trouble.into()),
            (None, None) => Some("the log has no whole record of `ipmitool dcmi power reading` yet".into()),
            (None, Some(newest)) if newest < 1e9 => Some(unset.into()),
            (None, Some(_)) => self.log.clock.not_of_now(now.wall, longest_gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_version_are_read() {
        let noon = 1_795_867_200.0; // 2026-11-28 12:00:00 UTC
        for (text, time) in [
            ("Sat Nov 28 12:00:00 2026", LogTime::Local(noon)),
            ("11/28/2026 12:00:00 UTC", LogTime::Unix(noon)),
            ("28/11/2026 12:00:00", LogTime::Local(noon)),
            ("11/28/26 12:00:00", LogTime::Local(noon)),
            ("11/28/2026 12:00:00 PM EST    Sampling period:          00000005 Seconds.", LogTime::Local(noon)),
            ("11/28/2026 06:02:12 PM EST", LogTime::Local(noon + 6.0 * 3600.0 + 132.0)),
            ("11/28/2026 12:00:00 AM EST", LogTime::Local(noon - 43_200.0)),
        ] {
            assert_eq!(timestamp(text, noon), Some(time), "{text}");
        }
        let june = 1_741_246_835.0; // 2025-03-06 07:40:35 UTC
        assert_eq!(timestamp("03/06/2025 07:40:35 UTC", june + 5.0), Some(LogTime::Unix(june)), "no third of June");
        for text in ["", "Unspecified", "13/13/2026 12:00:00", "11/28/2026", "11/28/2026 noon"] {
            assert_eq!(timestamp(text, noon), None, "{text}");
        }
    }
}
