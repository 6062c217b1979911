//! States in place of an attention, followed by shape alone: a prompt runs in chunks, a later token in one kernel. They are Mamba-2's (Dao
//! and Gu, 2024), those of gated DeltaNet (Yang et al., 2025), or the last tokens of a convolution alone.

use irene_tree::{Format, Level, OpKind, Operand, Operation, Role, Shape};

use super::recipe::{Names, StateKind, States};
use crate::{Cx, Error, Label, Linear, Module, Past, Result, Tensor, Weights, labelled};

labelled!(StateMixer);

pub(super) struct StateMixer {
    label: Label,
    into: Ways,
    /// A weight, and Mamba-2's bias.
    convolution: Vec<Tensor>,
    /// For each head: the bias of its step, its decay, and in Mamba-2 the weight of its input beside the state.
    of_heads: Vec<Tensor>,
    norm: Option<Tensor>,
    out: Linear,
    states: States,
}

/// The projections to channels, gates, and numbers of each head.
enum Ways {
    /// Gates, channels and steps in one (Mamba-2).
    One(Linear),
    /// Gates before and behind, and channels in one (LFM2).
    Gated(Linear),
    /// Channels with gates, and how much each head takes with its step (Qwen3-Next).
    Joint([Linear; 2]),
    /// The same four apart (Qwen3.5).
    Apart { channels: [Linear; 2], of_heads: [Linear; 2] },
}

impl States {
    /// Numbers of a token in all heads.
    pub(super) fn inner(&self) -> usize {
        self.heads * self.width
    }

    /// Channels of the convolution: the heads, and the ways in and out of each group.
    pub(super) fn channels(&self) -> usize {
        self.inner() + 2 * self.groups * self.size
    }

    /// The state of every head.
    fn operand(&self, batch: usize) -> Operand {
        Operand::new([batch, self.heads, self.width, self.size], Format::F32, Role::Cache)
    }
}

impl StateMixer {
    pub(super) fn load(weights: &Weights<'_>, names: &Names, states: States, hidden: usize) -> Result<Self> {
        let (inner, channels, heads) = (states.inner(), states.channels(), states.heads);
        let linear = |name, outputs| Linear::load_with(&weights.child(name), [hidden, outputs], None);
        let into = match states.kind {
            StateKind::Mamba2 => Ways::One(linear("in_proj", inner + channels + heads)?),
            StateKind::Convolution => Ways::Gated(linear("in_proj", 3 * inner)?),
            StateKind::Delta { is_joint: true } => {
                Ways::Joint([linear("in_proj_qkvz", channels + inner)?, linear("in_proj_ba", 2 * heads)?])
            }
            StateKind::Delta { is_joint: false } => Ways::Apart {
                channels: [linear("in_proj_qkv", channels)?, linear("in_proj_z", inner)?],
                of_heads: [linear("in_proj_b", heads)?, linear("in_proj_a", heads)?],
            },
        };
        let is_alone = states.kind == StateKind::Convolution;
        let place = weights.child(if is_alone { "conv" } else { "conv1d" });
        let mut convolution = vec![place.parameter("weight", [channels, 1, states.kernel])?];
        let is_mamba2 = states.kind == StateKind::Mamba2;
        if is_mamba2 {
            convolution.push(place.parameter("bias", [channels])?);
        }
        let (of_heads, normed): (&[&str], usize) = match states.kind {
            StateKind::Mamba2 => (&["dt_bias", "A_log", "D"], inner),
            StateKind::Delta { .. } => (&["dt_bias", "A_log"], states.width),
            StateKind::Convolution => (&[], inner),
        };
        let norm = states.is_normed.then(|| weights.child("norm").parameter("weight", [normed]));
        Ok(Self {
            label: weights.label(names.classes.states, Level::Module),
            into,
            convolution,
            of_heads: of_heads.iter().map(|name| weights.parameter(name, [heads])).collect::<Result<_>>()?,
            norm: norm.transpose()?,
            out: Linear::load_with(&weights.child("out_proj"), [inner, hidden], None)?,
            states,
        })
    }

