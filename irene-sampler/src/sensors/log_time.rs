//! The times in logs: seconds since 1970 or thousandths, millionths and billionths of them, ISO 8601, and the ways in which C prints them.

use super::growing_file::texts;

/// A time as it stands in a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LogTime {
    /// Seconds since 1970.
    Unix(f64),
    /// Seconds since 1970 of a clock on the wall, whose time zone is not told.
    Local(f64),
}

/// A number above this is no count of seconds, which would be in the year 5138.
const LATEST_SECONDS: f64 = 1e11;

/// A number as seconds since 1970. Thousandths, millionths and billionths are told by their size.
pub(super) fn seconds(number: f64) -> f64 {
    let mut seconds = number;
    while seconds.abs() > LATEST_SECONDS && seconds.is_finite() {
        seconds /= 1000.0;
    }
    seconds
}

/// A time such as `2026-11-28T08:00:00.25Z`, `2026/11/28 08:00:00` or `2026-11-28 08:00:00,25 +01:00`.
pub(super) fn iso(text: &str) -> Option<LogTime> {
    let date_end = text.find(['T', 't', ' '])?;
    date_and_clock(&text[..date_end], text[date_end + 1..].trim())
}

/// A time whose date and clock stand apart.
pub(super) fn date_and_clock(date: &str, clock: &str) -> Option<LogTime> {
    let mut parts = date.split(['-', '/']);
    let (year, month, day) = (parts.next()?, digits(parts.next()?, 1..=12)?, digits(parts.next()?, 1..=31)?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    moment(digits(year, 0..=9999)?, month, day, clock)
}

/// A time such as `Tue May  9 14:24:36 2023` or `Fri Sep 11 13:41:46 2026 -0700`.
pub(super) fn asctime(text: &str) -> Option<LogTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_ascii_whitespace();
    let (_weekday, month, day) = (words.next()?, words.next()?, digits(words.next()?, 1..=31)?);
    let (clock, year) = (words.next()?, digits(words.next()?, 0..=9999)?);
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let LogTime::Local(seconds) = moment(year, month, day, clock)? else { return None };
    Some(words.next().and_then(offset).map_or(LogTime::Local(seconds), |east| LogTime::Unix(seconds - east)))
}

/// A day of the calendar and a clock with or without its zone.
pub(super) fn moment(year: i64, month: i64, day: i64, clock: &str) -> Option<LogTime> {
    let zone_start = clock.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ','))).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_start);
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 0..=23)?, digits(parts.next()?, 0..=59)?);
    let second = parts.next().map_or(Some(0.0), second)?;
    let days = days_since_1970(year, month, day);
    let seconds = (days * 86_400 + hour * 3600 + minute * 60) as f64 + second;
    match zone.trim() {
        "" => Some(LogTime::Local(seconds)),
        "Z" | "z" | "UTC" | "GMT" => Some(LogTime::Unix(seconds)),
        zone => Some(LogTime::Unix(seconds - offset(zone)?)),
    }
}

pub(super) fn digits(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && range.contains(number))
}

/// Seconds with a fraction after a point or a comma; 60 is a leap second.
fn second(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let mut seconds = digits(whole, 0..=60)? as f64;
    let mut place = 1.0;
    for byte in fraction.bytes() {
        place /= 10.0;
        seconds += f64::from(byte.wrapping_sub(b'0')) * place;
    }
    is_number.then_some(seconds)
}

/// Seconds east of Greenwich of `+01:00`, `-0530` or `+01`.
fn offset(zone: &str) -> Option<f64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let (hours, minutes) = match zone[1..].split_once(':') {
        Some(parts) => parts,
        None => zone[1..].split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 0..=59)? };
    Some(sign * (digits(hours, 0..=14)? * 3600 + minutes * 60) as f64)
}

/// Days of the Gregorian calendar. The year is taken to begin in March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let days_before_month = (153 * ((month + 9) % 12) + 2) / 5;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    const BEFORE_1970: i64 = 719_468;
    365 * year + leap_days + days_before_month + day - 1 - BEFORE_1970
}

