use irene_tree::{OpKind, Operand, Operation, Role};

use super::{Cx, Tensors, operations::label_of};
use crate::{ExpertWeights, Labelled, Result, Tensor};

/// Rows of tokens, each as often as it has experts, sorted by expert.
#[derive(Clone, Debug)]
pub struct Routed {
    /// (tokens x experts of a token, hidden).
    pub rows: Tensor,
    /// The probability that an expert gets a token, under even routing: 1 - (1 - k/E)^T.
    expected: f64,
    #[cfg(feature = "candle")]
    order: Option<Order>,
}

/// Where each row came from, and where each expert's rows end.
#[cfg(feature = "candle")]
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// For each row the place in the list of all tokens' choices.
    pub(crate) choices: Vec<u32>,
    /// Rows of each expert.
    pub(crate) counts: Vec<usize>,
}

impl Tensors for Routed {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.rows);
    }
}

impl Routed {
    /// The share of the experts that some token is sent to: as counted in a run, else as expected.
    fn touched(&self) -> f64 {
        #[cfg(feature = "candle")]
        if let Some(order) = &self.order {
            let touched = order.counts.iter().filter(|count| **count > 0).count();
            return touched as f64 / order.counts.len().max(1) as f64;
        }
        self.expected
    }

    /// The same choices for other rows.
    pub(crate) fn with_rows(&self, rows: Tensor) -> Self {
        Self { rows, ..self.clone() }
    }
}

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// The `count` greatest numbers of each row (rows, columns), greatest first, and their places.
    pub fn top_k(&mut self, x: &Tensor, count: usize) -> Result<(Tensor, Tensor)> {
        let describe = |(values, _): &(Tensor, Tensor)| Operation::new(OpKind::TopK, &[x.operand()], values.operand());
        self.operate(|| label_of(OpKind::TopK), &[x], || x.top_k(count), describe)
    }

    /// The numbers of each row (rows, columns) at these places (rows, count). A single row (1, columns) stands for all.
    pub fn take(&mut self, x: &Tensor, places: &Tensor) -> Result<Tensor> {
        let rows = x.expand([places.dim(0), x.dim(1)].into())?;
        let describe = |out: &Tensor| {
            // A parameter is read in place, so that it counts; an activation only as far as it is taken.
            let is_parameter = matches!(x.operand().role, Role::Parameter(_));
            let source = if is_parameter { x.operand() } else { out.operand() };
            Operation::new(OpKind::Gather, &[source, places.operand()], out.operand())
        };
        self.operate(|| label_of(OpKind::Gather), &[x, places], || rows.taken(places), describe)
    }

    /// 1 where a number of a row (rows, columns) is no further below the row's greatest (rows, 1) than this share of the greatest, or of its
    /// own size where that is larger; 0 elsewhere.
    pub fn near(&mut self, x: &Tensor, greatest: &Tensor, share: f64) -> Result<Tensor> {
        self.traced(OpKind::Compare, &[x, greatest], || x.near(greatest, share))
    }

    /// 1 at each row's places (rows, count) of `columns`, 0 elsewhere.
    pub fn marks(&mut self, places: &Tensor, columns: usize) -> Result<Tensor> {
        let describe = |out: &Tensor| Operation::new(OpKind::Scatter, &[places.operand()], out.operand());
        self.operate(|| label_of(OpKind::Scatter), &[places], || places.marks(columns), describe)
    }

    /// Sends each token (tokens, hidden) to its experts by their places (tokens, experts of a token). A GPU with a part of the experts
    /// and all tokens takes the rows of its own experts, in expectation, rounded up to whole rows.
    pub fn route(&mut self, tokens: &Tensor, places: &Tensor, experts: usize) -> Result<Routed> {
        let (parallel, per_token) = (self.parallel(), places.dim(1));
        let own = if parallel.exchanges_tokens() { 1 } else { parallel.expert };
        // Where tokens are exchanged, those of all GPUs come to the experts.
        let seen = if parallel.exchanges_tokens() { tokens.dim(0) * parallel.expert } else { tokens.dim(0) };
        let expected = 1.0 - (1.0 - per_token as f64 / experts as f64).max(0.0).powf(seen as f64);
        let run = || {
            #[cfg(feature = "candle")]
            let (rows, order) = tokens.routed(places, experts)?;
            #[cfg(not(feature = "candle"))]
            let rows = tokens.routed_shape(places)?;
            let rows = match own {
                1 => rows,
                own => Tensor::of_shape([rows.dim(0).div_ceil(own), rows.dim(1)], rows.format()),
            };
            Ok(Routed {
                rows,
                expected,
                #[cfg(feature = "candle")]
                order,
            })
        };
        let describe = |routed: &Routed| {
            // Rows that are read, not the whole activation: as many as are written.
            let places = Operand::new(places.shape(), places.format(), Role::Ids);
            Operation::new(OpKind::Gather, &[routed.rows.operand(), places], routed.rows.operand())
        };
        self.operate(|| label_of(OpKind::Gather), &[tokens, places], run, describe)
    }

    /// The product of each row with its own expert's weight.
    pub fn grouped_linear(&mut self, rows: &Routed, weights: &ExpertWeights) -> Result<Routed> {
        let run = || {
            #[cfg(feature = "candle")]
            let counts = rows.order.as_ref().map(|order| order.counts.as_slice());
            #[cfg(not(feature = "candle"))]
            let counts = None;
            Ok(rows.with_rows(weights.product(&rows.rows, counts)?))
        };
        let describe = |out: &Routed| {
            let inputs: Vec<Operand> = std::iter::once(rows.rows.operand()).chain(weights.operands()).collect();
            let touched = (weights.experts() * rows.touched() * weights.numbers_of_one()).round() as u64;
            Operation { touched, ..Operation::new(OpKind::GroupedLinear, &inputs, out.rows.operand()) }
        };
        self.operate(|| weights.label().clone(), &[&rows.rows], run, describe)
    }

    /// The sum of each token's rows, weighed (tokens, experts of a token).
    pub fn gather_experts(&mut self, rows: &Routed, weights: &Tensor) -> Result<Tensor> {
        let run = || {
            #[cfg(feature = "candle")]
            let choices = rows.order.as_ref().map(|order| order.choices.as_slice());
            #[cfg(not(feature = "candle"))]
            let choices = None;
            rows.rows.summed_by_token(weights, choices)
        };
        let describe = |out: &Tensor| {
            let inputs = [rows.rows.operand(), weights.operand()];
            Operation::new(OpKind::Scatter, &inputs, out.operand()).fused_with(&[OpKind::Mul])
        };
        self.operate(|| label_of(OpKind::Scatter), &[&rows.rows, weights], run, describe)
    }
}
