//! States in place of an attention, followed by shape alone. They are those of Mamba (Gu and Dao, 2023), Mamba-2 (Dao and Gu, 2024), gated
//! DeltaNet (Yang et al., 2025), Kimi Delta Attention (Kimi Team, 2025), or the last tokens of a convolution alone.

mod recurrence;
mod selection;
mod ways;

use irene_tree::{Format, Level, OpKind, Operand, Operation, Role, Shape};

use self::{
    selection::Selection,
    ways::{Convolutions, Projected, Steps, Ways},
};
use super::recipe::{Names, StateKind, States};
use crate::{Cx, Label, Linear, Module, Past, Result, Tensor, Weights, labelled};

labelled!(StateMixer);

pub(super) struct StateMixer {
    label: Label,
    into: Ways,
    convolutions: Convolutions,
    selection: Option<Selection>,
    /// The bias of each step, the decay of each head, and in Mamba-2 the weight of each head's input beside the state.
    of_heads: Vec<Tensor>,
    norm: Option<Tensor>,
    out: Linear,
    states: States,
}

impl States {
    /// Numbers of a token in all heads.
    pub(super) fn inner(&self) -> usize {
        self.heads * self.width
    }

    /// Channels of the convolution: the heads, and the ways in and out of each group where they go through it.
    pub(super) fn channels(&self) -> usize {
        let ways = if matches!(self.kind, StateKind::Mamba { .. }) { 0 } else { 2 * self.groups * self.size };
        self.inner() + ways
    }

    /// The state of every head.
    fn operand(&self, batch: usize) -> Operand {
        Operand::new([batch, self.heads, self.width, self.size], Format::F32, Role::Cache)
    }

    /// Parameters beside the products, and how many numbers each has.
    fn of_heads(&self) -> Vec<(&'static str, usize)> {
        let decay = ("A_log", self.heads);
        match self.kind {
            StateKind::Mamba2 => vec![("dt_bias", self.heads), decay, ("D", self.heads)],
            StateKind::Delta { .. } => vec![("dt_bias", self.heads), decay],
            StateKind::KimiDelta => vec![("dt_bias", self.inner()), decay],
            StateKind::Mamba { .. } | StateKind::Convolution => Vec::new(),
        }
    }
}

impl StateMixer {
    pub(super) fn load(weights: &Weights<'_>, names: &Names, states: States, hidden: usize) -> Result<Self> {
        let inner = states.inner();
        let selection = match states.kind {
            StateKind::Mamba { rank, norms } => Some(Selection::load(weights, names, &states, (rank, norms))?),
            _ => None,
        };
        let (norm, out) = if states.kind == StateKind::KimiDelta { ("o_norm", "o_proj") } else { ("norm", "out_proj") };
        let normed = if states.kind == StateKind::Mamba2 { inner } else { states.width };
        let norm = states.is_normed.then(|| weights.child(norm).parameter("weight", [normed]));
        let of_heads = states.of_heads().into_iter().map(|(name, numbers)| weights.parameter(name, [numbers]));
        Ok(Self {
            label: weights.label(names.classes.states, Level::Module),
            into: Ways::load(weights, &states, hidden)?,
            convolutions: Convolutions::load(weights, &states)?,
            selection,
            of_heads: of_heads.collect::<Result<_>>()?,
            norm: norm.transpose()?,
            out: Linear::load_with(&weights.child(out), [inner, hidden], None)?,
            states,
        })
    }

    /// The results of the states (batch, tokens, inner), normalised and weighed by their gates in one kernel.
    fn gated(&self, cx: &mut Cx<'_>, scanned: &Tensor, gate: &Tensor) -> Result<Tensor> {
        let results = Operand::activation(Shape::from([gate.dim(0), gate.dim(1), self.states.inner()]), gate.format());
        let activation = if self.states.kind == StateKind::KimiDelta { OpKind::Sigmoid } else { OpKind::Silu };
        let gated = if let Some(norm) = &self.norm {
            let normed = Operation::new(OpKind::RmsNorm, &[results, results, norm.operand()], results);
            normed.fused_with(&[activation, OpKind::Mul, OpKind::Mul])
        } else {
            Operation::new(OpKind::Mul, &[results, results], results).fused_with(&[activation])
        };
        cx.follow(gated, &[scanned, gate])
    }
}

impl Module for StateMixer {
    type Input<'a> = (&'a Tensor, Past<'a>);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, past): Self::Input<'_>) -> Result<Tensor> {
        let Projected { channels, gate, steps } = self.into.run(cx, &self.states, hidden)?;
        let has_past = matches!(past, Past::Tokens(_));
        let convolved = self.convolutions.run(cx, &channels, has_past)?;
        let is_one_more = has_past && hidden.dim(1) == 1;
        let gated = match (&steps, &self.selection) {
            (Steps::None, Some(selection)) => selection.run(cx, &self.states, [&convolved[0], &gate], has_past)?,
            (Steps::None, None) => {
                let convolved = cx.transpose(&convolved[0], 1, 2)?;
                cx.mul(&gate, &convolved)?
            }
            (Steps::Alone(steps), _) => {
                let scanned =
                    if is_one_more { self.step(cx, &convolved)? } else { self.scan_mamba2(cx, &convolved[0], steps)? };
                self.gated(cx, &scanned, &gate)?
            }
            (Steps::WithStrengths(steps), _) => {
                let scanned =
                    if is_one_more { self.step(cx, &convolved)? } else { self.scan_delta(cx, &convolved, steps)? };
                self.gated(cx, &scanned, &gate)?
            }
        };
        cx.call(&self.out, &gated)
    }
}

/// A convolution of the last tokens, channel by channel.
struct Convolution {
    /// A weight, and perhaps a bias.
    parameters: Vec<Tensor>,
    kernel: usize,
    /// Whether a SiLU is in its kernel.
    is_activated: bool,
}

impl Convolution {
    fn load(weights: &Weights<'_>, states: &States, channels: usize, is_biased: bool) -> Result<Self> {
        let mut parameters = vec![weights.parameter("weight", [channels, 1, states.kernel])?];
        if is_biased {
            parameters.push(weights.parameter("bias", [channels])?);
        }
        Ok(Self { parameters, kernel: states.kernel, is_activated: states.kind != StateKind::Convolution })
    }

    /// (batch, channels, tokens) of (batch, tokens, channels), in one kernel.
    fn run(&self, cx: &mut Cx<'_>, channels: &Tensor, has_past: bool) -> Result<Tensor> {
        let channels = cx.transpose(channels, 1, 2)?;
        let (batch, width, format) = (channels.dim(0), channels.dim(1), channels.format());
        let moved = Operand::activation([batch, width, channels.dim(2)], format);
        let last = Operand::new([batch, width, self.kernel - 1], format, Role::Cache);
        // The last tokens are read if there are any, and written.
        let lasts = std::iter::repeat_n(last, 1 + usize::from(has_past));
        let parameters = self.parameters.iter().map(Tensor::operand);
        let inputs: Vec<Operand> = std::iter::once(moved).chain(parameters).chain(lasts).collect();
        let activation: &[OpKind] = if self.is_activated { &[OpKind::Silu] } else { &[] };
        cx.follow(Operation::new(OpKind::Convolution, &inputs, moved).fused_with(activation), &[&channels])
    }
}
