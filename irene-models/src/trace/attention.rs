use irene_tree::{OpKind, Operand, Operation};

use super::{Cx, operations::label_of};
use crate::{Result, Tensor};

/// The steps of an attention between its two products, written once: eager and fused kernels follow from this.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// The divisor of the scores, and where it is applied.
    pub scaling: Scaling,
    /// The causal mask.
    pub causal: Causal<'a>,
    /// Which keys are padding.
    pub padding: Padding<'a>,
}

/// Where an attention divides by the root of its width, or another number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Nowhere.
    None,
    /// The scores.
    Scores(f64),
    /// The queries, before the product.
    Query(f64),
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
}

/// How an attention is told of padding.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    /// There is none.
    None,
    /// Numbers (batch, 1, 1, key) that are added to the scores.
    Added(&'a Tensor),
    /// A mask (batch, key); scores become the lowest number where it is 0.
    Masked(&'a Tensor),
}

impl Attention<'_> {
    /// The factor of the scores.
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    pub(crate) fn scale(&self) -> f64 {
        match self.scaling {
            Scaling::None => 1.0,
            Scaling::Scores(root) | Scaling::Query(root) => 1.0 / root,
        }
    }

    /// Score given to keys after the query (causal masking), if there is a causal mask.
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    pub(crate) fn later(&self) -> Option<f64> {
        match self.causal {
            Causal::No => None,
            Causal::Chosen { otherwise, .. } | Causal::Blended { otherwise, .. } => Some(otherwise),
        }
    }

    /// The fused operation. It skips the pairs that a causal mask hides.
    fn operation(&self, heads: [&Tensor; 3], output: &Tensor) -> Operation {
        let [query, key, _] = heads;
        let (queries, keys) = (query.dim(2) as u64, key.dim(2) as u64);
        let pairs = match self.causal {
            Causal::No => queries.saturating_mul(keys),
            _ => queries.saturating_mul(keys.saturating_sub(queries)).saturating_add(queries * (queries + 1) / 2),
        };
        let padding = match self.padding {
            Padding::None => None,
            Padding::Added(tensor) | Padding::Masked(tensor) => Some(tensor.operand()),
        };
        let inputs: Vec<Operand> = heads.into_iter().map(Tensor::operand).chain(padding).collect();
        Operation { pairs, ..Operation::new(OpKind::Attention, &inputs, output.operand()) }
    }
}

/// # Errors
/// Those of their operations.
impl Cx<'_> {
    /// The attention of query, key and value, views (batch, heads, tokens, width); the queries belong to the last tokens of the keys.
    /// Gives (batch, heads, tokens, width).
    #[inline]
    pub fn attention(&mut self, heads: &[Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        let [query, key, value] = heads;
        let heads_alone = [query, key, value];
        let run = || Tensor::attention(heads_alone, how);
        match self.fused(
            || label_of(OpKind::Attention),
            &heads_alone,
            run,
            |output| Some(how.operation(heads_alone, output)),
        ) {
            Some(output) => output,
            None => self.attention_by_operations(heads, how),
        }
    }

    fn attention_by_operations(&mut self, [query, key, value]: &[Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        let [mut query, key, value] = [self.contiguous(query)?, self.contiguous(key)?, self.contiguous(value)?];
        if let Scaling::Query(root) = how.scaling {
            query = self.div_scalar(&query, root)?;
        }
        let keys = self.transpose(&key, 2, 3)?;
        let mut scores = self.matmul(&query, &keys)?;
        if let Scaling::Scores(root) = how.scaling {
            scores = self.div_scalar(&scores, root)?;
        }
        let scores = self.without_later_keys(scores, how.causal)?;
        let scores = self.without_padding(scores, how.padding)?;
        let probabilities = self.softmax(&scores)?;
        self.matmul(&probabilities, &value)
    }

    fn without_later_keys(&mut self, scores: Tensor, causal: Causal<'_>) -> Result<Tensor> {
        match causal {
            Causal::No => Ok(scores),
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

    fn without_padding(&mut self, scores: Tensor, padding: Padding<'_>) -> Result<Tensor> {
        match padding {
            Padding::None => Ok(scores),
            Padding::Added(numbers) => self.add(&scores, numbers),
            Padding::Masked(mask) => {
                let is_token = self.not_equal(mask, 0)?;
                let is_token = self.reshape(&is_token, [mask.dim(0), 1, 1, mask.dim(1)])?;
                // The lowest finite number: minus infinity would make a row of padding alone NaN.
                self.where_mask(&is_token, &scores, f64::from(f32::MIN))
            }
        }
    }
}
