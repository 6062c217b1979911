//! The kinds of parameters: each says once how it is read and how the OpenAPI document describes it.

use std::str::FromStr;

use irene_advice::Change;
use irene_tree::{Format, Precision};
use serde_json::{Map, Value, json};

use crate::app::App;

/// A kind of parameter or field.
pub(crate) trait Kind {
    type Value;

    /// As JSON Schema.
    fn schema(&self, app: &App) -> Value;

    /// Reads the text of a query. An error completes the sentence "`x` ...".
    fn read(&self, text: &str) -> Result<Self::Value, String>;

    /// Reads a value of a JSON object: by default a string.
    fn read_json(&self, value: &Value) -> Result<Self::Value, String> {
        value.as_str().map_or_else(|| Err("is not a string".to_owned()), |text| self.read(text))
    }
}

/// A name of one's own.
pub(crate) struct OwnName;

/// Characters of a name: every node's id repeats it.
pub(crate) const LONGEST_NAME: usize = 200;

impl Kind for OwnName {
    type Value = String;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME})
    }

    fn read(&self, text: &str) -> Result<String, String> {
        match text.chars().count() {
            1..=LONGEST_NAME => Ok(text.to_owned()),
            count => Err(format!("has {count} characters; a name has 1 to {LONGEST_NAME}")),
        }
    }
}

/// A name among those that the server knows. Whether it does is found where the name is looked up.
pub(crate) struct Known(pub(crate) fn(&App) -> Vec<String>);

impl Kind for Known {
    type Value = String;

    fn schema(&self, app: &App) -> Value {
        json!({"type": "string", "enum": (self.0)(app)})
    }

    fn read(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// A word among a few, and what each means.
pub(crate) struct Word<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy> Kind for Word<T> {
    type Value = T;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "string", "enum": self.0.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }

    fn read(&self, text: &str) -> Result<T, String> {
        let words = || self.0.iter().map(|(word, _)| *word);
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let near = irene_tree::suggestion(text, words());
            format!("is not one of {}{near}", words().collect::<Vec<_>>().join(", "))
        })
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "boolean"})
    }

    fn read(&self, text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| "is neither true nor false".to_owned())
    }
}

/// The number formats of weights, activations and cache.
pub(crate) struct Formats;

impl Kind for Formats {
    type Value = Precision;

    fn schema(&self, _: &App) -> Value {
        let names = |fits: fn(Format) -> bool| {
            Format::all().filter(|&format| fits(format)).flat_map(Format::names).collect::<Vec<_>>().join("|")
        };
        let (weights, activations) = (names(Format::holds_weights), names(Format::holds_activations));
        let pattern = format!("^({weights})(,({activations})(,({weights}))?)?$");
        json!({"type": "string", "pattern": pattern, "examples": ["bf16", "q4_k,f16", "q4_k,f16,f8_e4m3"]})
    }

    fn read(&self, text: &str) -> Result<Precision, String> {
        Precision::from_str(text).map_err(|_| {
            let names = weight_formats();
            format!("is no number format for weights, or for weights, activations and cache with commas between them; there are {names}")
        })
    }
}

/// The number format of weights, or of the cache.
pub(crate) struct OneFormat;

impl Kind for OneFormat {
    type Value = Format;

    fn schema(&self, _: &App) -> Value {
        let names: Vec<&str> = Format::all().filter(|format| format.holds_weights()).flat_map(Format::names).collect();
        json!({"type": "string", "enum": names})
    }

    fn read(&self, text: &str) -> Result<Format, String> {
        let found = text.parse().ok().filter(|format: &Format| format.holds_weights());
        found.ok_or_else(|| format!("is no number format for weights; there are {}", weight_formats()))
    }
}

/// The formats of weights, for errors.
fn weight_formats() -> String {
    let names = Format::all().filter(|format| format.holds_weights()).map(Format::name);
    names.collect::<Vec<_>>().join(", ")
}

/// Number formats of weights with commas between them.
pub(crate) struct FormatList;

/// Entries of a list in one parameter.
const MOST_LISTED: usize = 200;

impl Kind for FormatList {
    type Value = Vec<Format>;

    fn schema(&self, app: &App) -> Value {
        json!({"type": "array", "items": OneFormat.schema(app), "minItems": 1, "maxItems": MOST_LISTED})
    }

    fn read(&self, text: &str) -> Result<Vec<Format>, String> {
        let mut formats = Vec::new();
        for part in text.split(',') {
            let format =
                OneFormat.read(part.trim()).map_err(|reason| format!("is no list of formats: `{part}` {reason}"))?;
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        Ok(formats)
    }
}

/// Names with commas between them. Whether they are known is found where they are looked up.
pub(crate) struct NameList {
    pub(crate) examples: &'static [&'static str],
}

impl Kind for NameList {
    type Value = Vec<String>;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "string", "pattern": "[^\\s,]", "maxLength": LONGEST_CHANGES, "examples": self.examples})
    }

    fn read(&self, text: &str) -> Result<Vec<String>, String> {
        check_length(text)?;
        let names: Vec<String> =
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        match names.len() {
            1..=MOST_LISTED => Ok(names),
            0 => Err("has no name".to_owned()),
            count => Err(format!("has {count} names; at most {MOST_LISTED} are taken")),
        }
    }
}

/// Settings with other values: `num_hidden_layers=6;hidden_act=relu`.
pub(crate) struct Changes;

/// Changes in one parameter.
const MOST_CHANGES: usize = 32;
/// Characters of them: a list for each layer is a value too.
const LONGEST_CHANGES: usize = 4000;

fn check_length(text: &str) -> Result<(), String> {
    match text.chars().count() {
        0..=LONGEST_CHANGES => Ok(()),
        count => Err(format!("has {count} characters; at most {LONGEST_CHANGES} are taken")),
    }
}

impl Kind for Changes {
    type Value = Vec<Change>;

    fn schema(&self, _: &App) -> Value {
        let examples = ["num_hidden_layers=6", "num_hidden_layers=6;hidden_act=relu"];
        json!({"type": "string", "pattern": "^[A-Za-z0-9_.-]+=[^;\\s][^;]*(;[A-Za-z0-9_.-]+=[^;\\s][^;]*)*;?$", "maxLength": LONGEST_CHANGES, "examples": examples})
    }

    fn read(&self, text: &str) -> Result<Vec<Change>, String> {
        check_length(text)?;
        let changes = Change::list(text).map_err(|_| {
            "is no list of changes: write NAME=VALUE with semicolons between them, as in num_hidden_layers=6;hidden_act=relu"
        })?;
        match changes.len() {
            1..=MOST_CHANGES => Ok(changes),
            0 => Err("has no change: write NAME=VALUE, as in num_hidden_layers=6".to_owned()),
            count => Err(format!("has {count} changes; at most {MOST_CHANGES} are taken")),
        }
    }
}

/// A JSON object of any members.
pub(crate) struct Members;

impl Kind for Members {
    type Value = Map<String, Value>;

    fn schema(&self, _: &App) -> Value {
        json!({"type": "object"})
    }

    fn read(&self, _: &str) -> Result<Self::Value, String> {
        Err("is not an object".into())
    }

    fn read_json(&self, value: &Value) -> Result<Self::Value, String> {
        value.as_object().cloned().ok_or_else(|| "is not an object".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_long_as_its_characters() {
        let names = NameList { examples: &[] };
        assert!(names.read(&"é".repeat(LONGEST_CHANGES)).is_ok());
        let error = names.read(&"é".repeat(LONGEST_CHANGES + 1)).unwrap_err();
        assert_eq!(error, "has 4001 characters; at most 4000 are taken");
    }
}
