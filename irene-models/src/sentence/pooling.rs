use irene_tree::{Format, Level, OpKind, Operation};

use super::Mode;
use crate::{Batch, Cx, Label, Module, Result, Tensor, Weights, labelled};

labelled!(Pooling, Pooled);

/// One vector for each sequence from those of its tokens, by every mode, beside each other.
pub(super) struct Pooling {
    label: Label,
    modes: Vec<Pooled>,
}

impl Pooling {
    pub(super) fn load(weights: &Weights<'_>, modes: &[Mode]) -> Self {
        let pooled = |mode: &Mode| {
            let (word, class) = mode.names();
            Pooled { label: weights.child(word).label(class, Level::Ml), mode: *mode }
        };
        Self { label: weights.label("Pooling", Level::Module), modes: modes.iter().map(pooled).collect() }
    }
}

impl Module for Pooling {
    /// Hidden states (batch, tokens, width), and the batch that they are of.
    type Input<'a> = (&'a Tensor, &'a Batch);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, batch): (&Tensor, &Batch)) -> Result<Tensor> {
        let mut beside: Option<Tensor> = None;
        for mode in &self.modes {
            let pooled = cx.call(mode, (hidden, batch))?;
            beside = Some(match beside {
                Some(beside) => cx.join(&beside, &pooled, 1)?,
                None => pooled,
            });
        }
        beside.map_or_else(|| mean(cx, hidden, batch), Ok)
    }
}

/// One way of pooling: a primitive, whose single operations are as small as a vector.
struct Pooled {
    label: Label,
    mode: Mode,
}

impl Module for Pooled {
    type Input<'a> = (&'a Tensor, &'a Batch);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, batch): (&Tensor, &Batch)) -> Result<Tensor> {
        cx.untraced(|cx| self.mode.pool(cx, hidden, batch))
    }

    fn operation(&self, (hidden, batch): (&Tensor, &Batch), output: &Tensor) -> Option<Operation> {
        let (kind, read) = match self.mode {
            Mode::Cls | Mode::LastToken => (OpKind::Gather, output.operand()),
            Mode::Max => (OpKind::TopK, hidden.operand()),
            Mode::Mean | Mode::MeanSqrtLen | Mode::WeightedMean => (OpKind::Sum, hidden.operand()),
        };
        let mask = batch.attention_mask.as_ref().map(Tensor::operand);
        let operation = Operation::new(kind, &std::iter::once(read).chain(mask).collect::<Vec<_>>(), output.operand());
        Some(if kind == OpKind::Sum { operation.fused_with(&[OpKind::Div]) } else { operation })
    }
}

impl Mode {
    fn pool(self, cx: &mut Cx<'_>, hidden: &Tensor, batch: &Batch) -> Result<Tensor> {
        match self {
            Self::Cls => one_token(cx, hidden, batch, End::First),
            Self::LastToken => one_token(cx, hidden, batch, End::Last),
            Self::Max => greatest(cx, hidden, batch),
            Self::Mean => mean(cx, hidden, batch),
            Self::MeanSqrtLen => {
                let (sum, count) = sum_and_weight(cx, hidden, &batch.mask_or_ones()?)?;
                let root = cx.pow(&count, 0.5)?;
                quotient(cx, hidden, &sum, &root)
            }
            Self::WeightedMean => {
                let (sum, weight) = sum_and_weight(cx, hidden, &by_position(batch)?)?;
                quotient(cx, hidden, &sum, &weight)
            }
        }
    }
}

/// The mean of each sequence's tokens without its padding, (batch, width).
pub(crate) fn mean(cx: &mut Cx<'_>, hidden: &Tensor, batch: &Batch) -> Result<Tensor> {
    let (sum, count) = sum_and_weight(cx, hidden, &batch.mask_or_ones()?)?;
    quotient(cx, hidden, &sum, &count)
}