    /// The channels (batch, tokens, channels), the gates (batch, tokens, inner), and the steps of the heads (batch, tokens, heads).
    fn projected(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<[Tensor; 3]> {
        let (inner, channels, heads) = (self.states.inner(), self.states.channels(), self.states.heads);
        match &self.into {
            Ways::One(into) => {
                let all = cx.call(into, hidden)?;
                let (gate, steps) = (cx.narrow(&all, 2, 0, inner)?, cx.narrow(&all, 2, inner + channels, heads)?);
                Ok([cx.narrow(&all, 2, inner, channels)?, gate, steps])
            }
            Ways::Gated(into) => {
                let all = cx.call(into, hidden)?;
                let (before, behind) = (cx.narrow(&all, 2, 0, inner)?, cx.narrow(&all, 2, inner, inner)?);
                let channels = cx.narrow(&all, 2, 2 * inner, channels)?;
                Ok([cx.mul(&before, &channels)?, behind.clone(), behind])
            }
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

    /// The convolution of the last tokens and its activation, in one kernel: (batch, channels, tokens).
    fn convolved(&self, cx: &mut Cx<'_>, channels: &Tensor, has_past: bool) -> Result<Tensor> {
        let (batch, tokens, format) = (channels.dim(0), channels.dim(2), channels.format());
        let of_channels = |tokens: usize| [batch, self.states.channels(), tokens];
        let moved = Operand::activation(of_channels(tokens), format);
        let last = Operand::new(of_channels(self.states.kernel - 1), format, Role::Cache);
        // The last tokens are read if there are any, and written.
        let lasts = std::iter::repeat_n(last, 1 + usize::from(has_past));
        let parameters = self.convolution.iter().map(Tensor::operand);
        let inputs: Vec<Operand> = std::iter::once(moved).chain(parameters).chain(lasts).collect();
        let is_alone = self.states.kind == StateKind::Convolution;
        let activation: &[OpKind] = if is_alone { &[] } else { &[OpKind::Silu] };
        cx.follow(Operation::new(OpKind::Convolution, &inputs, moved).fused_with(activation), &[channels])
    }

    /// One token of each sequence: its state decays, takes what the token brings, and gives the result. In gated DeltaNet what the state had
    /// under the token's key gives way.
    fn step(&self, cx: &mut Cx<'_>, convolved: &Tensor) -> Result<Tensor> {
        let (batch, format) = (convolved.dim(0), convolved.format());
        // Numbers that a token brings for each head, and products and sums for each number of the state: for what is under the token's key
        // (gated DeltaNet), for what the token brings, and for the result.
        let (of_head, rounds) = if self.states.kind == StateKind::Mamba2 { (1, 2) } else { (2, 3) };
        let of_token = |numbers: usize| Operand::activation([batch, numbers], format);
        let brought = of_token(self.states.channels() + of_head * self.states.heads);
        let (state, result) = (self.states.operand(batch), of_token(self.states.inner()));
        let heads = self.of_heads.iter().map(Tensor::operand);
        let inputs: Vec<Operand> = [state, brought, result].into_iter().chain(heads).collect();
        let others = [OpKind::Mul, OpKind::Add].repeat(rounds);
        cx.follow(Operation::new(OpKind::Mul, &inputs, state).fused_with(&others), &[convolved])
    }

    fn scan(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
        if self.states.kind == StateKind::Mamba2 {
            return self.scan_mamba2(cx, convolved, steps);
        }
        self.scan_delta(cx, convolved, steps)
    }

    /// A prompt in chunks (section 6 of Dao and Gu): the decays; the products of ways out and in within a chunk; each chunk's state; the
    /// states from chunk to chunk; and the results, from the chunk's own tokens and from the state before it.
    fn scan_mamba2(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
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

    /// A prompt in chunks (section 3.3 of Yang et al.): the decays; the products of the keys within a chunk, and the values and keys that they
    /// make of each other's; what a chunk leaves of them beside the state before it; the state after it; and the results, from the chunk's
    /// own tokens and from the state before it.
    fn scan_delta(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
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

impl Module for StateMixer {
    type Input<'a> = (&'a Tensor, Past<'a>);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, past): Self::Input<'_>) -> Result<Tensor> {
        if !hidden.is_shape() {
            let name = match self.states.kind {
                StateKind::Mamba2 => "Mamba-2",
                StateKind::Delta { .. } => "gated DeltaNet",
                StateKind::Convolution => "convolution",
            };
            let reason = format!("its {name} layers are followed by shape alone, and cannot be run");
            return Err(Error::Input { model: self.label.instance_type.to_owned(), reason });
        }
        let [channels, gate, steps] = self.projected(cx, hidden)?;
        let has_past = matches!(past, Past::Tokens(_));
        let channels = cx.transpose(&channels, 1, 2)?;
        let convolved = self.convolved(cx, &channels, has_past)?;
        if self.states.kind == StateKind::Convolution {
            let convolved = cx.transpose(&convolved, 1, 2)?;
            let gated = cx.mul(&gate, &convolved)?;
            return cx.call(&self.out, &gated);
        }
        let scanned = match (has_past, hidden.dim(1)) {
            (true, 1) => self.step(cx, &convolved)?,
            _ => self.scan(cx, &convolved, &steps)?,
        };
        let inner = self.states.inner();
        let results = Operand::activation(Shape::from([hidden.dim(0), hidden.dim(1), inner]), hidden.format());
        let gated = if let Some(norm) = &self.norm {
            let normed = Operation::new(OpKind::RmsNorm, &[results, results, norm.operand()], results);
            normed.fused_with(&[OpKind::Silu, OpKind::Mul, OpKind::Mul])
        } else {
            Operation::new(OpKind::Mul, &[results, results], results).fused_with(&[OpKind::Silu])
        };
        let gated = cx.follow(gated, &[&scanned, &gate])?;
        cx.call(&self.out, &gated)
    }
}
