//! The projections into states: to channels, gates, and numbers of each head.

use super::Convolution;
use crate::{
    Cx, Linear, Result, Tensor, Weights,
    models::decoder::recipe::{StateKind, States},
};

pub(super) enum Ways {
    /// Channels and gates in one (the first Mamba).
    Halves(Linear),
    /// Gates, channels and steps in one (Mamba-2).
    One(Linear),
    /// Gates before and behind, and channels in one (LFM2).
    Gated(Linear),
    /// Channels with gates, and how much each head takes with its step (Qwen3-Next).
    Joint([Linear; 2]),
    /// The same four apart (Qwen3.5).
    Apart { channels: [Linear; 2], of_heads: [Linear; 2] },
    /// Queries, keys and values apart, how much each head takes, and by two narrow products each the decays and the gates (Kimi).
    Narrow { channels: Box<[Linear; 3]>, strengths: Linear, decays: [Linear; 2], gates: [Linear; 2] },
}

/// The numbers that projections make of tokens, each (batch, tokens, width).
pub(super) struct Projected {
    /// Queries, keys and values; all channels three times where one convolution has them.
    pub(super) channels: [Tensor; 3],
    pub(super) gate: Tensor,
    pub(super) steps: Steps,
}

/// The numbers of each token that change its states.
pub(super) enum Steps {
    /// None yet, or none at all.
    None,
    /// A step for each head.
    Alone(Tensor),
    /// A step for each head, or for each number of its key, and how much the head takes.
    WithStrengths([Tensor; 2]),
}

impl Ways {
    pub(super) fn load(weights: &Weights<'_>, states: &States, hidden: usize) -> Result<Self> {
        let (inner, channels, heads) = (states.inner(), states.channels(), states.heads);
        let load = |name, sizes| Linear::load_with(&weights.child(name), sizes, None);
        let linear = |name, outputs| load(name, [hidden, outputs]);
        // As narrow as a head, and whole on every GPU.
        let narrow = |[down, up]: [&'static str; 2]| -> Result<_> {
            Ok([load(down, [hidden, states.width])?, load(up, [states.width, inner])?])
        };
        Ok(match states.kind {
            StateKind::Mamba { .. } => Self::Halves(linear("in_proj", 2 * inner)?),
            StateKind::Mamba2 => Self::One(linear("in_proj", inner + channels + heads)?),
            StateKind::Convolution => Self::Gated(linear("in_proj", 3 * inner)?),
            StateKind::Delta { is_joint: true } => {
                Self::Joint([linear("in_proj_qkvz", channels + inner)?, linear("in_proj_ba", 2 * heads)?])
            }
            StateKind::Delta { is_joint: false } => Self::Apart {
                channels: [linear("in_proj_qkv", channels)?, linear("in_proj_z", inner)?],
                of_heads: [linear("in_proj_b", heads)?, linear("in_proj_a", heads)?],
            },
            StateKind::KimiDelta => Self::Narrow {
                channels: Box::new([linear("q_proj", inner)?, linear("k_proj", inner)?, linear("v_proj", inner)?]),
                strengths: linear("b_proj", heads)?,
                decays: narrow(["f_a_proj", "f_b_proj"])?,
                gates: narrow(["g_a_proj", "g_b_proj"])?,
            },
        })
    }

