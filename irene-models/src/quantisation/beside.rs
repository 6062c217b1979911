//! Files beside a config that say how the weights are quantised, where the config does not.

use serde_json::{Map, Value};

use super::stated::{FIELD, FILE, Stated};
use crate::{Config, ModelFiles, Result};

/// A file, the object in it where that is not the whole, the method where it names none, and the word in the names of the hub's models that
/// have it: NVIDIA's ModelOpt's; AutoGPTQ's and AutoAWQ's of 2023.
const FILES: [(&str, Option<&str>, &str, &str); 3] = [
    ("hf_quant_config.json", Some("quantization"), "modelopt", ""),
    ("quantize_config.json", None, "gptq", "gptq"),
    ("quant_config.json", None, "awq", "awq"),
];

/// The config with what a file beside it says of its quantisation.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Files`](crate::Error::Files) for a file that cannot be read.
pub(crate) fn with_file_beside(mut config: Config, files: &ModelFiles) -> Result<Config> {
    if Stated::of(&config).is_some() {
        return Ok(config);
    }
    for (name, object, method, word) in FILES {
        // Each file that a hub is asked for in vain takes a request in every command.
        if !files.is_called(word) {
            continue;
        }
        let Some(path) = files.if_there(name)? else { continue };
        let file = Config::read(&path)?;
        let mut fields: Map<String, Value> = match object.map(|object| file.value(object).and_then(Value::as_object)) {
            // Other tools have files of these names too.
            None if file.value("bits").or_else(|| file.value("w_bit")).is_none() => continue,
            None => file.fields().map(|(field, value)| (field.clone(), value.clone())).collect(),
            // One that quantises keys and values alone leaves the weights as they are.
            Some(fields) => match fields.filter(|fields| fields.get("quant_algo").is_some_and(Value::is_string)) {
                Some(fields) => fields.clone(),
                None => continue,
            },
        };
        if !fields.get("quant_method").is_some_and(Value::is_string) {
            fields.insert("quant_method".to_owned(), method.into());
        }
        fields.insert(FILE.to_owned(), name.into());
        config.set(FIELD, Value::Object(fields));
        return Ok(config);
    }
    Ok(config)
}
