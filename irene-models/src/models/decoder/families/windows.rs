//! Which layers attend to a sliding window, and other lists with a word for each layer.

use super::Recipe;
use crate::{Config, Result};

/// The fields that these read.
pub(super) const WINDOWS: &[&str] = &["sliding_window", "layer_types"];

impl Recipe {
    /// Gives the layers of `layer_types` their window; without that field, those that `is_sliding` names by their place.
    pub(super) fn slide(
        &mut self,
        config: &Config,
        window: Option<usize>,
        is_sliding: impl Fn(usize) -> bool,
    ) -> Result<()> {
        const FIELD: &str = "layer_types";
        let types: Option<Vec<String>> = config.value(FIELD).map(|_| config.field(FIELD)).transpose()?;
        if let Some(types) = types.as_ref().filter(|types| types.len() != self.layers.len()) {
            let reason = format!("names {} layers where `num_hidden_layers` is {}", types.len(), self.layers.len());
            return Err(config.error(FIELD, reason));
        }
        for (place, layer) in self.layers.iter_mut().enumerate() {
            let slides = match types.as_ref().map(|types| types[place].as_str()) {
                None => is_sliding(place),
                Some("full_attention") => false,
                Some("sliding_attention") => true,
                Some(other) => {
                    let reason = format!("layer {place} is `{other}`, which is not supported here");
                    return Err(config.error(FIELD, reason));
                }
            };
            layer.window = if slides { window } else { None };
        }
        Ok(())
    }
}

/// The window of a config, or the family's where the field is missing; null means none.
pub(super) fn window(config: &Config, default: Option<usize>) -> Result<Option<usize>> {
    const FIELD: &str = "sliding_window";
    match (config.value(FIELD), config.has_field(FIELD)) {
        (Some(_), _) => Ok(Some(config.size(FIELD)?)),
        (None, true) => Ok(None),
        (None, false) => Ok(default),
    }
}

/// The kind of each layer, by its word in a list; none where the field is missing.
pub(super) fn kinds<T: Copy>(config: &Config, field: &'static str, words: &[(&str, T)]) -> Result<Option<Vec<T>>> {
    if config.value(field).is_none() {
        return Ok(None);
    }
    let (types, layers) = (config.field::<Vec<String>>(field)?, config.layers("num_hidden_layers")?);
    if types.len() != layers {
        let reason = format!("names {} layers where `num_hidden_layers` is {layers}", types.len());
        return Err(config.error(field, reason));
    }
    let kind = |word: &String| {
        let found = words.iter().find(|(known, _)| known == word).map(|(_, kind)| *kind);
        found.ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            config.error(field, format!("`{word}` is not supported here; there are {}", known.join(", ")))
        })
    };
    Ok(Some(types.iter().map(kind).collect::<Result<_>>()?))
}
