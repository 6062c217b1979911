//! Parameters as variables of candle's.

use std::{cell::RefCell, collections::HashMap};

use candle_core::Var;
use irene_tree::{Precision, Shape};

use crate::{Error, Result, Tensor, WeightSource};

/// A parameter that is trained.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) var: Var,
}

/// The parameters of a model that is trained, once it is built.
pub(super) struct Parameters {
    pub(super) trained: Vec<Variable>,
    by_key: HashMap<String, Tensor>,
    has: RefCell<HashMap<String, bool>>,
    precision: Precision,
}

/// Makes each parameter that a model asks of another source a variable, once under each key.
pub(super) struct Variables<'a> {
    source: &'a dyn WeightSource,
    is_trained: fn(&str) -> bool,
    parameters: RefCell<Parameters>,
}

impl<'a> Variables<'a> {
    pub(super) fn of(source: &'a dyn WeightSource, is_trained: fn(&str) -> bool) -> Self {
        let (by_key, has, precision) = (HashMap::new(), RefCell::default(), source.precision());
        let parameters = RefCell::new(Parameters { trained: Vec::new(), by_key, has, precision });
        Self { source, is_trained, parameters }
    }

    pub(super) fn parameters(self) -> Parameters {
        self.parameters.into_inner()
    }

    fn loaded(&self, key: &str, parameter: Tensor, is_trained: bool) -> Result<Tensor> {
        let mut parameters = self.parameters.borrow_mut();
        let parameter = match parameter.candle() {
            None => {
                return Err(Error::Training {
                    setting: "weights",
                    reason: format!(
                        "`{key}` is stored in blocks, which have no gradient; train from a checkpoint in floats"
                    ),
                });
            }
            Some(numbers) if is_trained && numbers.dtype().is_float() => {
                let var = Var::from_tensor(numbers)?;
                let parameter = Tensor::from_candle(var.as_tensor().clone())?;
                parameters.trained.push(Variable { key: key.to_owned(), var });
                parameter
            }
            Some(_) => parameter,
        };
        parameters.by_key.insert(key.to_owned(), parameter.clone());
        Ok(parameter)
    }

    fn known(&self, key: &str) -> Option<Tensor> {
        self.parameters.borrow().by_key.get(key).cloned()
    }
}

impl WeightSource for Variables<'_> {
    fn parameter(&self, key: &str, aliases: &[String], shape: Shape) -> Result<Tensor> {
        match self.known(key) {
            Some(known) => Ok(known),
            None => self.loaded(key, self.source.parameter(key, aliases, shape)?, (self.is_trained)(key)),
        }
    }

    fn untrained_parameter(&self, key: &str, aliases: &[String], shape: Shape) -> Result<Tensor> {
        match self.known(key) {
            Some(known) => Ok(known),
            None => self.loaded(key, self.source.untrained_parameter(key, aliases, shape)?, false),
        }
    }

    fn precision(&self) -> Precision {
        self.source.precision()
    }

    fn has(&self, key: &str) -> bool {
        let has = self.source.has(key);
        self.parameters.borrow().has.borrow_mut().insert(key.to_owned(), has);
        has
    }
}

/// The same parameters for the same model, built once more.
impl WeightSource for Parameters {
    fn parameter(&self, key: &str, _aliases: &[String], shape: Shape) -> Result<Tensor> {
        self.by_key.get(key).cloned().ok_or_else(|| Error::Weight {
            origin: "variables".into(),
            key: key.to_owned(),
            expected: Box::new(shape),
            found: "no such tensor".into(),
        })
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn has(&self, key: &str) -> bool {
        self.has.borrow().get(key).copied().unwrap_or_else(|| self.by_key.contains_key(key))
    }
}

impl Parameters {
    /// Whether every parameter that results depend on is trained.
    pub(super) fn all_are_trained(&self) -> bool {
        self.by_key.values().filter_map(Tensor::candle).all(|numbers| numbers.is_variable() || !numbers.dtype().is_float())
    }
}
