use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{Error, Measure, learning::PredictedValue, records::Dimension};

/// A quantity that designs are judged by, in an objective or a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Criterion {
    /// A share of 1 on some task (the published way takes the GLUE score), sought to be large.
    Accuracy,
    /// A measure of a device, sought to be small.
    Of(Measure),
}

impl From<Measure> for Criterion {
    fn from(measure: Measure) -> Self {
        Self::Of(measure)
    }
}

/// The number of criteria.
pub(super) const CRITERIA: usize = Measure::COUNT + 1;

/// Symbols of a unit and what one of them is in the criterion's own unit.
type Units = &'static [(&'static str, f64)];

impl Criterion {
    /// Accuracy, and all measures.
    pub const ALL: [Self; CRITERIA] = {
        let (mut all, mut place) = ([Self::Accuracy; CRITERIA], 0);
        while place < Measure::COUNT {
            all[place + 1] = Self::Of(Measure::ALL[place]);
            place += 1;
        }
        all
    };

    /// The criteria of the published objective: accuracy, and the measures of a forward pass.
    pub fn published() -> Vec<Self> {
        [Self::Accuracy].into_iter().chain(Measure::INFERENCE.map(Self::Of)).collect()
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn place(self) -> usize {
        self.measure().map_or(0, |measure| measure as usize + 1)
    }

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
            Self::Of(measure) => Some(measure),
        }
    }

    /// The 90% interval of a prediction of it. An accuracy is at most 1.
    pub fn interval(self, prediction: &PredictedValue) -> (f64, f64) {
        let (low, high) = prediction.interval();
        if self == Self::Accuracy { (low.min(1.0), high.min(1.0)) } else { (low, high) }
    }

    /// Whether more of it is better.
    pub fn is_sought(self) -> bool {
        self == Self::Accuracy
    }

    /// The units that it may be written in, its own first.
    fn units(self) -> Units {
        match self.measure().map(Measure::dimension) {
            None => &[("", 1.0), ("%", 0.01)],
            Some(Dimension::Time) => &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6)],
            Some(Dimension::Energy) => &[("J", 1.0), ("mJ", 1e-3), ("kJ", 1e3), ("Wh", 3600.0)],
            Some(Dimension::Power) => &[("W", 1.0), ("mW", 1e-3), ("kW", 1e3)],
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

impl Serialize for Criterion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
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
        let unknown = || Error::Search(format!("'{text}' is no criterion: use accuracy, {}", Measure::names()));
        Self::ALL.into_iter().find(|criterion| criterion.name() == text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_criterion_has_its_place_and_is_read_by_its_name() {
        for (place, criterion) in Criterion::ALL.into_iter().enumerate() {
            assert_eq!((criterion.place(), criterion.name().parse::<Criterion>().unwrap()), (place, criterion));
        }
    }

    #[test]
    fn amounts_are_read_in_their_units() {
        for (name, text, amount) in [
            ("latency", " 20 ms", 0.02),
            ("latency", "3e-3s", 0.003),
            ("training_latency", "5µs", 5e-6),
            ("energy", "3 J", 3.0),
            ("training_energy", "0.5", 0.5),
            ("peak_power", "1.5 kW", 1500.0),
            ("accuracy", "82%", 0.82),
        ] {
            let criterion: Criterion = name.parse().unwrap();
            let read = criterion.amount(text).unwrap();
            assert!((read - amount).abs() <= 1e-12 * amount, "{text}: {read}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for (name, text, named) in [
            ("latency", "3 W", "'W' is no unit of latency: use s, ms"),
            ("energy", "", "''"),
            ("training_energy", "-1 J", "above 0"),
            ("energy", "1e999", "finite"),
            ("accuracy", "nan", "'nan'"),
        ] {
            let criterion: Criterion = name.parse().unwrap();
            let error = criterion.amount(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
