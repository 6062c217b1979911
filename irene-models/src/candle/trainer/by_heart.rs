use candle_core::Device;
use irene_tree::Size;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use super::{Targets, targets::Task};
use crate::{Batch, ModelSpec, Result, TaskHead};

/// A toy task: the same sequences at every step, to be learned by heart.
///
/// A causal language model learns each next token, a masked one the tokens that are hidden from it, and a classifier a class of each sequence
/// that is drawn. Loss falls to near 0 for a model that can store them, and generalises to nothing.
#[derive(Clone, Debug)]
pub struct ByHeart {
    task: Task,
    batches: Vec<(Batch, Targets)>,
}

impl ByHeart {
    /// Micro-batches of random tokens.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn new(
        spec: &ModelSpec,
        head: TaskHead,
        size: Size,
        micro_batches: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let vocabulary = spec.vocab_size()?.max(1) as u64;
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut batch = || {
            let ids = (0..size.tokens()).map(|_| (random.next_u64() % vocabulary) as i64);
            Batch::of_ids(ids.collect(), None, size, device)
        };
        let batches = (0..micro_batches).map(|_| batch()).collect::<Result<_>>()?;
        Self::of(spec, head, batches, seed, device)
    }

    /// These micro-batches.
    ///
    /// # Errors
    /// As [`Targets::made_up`]; the device's error.
    pub fn of(spec: &ModelSpec, head: TaskHead, batches: Vec<Batch>, seed: u64, device: &Device) -> Result<Self> {
        let task = Task::of(spec, head)?;
        let with_targets = |(place, batch): (usize, Batch)| {
            let targets = Targets::made_up(&batch, spec, head, seed.wrapping_add(place as u64))?;
            let batch = if task == Task::MaskedToken { hidden(&batch, &targets, device)? } else { batch };
            Ok((batch, targets))
        };
        Ok(Self { task, batches: batches.into_iter().enumerate().map(with_targets).collect::<Result<_>>()? })
    }

    /// Whether each token is to be learned from those before it.
    pub fn is_causal(&self) -> bool {
        self.task == Task::NextToken
    }

    /// The micro-batches of a step.
    pub fn batches(&self) -> impl Iterator<Item = (&Batch, &Targets)> {
        self.batches.iter().map(|(batch, targets)| (batch, targets))
    }
}

/// The batch with one token in place of all that are to be found: which is a vocabulary's mask is not in every config.
fn hidden(batch: &Batch, targets: &Targets, device: &Device) -> Result<Batch> {
    let mut ids = batch.id_numbers()?;
    let labelled = ids.iter_mut().zip(targets.labels()).filter(|(_, label)| **label != Targets::NOT_COUNTED);
    labelled.for_each(|(id, _)| *id = 0);
    Batch::of_ids(ids, batch.mask_numbers()?, batch.size(), device)
}