    pub(super) fn run(&self, cx: &mut Cx<'_>, states: &States, hidden: &Tensor) -> Result<Projected> {
        let (inner, channels, heads) = (states.inner(), states.channels(), states.heads);
        let thrice = |channels: Tensor| [channels.clone(), channels.clone(), channels];
        Ok(match self {
            Self::Halves(into) => {
                let all = cx.call(into, hidden)?;
                let (channels, gate) = (cx.narrow(&all, 2, 0, inner)?, cx.narrow(&all, 2, inner, inner)?);
                Projected { channels: thrice(channels), gate, steps: Steps::None }
            }
            Self::One(into) => {
                let all = cx.call(into, hidden)?;
                let (gate, steps) = (cx.narrow(&all, 2, 0, inner)?, cx.narrow(&all, 2, inner + channels, heads)?);
                let channels = cx.narrow(&all, 2, inner, channels)?;
                Projected { channels: thrice(channels), gate, steps: Steps::Alone(steps) }
            }
            Self::Gated(into) => {
                let all = cx.call(into, hidden)?;
                let (before, gate) = (cx.narrow(&all, 2, 0, inner)?, cx.narrow(&all, 2, inner, inner)?);
                let channels = cx.narrow(&all, 2, 2 * inner, channels)?;
                let channels = cx.mul(&before, &channels)?;
                Projected { channels: thrice(channels), gate, steps: Steps::None }
            }
            Self::Joint([of_channels, of_heads]) => {
                let (all, both) = (cx.call(of_channels, hidden)?, cx.call(of_heads, hidden)?);
                let gate = cx.narrow(&all, 2, channels, inner)?;
                let steps = [cx.narrow(&both, 2, heads, heads)?, cx.narrow(&both, 2, 0, heads)?];
                let channels = cx.narrow(&all, 2, 0, channels)?;
                Projected { channels: thrice(channels), gate, steps: Steps::WithStrengths(steps) }
            }
            Self::Apart { channels: [qkv, z], of_heads: [b, a] } => {
                let [channels, gate] = cx.call_joint("in_proj_qkvz", [qkv, z], hidden)?;
                let [strengths, steps] = cx.call_joint("in_proj_ba", [b, a], hidden)?;
                Projected { channels: thrice(channels), gate, steps: Steps::WithStrengths([steps, strengths]) }
            }
            Self::Narrow { channels, strengths, decays, gates } => {
                let channels = cx.call_joint("qkv_proj", channels.each_ref(), hidden)?;
                let strengths = cx.call(strengths, hidden)?;
                let steps = through(cx, decays, hidden)?;
                let gate = through(cx, gates, hidden)?;
                Projected { channels, gate, steps: Steps::WithStrengths([steps, strengths]) }
            }
        })
    }
}

/// Two products, one behind the other.
fn through(cx: &mut Cx<'_>, [down, up]: &[Linear; 2], hidden: &Tensor) -> Result<Tensor> {
    let narrow = cx.call(down, hidden)?;
    cx.call(up, &narrow)
}

/// The convolutions of the channels.
pub(super) enum Convolutions {
    /// One for all of them.
    One(Convolution),
    /// One each for queries, keys and values (Kimi).
    Three(Box<[Convolution; 3]>),
}

impl Convolutions {
    pub(super) fn load(weights: &Weights<'_>, states: &States) -> Result<Self> {
        let load = |name, channels, is_biased| Convolution::load(&weights.child(name), states, channels, is_biased);
        let channels = states.channels();
        Ok(match states.kind {
            StateKind::Convolution => Self::One(load("conv", channels, false)?),
            StateKind::Mamba { .. } | StateKind::Mamba2 => Self::One(load("conv1d", channels, true)?),
            StateKind::Delta { .. } => Self::One(load("conv1d", channels, false)?),
            StateKind::KimiDelta => {
                let load = |name| load(name, states.inner(), false);
                Self::Three(Box::new([load("q_conv1d")?, load("k_conv1d")?, load("v_conv1d")?]))
            }
        })
    }

    /// Queries, keys and values, each (batch, channels, tokens); all channels three times where one convolution has them.
    pub(super) fn run(
        &self,
        cx: &mut Cx<'_>,
        [queries, keys, values]: &[Tensor; 3],
        has_past: bool,
    ) -> Result<[Tensor; 3]> {
        match self {
            Self::One(one) => {
                let all = one.run(cx, queries, has_past)?;
                Ok([all.clone(), all.clone(), all])
            }
            Self::Three(three) => {
                let [of_queries, of_keys, of_values] = &**three;
                Ok([
                    of_queries.run(cx, queries, has_past)?,
                    of_keys.run(cx, keys, has_past)?,
                    of_values.run(cx, values, has_past)?,
                ])
            }
        }
    }
}