/// A log is not of now if its newest time lies so far in the future, seconds.
const AHEAD: f64 = 2.0;

/// Times before this, seconds since 1970, are no times of a log that grows now.
const FIRST_SECOND: f64 = 1e9;

/// Why a log whose newest time is this is not of now, if it is not. `ahead` is how far its clock is said to be ahead,
/// and a reading counts for `longest_gap` seconds.
pub(super) fn not_of_now(newest: f64, now: f64, ahead: f64, longest_gap: f64) -> Option<String> {
    let late = newest - now;
    let told = late + ahead;
    if newest < FIRST_SECOND {
        Some(format!("no line of the log is of now: its times, the newest {newest} s, do not count from 1970"))
    } else if late > AHEAD {
        Some(format!(
            "no line of the log is of now: the newest is {late:.0} s in the future; Places::power_log_ahead {told:.0} if its clock is ahead"
        ))
    } else if -late > longest_gap {
        Some(format!(
            "no line of the log is of now: the newest is {:.0} s old; is the meter writing? Places::power_log_ahead {told:.0} if its clock is behind",
            -late
        ))
    } else {
        None
    }
}

/// Time zones differ by quarters of an hour, seconds.
const QUARTER: f64 = 900.0;

/// No time zone is farther from Greenwich's, seconds.
const FARTHEST: f64 = 14.0 * 3600.0;

/// Seconds east of Greenwich of a clock that shows this at a moment, if it is right.
fn zone(local: f64, now: f64) -> f64 {
    let zone = ((local - now) / QUARTER).round() * QUARTER;
    if zone.abs() <= FARTHEST { zone } else { 0.0 }
}

/// A reading may lie so far in the future, seconds, because two clocks are apart.
const FUTURE: f64 = 60.0;

/// The clock of a log's meter.
#[derive(Default)]
pub(super) struct LogClock {
    /// How far it is ahead of this machine's, seconds.
    ahead: f64,
    /// Seconds east of Greenwich, of times that do not tell.
    zone: f64,
    /// Whether a line was of now in this zone: an old one is of now in another.
    is_sure: bool,
    /// The newest time, by this machine's clock.
    newest: Option<f64>,
}

impl LogClock {
    pub(super) fn new(ahead: f64) -> Self {
        Self { ahead, ..Self::default() }
    }

    /// Takes the time zone in which the newest of some lines that have a time is of now, where times do not tell theirs.
    pub(super) fn find_zone(&mut self, lines: &[u8], now: f64, time: impl Fn(&str) -> Option<LogTime>) {
        if let Some(LogTime::Local(time)) = texts(lines).rev().find_map(time) {
            let local = time - self.ahead;
            let found = zone(local, now);
            // Each line of now decides: the zone may change with the season, and an old line may have looked like one of now.
            let is_of_now = (local - found - now).abs() <= FUTURE;
            if is_of_now || !self.is_sure {
                self.zone = found;
            }
            self.is_sure |= is_of_now;
        }
    }

    /// When a reading was taken, by this machine's clock. None if it must be left out: nobody knows its time zone yet, or it is in the
    /// future, after which every other one would be late.
    pub(super) fn take(&mut self, time: LogTime, now: f64) -> Option<f64> {
        let (time, is_known) = match time {
            LogTime::Unix(time) => (time - self.ahead, true),
            LogTime::Local(time) => (time - self.ahead - self.zone, self.is_sure),
        };
        self.newest = Some(time);
        (is_known && time <= now + FUTURE).then_some(time)
    }

    /// The newest time that was taken, whether it was left out or not.
    pub(super) fn newest(&self) -> Option<f64> {
        self.newest
    }

