//! The selection of the first Mamba (Gu and Dao, 2023, section 3.2): products of what the convolution gives make the steps of each channel's
//! state, and its ways in and out. One kernel then takes the states from token to token, a prompt's or a later one.

use irene_tree::{OpKind, Operand, Operation};

use crate::{
    Cx, Linear, Norm, Result, Tensor, Weights,
    layers::PlainRmsNorm,
    models::decoder::recipe::{Names, NormKind, SelectionNorms, States},
};

pub(super) struct Selection {
    x_proj: Linear,
    /// Norms of the steps, before they are widened, and of the ways in and out.
    norms: Option<[SelectionNorm; 3]>,
    dt_proj: Linear,
    /// The decays of each channel's state, the bias of its step, and the weight of its input beside the state.
    of_channels: [Tensor; 3],
    rank: usize,
}

enum SelectionNorm {
    Plain(PlainRmsNorm),
    Scaled(Norm),
}

impl Selection {
    /// Loads it for steps of this rank.
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        states: &States,
        (rank, norms): (usize, SelectionNorms),
    ) -> Result<Self> {
        let (inner, size) = (states.inner(), states.size);
        let (x_proj, dt_proj) = (weights.child("x_proj"), weights.child("dt_proj"));
        Ok(Self {
            x_proj: Linear::load_with(&x_proj, [inner, rank + 2 * size], None)?,
            norms: SelectionNorm::load(weights, names, norms, [rank, size])?,
            dt_proj: Linear::load_with(&dt_proj, [rank, inner], None)?,
            of_channels: [
                // Engines keep them in 32 bits.
                weights.parameter("A_log", [inner, size])?.kept_in_f32()?,
                dt_proj.parameter("bias", [inner])?,
                weights.parameter("D", [inner])?,
            ],
            rank,
        })
    }

    /// The gated result (batch, tokens, channels) of the convolution's (batch, channels, tokens).
    pub(super) fn run(
        &self,
        cx: &mut Cx<'_>,
        states: &States,
        [x, gate]: [&Tensor; 2],
        has_past: bool,
    ) -> Result<Tensor> {
        let (batch, tokens, format) = (x.dim(0), x.dim(2), x.format());
        let by_token = cx.transpose(x, 1, 2)?;
        let selected = cx.call(&self.x_proj, &by_token)?;
        // Each GPU has a part of the channels.
        let selected = cx.all_reduce(&selected)?;
        let [steps, ways_in, ways_out] = self.parts(cx, &selected, states.size)?;
        let steps = cx.call(&self.dt_proj, &steps)?;
        let [decays, bias, direct] = self.of_channels.each_ref().map(Tensor::operand);
        let numbers = |width: usize| Operand::activation([batch, tokens, width], format);
        let (channels, way) = (numbers(states.inner()), numbers(states.size));
        // The states are read if there are any, and written.
        let states = std::iter::repeat_n(states.operand(batch), 1 + usize::from(has_past));
        let inputs = [channels, decays, channels, way, way, channels, bias, direct].into_iter().chain(states);
        let scan = Operation::new(OpKind::Scan, &inputs.collect::<Vec<_>>(), channels);
        // The step scales what a token brings, which goes past the state too; the gate weighs the result.
        let others = [OpKind::Mul, OpKind::Mul, OpKind::Add, OpKind::Silu, OpKind::Mul];
        cx.follow(scan.fused_with(&others), &[x, &steps, &ways_in, &ways_out, gate])
    }

    /// Narrow steps, and ways in and out.
    fn parts(&self, cx: &mut Cx<'_>, selected: &Tensor, size: usize) -> Result<[Tensor; 3]> {
        let steps = cx.narrow(selected, 2, 0, self.rank)?;
        let ways_in = cx.narrow(selected, 2, self.rank, size)?;
        let ways_out = cx.narrow(selected, 2, self.rank + size, size)?;
        Ok(match &self.norms {
            Some([of_steps, of_in, of_out]) => {
                [of_steps.run(cx, &steps)?, of_in.run(cx, &ways_in)?, of_out.run(cx, &ways_out)?]
            }
            None => [steps, ways_in, ways_out],
        })
    }
}

impl SelectionNorm {
    fn load(
        weights: &Weights<'_>,
        names: &Names,
        norms: SelectionNorms,
        [rank, size]: [usize; 2],
    ) -> Result<Option<[Self; 3]>> {
        /// That of the classes; nothing runs these norms.
        const EPS: f64 = 1e-6;
        let load = |name, width| {
            Ok::<_, crate::Error>(match norms {
                SelectionNorms::Plain(class) => Self::Plain(PlainRmsNorm::new(&weights.named(name), class, EPS)),
                _ => Self::Scaled(NormKind::Rms { eps: EPS }.load(&weights.child(name), names.classes.norm, width)?),
            })
        };
        if norms == SelectionNorms::None {
            return Ok(None);
        }
        Ok(Some([load("dt_layernorm", rank)?, load("b_layernorm", size)?, load("c_layernorm", size)?]))
    }

    fn run(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain(norm) => cx.call(norm, x),
            Self::Scaled(norm) => cx.call(norm, x),
        }
    }
}
