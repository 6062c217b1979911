//! The changes of an attention's scores, for kernels on the CPU.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::{numbers::wide, operations::lowest_where_zero, scores::Mask};
use crate::{Attention, Causal, Padding};

/// Everything between the products of queries and keys and their softmax.
pub(super) struct Masks {
    pub(super) scale: f32,
    cap: Option<f32>,
    bias: Option<Added>,
    padding: Option<Added>,
    /// Score of a key after the query.
    later: Option<f32>,
    /// Whether keys after the query are left out.
    is_causal: bool,
    window: Option<usize>,
    sinks: Option<Vec<f32>>,
    /// Keys before the first query's own.
    past: usize,
    keys: usize,
}

impl Masks {
    pub(super) fn new(how: &Attention<'_>, dims: [usize; 4]) -> Result<Self> {
        let [_, _, queries, keys] = dims;
        let padding = match how.padding {
            Padding::None => None,
            Padding::Added(numbers) => numbers.candle().cloned(),
            Padding::Masked(mask) => mask.candle().map(lowest_where_zero).transpose()?,
        };
        let bias = how.bias.and_then(crate::Tensor::candle);
        let sinks = how.sinks.and_then(crate::Tensor::candle);
        // Keys that no padding is added to need no score if they come later: it would vanish beside that of the query's own key.
        let is_causal = match how.causal {
            Causal::No => false,
            Causal::Hidden => true,
            Causal::Chosen { .. } | Causal::Blended { .. } => padding.is_none(),
        };
        Ok(Self {
            scale: how.scale() as f32,
            cap: how.soft_cap.map(|cap| cap as f32),
            bias: bias.map(|bias| Added::new(bias, dims)).transpose()?,
            later: how.later().filter(|_| !is_causal).map(|score| score as f32),
            padding: padding.map(|padding| Added::new(&padding, dims)).transpose()?,
            is_causal,
            window: how.window,
            sinks: sinks.map(wide).transpose()?,
            past: keys.saturating_sub(queries),
            keys,
        })
    }

    /// The keys that a query may see.
    pub(super) fn seen(&self, query: usize) -> Range<usize> {
        let place = self.past + query;
        let window = self.window.unwrap_or(self.keys + place + 1);
        let end = if self.is_causal { place + 1 } else { (place + window).min(self.keys) };
        let end = end.min(self.keys);
        (place + 1).saturating_sub(window).min(end)..end
    }

    /// The score of a head's sink.
    pub(super) fn sink(&self, head: usize) -> Option<f32> {
        self.sinks.as_ref().map(|sinks| sinks[head])
    }

    /// The changes of some keys' scores for a query.
    pub(super) fn of(&self, entry: usize, head: usize, query: usize, keys: Range<usize>) -> Mask<'_> {
        let seen = self.seen(query);
        let place = |key: usize| key.clamp(keys.start, keys.end) - keys.start;
        Mask {
            cap: self.cap,
            bias: self.bias.as_ref().map(|bias| bias.of(entry, head, query, keys.clone())),
            later: self.later.map(|score| (score, place(self.past + query + 1))),
            padding: self.padding.as_ref().map(|padding| padding.of(entry, head, query, keys.clone())),
            seen: place(seen.start)..place(seen.end),
        }
    }
}

/// Numbers that stretch to (batch, heads, query, key); the keys are whole.
struct Added {
    values: Vec<f32>,
    /// Between batch entries, heads and queries: 0 where there is one for all.
    steps: [usize; 3],
}

impl Added {
    fn new(tensor: &Tensor, dims: [usize; 4]) -> Result<Self> {
        let mut tensor = tensor.clone();
        while tensor.rank() < 4 {
            tensor = tensor.unsqueeze(0)?;
        }
        let (batch, heads, queries, keys) = tensor.dims4()?;
        if [batch, heads, queries, keys].iter().zip(dims).any(|(&own, full)| own != 1 && own != full) {
            bail!("{:?} does not stretch to {dims:?}", tensor.shape());
        }
        let values = wide(&tensor.broadcast_as((batch, heads, queries, dims[3]))?)?;
        let step = |dim: usize, step: usize| if dim == 1 { 0 } else { step * dims[3] };
        Ok(Self { values, steps: [step(batch, heads * queries), step(heads, queries), step(queries, 1)] })
    }

    fn of(&self, entry: usize, head: usize, query: usize, keys: Range<usize>) -> &[f32] {
        let [batch, of_head, of_query] = self.steps;
        &self.values[entry * batch + head * of_head + query * of_query..][keys]
    }
}
