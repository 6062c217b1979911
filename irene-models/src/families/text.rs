//! The text model in a config of text and images or sounds, whose config transformers writes short.

use serde_json::{Map, Value};

use super::{Family, named, unknown};
use crate::{Config, Error, Result};

/// The fields that hold the config of the text model, one in the other.
const PLACES: [&[&str]; 4] =
    [&["text_config"], &["llm_config"], &["language_config"], &["thinker_config", "text_config"]];

/// Fields of the whole that hold for its text model too, where that does not say otherwise.
const SHARED: [&str; 5] = ["torch_dtype", "dtype", "quantization_config", "quantization", "tie_word_embeddings"];

/// Sizes that many configs leave out. A whole config without one of the others is no model's, and one inside another is written as what
/// differs from its class.
const LEFT_OUT: [&str; 2] = ["num_key_value_heads", "max_position_embeddings"];

/// A config of a text model inside another.
pub(super) struct Text {
    /// The field that it stands in.
    place: String,
    model_type: String,
    fields: Map<String, Value>,
}

impl Text {
    /// The one in this config, if its own model is not described beside it.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let family = config.value("model_type").and_then(Value::as_str).and_then(named);
        if family.is_some_and(|family| family.has_sizes(config)) {
            return None;
        }
        PLACES.iter().find_map(|place| {
            let (first, rest) = place.split_first()?;
            let object = rest.iter().try_fold(config.value(first)?, |object, field| object.get(field))?.as_object()?;
            let model_type = object.get("model_type")?.as_str()?.to_owned();
            Some(Self { place: place.join("."), model_type, fields: object.clone() })
        })
    }

    pub(super) fn is_followed(&self) -> bool {
        named(&self.model_type).is_some()
    }

    /// Its config alone, and a note that it is.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the whole's `model_type` is no word.
    pub(super) fn alone(mut self, whole: &Config) -> Result<(Config, String)> {
        let (origin, of_whole) = (whole.origin(), whole.word_or("model_type", "a larger model")?);
        let note = format!("{origin}: the text model of {of_whole} alone is followed, as its `{}` has it", self.place);
        // The classes that it had before it was a part of another model.
        self.fields.shift_remove("architectures");
        for field in SHARED {
            if let (None | Some(Value::Null), Some(value)) = (self.fields.get(field), whole.value(field)) {
                self.fields.insert(field.to_owned(), value.clone());
            }
        }
        Ok((Config::of_fields(origin, self.fields), note))
    }

    /// Why the whole is not followed.
    pub(super) fn refused(&self, whole: &Config) -> Error {
        whole.error(&format!("{}.model_type", self.place), unknown(&self.model_type))
    }
}

impl Family {
    /// Puts in the sizes of the config's class where there are none: all of them in a text model's config, else those that many configs
    /// leave out. Gives the others that it put in.
    pub(super) fn fill(&self, config: &mut Config, is_text: bool) -> Vec<String> {
        let mut filled = Vec::new();
        for (field, size) in self.defaults {
            let is_often = LEFT_OUT.contains(field);
            if (is_text || is_often) && !config.has_field(field) {
                config.set(field, (*size).into());
                filled.extend((!is_often).then(|| format!("{field} {size}")));
            }
        }
        filled
    }
}
