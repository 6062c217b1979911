//! The log of an external meter: lines of comma-separated numbers, `time,watts` or `time,volts,amperes`, the time in seconds since
//! 1970. emonPi's logs are of the second form. A header may name the columns.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Channel, Readings, Series, Source, Unit};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind = Kind { name: "log", what: "the log of an external power meter (log:FILE)", open };

fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    let Some(path) = &places.power_log else {
        return Err(Unavailable::new("no log was named").fixed_by("give the meter's file by --meter log:FILE"));
    };
    Ok(Box::new(Tail::open(path, places.power_log_ahead)?))
}

/// How a line's numbers become power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Watts {
        time: usize,
        watts: usize,
    },
    VoltsAmperes {
        time: usize,
        volts: usize,
        amperes: usize,
    },
    /// The header names other things: numbers below it must not be taken for power.
    Unknown,
}

/// Whether a column's name is one of these. More may stand behind it, `power (W)`, if that changes nothing: a power factor is no
/// power, and milliwatts are no watts.
fn is_column(name: &str, known: &[&str]) -> bool {
    const UNITS: [&str; 15] = [
        "", "w", "watt", "watts", "v", "volt", "volts", "a", "amp", "amps", "ampere", "amperes", "s", "seconds", "time",
    ];
    let mut words = name.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    words.find(|word| !word.is_empty()).is_some_and(|word| known.contains(&word))
        && words.all(|word| UNITS.contains(&word))
}

impl Form {
    /// By the names of a header; None for a line that is none.
    fn of_header(line: &str) -> Option<Self> {
        if !line.contains(',') || line.split(',').any(|name| name.trim().parse::<f64>().is_ok()) {
            return None;
        }
        let names: Vec<String> = line.split(',').map(str::to_ascii_lowercase).collect();
        let place = |known: &[&str]| names.iter().position(|name| is_column(name, known));
        let columns = (
            place(&["time", "timestamp", "unix", "unixtime", "epoch"]),
            place(&["w", "watt", "watts", "power"]),
            place(&["v", "vrms", "volt", "volts", "voltage"]),
            place(&["a", "i", "irms", "amp", "amps", "ampere", "amperes", "current"]),
        );
        Some(match columns {
            (Some(time), Some(watts), ..) => Self::Watts { time, watts },
            (Some(time), None, Some(volts), Some(amperes)) => Self::VoltsAmperes { time, volts, amperes },
            _ => Self::Unknown,
        })
    }

    /// By the number of columns.
    fn of_columns(line: &str) -> Option<Self> {
        match line.split(',').count() {
            2 => Some(Self::Watts { time: 0, watts: 1 }),
            3 => Some(Self::VoltsAmperes { time: 0, volts: 1, amperes: 2 }),
            _ => None,
        }
    }

    /// Time and watts.
    fn parse(self, line: &str) -> Option<(f64, f64)> {
        let number = |place: usize| {
            let text = line.split(',').nth(place)?.trim();
            text.parse::<f64>().ok().filter(|number| number.is_finite())
        };
        match self {
            Self::Watts { time, watts } => Some((number(time)?, number(watts)?)),
            Self::VoltsAmperes { time, volts, amperes } => Some((number(time)?, number(volts)? * number(amperes)?)),
            Self::Unknown => None,
        }
    }
}

const NO_READINGS: &str =
    "no line is `time,watts` or `time,volts,amperes`, in seconds since 1970, watts, volts and amperes";

/// Reads lines as they come.
#[derive(Debug, Default)]
struct Lines {
    form: Option<Form>,
    bad: u64,
}

impl Lines {
    /// Time and watts of a whole line, if it has them.
    fn read(&mut self, line: &str) -> Option<(f64, f64)> {
        let line = line.trim();
        if is_remark(line) {
            return None;
        }
        if self.form.is_none() {
            self.form = Form::of_header(line);
            if self.form.is_some() {
                return None;
            }
            self.form = Form::of_columns(line).filter(|form| form.parse(line).is_some());
        }
        let reading = self.form.and_then(|form| form.parse(line));
        self.bad += u64::from(reading.is_none());
        reading
    }
}

/// What stands before the last end of a line: half a number looks like a number.
fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..end])
}

