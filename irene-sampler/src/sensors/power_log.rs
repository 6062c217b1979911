//! The log of an external meter: lines of comma-separated numbers, `time,watts` or `time,volts,amperes`, with the time in seconds
//! since 1970. An emonPi writes the second form. A header may name the columns.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Channel, Metric, Readings, Resource, Sensor};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind = Kind { name: "log", what: "the log of an external power meter (log:FILE)", open };

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let Some(path) = &places.power_log else {
        return Err(Unavailable::new("no log was named").fixed_by("give the meter's file by --meter log:FILE"));
    };
    Ok(Box::new(Tail::open(path, places.power_log_ahead)?))
}

/// The columns that give time and power.
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
    /// The header names other columns: numbers below it must not be taken for power.
    Unknown,
}

/// Whether a column's name is one of these. A unit may follow, as in `power (W)`. A power factor is no power, and milliwatts are no
/// watts.
fn is_column(name: &str, known: &[&str]) -> bool {
    const UNITS: [&str; 15] = [
        "", "w", "watt", "watts", "v", "volt", "volts", "a", "amp", "amps", "ampere", "amperes", "s", "seconds", "time",
    ];
    let mut words = name.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    words.find(|word| !word.is_empty()).is_some_and(|word| known.contains(&word))
        && words.all(|word| UNITS.contains(&word))
}

impl Form {
    /// The columns that a header names; None if the line is no header.
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

    /// The columns of a log without a header, by their number.
    fn of_columns(line: &str) -> Option<Self> {
        match line.split(',').count() {
            2 => Some(Self::Watts { time: 0, watts: 1 }),
            3 => Some(Self::VoltsAmperes { time: 0, volts: 1, amperes: 2 }),
            _ => None,
        }
    }

    /// The time and the watts of a line.
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

/// The time and the watts of a whole line, if it has them. The first line that tells the columns decides the form.
fn read_line(form: &mut Option<Form>, line: &str) -> Option<(f64, f64)> {
    let line = line.trim();
    if is_remark(line) {
        return None;
    }
    if form.is_none() {
        *form = Form::of_header(line);
        if form.is_some() {
            return None;
        }
        *form = Form::of_columns(line).filter(|form| form.parse(line).is_some());
    }
    form.and_then(|form| form.parse(line))
}

/// The text up to the last end of a line, since half a number looks like a number.
fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..end])
}

fn is_remark(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// A growing log; each sample takes its new whole lines.
struct Tail {
    channel: Channel,
    file: File,
    ahead: f64,
    form: Option<Form>,
    /// Bytes that were read and are not parsed yet: the last of them may be half a line.
    buffer: Vec<u8>,
    filled: usize,
}

/// A reading may lie so far in the future, seconds, because two clocks are apart.
const FUTURE: f64 = 60.0;

/// Room for many lines. A line that is longer is no reading.
const BUFFER: usize = 1 << 14;

/// So much of the log's end is read at the start, for its form and its latest reading.
const HEAD_START: u64 = BUFFER as u64;

impl Tail {
    fn open(path: &Path, ahead: f64) -> Result<Self, Unavailable> {
        let refuse = |error| Unavailable::new(format!("{}: {error}", path.display()));
        let mut file = File::open(path).map_err(refuse)?;
        // The header is at the start, the newest readings are at the end.
        let mut head = vec![0; 512];
        let len = file.read(&mut head).map_err(refuse)?;
        let head = String::from_utf8_lossy(&head[..len]);
        let form = whole_lines(&head).lines().map(str::trim).find(|line| !is_remark(line)).and_then(Form::of_header);
        if form == Some(Form::Unknown) {
            let columns = "its header does not name time and watts, or time, volts and amperes";
            return Err(Unavailable::new(format!("{}: {columns}", path.display())));
        }
        let end = file.seek(SeekFrom::End(0)).map_err(refuse)?;
        file.seek(SeekFrom::Start(end.saturating_sub(HEAD_START))).map_err(refuse)?;
        let mut tail = Self {
            channel: Channel::new(Resource::Meter("log".into()), Metric::Power),
            file,
            ahead,
            form,
            buffer: vec![0; BUFFER],
            filled: 0,
        };
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

    /// Begins again if the file was emptied, as logs are when they have grown too long.
    fn follow_truncation(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
            self.filled = 0;
        }
        Ok(())
    }
}

impl Sensor for Tail {
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
                if let Some((time, watts)) = read_line(&mut self.form, line) {
                    // After a time in the future every other reading would be late.
                    if time - self.ahead <= readings.stamp().wall + FUTURE {
                        readings.push_at_wall(0, time - self.ahead, watts);
                    }
                }
                taken += len + 1;
            }
            // A line that fills the whole buffer is no reading.
            taken = if taken == 0 && self.filled == BUFFER { BUFFER } else { taken };
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
        }
    }
}
