use std::cell::RefCell;

use irene_tree::Precision;

use crate::{ModelSpec, ParameterSpec, RandomWeights, Result, Tensor, WeightSource};

/// Weights of a trunk, with a head that is made up where they have none: as fine-tuning begins from a model that was trained with another head,
/// or without one.
pub struct NewHead<'a> {
    source: &'a dyn WeightSource,
    made_up: RandomWeights,
    /// The prefix of the trunk's keys.
    prefix: &'static str,
    keys: RefCell<Vec<String>>,
}

impl std::fmt::Debug for NewHead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewHead")
            .field("prefix", &self.prefix)
            .field("keys", &self.keys.borrow())
            .finish_non_exhaustive()
    }
}

impl<'a> NewHead<'a> {
    /// The weights of a model's source, and those that a head lacks there.
    pub fn over(source: &'a dyn WeightSource, spec: &ModelSpec, made_up: RandomWeights) -> Self {
        Self { source, made_up, prefix: spec.checkpoint_prefix(), keys: RefCell::default() }
    }

    /// The keys of the parameters that were made up.
    pub fn keys(&self) -> Vec<String> {
        self.keys.borrow().clone()
    }

    /// Whether a key is of a head; poolers are in the trunk, and belong to heads that read them.
    fn is_of_head(&self, key: &str) -> bool {
        let in_trunk = key.strip_prefix(self.prefix).is_some_and(|rest| rest.starts_with('.'));
        !self.prefix.is_empty() && (!in_trunk || key.contains(".pooler."))
    }
}

impl WeightSource for NewHead<'_> {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        if spec.keys().any(|key| self.source.has(key)) || !self.is_of_head(spec.key) {
            return self.source.parameter(spec);
        }
        self.keys.borrow_mut().push(spec.key.to_owned());
        self.made_up.parameter(spec)
    }

    fn precision(&self) -> Precision {
        self.source.precision()
    }

    fn has(&self, key: &str) -> bool {
        self.source.has(key)
    }
}
