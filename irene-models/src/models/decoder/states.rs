//! Mamba-2 (Dao and Gu, 2024) in place of an attention, followed by shape alone: a prompt runs in chunks, a later token in one kernel.

use irene_tree::{Format, Level, OpKind, Operand, Operation, Role, Shape};

use super::recipe::{Names, States};
use crate::{Cx, Error, Label, Linear, Module, Past, Result, Tensor, Weights, labelled};

labelled!(StateMixer);

pub(super) struct StateMixer {
    label: Label,
    into: Linear,
    /// Weight and bias.
    convolution: [Tensor; 2],
    /// For each head: the bias of its step, its decay, and the weight of its input beside the state.
    of_heads: [Tensor; 3],
    norm: Tensor,
    out: Linear,
    states: States,
}

impl States {
    /// The state of every head.
    pub(super) fn operand(&self, batch: usize) -> Operand {
        Operand::new([batch, self.heads, self.width, self.size], Format::F32, Role::Cache)
    }

    /// The convolution of the last tokens and its activation, in one kernel: (batch, channels, tokens). Its parameters are a weight and
    /// perhaps a bias.
    pub(super) fn convolved(
        &self,
        cx: &mut Cx<'_>,
        channels: &Tensor,
        parameters: &[Tensor],
        has_past: bool,
    ) -> Result<Tensor> {
        let (batch, tokens, format) = (channels.dim(0), channels.dim(2), channels.format());
        let of_channels = |tokens: usize| [batch, self.channels(), tokens];
        let moved = Operand::activation(of_channels(tokens), format);
        let last = Operand::new(of_channels(self.kernel - 1), format, Role::Cache);
        // The last tokens are read if there are any, and written.
        let lasts = std::iter::repeat_n(last, 1 + usize::from(has_past));
        let inputs: Vec<Operand> =
            std::iter::once(moved).chain(parameters.iter().map(Tensor::operand)).chain(lasts).collect();
        cx.follow(Operation::new(OpKind::Convolution, &inputs, moved).fused_with(&[OpKind::Silu]), &[channels])
    }
}

impl StateMixer {
    pub(super) fn load(weights: &Weights<'_>, names: &Names, states: States, hidden: usize) -> Result<Self> {
        let (inner, channels) = (states.inner(), states.channels());
        let convolution = weights.child("conv1d");
        let of_head = |name| weights.parameter(name, [states.heads]);
        Ok(Self {
            label: weights.label(names.classes.states, Level::Module),
            into: Linear::load_with(&weights.child("in_proj"), [hidden, inner + channels + states.heads], None)?,
            convolution: [
                convolution.parameter("weight", [channels, 1, states.kernel])?,
                convolution.parameter("bias", [channels])?,
            ],
            of_heads: [of_head("dt_bias")?, of_head("A_log")?, of_head("D")?],
            norm: weights.child("norm").parameter("weight", [inner])?,
            out: Linear::load_with(&weights.child("out_proj"), [inner, hidden], None)?,
            states,
        })
    }

    /// One token of each sequence: its state decays, takes what the token brings, and gives the result.
    fn step(&self, cx: &mut Cx<'_>, convolved: &Tensor) -> Result<Tensor> {
        let (batch, format) = (convolved.dim(0), convolved.format());
        let of_token = |numbers: usize| Operand::activation([batch, numbers], format);
        let [brought, result] = [self.states.channels() + self.states.heads, self.states.inner()].map(of_token);
        let heads = self.of_heads.iter().map(Tensor::operand);
        let state = self.states.operand(batch);
        let inputs: Vec<Operand> = [state, brought, result].into_iter().chain(heads).collect();
        let others = [OpKind::Mul, OpKind::Add, OpKind::Mul, OpKind::Add];
        cx.follow(Operation::new(OpKind::Mul, &inputs, state).fused_with(&others), &[convolved])
    }

    /// A prompt in chunks (section 6 of the paper): the decays; the products of ways out and in within a chunk; each chunk's state; the
    /// states from chunk to chunk; and the results, from the chunk's own tokens and from the state before it.
    fn scan(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
        let States { heads, width, groups, size, chunk, .. } = self.states;
        let (batch, tokens, format) = (convolved.dim(0), convolved.dim(2), convolved.format());
        let chunk = chunk.min(tokens);
        let parts = batch * tokens.div_ceil(chunk);
        let of_group = heads / groups * width;
        let narrow = |shape: [usize; 3]| Operand::activation(shape, format);
        let wide = |shape: [usize; 3]| Operand::activation(shape, Format::F32);
        let [bias, decay, direct] = [0, 1, 2].map(|place| self.of_heads[place].operand());
        let decays = wide([batch, heads, tokens]);
        let ways = narrow([parts * groups, chunk, size]);
        let within = wide([parts * groups, chunk, chunk]);
        let brought = narrow([parts * groups, of_group, chunk]);
        let states = wide([parts * groups, of_group, size]);
        let results = narrow([parts * groups, chunk, of_group]);
        let both = narrow([parts * groups, chunk, chunk + size]);
        let sources = narrow([parts * groups, chunk + size, of_group]);
        let cumulated = Operation::new(OpKind::CumSum, &[narrow([batch, tokens, heads]), bias, decay], decays);
        let cumulated = cx.follow(cumulated, &[steps])?;
        let within = cx.follow(Operation::new(OpKind::MatMul, &[ways, ways], within), &[convolved, convolved])?;
        let of_chunk = Operation::new(OpKind::MatMul, &[brought, ways, decays], states);
        let of_chunk = cx.follow(of_chunk, &[convolved, convolved, &cumulated])?;
        let passed =
            Operation::new(OpKind::Mul, &[states, self.states.operand(batch)], states).fused_with(&[OpKind::Add]);
        let passed = cx.follow(passed, &[&of_chunk])?;
        // The ways out stand beside the products within the chunk, and what the tokens bring above the states.
        cx.follow(
            Operation::new(OpKind::MatMul, &[both, sources, decays, direct], results),
            &[&within, &passed, &cumulated],
        )
    }
}

impl Module for StateMixer {
    type Input<'a> = (&'a Tensor, Past<'a>);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, past): Self::Input<'_>) -> Result<Tensor> {
        if !hidden.is_shape() {
            let reason = "its Mamba-2 layers are followed by shape alone, and cannot be run".to_owned();
            return Err(Error::Input { model: self.label.instance_type.to_owned(), reason });
        }
        let projected = cx.call(&self.into, hidden)?;
        let has_past = matches!(past, Past::Tokens(_));
        let (inner, channels) = (self.states.inner(), self.states.channels());
        let gate = cx.narrow(&projected, 2, 0, inner)?;
        let steps = cx.narrow(&projected, 2, inner + channels, self.states.heads)?;
        let channels = cx.narrow(&projected, 2, inner, channels)?;
        let channels = cx.transpose(&channels, 1, 2)?;
        let convolved = self.states.convolved(cx, &channels, &self.convolution, has_past)?;
        let scanned = match (has_past, hidden.dim(1)) {
            (true, 1) => self.step(cx, &convolved)?,
            _ => self.scan(cx, &convolved, &steps)?,
        };
        let results = Operand::activation(Shape::from([hidden.dim(0), hidden.dim(1), inner]), hidden.format());
        let norm = Operation::new(OpKind::RmsNorm, &[results, results, self.norm.operand()], results);
        let normed = cx.follow(norm.fused_with(&[OpKind::Silu, OpKind::Mul, OpKind::Mul]), &[&scanned, &gate])?;
        cx.call(&self.out, &normed)
    }
}
