use candle_core::{D, DType, Tensor as Candle};
use irene_tree::{Kernels, Size};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{Batch, Error, ModelOutput, ModelSpec, Result, TaskHead};

/// The results that a model should give for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    labels: Vec<i64>,
}

/// The kind of results that a model's loss is computed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The next token at each position.
    NextToken,
    /// The token at each labelled position.
    MaskedToken,
    /// The class of each sequence.
    Class,
}

impl Task {
    pub(super) fn of(spec: &ModelSpec, head: TaskHead) -> Result<Self> {
        Ok(match spec.training_head(head)? {
            TaskHead::Lm if spec.cache(Kernels::Eager)?.is_some() => Self::NextToken,
            TaskHead::Lm => Self::MaskedToken,
            TaskHead::Classification | TaskHead::None => Self::Class,
        })
    }
}

impl Targets {
    /// The label of a position that the loss leaves out.
    pub const NOT_COUNTED: i64 = -100;

    /// A language model's labels, row after row: the tokens themselves for a causal one, which is scored at each position on the next;
    /// for a masked one the tokens behind the masks, and [`NOT_COUNTED`](Self::NOT_COUNTED) elsewhere. For classification the class of
    /// each sequence.
    pub fn new(labels: Vec<i64>) -> Self {
        Self { labels }
    }

    /// Made-up targets: for a causal language model the batch's own tokens, for a masked one the tokens at every seventh position on
    /// average, for classification any class. Padding is not counted.
    ///
    /// # Errors
    /// [`Error::Input`] for a model without such a head; [`Error::Config`] without a number of classes; candle's error.
    pub fn made_up(batch: &Batch, spec: &ModelSpec, head: TaskHead, seed: u64) -> Result<Self> {
        /// The share of tokens that BERT is trained on.
        const MASKED: f64 = 0.15;
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let task = Task::of(spec, head)?;
        if task == Task::Class {
            let classes = spec.config().num_labels()? as u64;
            return Ok(Self::new(
                (0..batch.sequences()).map(|_| (random.next_u64() % classes.max(1)) as i64).collect(),
            ));
        }
        let mut labels = batch.id_numbers()?;
        if let Some(mask) = batch.mask_numbers()? {
            labels
                .iter_mut()
                .zip(&mask)
                .filter(|(_, is_token)| **is_token == 0)
                .for_each(|(label, _)| *label = Self::NOT_COUNTED);
        }
        if task == Task::MaskedToken {
            let bound = (MASKED * u64::MAX as f64) as u64;
            let first = labels.iter().position(|label| *label != Self::NOT_COUNTED);
            for (place, label) in labels.iter_mut().enumerate() {
                let is_masked = random.next_u64() < bound;
                // One at least, so that there is a loss.
                if !is_masked && Some(place) != first {
                    *label = Self::NOT_COUNTED;
                }
            }
        }
        Ok(Self::new(labels))
    }

    /// The labels.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The mean loss of a model's logits over what is counted.
    pub(super) fn loss(&self, task: Task, batch: &Batch, output: &ModelOutput) -> Result<Candle> {
        let missing = || refuse("the model gave no logits".into());
        let logits = output.logits.as_ref().and_then(crate::Tensor::candle).ok_or_else(missing)?;
        let Size { sequences, new, .. } = batch.size();
        let expected = if task == Task::Class { sequences } else { sequences * new };
        if self.labels.len() != expected {
            return Err(refuse(format!("expected {expected} labels, found {}", self.labels.len())));
        }
        let classes = logits.dim(D::Minus1)?;
        let rows = logits.reshape((logits.elem_count() / classes.max(1), classes))?;
        match task {
            Task::MaskedToken => cross_entropy(&rows, &self.labels),
            Task::NextToken => cross_entropy(&rows, &self.shifted(new)),
            Task::Class if rows.dim(0)? == sequences => cross_entropy(&rows, &self.labels),
            Task::Class => cross_entropy(&last_tokens(&rows, batch)?, &self.labels),
        }
    }

    /// At each position the label of the next.
    fn shifted(&self, tokens: usize) -> Vec<i64> {
        let next = |row: &[i64]| row[1..].iter().copied().chain([Self::NOT_COUNTED]).collect::<Vec<_>>();
        self.labels.chunks_exact(tokens.max(1)).flat_map(next).collect()
    }
}

fn refuse(reason: String) -> Error {
    Error::Training { setting: "targets", reason }
}

/// The rows of each sequence's last token that is no padding.
fn last_tokens(rows: &Candle, batch: &Batch) -> Result<Candle> {
    let Size { sequences, new, .. } = batch.size();
    let mask = batch.mask_numbers()?;
    let last = |row: usize| match &mask {
        Some(mask) => mask[row * new..(row + 1) * new].iter().rposition(|token| *token != 0).unwrap_or(new - 1),
        None => new - 1,
    };
    let places: Vec<i64> = (0..sequences).map(|row| (row * new + last(row)) as i64).collect();
    Ok(rows.index_select(&Candle::from_vec(places, sequences, rows.device())?, 0)?)
}

/// The mean of -log softmax at the labels, over the rows that are counted, in 32 bits at least.
fn cross_entropy(logits: &Candle, labels: &[i64]) -> Result<Candle> {
    let (rows, classes) = logits.dims2()?;
    let is_counted = |label: &i64| *label != Targets::NOT_COUNTED;
    if let Some(place) = labels.iter().position(|label| is_counted(label) && !(0..classes as i64).contains(label)) {
        return Err(refuse(format!("label {} at place {place} is beyond the {classes} classes", labels[place])));
    }
    let count = labels.iter().filter(|label| is_counted(label)).count();
    if count == 0 {
        return Err(refuse("no position is labelled, so that there is no loss".into()));
    }
    let wide = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let share = |label: &i64| if is_counted(label) { 1.0 / count as f64 } else { 0.0 };
    let shares = Candle::from_iter(labels.iter().map(share), logits.device())?.to_dtype(wide)?.reshape((rows, 1))?;
    let places = Candle::from_iter(labels.iter().map(|label| *label.max(&0)), logits.device())?.reshape((rows, 1))?;
    let logits = logits.to_dtype(wide)?;
    // The result does not depend on the shift.
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let sums = shifted.exp()?.sum_keepdim(1)?.log()?;
    Ok((sums - shifted.gather(&places, 1)?)?.mul(&shares)?.sum_all()?)
}
