//! The module that computes angles from positions.

use irene_tree::{Format, Level};

use super::{Gives, Rotary, Scaling};
use crate::{Angles, Batch, Cx, Label, Module, Pairing, Result, Tensor, labelled};

labelled!(RotaryEmbedding);

/// The angles of the tokens of a batch.
#[derive(Debug)]
pub(crate) struct RotaryEmbedding {
    label: Label,
    rotary: Rotary,
    format: Format,
}

impl RotaryEmbedding {
    /// The module under this label, for activations of this format.
    pub(crate) fn new(label: Label, rotary: Rotary, format: Format) -> Self {
        Self { label: Label { level: Level::Module, ..label }, rotary, format }
    }

    /// The pairs that rotate together.
    pub(crate) fn pairing(&self) -> Pairing {
        self.rotary.pairing
    }

    /// The length after which other frequencies turn every token.
    pub(crate) fn changes_after(&self) -> Option<usize> {
        match self.rotary.scaling {
            Scaling::LongRope { original, .. } => Some(original),
            _ => None,
        }
    }

    /// The angles of a batch. Fused kernels look them up in a table inside the rotation.
    pub(crate) fn angles(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Angles> {
        match cx.kernels() {
            irene_tree::Kernels::Eager => self.both(cx, batch),
            irene_tree::Kernels::Fused => cx.untraced(|cx| self.both(cx, batch)),
        }
    }

    fn both(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Angles> {
        let (first, second) = cx.call(self, batch)?;
        Ok(match self.rotary.gives {
            Gives::Both if self.rotary.pairing == Pairing::Neighbours => {
                let half = first.dim(3) / 2;
                let [cos, sin] = [cx.narrow(&first, 3, 0, half)?, cx.narrow(&second, 3, 0, half)?];
                Angles { cos: self.doubled(cx, &cos)?, sin: self.doubled(cx, &sin)? }
            }
            Gives::Both | Gives::InPairs => Angles { cos: first, sin: second },
            Gives::One => Angles { cos: self.doubled(cx, &first)?, sin: self.doubled(cx, &second)? },
            Gives::SinesFirst => Angles { cos: self.doubled(cx, &second)?, sin: self.doubled(cx, &first)? },
        })
    }

    /// Each number at both places of its pair.
    fn doubled(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        if self.rotary.pairing != Pairing::Neighbours {
            return cx.join(x, x, 3);
        }
        let both = cx.stack(&[x, x], 4)?;
        cx.reshape(&both, [x.dim(0), x.dim(1), x.dim(2), 2 * x.dim(3)])
    }
}

impl Module for RotaryEmbedding {
    type Input<'a> = &'a Batch;
    /// Cosines and sines, or in the other order.
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let len = batch.size().keys();
        let frequencies = self.rotary.frequencies(len);
        let frequencies = batch.constants([1, 1, frequencies.len()], &frequencies)?;
        let positions = batch.positions()?;
        let positions = cx.cast(&positions, Format::F32)?;
        let positions = cx.reshape(&positions, [positions.dim(0), positions.dim(1), 1])?;
        let frequencies = cx.expand(&frequencies, [positions.dim(0), 1, frequencies.dim(2)])?;
        let angles = cx.matmul(&positions, &frequencies)?;
        let angles = match self.rotary.gives {
            Gives::Both => cx.join(&angles, &angles, 2)?,
            Gives::InPairs => {
                let pairs = cx.stack(&[&angles, &angles], 3)?;
                cx.reshape(&pairs, [angles.dim(0), angles.dim(1), 2 * angles.dim(2)])?
            }
            Gives::One | Gives::SinesFirst => angles,
        };
        let (cos, sin) = (cx.cos(&angles)?, cx.sin(&angles)?);
        let (cos, sin) = (self.finished(cx, &cos, len)?, self.finished(cx, &sin, len)?);
        Ok(if self.rotary.gives == Gives::SinesFirst { (sin, cos) } else { (cos, sin) })
    }
}

impl RotaryEmbedding {
    /// Scaled, in the activations' format, beside heads: (batch or 1, 1, tokens, rotated).
    fn finished(&self, cx: &mut Cx<'_>, x: &Tensor, len: usize) -> Result<Tensor> {
        let scaled = cx.mul_scalar(x, self.rotary.factor(len))?;
        let scaled = if self.format == Format::F32 { scaled } else { cx.cast(&scaled, self.format)? };
        cx.reshape(&scaled, [x.dim(0), 1, x.dim(1), x.dim(2)])
    }
}
