use std::fmt;

use irene_models::flexibert::Design;
use serde::{Deserialize, Serialize};

use super::DesignSpace;

/// The published four kinds of designs. Halves part at the middle choice of the space, which belongs to the upper one: 8 layers,
/// and 8 heads in any layer, in the published space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelType {
    /// Few layers of few heads.
    ShallowNarrow,
    /// Few layers, one of them of many heads.
    ShallowWide,
    /// Many layers of few heads.
    DeepNarrow,
    /// Many layers, one of them of many heads.
    DeepWide,
}

impl ModelType {
    /// Its published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShallowNarrow => "shallow_narrow",
            Self::ShallowWide => "shallow_wide",
            Self::DeepNarrow => "deep_narrow",
            Self::DeepWide => "deep_wide",
        }
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl DesignSpace {
    /// Which of the four kinds a design is, in this space or not.
    pub fn model_type(&self, design: &Design) -> ModelType {
        let layers = design.layers();
        let reaches =
            |found: usize, choices: &[usize]| choices.get(choices.len() / 2).is_none_or(|half| found >= *half);
        let deep = reaches(layers.len(), &self.layers);
        let wide = layers.iter().any(|layer| reaches(layer.heads.len(), &self.heads));
        match (deep, wide) {
            (false, false) => ModelType::ShallowNarrow,
            (false, true) => ModelType::ShallowWide,
            (true, false) => ModelType::DeepNarrow,
            (true, true) => ModelType::DeepWide,
        }
    }
}
