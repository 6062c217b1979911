//! Gated DeltaNet (Yang et al., 2025) in place of an attention, followed by shape alone: a prompt runs in chunks, a later token in one kernel.

use irene_tree::{Format, Level, OpKind, Operand, Operation, Shape};

use super::recipe::{Names, States};
use crate::{Cx, Error, Label, Linear, Module, Past, Result, Tensor, Weights, labelled};

labelled!(DeltaMixer);

pub(super) struct DeltaMixer {
    label: Label,
    into: Ways,
    convolution: [Tensor; 1],
    /// For each head: the bias of its step, and its decay.
    of_heads: [Tensor; 2],
    norm: Tensor,
    out: Linear,
    states: States,
}

/// The projections to queries, keys, values and gates, and to the numbers of each head: how much it takes, and its step.
enum Ways {
    Joint([Linear; 2]),
    Apart { channels: [Linear; 2], of_heads: [Linear; 2] },
}

impl DeltaMixer {
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        states: States,
        hidden: usize,
        is_joint: bool,
    ) -> Result<Self> {
        let (inner, channels, heads) = (states.inner(), states.channels(), states.heads);
        let linear = |name, outputs| Linear::load_with(&weights.child(name), [hidden, outputs], None);
        let of_head = |name| weights.parameter(name, [heads]);
        let into = if is_joint {
            Ways::Joint([linear("in_proj_qkvz", channels + inner)?, linear("in_proj_ba", 2 * heads)?])
        } else {
            Ways::Apart {
                channels: [linear("in_proj_qkv", channels)?, linear("in_proj_z", inner)?],
                of_heads: [linear("in_proj_b", heads)?, linear("in_proj_a", heads)?],
            }
        };
        Ok(Self {
            label: weights.label(names.classes.states, Level::Module),
            into,
            convolution: [weights.child("conv1d").parameter("weight", [channels, 1, states.kernel])?],
            of_heads: [of_head("dt_bias")?, of_head("A_log")?],
            norm: weights.child("norm").parameter("weight", [states.width])?,
            out: Linear::load_with(&weights.child("out_proj"), [inner, hidden], None)?,
            states,
        })
    }

    /// The channels (batch, tokens, channels), the gates (batch, tokens, inner), and the steps of the heads (batch, tokens, heads).
    fn projected(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<[Tensor; 3]> {
        let (inner, channels, heads) = (self.states.inner(), self.states.channels(), self.states.heads);
        match &self.into {
            Ways::Joint([of_channels, of_heads]) => {
                let (all, steps) = (cx.call(of_channels, hidden)?, cx.call(of_heads, hidden)?);
                let gate = cx.narrow(&all, 2, channels, inner)?;
                Ok([cx.narrow(&all, 2, 0, channels)?, gate, cx.narrow(&steps, 2, heads, heads)?])
            }
            Ways::Apart { channels: [qkv, z], of_heads: [b, a] } => {
                let [channels, gate] = cx.call_joint("in_proj_qkvz", [qkv, z], hidden)?;
                let [_, steps] = cx.call_joint("in_proj_ba", [b, a], hidden)?;
                Ok([channels, gate, steps])
            }
        }
    }

    /// One token of each sequence: its state decays, what it had under the token's key gives way to the token's value, and the query reads
    /// it.
    fn step(&self, cx: &mut Cx<'_>, convolved: &Tensor) -> Result<Tensor> {
        let (batch, format) = (convolved.dim(0), convolved.format());
        let of_token = |numbers: usize| Operand::activation([batch, numbers], format);
        let brought = of_token(self.states.channels() + 2 * self.states.heads);
        let (state, result) = (self.states.operand(batch), of_token(self.states.inner()));
        let heads = self.of_heads.iter().map(Tensor::operand);
        let inputs: Vec<Operand> = [state, brought, result].into_iter().chain(heads).collect();
        // A product and a sum for each number of the state: for what is under the key, for the value in its place, and for what the query reads.
        let others = [OpKind::Mul, OpKind::Add, OpKind::Mul, OpKind::Add, OpKind::Mul, OpKind::Add];
        cx.follow(Operation::new(OpKind::Mul, &inputs, state).fused_with(&others), &[convolved])
    }

    /// A prompt in chunks (section 3.3 of the paper): the decays; the products of the keys within a chunk, and the values and keys that they
    /// make of each other's; what a chunk leaves of them beside the state before it; the state after it; and the results, from the chunk's
    /// own tokens and from the state before it.
    fn scan(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
        let States { heads, width, size, chunk, .. } = self.states;
        let (batch, tokens, format) = (convolved.dim(0), convolved.dim(2), convolved.format());
        let chunk = chunk.min(tokens);
        let parts = batch.saturating_mul(tokens.div_ceil(chunk)).saturating_mul(heads);
        let narrow = |rows: usize, columns: usize| Operand::activation([parts, rows, columns], format);
        let wide = |rows: usize, columns: usize| Operand::activation([parts, rows, columns], Format::F32);
        let [bias, decay] = [0, 1].map(|place| self.of_heads[place].operand());
        let decays = Operand::activation([batch, heads, tokens], Format::F32);
        let of_heads = Operand::activation([batch, tokens, heads], format);
        let (keys, within, values) = (narrow(chunk, size), wide(chunk, chunk), narrow(chunk, width));
        let cumulated = cx.follow(Operation::new(OpKind::CumSum, &[of_heads, bias, decay], decays), &[steps])?;
        let products = Operation::new(OpKind::MatMul, &[keys, keys, decays], within);
        let products = cx.follow(products, &[convolved, convolved, &cumulated])?;
        // The inverse of the triangle, whose products are few.
        let inverse =
            cx.follow(Operation::new(OpKind::Mul, &[within], within).fused_with(&[OpKind::Add]), &[&products])?;
        let both = narrow(chunk, width + size);
        let made = Operation::new(OpKind::MatMul, &[within, both], both);
        let made = cx.follow(made, &[&inverse, convolved])?;
        let state = self.states.operand(batch);
        let left = Operation::new(OpKind::MatMul, &[keys, state, values], values).fused_with(&[OpKind::Sub]);
        let left = cx.follow(left, &[&made])?;
        let states = narrow(size, width);
        let passed = Operation::new(OpKind::MatMul, &[narrow(size, chunk), values, state], states);
        let passed = cx.follow(passed.fused_with(&[OpKind::Mul, OpKind::Add]), &[convolved, &left])?;
        let scores = Operation::new(OpKind::MatMul, &[keys, keys, decays], within);
        let scores = cx.follow(scores, &[convolved, convolved, &cumulated])?;
        // The queries stand beside the products within the chunk, and the states above what it leaves.
        let (beside, sources) = (narrow(chunk, chunk + size), narrow(chunk + size, width));
        cx.follow(Operation::new(OpKind::MatMul, &[beside, sources, decays], values), &[&scores, &passed, &left])
    }
}

