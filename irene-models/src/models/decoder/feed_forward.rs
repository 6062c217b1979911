//! The feed-forward part of a decoder's layer without experts.

use irene_tree::Level;

use super::{
    attention::{Residual, add_stream},
    recipe::FeedForward,
};
use crate::{Activation, Cx, Label, Linear, Module, Result, Tensor, Weights, labelled};

labelled!(DenseModule, Xielu);

impl FeedForward {
    /// Granite's part for every token.
    pub(super) fn for_every_token(inner: usize, activation: Activation) -> Self {
        let names = ["input_linear", "output_linear"];
        Self::GatedJointly { names, inner, activation, limit: None, biased: false }
    }
}

/// The layers between a hidden state and the sum.
pub(super) enum Dense {
    Gated { gate: Linear, up: Linear, down: Linear, activation: Activation, clip: Option<f64> },
    GatedJointly { gate_up: Linear, down: Linear, activation: Activation, limit: Option<f64> },
    Plain { up: Linear, down: Linear, activation: Activation },
    Xielu { up: Linear, activation: Xielu, down: Linear },
}

impl Dense {
    /// Loads the layers of a recipe that has no experts.
    pub(super) fn load(weights: &Weights<'_>, recipe: &FeedForward, hidden: usize) -> Result<Option<Self>> {
        let linear = |name, sizes, biased| Linear::load_maybe_biased(&weights.child(name), sizes, biased);
        Ok(Some(match *recipe {
            FeedForward::Gated { names: [gate, up, down], inner, activation, biased } => Self::Gated {
                gate: linear(gate, [hidden, inner], biased)?,
                up: linear(up, [hidden, inner], biased)?,
                down: linear(down, [inner, hidden], biased)?,
                activation,
                clip: None,
            },
            FeedForward::GatedJointly { names: [gate_up, down], inner, activation, limit, biased } => {
                Self::GatedJointly {
                    gate_up: linear(gate_up, [hidden, 2 * inner], biased)?,
                    down: linear(down, [inner, hidden], biased)?,
                    activation,
                    limit,
                }
            }
            FeedForward::Plain { names: [up, down], inner, activation, biased } => Self::Plain {
                up: linear(up, [hidden, inner], biased)?,
                down: linear(down, [inner, hidden], biased)?,
                activation,
            },
            FeedForward::Xielu { names: [up, down], inner } => Self::Xielu {
                up: linear(up, [hidden, inner], false)?,
                activation: Xielu::load(&weights.child("act_fn"))?,
                down: linear(down, [inner, hidden], false)?,
            },
            FeedForward::Mixture(_) => return Ok(None),
        }))
    }

    /// The same with the gate and the way up within these limits, as [`gated_within`](Cx::gated_within) has them.
    pub(super) fn clipped(self, clip: Option<f64>) -> Self {
        match self {
            Self::Gated { gate, up, down, activation, .. } => Self::Gated { gate, up, down, activation, clip },
            other => other,
        }
    }

    pub(super) fn run(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gated { gate, up, down, activation, clip } => {
                let [gate, up] = cx.call_joint("gate_up_proj", [gate, up], hidden)?;
                let inner = cx.gated_within(&gate, &up, *activation, *clip)?;
                cx.call(down, &inner)
            }
            Self::GatedJointly { gate_up, down, activation, limit } => {
                let both = cx.call(gate_up, hidden)?;
                let inner = cx.gated_jointly(&both, *activation, *limit)?;
                cx.call(down, &inner)
            }
            Self::Plain { up, down, activation } => {
                let inner = cx.call_then(up, hidden, *activation)?;
                cx.call(down, &inner)
            }
            Self::Xielu { up, activation, down } => {
                let inner = cx.call(up, hidden)?;
                let inner = cx.call(activation, &inner)?;
                cx.call(down, &inner)
            }
        }
    }
}

/// xIELU with the numbers that scale its square and its exponential.
pub(super) struct Xielu {
    label: Label,
    scales: [Tensor; 2],
}

impl Xielu {
    fn load(weights: &Weights<'_>) -> Result<Self> {
        let scales = [weights.parameter("alpha_p", [1])?, weights.parameter("alpha_n", [1])?];
        Ok(Self { label: weights.label("XIELUActivation", Level::Module), scales })
    }
}

impl Module for Xielu {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let [square, exponential] = &self.scales;
        cx.xielu(x, [square, exponential])
    }
}

/// The same layers as a module of their own.
pub(super) struct DenseModule {
    label: Label,
    layers: Dense,
}

impl DenseModule {
    pub(super) fn new(weights: &Weights<'_>, class: &'static str, layers: Dense) -> Self {
        Self { label: weights.label(class, Level::Module), layers }
    }
}

impl Module for DenseModule {
    /// Hidden states, and perhaps the stream that the result is added to.
    type Input<'a> = (&'a Tensor, Option<Residual<'a>>);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, stream): Self::Input<'_>) -> Result<Tensor> {
        let out = self.layers.run(cx, hidden)?;
        add_stream(cx, out, stream)
    }
}
