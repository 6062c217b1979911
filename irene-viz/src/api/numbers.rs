//! Kinds of parameters that are numbers.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::kinds::Kind;
use crate::app::App;

/// A whole number.
pub(crate) struct Whole(pub(crate) RangeInclusive<usize>);

impl Whole {
    fn check(&self, number: Option<usize>) -> Result<usize, String> {
        let (least, most) = (self.0.start(), self.0.end());
        let fits = number.filter(|number| self.0.contains(number));
        fits.ok_or_else(|| format!("is not a whole number from {least} to {most}"))
    }
}

impl Kind for Whole {
    type Value = usize;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "integer", "minimum": self.0.start(), "maximum": self.0.end()})
    }

    fn read(&self, text: &str) -> Result<usize, String> {
        // `parse` would take a sign.
        self.check(text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten())
    }

    fn read_json(&self, value: &Value) -> Result<usize, String> {
        // To JSON Schema, 8.0 is an integer as 8 is.
        let whole =
            |number: f64| (number.fract() == 0.0 && (0.0..=MOST_EXACT).contains(&number)).then_some(number as u64);
        let number = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        self.check(number.and_then(|number| usize::try_from(number).ok()))
    }
}

/// Whole numbers to this are exact in a float.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whole numbers with commas between them.
pub(crate) struct WholeList {
    pub(crate) each: RangeInclusive<usize>,
    /// Numbers of the list, at most.
    pub(crate) most: usize,
}

impl Kind for WholeList {
    type Value = Vec<usize>;

    fn schema(&self, app: &App) -> Value {
        let items = Whole(self.each.clone()).schema(app);
        json!({"type": "array", "items": items, "minItems": 1, "maxItems": self.most})
    }

    fn read(&self, text: &str) -> Result<Vec<usize>, String> {
        let each = Whole(self.each.clone());
        let numbers = text.split(',').map(|part| each.read(part.trim())).collect::<Result<Vec<usize>, String>>();
        match numbers {
            Ok(numbers) if numbers.len() <= self.most => Ok(numbers),
            Ok(numbers) => Err(format!("has {} numbers; at most {} are taken", numbers.len(), self.most)),
            Err(_) => {
                let (least, most) = (self.each.start(), self.each.end());
                Err(format!("is not a list of whole numbers from {least} to {most} with commas between them"))
            }
        }
    }
}

/// The finite number that a text is, without a sign before it.
fn number(text: &str) -> Option<f64> {
    // `parse` would take `inf`, `nan` and a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b".eE-+".contains(&byte));
    text.parse().ok().filter(|_| is_number && !text.starts_with('+'))
}

/// A number of at least 0: a price.
pub(crate) struct AtLeast0 {
    /// The most that is taken.
    pub(crate) most: f64,
}

impl AtLeast0 {
    fn check(&self, number: Option<f64>) -> Result<f64, String> {
        let fits = number.filter(|number| (0.0..=self.most).contains(number));
        fits.ok_or_else(|| format!("is not a number from 0 to {}", self.most))
    }
}

impl Kind for AtLeast0 {
    type Value = f64;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "number", "minimum": 0, "maximum": self.most})
    }

    fn read(&self, text: &str) -> Result<f64, String> {
        self.check(number(text))
    }

    fn read_json(&self, value: &Value) -> Result<f64, String> {
        self.check(value.as_f64())
    }
}

/// A number above 0.
pub(crate) struct Above0 {
    /// The most that is taken.
    pub(crate) most: f64,
}

impl Above0 {
    /// The least that is taken: a figure over less may be infinite.
    const LEAST: f64 = 1e-9;

    fn check(&self, number: Option<f64>) -> Result<f64, String> {
        match number {
            Some(number) if number > 0.0 && number < Self::LEAST => {
                Err("is less than 0.000000001, the least that is taken".to_owned())
            }
            Some(number) if number > 0.0 && number <= self.most => Ok(number),
            _ => Err(format!("is not a number above 0 and up to {}", self.most)),
        }
    }
}

impl Kind for Above0 {
    type Value = f64;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "number", "minimum": Self::LEAST, "maximum": self.most})
    }

    fn read(&self, text: &str) -> Result<f64, String> {
        self.check(number(text))
    }

    fn read_json(&self, value: &Value) -> Result<f64, String> {
        self.check(value.as_f64())
    }
}
