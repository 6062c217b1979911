use irene_models::flexibert::Design;
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// The designs in a text of one or more JSON values. Each value is a `model_dict`, an object that has one (a record, a model's
/// config.json), or a device's records. `origin` names the text in errors.
///
/// # Errors
/// [`Error::File`] that names the value and what is wrong with it.
pub fn parse_designs(origin: &str, text: &str) -> Result<Vec<Design>> {
    let mut designs = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| Error::File { origin: origin.to_owned(), reason: error.to_string() })?;
        match value.get("records").and_then(Value::as_array) {
            Some(records) => {
                for record in records {
                    designs.push(design(origin, designs.len(), record)?);
                }
            }
            None => designs.push(design(origin, designs.len(), &value)?),
        }
    }
    if designs.is_empty() {
        return Err(Error::File { origin: origin.to_owned(), reason: "has no designs".into() });
    }
    Ok(designs)
}

fn design(origin: &str, index: usize, value: &Value) -> Result<Design> {
    let fields = value.get("model_dict").unwrap_or(value);
    Design::deserialize(fields).map_err(|error| {
        let name = value.get("hash").and_then(Value::as_str).map_or_else(|| (index + 1).to_string(), str::to_owned);
        Error::File { origin: format!("{origin}, design {name}"), reason: error.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: &str = r#"{"l":1,"o":[["sa_sdp_16","l_dft_16"]],"h":[32],"f":[[64]]}"#;

    #[test]
    fn designs_are_read_from_all_that_has_some() {
        let with = format!("{{\"hash\": \"a\", \"model_dict\": {DESIGN}}}");
        let device = format!("{{\"device\": \"d\", \"records\": [{with}, {with}]}}");
        for (text, count) in [(DESIGN, 1), (&with, 1), (&format!("{DESIGN}\n{with}\n\n{with}\n"), 3), (&device, 2)] {
            assert_eq!(parse_designs("file", text).unwrap().len(), count, "{text}");
        }
    }

    #[test]
    fn what_is_no_design_is_named() {
        let mismatch = DESIGN.replace("[32]", "[64]");
        let refused = |text: &str| parse_designs("file", text).unwrap_err().to_string();
        assert_eq!(
            refused(&format!("{DESIGN}\n{mismatch}")),
            "file, design 2: `sa_sdp_16` in field `o`: 2 heads of a hidden size of 64 have a width of 32"
        );
        let named = format!("{{\"hash\": \"ab\", \"model_dict\": {mismatch}}}");
        assert!(refused(&named).starts_with("file, design ab: "));
        assert_eq!(refused(""), "file: has no designs");
        assert!(refused("{}").starts_with("file, design 1: missing field"));
        assert!(refused("[1").starts_with("file: EOF"));
    }
}
