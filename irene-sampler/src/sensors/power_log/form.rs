//! The form of a log: what separates its columns, and which of them tell time and power.

use super::super::log_time::{LogTime, date_and_clock, iso, seconds};

/// A quantity of a column, in a unit that is this many of the basic ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Unit {
    quantity: Quantity,
    factor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Time,
    /// Real power.
    Watts,
    /// Apparent power.
    VoltAmperes,
    Volts,
    Amperes,
    /// Real power over apparent power.
    PowerFactor,
    /// Which of several devices the line is about.
    Device,
}

/// The units that stand in headers and behind numbers, in small letters.
#[rustfmt::skip]
const UNITS: [(&str, Quantity, f64); 24] = [
    ("w", Quantity::Watts, 1.0), ("watt", Quantity::Watts, 1.0), ("watts", Quantity::Watts, 1.0),
    ("mw", Quantity::Watts, 1e-3), ("kw", Quantity::Watts, 1e3),
    ("va", Quantity::VoltAmperes, 1.0), ("kva", Quantity::VoltAmperes, 1e3), ("mva", Quantity::VoltAmperes, 1e-3),
    ("v", Quantity::Volts, 1.0), ("volt", Quantity::Volts, 1.0), ("volts", Quantity::Volts, 1.0), ("mv", Quantity::Volts, 1e-3),
    ("a", Quantity::Amperes, 1.0), ("amp", Quantity::Amperes, 1.0), ("amps", Quantity::Amperes, 1.0),
    ("ampere", Quantity::Amperes, 1.0), ("amperes", Quantity::Amperes, 1.0), ("ma", Quantity::Amperes, 1e-3),
    ("s", Quantity::Time, 1.0), ("seconds", Quantity::Time, 1.0), ("ms", Quantity::Time, 1e-3), ("us", Quantity::Time, 1e-6),
    ("ns", Quantity::Time, 1e-9), ("%", Quantity::PowerFactor, 0.01),
];

fn unit(word: &str) -> Option<Unit> {
    let (_, quantity, factor) = UNITS.into_iter().find(|(name, ..)| *name == word)?;
    Some(Unit { quantity, factor })
}

/// The names of columns, in small letters: the words that may come first, and those that may follow.
#[rustfmt::skip]
const NAMES: [(Quantity, &[&str], &[&str]); 7] = [
    (Quantity::Time, &["time", "timestamp", "unix", "unixtime", "epoch", "date", "datetime"], &["time", "timestamp", "utc", "unix", "epoch", "stamp"]),
    (Quantity::PowerFactor, &["pf", "cosphi", "cos", "power", "powerfactor"], &["factor", "phi"]),
    (Quantity::VoltAmperes, &["apparent", "va", "kva"], &["power"]),
    (Quantity::Watts, &["w", "watt", "watts", "kw", "mw", "power", "active", "real"], &["power", "draw", "instant", "average", "active", "real"]),
    (Quantity::Volts, &["v", "vrms", "volt", "volts", "voltage"], &["rms"]),
    (Quantity::Amperes, &["a", "i", "irms", "amp", "amps", "ampere", "amperes", "current"], &["rms"]),
    (Quantity::Device, &["index", "uuid", "serial", "gpu", "device", "pci"], &["bus", "id", "index", "uuid", "serial"]),
];

/// The quantity and the unit of a column, by its name in the header, such as `Power (W)` or `power.draw [mW]`.
fn column(name: &str) -> Option<Unit> {
    let name = name.to_lowercase();
    let mut words: Vec<&str> = name
        .split(|c: char| !(c.is_alphanumeric() || c == '%'))
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect();
    // A unit at the end says what a column measures: `power (VA)` is apparent.
    let last = words.last().and_then(|word| unit(word));
    if last.is_some() && words.len() > 1 {
        words.pop();
    }
    let (first, rest) = words.split_first()?;
    let is_power_factor = |quantity| quantity == Quantity::PowerFactor && *first == "power" && rest.is_empty();
    let (quantity, ..) = NAMES.into_iter().find(|(quantity, firsts, others)| {
        firsts.contains(first) && rest.iter().all(|word| others.contains(word)) && !is_power_factor(*quantity)
    })?;
    match (quantity, last) {
        (Quantity::Watts, Some(unit)) if unit.quantity == Quantity::VoltAmperes => Some(unit),
        (quantity, Some(unit)) => (unit.quantity == quantity).then_some(unit),
        (quantity, None) => Some(Unit { quantity, factor: 1.0 }),
    }
}

/// A column of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    place: usize,
    unit: Unit,
}

/// The columns that give the power.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Power {
    Watts(Column),
    /// Volts and amperes, or volt-amperes; times the power factor where there is one.
    Product(Column, Option<Column>, Option<Column>),
}

/// The separator, and the columns of time and power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    separator: char,
    time: Column,
    /// The time of day, where the first column of time has the date alone.
    clock: Option<usize>,
    power: Power,
    /// Which of several devices a line is about.
    device: Option<usize>,
}

/// A reading of a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) time: LogTime,
    pub(super) watts: f64,
    pub(super) device: Option<&'a str>,
}

