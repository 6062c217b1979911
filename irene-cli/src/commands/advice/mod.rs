//! Questions about one selection: what if it were another, what would save energy, which machines serve it.

pub(crate) mod plan;
mod selecting;
pub(crate) mod suggest;
pub(crate) mod whatif;

use anyhow::Result;
use irene_tree::render;
use serde::Serialize;
use serde_json::Value;

use self::selecting::{BoundsArgs, Selected, SelectionArgs};
use crate::output;

/// An answer as a line of JSON, with its schema's version.
fn json(answer: &impl Serialize) -> Result<String> {
    match serde_json::to_value(answer)? {
        Value::Object(fields) => Ok(output::json(fields)),
        other => Ok(other.to_string()),
    }
}

/// A share as people write a change: −12.3%.
fn change(ratio: f64) -> String {
    let percent = 100.0 * (ratio - 1.0);
    match percent {
        percent if percent.abs() < 0.05 => "same".to_owned(),
        percent if percent < 0.0 => format!("−{:.1}%", -percent),
        percent => format!("+{percent:.1}%"),
    }
}

/// A difference with its sign.
fn signed(value: f64, unit: &str) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{}", render::si(value.abs(), unit))
}
