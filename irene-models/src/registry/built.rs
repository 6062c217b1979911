use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use irene_tree::{Parallel, Precision, Size};

use super::{Model, ModelSpec};
use crate::{ParameterKind, ParameterSpec, Result, Run, TaskHead, Tensor, WeightSource};

/// One GPU's share of a model as shapes, which passes of any size follow.
pub(crate) struct BuiltShare {
    pub(crate) model: Box<dyn Model>,
    /// Numbers in its parameters, and their bytes.
    numbers: u64,
    bytes: u64,
}

/// Shares that were built, the latest last: a request is several passes of one, and a sheet has many requests to few.
#[derive(Clone, Default)]
pub(super) struct BuiltShares(Arc<Mutex<Shares>>);

type Shares = Vec<(Key, Arc<BuiltShare>)>;

/// The settings that a share depends on, beside its model; LoRA's rank stands last.
type Key = (Precision, TaskHead, Parallel, usize);

/// Older ones go.
const MOST: usize = 8;

impl fmt::Debug for BuiltShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuiltShares")
    }
}

impl ModelSpec {
    /// The model of a run, as shapes of one GPU's share.
    pub(crate) fn model_of(&self, run: Run) -> Result<Arc<BuiltShare>> {
        let lora_rank = run.training.map_or(0, |training| training.lora_rank);
        let key = (run.precision, run.head, run.parallel, lora_rank);
        let shares = || self.built.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = shares().iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(known));
        }
        let counted = Counted::new(self.shapes(run)?);
        let model = self.build_share(&counted, run.head, run.parallel, lora_rank)?;
        let (numbers, bytes) = (counted.numbers.get(), counted.bytes.get());
        let share = Arc::new(BuiltShare { model, numbers, bytes });
        let mut shares = shares();
        if shares.len() == MOST {
            shares.remove(0);
        }
        shares.push((key, Arc::clone(&share)));
        Ok(share)
    }

    /// Bytes of the weights that one GPU of a run has, each parameter in the format that a checkpoint of the run's precision stores it in;
    /// in a pipeline, of all stages. Tied weights count once.
    ///
    /// # Errors
    /// As [`build_with_head`](Self::build_with_head).
    pub fn share_bytes(&self, run: Run) -> Result<u64> {
        Ok(self.model_of(run)?.bytes)
    }

    /// Numbers in the parameters of the whole model with this head. Tied ones count once.
    ///
    /// # Errors
    /// As [`build_with_head`](Self::build_with_head).
    pub fn num_parameters(&self, head: TaskHead) -> Result<u64> {
        Ok(self.model_of(Run { head, ..Size::new(1, 1).into() })?.numbers)
    }
}

/// Counts the parameters that are asked for.
struct Counted<'a> {
    shapes: Box<dyn WeightSource + 'a>,
    numbers: Cell<u64>,
    bytes: Cell<u64>,
}

impl<'a> Counted<'a> {
    fn new(shapes: Box<dyn WeightSource + 'a>) -> Self {
        Self { shapes, numbers: Cell::new(0), bytes: Cell::new(0) }
    }
}

impl WeightSource for Counted<'_> {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let parameter = self.shapes.parameter(spec)?;
        let operand = parameter.operand();
        if spec.kind != ParameterKind::Buffer {
            self.numbers.set(self.numbers.get().saturating_add(operand.shape.elements()));
        }
        self.bytes.set(self.bytes.get().saturating_add(operand.bytes()));
        Ok(parameter)
    }

    fn precision(&self) -> Precision {
        self.shapes.precision()
    }

    fn has(&self, key: &str) -> bool {
        self.shapes.has(key)
    }

    fn has_keys(&self) -> bool {
        self.shapes.has_keys()
    }
}