fn is_remark(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

fn channel() -> Channel {
    Channel::energy("log", Unit::Watts)
}

/// A growing log, of which new whole lines are taken at each sample.
struct Tail {
    channel: Channel,
    file: File,
    ahead: f64,
    lines: Lines,
    /// Bytes that were read and are not taken yet: the last of them may be half a line.
    buffer: Vec<u8>,
    filled: usize,
}

/// How far the two clocks may be apart, seconds.
const FUTURE: f64 = 60.0;

/// Room for many lines; longer ones than this are no readings.
const BUFFER: usize = 1 << 14;

/// How much of a log from before the start is looked at, for its form and its latest reading.
const HEAD_START: u64 = BUFFER as u64;

impl Tail {
    fn open(path: &Path, ahead: f64) -> Result<Self, Unavailable> {
        let refuse = |error| Unavailable::new(format!("{}: {error}", path.display()));
        let mut file = File::open(path).map_err(refuse)?;
        let mut lines = Lines::default();
        // The header stands at the start, the newest readings at the end.
        let mut head = vec![0; 512];
        let len = file.read(&mut head).map_err(refuse)?;
        let head = String::from_utf8_lossy(&head[..len]);
        lines.form = whole_lines(&head).lines().map(str::trim).find(|line| !is_remark(line)).and_then(Form::of_header);
        if lines.form == Some(Form::Unknown) {
            return Err(Unavailable::new(format!("{}: {NO_READINGS}", path.display())));
        }
        let end = file.seek(SeekFrom::End(0)).map_err(refuse)?;
        file.seek(SeekFrom::Start(end.saturating_sub(HEAD_START))).map_err(refuse)?;
        let mut tail = Self { channel: channel(), file, ahead, lines, buffer: vec![0; BUFFER], filled: 0 };
        if end > HEAD_START {
            tail.skip_half_line().map_err(refuse)?;
        }
        Ok(tail)
    }

    fn skip_half_line(&mut self) -> std::io::Result<()> {
        let mut byte = [0];
        while self.file.read(&mut byte)? == 1 && byte[0] != b'\n' {}
        Ok(())
    }

    /// Begins again in a file that was emptied, as logs are when they have grown too long.
    fn follow_truncation(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
            self.filled = 0;
        }
        Ok(())
    }
}

impl Source for Tail {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        if self.follow_truncation().is_err() {
            return;
        }
        while let Ok(more @ 1..) = self.file.read(&mut self.buffer[self.filled..]) {
            self.filled += more;
            let mut taken = 0;
            while let Some(len) = self.buffer[taken..self.filled].iter().position(|&byte| byte == b'\n') {
                let line = std::str::from_utf8(&self.buffer[taken..taken + len]).unwrap_or("?");
                if let Some((time, watts)) = self.lines.read(line) {
                    // After a time that is still to come, all others would be late.
                    if time - self.ahead <= readings.stamp().wall + FUTURE {
                        readings.push_at_wall(0, time - self.ahead, watts);
                    }
                }
                taken += len + 1;
            }
            // A line that fills the whole buffer is none.
            taken = if taken == 0 && self.filled == BUFFER { BUFFER } else { taken };
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
        }
    }
}

/// A whole log, after the fact. Times are seconds since 1970.
#[derive(Debug)]
pub struct PowerLog {
    /// Power over time.
    pub series: Series,
    /// Lines that were no readings.
    pub bad_lines: u64,
}

impl PowerLog {
    /// Reads a log whose clock is ahead of this machine's by some seconds. A last line without an end is not taken.
    ///
    /// # Errors
    /// [`Unavailable`] if it cannot be read, or holds no readings.
    pub fn read(path: &Path, ahead: f64) -> Result<Self, Unavailable> {
        let refuse = |reason: String| Unavailable::new(format!("{}: {reason}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = Lines::default();
        let points: Vec<(f64, f64)> = whole_lines(&text).lines().filter_map(|line| lines.read(line)).collect();
        if points.is_empty() {
            return Err(refuse(NO_READINGS.into()));
        }
        let mut series = Series::new(&channel(), points.len());
        points.iter().for_each(|&(time, watts)| series.push(time - ahead, watts));
        Ok(Self { series, bad_lines: lines.bad })
    }
}