impl Form {
    /// The columns that a header names; None if the line is no header, and the reason if it names no power that can be read.
    pub(super) fn of_header(line: &str) -> Option<Result<Self, &'static str>> {
        let separator = separator(line);
        let is_value = |field: &str| field.parse::<f64>().is_ok() || iso(field).is_some();
        let count = fields(line, separator).count();
        if count < 2 || fields(line, separator).any(is_value) {
            return None;
        }
        let find = |quantity: Quantity, nth: usize| {
            let columns = fields(line, separator).enumerate();
            let mut columns = columns.filter_map(|(place, name)| {
                Some(Column { place, unit: column(name).filter(|unit| unit.quantity == quantity)? })
            });
            columns.nth(nth)
        };
        let form = Self::of_columns(separator, find);
        // Words that are set apart by spaces alone may be anything.
        if form.is_err() && separator == ' ' { None } else { Some(form) }
    }

    fn of_columns(separator: char, nth: impl Fn(Quantity, usize) -> Option<Column>) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "its header does not name time and watts, or time, volts and amperes";
        let find = |quantity: Quantity| nth(quantity, 0);
        let time = find(Quantity::Time).ok_or(UNKNOWN)?;
        let clock = nth(Quantity::Time, 1).map(|column| column.place).filter(|&place| place == time.place + 1);
        let factor = find(Quantity::PowerFactor);
        let [watts, apparent, volts, amperes] =
            [Quantity::Watts, Quantity::VoltAmperes, Quantity::Volts, Quantity::Amperes].map(find);
        let power = match (watts, apparent, volts, amperes) {
            (Some(watts), ..) => Power::Watts(watts),
            (_, Some(apparent), ..) if factor.is_some() => Power::Product(apparent, None, factor),
            (_, Some(_), ..) => {
                return Err(
                    "its header names apparent power (VA) alone, which is not the power; it takes watts, or a power factor",
                );
            }
            (.., Some(volts), amperes @ Some(_)) => Power::Product(volts, amperes, factor),
            _ => return Err(UNKNOWN),
        };
        Ok(Self { separator, time, clock, power, device: find(Quantity::Device).map(|column| column.place) })
    }

    /// The columns of a log without a header, by their number.
    pub(super) fn of_line(line: &str) -> Option<Self> {
        let separator = separator(line);
        let column = |place, quantity| Column { place, unit: Unit { quantity, factor: 1.0 } };
        let power = match fields(line, separator).count() {
            2 => Power::Watts(column(1, Quantity::Watts)),
            3 => Power::Product(column(1, Quantity::Volts), Some(column(2, Quantity::Amperes)), None),
            _ => return None,
        };
        let form = Self { separator, time: column(0, Quantity::Time), clock: None, power, device: None };
        form.parse(line).map(|_| form)
    }

    /// The reading of a line.
    pub(super) fn parse(self, line: &str) -> Option<Line<'_>> {
        let field = |place: usize| fields(line, self.separator).nth(place);
        let number = |column: Column| number(field(column.place)?, self.separator, column.unit);
        let optional = |column: Option<Column>| column.map_or(Some(1.0), number);
        let time = field(self.time.place)?;
        let clock = self.clock.and_then(field);
        let time = match clock.map_or_else(|| iso(time), |clock| date_and_clock(time, clock)) {
            Some(time) => time,
            None => LogTime::Unix(seconds(number(self.time)?)),
        };
        let watts = match self.power {
            Power::Watts(watts) => number(watts)?,
            Power::Product(first, second, factor) => {
                let factor = optional(factor).map(f64::abs).filter(|factor| *factor <= 1.0)?;
                number(first)? * optional(second)? * factor
            }
        };
        Some(Line { time, watts, device: self.device.and_then(field) })
    }
}

/// The separator of a line.
fn separator(line: &str) -> char {
    ['\t', ';', ',', '|'].into_iter().find(|&separator| line.contains(separator)).unwrap_or(' ')
}

/// The columns of a line, without quotes and the spaces around them.
fn fields(line: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(line.trim());
    std::iter::from_fn(move || {
        let text = rest?.trim_start_matches(' ');
        if separator == ' ' && text.is_empty() {
            rest = None;
            return None;
        }
        let (quoted, after) = match text.strip_prefix('"').and_then(|text| text.split_once('"')) {
            Some((quoted, after)) => (Some(quoted), after),
            None => (None, text),
        };
        let (plain, left) = after.split_once(separator).map_or((after, None), |(plain, left)| (plain, Some(left)));
        rest = left;
        Some(quoted.unwrap_or(plain).trim())
    })
}

/// A number in the basic unit of its quantity. A unit behind the number has to fit; a comma is a decimal point where it separates no
/// columns.
fn number(text: &str, separator: char, column: Unit) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '%');
    let suffix = &text[digits.len()..];
    let parse = |text: &str| decimal(text.trim(), separator).filter(|number| number.is_finite());
    if suffix.is_empty() {
        return Some(parse(text)? * column.factor);
    }
    let mut small = [0; 8];
    let bytes = small.get_mut(..suffix.len())?;
    bytes.copy_from_slice(suffix.as_bytes());
    bytes.make_ascii_lowercase();
    let unit = unit(std::str::from_utf8(bytes).ok()?).filter(|unit| unit.quantity == column.quantity)?;
    Some(parse(digits)? * unit.factor)
}

fn decimal(text: &str, separator: char) -> Option<f64> {
    if separator == ',' || !text.contains(',') {
        return text.parse().ok();
    }
    let mut buffer = [0; 32];
    let bytes = buffer.get_mut(..text.len())?;
    bytes.copy_from_slice(text.as_bytes());
    bytes.iter_mut().filter(|byte| **byte == b',').for_each(|byte| *byte = b'.');
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