    /// Why the log is not of now, if it is not.
    pub(super) fn not_of_now(&self, now: f64, longest_gap: f64) -> Option<String> {
        not_of_now(self.newest?, now, self.ahead, longest_gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_c_prints_them_are_read() {
        let noon = 1_795_867_200.0; // 2026-11-28 12:00:00 UTC, a Saturday
        assert_eq!(asctime("Sat Nov 28 12:00:00 2026"), Some(LogTime::Local(noon)));
        assert_eq!(asctime("Sat Nov 28 05:00:00 2026 -0700"), Some(LogTime::Unix(noon)));
        for text in
            ["", "Sat Nov 28 12:00:00", "Sat Foo 28 12:00:00 2026", "Sat Nov 32 12:00:00 2026", "Sat Nov 28 noon 2026"]
        {
            assert_eq!(asctime(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_that_is_not_told_is_the_one_in_which_the_log_is_of_now() {
        assert_eq!(zone(1000.0 + 3600.0, 1001.5), 3600.0);
        assert_eq!(zone(1000.0 - 19_800.0, 990.0), -19_800.0);
        assert_eq!(zone(1000.0, 1001.0), 0.0);
    }

    #[test]
    fn each_day_of_the_calendar_is_one_after_the_day_before() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = |year, month| match month {
            2 => 28 + i64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut days = days_since_1970(1599, 1, 1);
        for (year, month) in (1599..2402).flat_map(|year| (1..=12).map(move |month| (year, month))) {
            for day in 1..=length(year, month) {
                assert_eq!(days_since_1970(year, month, day), days, "{year}-{month}-{day}");
                days += 1;
            }
        }
        assert_eq!(days_since_1970(1970, 1, 1), 0);
    }

    #[test]
    fn the_parts_of_a_time_have_their_bounds() {
        let noon = 1_795_867_200.0; // 2026-11-28 12:00:00 UTC
        for (text, seconds) in [
            ("2026-11-28T00:00:00Z", Some(-43_200.0)),
            ("2026-11-28T23:59:60Z", Some(43_200.0)),
            ("2026-11-28T12:01:02.125Z", Some(62.125)),
            ("2026-11-28T24:00:00Z", None),
            ("2026-11-28T12:60:00Z", None),
            ("2026-11-28T12:00:61Z", None),
            ("2026-11-28T12:00:0.:Z", None),
            ("2026-11-28T12:00:00.x", None),
            ("2026-11-00T12:00:00Z", None),
            ("2026-11-32T12:00:00Z", None),
            ("2026-00-28T12:00:00Z", None),
            ("2026-13-28T12:00:00Z", None),
            ("26-11-28T12:00:00Z", None),
            ("2026-11-28", None),
            ("T", None),
            ("", None),
            ("2026-11-28-1T12:00:00Z", None),
            ("2026-11-28T12:00:00+14:59", Some(-53_940.0)),
            ("2026-11-28T12:00:00-01:30", Some(5400.0)),
            ("2026-11-28T12:00:00+15:00", None),
            ("2026-11-28T12:00:00+01:60", None),
            ("2026-11-28T12:00:00+1", None),
            ("2026-11-28T12:00:00+ü", None),
            ("2026-11-28T12:00:00 GMT", Some(0.0)),
            ("2026-11-28t12:00:00z", Some(0.0)),
            ("2026-11-28T12:00:00 CET", None),
        ] {
            assert_eq!(iso(text), seconds.map(|seconds| LogTime::Unix(noon + seconds)), "{text}");
        }
        assert_eq!([1e11, 1.001e11, -1e14, f64::INFINITY].map(seconds), [1e11, 1.001e8, -1e11, f64::INFINITY]);
    }

    #[test]
    fn a_log_is_of_now_within_two_seconds_ahead_and_a_gap_behind() {
        let now = 1_795_867_200.0;
        let why = |newest: f64, ahead: f64| not_of_now(newest, now, ahead, 10.0).unwrap_or_default();
        for newest in [now - 10.0, now, now + 2.0] {
            assert_eq!(why(newest, 0.0), "");
        }
        let ends = |newest: f64, end: &str| why(newest, 3.0).ends_with(end);
        assert!(ends(now + 7.0, "7 s in the future; Places::power_log_ahead 10 if its clock is ahead"));
        assert!(ends(now - 11.0, "is the meter writing? Places::power_log_ahead -8 if its clock is behind"));
        assert!(why(1e9, 0.0).contains("s old") && why(1e9 - 1.0, 0.0).contains("do not count from 1970"));
    }
}
