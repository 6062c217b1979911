//! Objects inside a config that have fields of a part of the model (MPT's and DBRX's `attn_config`).

use serde_json::Value;

use super::{Config, Result};
use crate::families::{is_off, is_structural};

/// Refuses an object's fields that ask for another design: those of `plain` with another value, and structural ones that are not `known`.
pub(super) fn refuse_others(
    config: &Config,
    place: &'static str,
    known: &[&str],
    plain: &[(&str, Value)],
) -> Result<()> {
    let is_same = |value: &Value, plain: &Value| value == plain || value.as_f64().is_some_and(|value| plain == value);
    for (name, value) in config.value(place).and_then(Value::as_object).into_iter().flatten() {
        let reason = match plain.iter().find(|(known, _)| known == name) {
            Some((_, plain)) if value.is_null() || is_same(value, plain) => continue,
            Some((_, plain)) => format!("only {plain} is supported here"),
            None if known.contains(&name.as_str()) || !is_structural(name) || is_off(value) => continue,
            None => format!(
                "`{value}` is unknown for {}, and may ask for another design; if it does not, leave the field out of a copy of the config",
                config.word_or("model_type", "this model")?
            ),
        };
        return Err(config.error(&format!("{place}.{name}"), reason));
    }
    Ok(())
}
