//! The modules behind a model in a folder of sentence-transformers: they make one vector of a sequence's hidden states.

mod model;
mod pooling;
mod read;

use std::path::PathBuf;

pub(crate) use self::{model::SentenceModel, pooling::mean, read::folder_of_model};
use crate::Activation;

/// The modules behind the model, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sentence {
    steps: Vec<Step>,
}

/// A module, by the name of its node: its place and class (`1_Pooling`).
#[derive(Clone, Debug, PartialEq)]
struct Step {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Vectors of the tokens become one, or several beside each other.
    Pooling(Vec<Mode>),
    /// A linear layer, and an activation.
    Dense(Dense),
    /// A vector is divided by its length.
    Normalize,
}

#[derive(Clone, Debug, PartialEq)]
struct Dense {
    widths: [usize; 2],
    is_biased: bool,
    activation: Option<Activation>,
    /// Its weights, if the folder has them.
    weights: Option<PathBuf>,
    /// The folder that they belong in.
    folder: String,
}

/// How the vectors of a sequence's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The first token's.
    Cls,
    /// The greatest of each number.
    Max,
    Mean,
    /// The sum over the root of the tokens' number.
    MeanSqrtLen,
    /// The mean by weights that grow with the position.
    WeightedMean,
    /// The last token's.
    LastToken,
}

/// Their words, in the order in which several stand beside each other; the switches of older configs; and the classes of their nodes.
const MODES: [(&str, &str, &str, Mode); 6] = [
    ("cls", "pooling_mode_cls_token", "ClsPooling", Mode::Cls),
    ("max", "pooling_mode_max_tokens", "MaxPooling", Mode::Max),
    ("mean", "pooling_mode_mean_tokens", "MeanPooling", Mode::Mean),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", "MeanSqrtLenPooling", Mode::MeanSqrtLen),
    ("weightedmean", "pooling_mode_weightedmean_tokens", "WeightedMeanPooling", Mode::WeightedMean),
    ("lasttoken", "pooling_mode_lasttoken", "LastTokenPooling", Mode::LastToken),
];

impl Sentence {
    /// The weights of its layers, each with the name of its module.
    ///
    /// # Errors
    /// [`Error::Files`](crate::Error::Files) if a layer has none.
    #[cfg(feature = "candle")]
    pub(crate) fn weights(&self) -> crate::Result<Vec<(&str, &std::path::Path)>> {
        let mut weights = Vec::new();
        for Step { name, kind } in &self.steps {
            let Kind::Dense(dense) = kind else { continue };
            let Some(file) = &dense.weights else {
                let reason = "no model.safetensors for a dense layer; save the pipeline as safetensors".into();
                return Err(crate::Error::Files { what: dense.folder.clone(), reason });
            };
            weights.push((name.as_str(), file.as_path()));
        }
        Ok(weights)
    }
}

impl Mode {
    fn of_word(word: &str) -> Option<Self> {
        MODES.iter().find(|(known, ..)| *known == word).map(|(.., mode)| *mode)
    }
    /// The word and the class of its node.
    fn names(self) -> (&'static str, &'static str) {
        let found = MODES.iter().find(|(.., mode)| *mode == self);
        found.map_or(("mean", "MeanPooling"), |(word, _, class, _)| (*word, *class))
    }
}