impl Module for DeltaMixer {
    type Input<'a> = (&'a Tensor, Past<'a>);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, past): Self::Input<'_>) -> Result<Tensor> {
        if !hidden.is_shape() {
            let reason = "its gated DeltaNet layers are followed by shape alone, and cannot be run".to_owned();
            return Err(Error::Input { model: self.label.instance_type.to_owned(), reason });
        }
        let [channels, gate, steps] = self.projected(cx, hidden)?;
        let has_past = matches!(past, Past::Tokens(_));
        let channels = cx.transpose(&channels, 1, 2)?;
        let convolved = self.states.convolved(cx, &channels, &self.convolution, has_past)?;
        let scanned = match (has_past, hidden.dim(1)) {
            (true, 1) => self.step(cx, &convolved)?,
            _ => self.scan(cx, &convolved, &steps)?,
        };
        let inner = self.states.inner();
        let results = Operand::activation(Shape::from([hidden.dim(0), hidden.dim(1), inner]), hidden.format());
        let norm = Operation::new(OpKind::RmsNorm, &[results, results, self.norm.operand()], results);
        let normed = cx.follow(norm.fused_with(&[OpKind::Silu, OpKind::Mul, OpKind::Mul]), &[&scanned, &gate])?;
        cx.call(&self.out, &normed)
    }
}