/// The least weight that a sum is divided by: that of a sequence of padding alone.
const LEAST: f64 = 1e-9;

/// The sum of each sequence's tokens by weights (batch, tokens), and the sum of the weights (batch, 1); in 32 bits at least.
fn sum_and_weight(cx: &mut Cx<'_>, hidden: &Tensor, weights: &Tensor) -> Result<(Tensor, Tensor)> {
    let hidden = cx.cast_up(hidden)?;
    let weights = cx.cast(weights, hidden.format())?;
    let total = cx.sum(&weights)?;
    let total = cx.clamp(&total, LEAST, f64::from(f32::MAX))?;
    let weights = cx.reshape(&weights, [weights.dim(0), weights.dim(1), 1])?;
    let weighed = cx.mul(&hidden, &weights)?;
    let by_width = cx.transpose(&weighed, 1, 2)?;
    let sum = cx.sum(&by_width)?;
    Ok((cx.reshape(&sum, [sum.dim(0), sum.dim(1)])?, total))
}

/// The quotient in the format of the hidden states.
fn quotient(cx: &mut Cx<'_>, hidden: &Tensor, sum: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let quotient = cx.div(sum, weight)?;
    if quotient.format() == hidden.format() { Ok(quotient) } else { cx.cast(&quotient, hidden.format()) }
}

/// The greatest of each number among a sequence's tokens.
fn greatest(cx: &mut Cx<'_>, hidden: &Tensor, batch: &Batch) -> Result<Tensor> {
    let hidden = match &batch.attention_mask {
        Some(mask) => {
            let is_token = cx.not_equal(mask, 0)?;
            let is_token = cx.reshape(&is_token, [mask.dim(0), mask.dim(1), 1])?;
            cx.where_mask(&is_token, hidden, f64::NEG_INFINITY)?
        }
        None => hidden.clone(),
    };
    let (batch, width) = (hidden.dim(0), hidden.dim(2));
    let by_width = cx.transpose(&hidden, 1, 2)?;
    let by_width = cx.contiguous(&by_width)?;
    let rows = cx.reshape(&by_width, [batch * width, hidden.dim(1)])?;
    let (greatest, _) = cx.top_k(&rows, 1)?;
    cx.reshape(&greatest, [batch, width])
}

/// The vector of each sequence's first or last token.
fn one_token(cx: &mut Cx<'_>, hidden: &Tensor, batch: &Batch, end: End) -> Result<Tensor> {
    if batch.attention_mask.is_none() {
        let place = if end == End::First { 0 } else { hidden.dim(1) - 1 };
        return cx.select(hidden, 1, place);
    }
    let place = |row: &[i64]| match end {
        End::First => first_token(row),
        End::Last => row.iter().rposition(|&token| token != 0).unwrap_or(0),
    };
    let places = match batch.rows_of_mask()? {
        Some(rows) => batch.buffer([batch.sequences()], Format::I64, |_, sequence| place(&rows[sequence]) as i64)?,
        None => batch.buffer([batch.sequences()], Format::I64, |_, _| 0)?,
    };
    cx.pick_tokens(hidden, &places)
}

/// A token at an end of a sequence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

fn first_token(row: &[i64]) -> usize {
    row.iter().position(|&token| token != 0).unwrap_or(0)
}

/// Weights that count a sequence's tokens, (batch, tokens): 1, 2 ..., and 0 for padding.
fn by_position(batch: &Batch) -> Result<Tensor> {
    let (sequences, tokens) = (batch.sequences(), batch.new_tokens());
    let rows = batch.rows_of_mask()?;
    let weight = |sequence: usize, place: usize| match &rows {
        Some(rows) => {
            let row = &rows[sequence];
            // Padding on the left does not count.
            row[place] * (place as i64 + 1 - first_token(row) as i64)
        }
        None => place as i64 + 1,
    };
    batch.buffer([sequences, tokens], Format::I64, weight)
}
