//! Which layers attend to a sliding window.

use super::Recipe;
use crate::{Config, Result};

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
