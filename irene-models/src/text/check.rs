//! Checks of a tokenizer.json that the tokenizers' library leaves out: without them it panics or fills the memory.

use std::fmt::{Formatter, Result as Formatted};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The parts that are checked. The vocabulary is not, which is nearly all of a file.
const PARTS: [&str; 3] = ["normalizer", "pre_tokenizer", "post_processor"];

/// Collects them, also one that stands twice.
struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut Formatter<'_>) -> Formatted {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Vec<Value>, A::Error> {
        let mut parts = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            if PARTS.contains(&name.as_str()) {
                parts.push(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(parts)
    }
}

/// Why a file cannot be used.
pub(super) fn check(json: &str) -> Result<(), String> {
    let parts = serde_json::Deserializer::from_str(json).deserialize_map(Parts).map_err(|error| error.to_string())?;
    parts.iter().find_map(fault_of).map_or(Ok(()), Err)
}

/// The fault of a part, which may have further ones in it.
fn fault_of(part: &Value) -> Option<String> {
    match part {
        Value::Array(parts) => parts.iter().find_map(fault_of),
        Value::Object(fields) => own_fault(fields).or_else(|| fields.values().find_map(fault_of)),
        _ => None,
    }
}

fn own_fault(fields: &Map<String, Value>) -> Option<String> {
    if fields.get("precompiled_charsmap").and_then(Value::as_str).is_some_and(|map| !is_charsmap(map)) {
        return Some("`precompiled_charsmap` is cut short".into());
    }
    if fields.get("length").and_then(Value::as_u64) == Some(0) {
        return Some("`length` is 0".into());
    }
    let pieces = fields.get("single").and_then(Value::as_array)?;
    let known = fields.get("special_tokens")?;
    pieces.iter().find_map(|piece| {
        if piece["Sequence"]["id"] == "B" {
            return Some("`single` asks for a second text".into());
        }
        let id = piece["SpecialToken"]["id"].as_str()?;
        known.get(id).is_none().then(|| format!("`single` has {id}, which `special_tokens` lacks"))
    })
}

/// Whether it is as long as it says: the length of a table in bytes, the table, and text.
fn is_charsmap(base64: &str) -> bool {
    const LENGTH: usize = 4;
    let bytes = base64.trim_end_matches('=').len() * 6 / 8;
    let table = first_number(base64.as_bytes()).unwrap_or(0) as usize;
    table >= LENGTH && table <= bytes.saturating_sub(LENGTH)
}

/// The number in the first four bytes, the lowest byte first.
fn first_number(base64: &[u8]) -> Option<u32> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    let mut bits = 0_u64;
    for byte in base64.get(..6)? {
        bits = (bits << 6) | digit(byte)? as u64;
    }
    // Six digits have four bits more.
    Some(((bits >> 4) as u32).swap_bytes())
}
