use irene_tree::{Format, Kernels, OpKind, Operand, Operation};

use super::{Cx, operations::label_of};
use crate::{Result, Tensor};

/// The steps of an attention between its two products, written once: eager and fused kernels follow from this.
///
/// Scores are scaled, capped, given their bias and masked, in this order; then their softmax weighs the values.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// The factor of the scores, and where it is applied.
    pub scaling: Scaling,
    /// How keys after the query are hidden.
    pub causal: Causal<'a>,
    /// Which keys are padding.
    pub padding: Padding<'a>,
    /// A query sees only keys that are fewer than this many places away from it.
    pub window: Option<usize>,
    /// The places of the keys that each query sees, I64 (batch x queries, count), the same for every head; None means all. Of these keys
    /// the causal mask, the padding and the window may hide some.
    pub chosen: Option<&'a Tensor>,
    /// Scores become cap · tanh(score / cap).
    pub soft_cap: Option<f64>,
    /// Numbers added to the scores, which stretch to (batch, heads, query, key).
    pub bias: Option<&'a Tensor>,
    /// A score for each head (heads) that takes its share of the softmax and weighs no value.
    pub sinks: Option<&'a Tensor>,
    /// Whether the softmax of narrower numbers is computed in 32 bits.
    pub wide_softmax: bool,
    /// The probability with which training sets a weight of the values to zero.
    pub dropout: f64,
}

impl Attention<'_> {
    /// Every query sees every key; scores are the bare products.
    pub const PLAIN: Attention<'static> = Attention {
        scaling: Scaling::None,
        causal: Causal::No,
        padding: Padding::None,
        window: None,
        chosen: None,
        soft_cap: None,
        bias: None,
        sinks: None,
        wide_softmax: false,
        dropout: 0.0,
    };
}

/// How an attention scales its scores: by a divisor or a factor, of the scores or the queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// The scores are divided.
    Scores(f64),
    /// The queries are divided, before the product.
    Query(f64),
    /// The scores are multiplied.
    Factor(f64),
}

/// How scores of keys after the query are masked. The masks are (1, 1, query, key), 0 where a key comes later.
#[derive(Clone, Copy, Debug)]
pub enum Causal<'a> {
    /// Nothing.
    No,
    /// Scores of later keys are replaced.
    Chosen {
        /// 1 for keys up to the query.
        mask: &'a Tensor,
        /// The score of a later key.
        otherwise: f64,
    },
    /// Scores are multiplied by the mask, and `otherwise` is added where it is 0.
    Blended {
        /// 1 for keys up to the query.
        mask: &'a Tensor,
        /// The score of a later key.
        otherwise: f64,
    },
    /// Later keys are hidden. Where kernels are eager, the numbers of `padding` do that, and hide what is outside the window.
    Hidden,
}

