//! The log of an external meter: lines of a time and of watts, of volts and amperes, or of volt-amperes and a power factor. A header
//! may name the columns and their units; without one, two columns are `time,watts` and three `time,volts,amperes`, as an emonPi writes.

mod form;

use std::{fs::File, io::Read, path::Path};

use form::{Form, Line};

use crate::{Channel, Metric, Readings, Resource, Sensor, Stamp};

use super::{
    Kind, Places, Unavailable,
    growing_file::{GrowingFile, ROOM, texts},
    log_time::LogClock,
};

pub(super) const KIND: Kind = Kind { name: "log", what: "the log of an external power meter (log:FILE)", open };

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let Some(path) = &places.power_log else {
        return Err(Unavailable::new("no log was named").fixed_by("give the meter's file by Places::power_log"));
    };
    Ok(Box::new(Tail::open(path, places.power_log_ahead)?))
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
    file: GrowingFile,
    log: Log,
}

/// The state of its lines so far.
struct Log {
    clock: LogClock,
    /// The form, or why there is none: numbers below a header of other things must not be taken for power.
    form: Option<Result<Form, &'static str>>,
    /// The device of the first line; more than one has no place in a total.
    device: Option<String>,
    has_several: bool,
    /// The beginning of the first line that could not be read.
    unread: String,
}

/// So much of a line that cannot be read is shown.
const SHOWN: usize = 60;

/// So much of the log's end is read at the start, for its form and its latest reading.
const HEAD_START: u64 = ROOM as u64;

impl Tail {
    fn open(path: &Path, ahead: f64) -> Result<Self, Unavailable> {
        // The header is at the start, the newest readings are at the end.
        let mut head = vec![0; 512];
        let len = File::open(path).and_then(|mut file| file.read(&mut head));
        let len = len.map_err(|error| Unavailable::at(path, error))?;
        let head = String::from_utf8_lossy(&head[..len]);
        let first = whole_lines(&head).lines().map(|line| line.trim_start_matches('\u{feff}').trim());
        let form = first.into_iter().find(|line| !is_remark(line)).and_then(Form::of_header).transpose();
        let form = form.map_err(|reason| Unavailable::at(path, reason))?;
        let log = Log {
            clock: LogClock::new(ahead),
            form: form.map(Ok),
            device: None,
            has_several: false,
            unread: String::with_capacity(4 * SHOWN),
        };
        let channel = Channel::new(Resource::Meter("log".into()), Metric::Power);
        Ok(Self { channel, file: GrowingFile::open(path, HEAD_START)?, log })
    }
}

impl Sensor for Tail {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.file.follow(|lines| {
            self.log.find_zone(lines, readings.stamp().wall);
            texts(lines).for_each(|line| self.log.take_line(line, readings));
        });
    }

    fn trouble(&self, now: Stamp, longest_gap: f64) -> Option<String> {
        let log = &self.log;
        if log.clock.newest().is_none() {
            return Some(match (log.form, log.unread.as_str()) {
                (Some(Err(reason)), _) => reason.into(),
                (_, "") => "the log has no whole line yet; is the meter writing?".into(),
                (_, unread) => format!("no line of the log is a reading; the first is `{unread}`"),
            });
        }
        if log.has_several {
            return Some("the log's lines are about several devices; write the log of one".into());
        }
        log.clock.not_of_now(now.wall, longest_gap)
    }
}

impl Log {
    /// Adds the reading of a whole line, if it is one. The first line that tells the columns decides the form.
    fn take_line(&mut self, line: &str, readings: &mut Readings<'_>) {
        let line = line.trim_start_matches('\u{feff}').trim();
        if is_remark(line) {
            return;
        }
        if self.form.is_none() {
            self.form = Form::of_header(line);
            if self.form.is_some() {
                return;
            }
            self.form = Form::of_line(line).map(Ok);
        }
        let now = readings.stamp().wall;
        match self.form.and_then(|form| form.ok()?.parse(line)) {
            Some(line) => self.take_reading(line, now, readings),
            // The header stands at the start of what is read of a short log.
            None if self.unread.is_empty() && (self.clock.newest().is_some() || Form::of_header(line).is_none()) => {
                self.unread.extend(line.chars().take(SHOWN));
            }
            None => {}
        }
    }

    /// The time zone comes from the newest line that is a reading.
    fn find_zone(&mut self, lines: &[u8], now: f64) {
        let form = self.form.and_then(Result::ok);
        let time = |line: &str| Some(form.or_else(|| Form::of_line(line))?.parse(line)?.time);
        self.clock.find_zone(lines, now, time);
    }

    fn take_reading(&mut self, line: Line<'_>, now: f64, readings: &mut Readings<'_>) {
        match (&self.device, line.device) {
            (None, Some(device)) => self.device = Some(device.to_owned()),
            (Some(known), Some(device)) => self.has_several |= known != device,
            _ => {}
        }
        if let Some(time) = self.clock.take(line.time, now)
            && !self.has_several
        {
            readings.push_at_wall(0, time, line.watts);
        }
    }
}
