use candle_core::Device;
use irene_tree::Size;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use super::{Targets, targets::Task};
use crate::{Batch, ModelSpec, Result, TaskHead};

/// A toy task from a seed: sequences of random tokens, the same at every step, to be learned by heart.
///
/// A causal language model learns each next token, a masked one the tokens behind the masks, and a classifier a class of each sequence
/// that was drawn too. Loss falls to near 0 for a model that can store them, and generalises to nothing.
#[derive(Clone, Debug)]
pub struct ByHeart {
    batches: Vec<(Batch, Targets)>,
}

impl ByHeart {
    /// Micro-batches of this size.
    ///
    /// # Errors
    /// As [`Targets::made_up`]; the device's error.
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
        let batches = (0..micro_batches).map(|_| {
            let mut token = || (random.next_u64() % vocabulary) as i64;
            let mut ids: Vec<i64> = (0..size.tokens()).map(|_| token()).collect();
            let batch = |ids: &[i64]| Batch::of_ids(ids.to_vec(), None, size, device);
            let targets = Targets::made_up(&batch(&ids)?, spec, head, seed)?;
            if Task::of(spec, head)? == Task::MaskedToken {
                // The same token in place of every one that is to be found: which is a vocabulary's mask is not in every config.
                let hidden = ids.iter_mut().zip(targets.labels()).filter(|(_, label)| **label != Targets::NOT_COUNTED);
                hidden.for_each(|(id, _)| *id = 0);
            }
            Ok((batch(&ids)?, targets))
        });
        Ok(Self { batches: batches.collect::<Result<_>>()? })
    }

    /// The micro-batches of a step.
    pub fn batches(&self) -> impl Iterator<Item = (&Batch, &Targets)> {
        self.batches.iter().map(|(batch, targets)| (batch, targets))
    }
}
