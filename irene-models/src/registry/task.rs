use irene_tree::Kernels;

use super::ModelSpec;
use crate::families;

/// The use that a model is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelTask {
    /// It reads text: its numbers go into your own head.
    Encoder,
    /// It goes on from text, token by token.
    Decoder,
    /// It gives a text one vector, for search.
    Embedder,
}

impl ModelTask {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::Encoder, Self::Decoder, Self::Embedder];

    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
            Self::Embedder => "embedder",
        }
    }
}

impl ModelSpec {
    /// The use that the model is made for.
    ///
    /// ```
    /// use irene_models::{ModelSpec, ModelTask};
    /// let task = |name: &str| ModelSpec::builtin(name).map(|spec| spec.task());
    /// assert_eq!(task("bert-base-uncased"), Some(ModelTask::Encoder));
    /// assert_eq!(task("gpt2"), Some(ModelTask::Decoder));
    /// assert_eq!(task("all-MiniLM-L6-v2"), Some(ModelTask::Embedder));
    /// ```
    pub fn task(&self) -> ModelTask {
        match self.cache(Kernels::Fused) {
            Ok(Some(_)) if self.gives_no_tokens() => ModelTask::Embedder,
            Ok(Some(_)) => ModelTask::Decoder,
            _ if self.sentence.is_some() => ModelTask::Embedder,
            _ => ModelTask::Encoder,
        }
    }

    /// Whether a decoder's code is used without a language model's head: modules behind it make a vector, or its class has no head.
    pub fn gives_no_tokens(&self) -> bool {
        self.sentence.is_some() || families::is_headless(&self.config)
    }
}
