use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Error, Measure};

/// A quantity that designs are judged by, in an objective or a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// A share of 1 on some task (the published way takes the GLUE score), sought to be large.
    Accuracy,
    /// Seconds a sequence.
    Latency,
    /// Joules a sequence.
    Energy,
    /// Watts.
    PeakPower,
}

impl From<Measure> for Criterion {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Latency => Self::Latency,
            Measure::Energy => Self::Energy,
            Measure::PeakPower => Self::PeakPower,
        }
    }
}

/// The number of criteria.
pub(super) const CRITERIA: usize = 4;

/// Symbols of a unit and what one of them is in the criterion's own unit.
type Units = &'static [(&'static str, f64)];

impl Criterion {
    /// All four.
    pub const ALL: [Self; CRITERIA] = [Self::Accuracy, Self::Latency, Self::Energy, Self::PeakPower];

    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        self.measure().map_or("accuracy", Measure::name)
    }

    /// The symbol of its unit; accuracy has none.
    pub fn unit(self) -> &'static str {
        self.units().first().map_or("", |unit| unit.0)
    }

    /// Its measure of a device; accuracy has none.
    pub fn measure(self) -> Option<Measure> {
        match self {
            Self::Accuracy => None,
            Self::Latency => Some(Measure::Latency),
            Self::Energy => Some(Measure::Energy),
            Self::PeakPower => Some(Measure::PeakPower),
        }
    }

    /// Whether more of it is better.
    pub fn is_sought(self) -> bool {
        self == Self::Accuracy
    }

    /// The units that it may be written in, its own first.
    fn units(self) -> Units {
        match self {
            Self::Accuracy => &[("", 1.0), ("%", 0.01)],
            Self::Latency => &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6)],
            Self::Energy => &[("J", 1.0), ("mJ", 1e-3), ("kJ", 1e3), ("Wh", 3600.0)],
            Self::PeakPower => &[("W", 1.0), ("mW", 1e-3), ("kW", 1e3)],
        }
    }

    /// Reads an amount above 0, such as `20 ms`; without a unit it is in the criterion's own.
    pub(super) fn amount(self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let number = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '%');
        let symbol = &text[number.len()..];
        let unit = self.units().iter().find(|unit| unit.0 == symbol || symbol.is_empty());
        let Some(unit) = unit else {
            return Err(format!("'{symbol}' is no unit of {self}: use {}", self.unit_list()));
        };
        match number.trim().parse::<f64>().map(|amount| amount * unit.1) {
            Ok(amount) if amount.is_finite() && amount > 0.0 => Ok(amount),
            Ok(_) => Err(format!("'{text}' is not a finite amount above 0")),
            Err(_) => Err(format!("'{text}' is not a number with a unit, such as 20{}", self.unit())),
        }
    }

    fn unit_list(self) -> String {
        let symbols: Vec<_> = self.units().iter().map(|unit| unit.0).filter(|symbol| !symbol.is_empty()).collect();
        symbols.join(", ") + if self == Self::Accuracy { " or none" } else { "" }
    }

    /// An amount with four digits and the unit.
    pub(super) fn show(self, amount: f64) -> String {
        format!("{} {}", four_digits(amount), self.unit()).trim_end().to_owned()
    }
}

/// Rounded to four significant digits.
fn four_digits(amount: f64) -> f64 {
    format!("{amount:.3e}").parse().unwrap_or(amount)
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Criterion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let unknown =
            || Error::Search(format!("'{text}' is no criterion: use accuracy, latency, energy or peak_power"));
        Self::ALL.into_iter().find(|criterion| criterion.name() == text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_their_units() {
        for (criterion, text, amount) in [
            (Criterion::Latency, " 20 ms", 0.02),
            (Criterion::Latency, "3e-3s", 0.003),
            (Criterion::Latency, "5µs", 5e-6),
            (Criterion::Energy, "3 J", 3.0),
            (Criterion::Energy, "0.5", 0.5),
            (Criterion::PeakPower, "1.5 kW", 1500.0),
            (Criterion::Accuracy, "82%", 0.82),
        ] {
            let read = criterion.amount(text).unwrap();
            assert!((read - amount).abs() <= 1e-12 * amount, "{text}: {read}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for (criterion, text, named) in [
            (Criterion::Latency, "3 W", "'W' is no unit of latency: use s, ms"),
            (Criterion::Energy, "", "''"),
            (Criterion::Energy, "-1 J", "above 0"),
            (Criterion::Energy, "1e999", "finite"),
            (Criterion::Accuracy, "nan", "'nan'"),
        ] {
            let error = criterion.amount(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
