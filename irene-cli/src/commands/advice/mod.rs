//! Questions about one selection: what if it were another, what would save energy, which machines serve it.

pub(crate) mod plan;
mod selecting;
pub(crate) mod suggest;
pub(crate) mod whatif;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use self::selecting::BoundsArgs;
pub(super) use self::selecting::{Selected, SelectionArgs};
use crate::output;

/// An answer as a line of JSON, with its schema's version.
fn json(answer: &impl Serialize) -> Result<String> {
    match serde_json::to_value(answer)? {
        Value::Object(fields) => Ok(output::json(fields)),
        other => Ok(other.to_string()),
    }
}

/// The name of a kind in files.
fn name_in_files(kind: &impl Serialize) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Where nothing is said to have changed.
const SAME: &str = "same";

/// A share as people write a change: −12.3%.
fn change(ratio: f64) -> String {
    let percent = 100.0 * (ratio - 1.0);
    match percent {
        percent if percent.abs() < 0.05 => SAME.to_owned(),
        percent if percent < 0.0 => format!("−{:.1}%", -percent),
        percent => format!("+{percent:.1}%"),
    }
}

/// A difference with its sign; none where the [`change`] is none.
fn difference(a: f64, b: f64, shown: impl Fn(f64) -> String) -> String {
    match b - a {
        _ if a == b || change(b / a) == SAME => shown(0.0),
        less if less < 0.0 => format!("−{}", shown(-less)),
        more => format!("+{}", shown(more)),
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::render::si;

    use super::*;

    #[test]
    fn what_is_the_same_has_no_difference() {
        let joules = |a, b| (difference(a, b, |value| si(value, "J")), change(b / a));
        assert_eq!(joules(1.11, 1.11 + 88.9e-9), ("0 J".into(), "same".into()));
        assert_eq!(joules(0.5, 0.25), ("−250 mJ".into(), "−50.0%".into()));
        assert_eq!(joules(0.5, 1.5), ("+1 J".into(), "+200.0%".into()));
        assert_eq!(joules(0.0, 0.0).0, "0 J");
    }
}