/// How an attention is told of padding.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    /// There is none.
    None,
    /// Numbers (batch, 1, 1 or query, key) that are added to the scores.
    Added(&'a Tensor),
    /// A mask (batch, key); scores become the lowest number where it is 0.
    Masked(&'a Tensor),
}

impl<'a> Attention<'a> {
    /// All that it reads: queries, keys and values, then what else the scores depend on.
    pub(super) fn inputs(&self, heads: [&'a Tensor; 3]) -> Vec<&'a Tensor> {
        let padding = match self.padding {
            Padding::None => None,
            Padding::Added(tensor) | Padding::Masked(tensor) => Some(tensor),
        };
        heads.into_iter().chain([padding, self.bias, self.sinks, self.chosen].into_iter().flatten()).collect()
    }

    /// The factor of the scores.
    pub(crate) fn scale(&self) -> f64 {
        match self.scaling {
            Scaling::None => 1.0,
            Scaling::Scores(root) | Scaling::Query(root) => 1.0 / root,
            Scaling::Factor(factor) => factor,
        }
    }

    /// Score given to keys after the query (causal masking), if there is a causal mask.
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    pub(crate) fn later(&self) -> Option<f64> {
        match self.causal {
            Causal::No => None,
            Causal::Chosen { otherwise, .. } | Causal::Blended { otherwise, .. } => Some(otherwise),
            Causal::Hidden => Some(f64::from(f32::MIN)),
        }
    }

    /// The fused operation. It skips the pairs that the causal mask, the window and the choice hide.
    fn operation(&self, heads: [&Tensor; 3], output: &Tensor, is_training: bool) -> Operation {
        let [query, key, _] = heads;
        let pairs = self.pairs(query.dim(2) as u64, key.dim(2) as u64);
        let inputs: Vec<Operand> = self.inputs(heads).into_iter().map(Tensor::operand).collect();
        let within: &[OpKind] = if is_training && self.dropout > 0.0 { &[OpKind::Dropout] } else { &[] };
        Operation { pairs, ..Operation::new(OpKind::Attention, &inputs, output.operand()) }.fused_with(within)
    }

    /// Pairs of a query and a key that it sees, for queries that belong to the last of the keys.
    pub(crate) fn pairs(&self, queries: u64, keys: u64) -> u64 {
        // However many keys a query may see, it sees no more than were chosen for it.
        let chosen = self.chosen.map_or(u64::MAX, |places| places.dim(1) as u64);
        let window = self.window.map_or(u64::MAX, |window| window as u64).min(chosen).min(keys.max(1));
        // The sum of min(start + 1, window), min(start + 2, window) ... of `count` numbers.
        let limited = |start: u64, count: u64| {
            let growing = window.saturating_sub(start).min(count);
            let grown = growing.saturating_mul(start).saturating_add(growing.saturating_mul(growing + 1) / 2);
            grown.saturating_add((count - growing).saturating_mul(window))
        };
        match self.causal {
            Causal::No if self.window.is_none() => queries.saturating_mul(keys.min(chosen)),
            // Each query sees as many keys before it as, by symmetry, another after it; itself once.
            Causal::No => (2 * limited(0, queries)).saturating_sub(queries),
            _ => limited(keys.saturating_sub(queries), queries),
        }
    }
}

/// # Errors
/// As their operations.
impl Cx<'_> {
    /// The attention of query, key and value, views (batch, heads, tokens, width); the queries belong to the last tokens of the keys.
    /// Keys and values may have fewer heads, each for a group of queries' heads. Gives (batch, heads, tokens, width).
    #[inline]
    pub fn attention(&mut self, heads: &[Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        let [query, key, value] = heads;
        let heads_alone = [query, key, value];
        let is_training = self.is_training();
        // The kernel on numbers knows no chance: a dropout there runs between the operations.
        let has_kernel = query.is_shape() || !is_training || how.dropout == 0.0;
        let run = || match how.chosen {
            _ if !has_kernel => None,
            // The kernel on numbers knows no choice either.
            Some(_) if !query.is_shape() => Some(Cx::silent().attention_to_chosen(heads, how)),
            _ => Tensor::attention(heads_alone, how),
        };
        match self.fused(
            || label_of(OpKind::Attention),
            &how.inputs(heads_alone),
            run,
            |output| Some(how.operation(heads_alone, output, is_training)),
        ) {
            Some(output) => output,
            None => self.attention_by_operations(heads, how),
        }
    }

    fn attention_by_operations(&mut self, [query, key, value]: &[Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        let groups = query.dim(1) / key.dim(1).max(1);
        let [mut query, key, value] =
            [self.contiguous(query)?, self.repeat_heads(key, groups)?, self.repeat_heads(value, groups)?];
        if let Scaling::Query(root) = how.scaling {
            query = self.div_scalar(&query, root)?;
        }
        let keys = self.transpose(&key, 2, 3)?;
        let mut scores = self.matmul(&query, &keys)?;
        match how.scaling {
            Scaling::Scores(root) => scores = self.div_scalar(&scores, root)?,
            Scaling::Factor(factor) => scores = self.mul_scalar(&scores, factor)?,
            Scaling::None | Scaling::Query(_) => {}
        }
        if let Some(cap) = how.soft_cap {
            let divided = self.div_scalar(&scores, cap)?;
            let capped = self.tanh(&divided)?;
            scores = self.mul_scalar(&capped, cap)?;
        }
        if let Some(bias) = how.bias {
            scores = self.add(&scores, bias)?;
        }
        let scores = self.without_later_keys(scores, how.causal)?;
        let scores = match how.chosen {
            Some(places) => self.of_chosen_keys(scores, places, how.padding)?,
            None => self.without_padding(scores, how.padding)?,
        };
        let scores = self.without_hidden_keys(scores, how)?;
        let probabilities = self.probabilities(&scores, how)?;
        let probabilities = self.dropout(&probabilities, how.dropout)?;
        self.matmul(&probabilities, &value)
    }

    /// The same on numbers, in memory in the order of the kernel's: tokens before heads.
    fn attention_to_chosen(&mut self, heads: &[Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        let context = self.attention_by_operations(heads, how)?;
        let by_token = self.transpose(&context, 1, 2)?;
        let by_token = self.contiguous(&by_token)?;
        self.transpose(&by_token, 1, 2)
    }

    /// Each head of (batch, heads, tokens, width) this many times after itself, contiguous.
    pub fn repeat_heads(&mut self, heads: &Tensor, times: usize) -> Result<Tensor> {
        if times <= 1 {
            return self.contiguous(heads);
        }
        self.traced(OpKind::Copy, &[heads], || heads.repeated_heads(times))
    }

    fn probabilities(&mut self, scores: &Tensor, how: Attention<'_>) -> Result<Tensor> {
        let own = scores.format();
        let is_cast = how.wide_softmax && own.bytes(1) < Format::F32.bytes(1);
        let mut scores = if is_cast { self.cast(scores, Format::F32)? } else { scores.clone() };
        if let Some(sinks) = how.sinks {
            let sinks = if is_cast { self.cast(sinks, Format::F32)? } else { sinks.clone() };
            let column = sinks.reshape([1, sinks.dim(0), 1, 1].into())?;
            let column = column.expand([scores.dim(0), scores.dim(1), scores.dim(2), 1].into())?;
            // It reads each head's own number, however many places that is stretched to: there are no more parameters.
            scores = self.operate(
                || label_of(OpKind::Concat),
                &[&scores, &column],
                || scores.concat(&column, 3),
                |output| Operation::new(OpKind::Concat, &[scores.operand(), sinks.operand()], output.operand()),
            )?;
        }
        let mut probabilities = self.softmax(&scores)?;
        if how.sinks.is_some() {
            let kept = self.narrow(&probabilities, 3, 0, probabilities.dim(3) - 1)?;
            probabilities = self.contiguous(&kept)?;
        }
        if is_cast { self.cast(&probabilities, own) } else { Ok(probabilities) }
    }

    fn without_later_keys(&mut self, scores: Tensor, causal: Causal<'_>) -> Result<Tensor> {
        match causal {
            Causal::No | Causal::Hidden => Ok(scores),
            Causal::Chosen { mask, otherwise } => {
                // transformers finds the mask's rows by the difference of two sizes.
                self.sub_sizes(scores.dim(3), scores.dim(2))?;
                self.where_mask(mask, &scores, otherwise)
            }
            Causal::Blended { mask, otherwise } => {
                let seen = self.mul(&scores, mask)?;
                let unseen = self.rsub_scalar(1.0, mask)?;
                let unseen = self.mul_scalar(&unseen, otherwise)?;
                self.add(&seen, &unseen)
            }
        }
    }

    pub(super) fn without_padding(&mut self, scores: Tensor, padding: Padding<'_>) -> Result<Tensor> {
        match padding {
            Padding::None => Ok(scores),
            Padding::Added(numbers) => self.add(&scores, numbers),
            Padding::Masked(mask) => {
                let is_token = self.not_equal(mask, 0)?;
                let is_token = self.reshape(&is_token, [mask.dim(0), 1, 1, mask.dim(1)])?;
                // The lowest finite number: minus infinity would make a row of padding alone NaN.
                self.where_mask(&is_token, &scores, scores.format().lowest())
            }
        }
    }

    /// Keys that were not chosen are hidden as padding is: in the numbers that are added for it, if there are such.
    fn of_chosen_keys(&mut self, scores: Tensor, places: &Tensor, padding: Padding<'_>) -> Result<Tensor> {
        let (one_for_all, lowest) = ([scores.dim(0), 1, scores.dim(2), scores.dim(3)], scores.format().lowest());
        let chosen = self.marks(places, scores.dim(3))?;
        let chosen = self.reshape(&chosen, one_for_all)?;
        let Padding::Added(numbers) = padding else {
            let scores = self.without_padding(scores, padding)?;
            return self.where_mask(&chosen, &scores, lowest);
        };
        let numbers = self.expand(numbers, one_for_all)?;
        let numbers = self.where_mask(&chosen, &numbers, lowest)?;
        self.add(&scores, &numbers)
    }

    /// Where kernels are fused and there is none for these tensors, nothing else hides later keys and those outside the window.
    pub(super) fn without_hidden_keys(&mut self, scores: Tensor, how: Attention<'_>) -> Result<Tensor> {
        let is_causal = matches!(how.causal, Causal::Hidden);
        if self.kernels() == Kernels::Eager || !(is_causal || how.window.is_some()) {
            return Ok(scores);
        }
        let seen = scores.seen_places(is_causal, how.window)?;
        self.where_mask(&seen, &scores, scores.format().lowest())
    }
}
