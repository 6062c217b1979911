//! Parameters as variables of candle's.

use std::{cell::RefCell, collections::HashMap};

use candle_core::{DType, Device, Var};
use irene_tree::Precision;

use crate::{
    Error, ParameterKind, ParameterSpec, RandomWeights, Result, Tensor, WeightSource,
    candle::{ZeroWeights, operations::candle_dtype},
    layers::ADAPTERS,
};

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

/// Makes each parameter that a model asks of another source a variable, once under each key; or LoRA's adapters alone.
pub(super) struct Variables<'a> {
    source: &'a dyn WeightSource,
    /// The seed of the adapters, if there are any.
    adapters: Option<u64>,
    parameters: RefCell<Parameters>,
    /// The device of the parameters so far.
    device: RefCell<Device>,
}

impl<'a> Variables<'a> {
    pub(super) fn of(source: &'a dyn WeightSource, adapters: Option<u64>) -> Self {
        let (by_key, has, precision) = (HashMap::new(), RefCell::default(), source.precision());
        let parameters = RefCell::new(Parameters { trained: Vec::new(), by_key, has, precision });
        Self { source, adapters, parameters, device: RefCell::new(Device::Cpu) }
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
        parameter.candle().into_iter().for_each(|numbers| *self.device.borrow_mut() = numbers.device().clone());
        parameters.by_key.insert(key.to_owned(), parameter.clone());
        Ok(parameter)
    }

    /// An adapter as PEFT begins: numbers by chance to the rank, and none back, so that the model is what it was.
    fn adapter(&self, seed: u64, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let (device, dtype) = (self.device.borrow().clone(), candle_dtype(self.source.precision().activations));
        let dtype = dtype.unwrap_or(DType::F32);
        match spec.key.ends_with(&format!("{}.weight", ADAPTERS[0])) {
            true => RandomWeights { seed, dtype, device }.parameter(spec),
            false => ZeroWeights { dtype, device }.parameter(spec),
        }
    }
}

impl WeightSource for Variables<'_> {
    /// The parameter, as a variable if a gradient comes to it and it is to be trained.
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let key = spec.key;
        if let Some(known) = self.parameters.borrow().by_key.get(key) {
            return Ok(known.clone());
        }
        match self.adapters {
            Some(seed) if spec.kind == ParameterKind::Adapter => {
                self.loaded(key, self.adapter(seed, spec)?, spec.is_trained)
            }
            adapters => self.loaded(key, self.source.parameter(spec)?, spec.is_trained && adapters.is_none()),
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
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        self.by_key.get(spec.key).cloned().ok_or_else(|| Error::Weight {
            origin: "variables".into(),
            key: spec.key.to_owned(),
            expected: Box::new(spec.shape),
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
