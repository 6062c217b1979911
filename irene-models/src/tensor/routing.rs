//! The operations of mixtures of experts, in both forms.

#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::{Format, Role};

#[cfg(feature = "candle")]
use super::Form;
use super::{Tensor, layout};
use crate::{Result, trace::Part};
#[cfg(feature = "candle")]
use crate::{
    candle::{experts, quantised::Quantised},
    trace::Order,
};

impl Tensor {
    /// The `count` greatest numbers of each row, greatest first, and their places.
    pub(crate) fn top_k(&self, count: usize) -> Result<(Self, Self)> {
        if count > self.dim(1) {
            return Err(layout::mismatch("topk", format!("{count} of {}", self.shape())));
        }
        #[cfg(feature = "candle")]
        if let Form::Candle(x) = &self.form {
            let (values, places) = experts::top_k(x, count)?;
            return Ok((Form::Candle(values).into(), Self::from(Form::Candle(places)).with_role(Role::Ids)));
        }
        let shape = [self.dim(0), count];
        Ok((Self::of_shape(shape, self.format()), Self::of_shape(shape, Format::I64).with_role(Role::Ids)))
    }

    /// The product of each head of (batch, heads, tokens, width) with a part of its own matrix (heads, outputs, inputs).
    pub(crate) fn product_by_head(&self, weight: &Self, part: Part) -> Result<Self> {
        let (Part::Back { start, len } | Part::Forth { start, len }) = part;
        let own = weight.narrow(1, start, len)?;
        let own = if matches!(part, Part::Forth { .. }) { own.transpose(1, 2)? } else { own };
        let own = own.unsqueezed()?;
        self.matmul(&own.expand([self.dim(0), own.dim(1), own.dim(2), own.dim(3)].into())?)
    }

    /// The numbers of each row at these places.
    pub(crate) fn taken(&self, places: &Self) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let (Form::Candle(x), Form::Candle(places)) = (&self.form, &places.form) {
            return Ok(Form::Candle(x.contiguous()?.gather(places, candle_core::D::Minus1)?).into());
        }
        Ok(Self::of_shape(places.shape(), self.format()))
    }

    /// 1 where a number is near the greatest of its row, 0 elsewhere.
    pub(crate) fn near(&self, greatest: &Self, share: f64) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let (Form::Candle(x), Form::Candle(greatest)) = (&self.form, &greatest.form) {
            return Ok(Form::Candle(experts::near(x, greatest, share)?).into());
        }
        Ok(Self::of_shape(self.shape(), Format::U8))
    }

    /// 1 at these places of each row, 0 elsewhere.
    pub(crate) fn marks(&self, columns: usize) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let Form::Candle(places) = &self.form {
            return Ok(Form::Candle(experts::marks(places, columns)?).into());
        }
        Ok(Self::of_shape([self.dim(0), columns], Format::U8))
    }

    /// Rows of tokens for each of their experts' places, sorted by expert.
    #[cfg(feature = "candle")]
    pub(crate) fn routed(&self, places: &Self, experts: usize) -> Result<(Self, Option<Order>)> {
        if let (Form::Candle(x), Form::Candle(places)) = (&self.form, &places.form) {
            let (rows, order) = experts::routed(x, places, experts)?;
            return Ok((Form::Candle(rows).into(), Some(order)));
        }
        Ok((self.routed_shape(places)?, None))
    }

    pub(crate) fn routed_shape(&self, places: &Self) -> Result<Self> {
        if places.dim(0) != self.dim(0) {
            return Err(layout::mismatch("route", format!("{} to {}", self.shape(), places.shape())));
        }
        Ok(Self::of_shape([places.dim(0) * places.dim(1), self.dim(1)], self.format()))
    }

    /// The weighed sum of each token's rows.
    pub(crate) fn summed_by_token(&self, weights: &Self, choices: Option<&[u32]>) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let (Form::Candle(rows), Form::Candle(weights), Some(choices)) = (&self.form, &weights.form, choices) {
            return Ok(Form::Candle(experts::summed_by_token(rows, weights, choices)?).into());
        }
        Ok(Self::of_shape([weights.dim(0), self.dim(1)], self.format()))
    }

    /// Matrices of one width below each other.
    #[cfg(feature = "candle")]
    pub(crate) fn below_each_other(matrices: &[Self]) -> Result<Self> {
        let blocks = matrices.iter().map(|matrix| match &matrix.form {
            Form::Blocks(blocks, _) => Some(blocks.clone()),
            _ => None,
        });
        if let Some(joined) = blocks.collect::<Option<Vec<_>>>().and_then(Quantised::below_each_other) {
            return Ok(Self::quantised(joined));
        }
        let all: Option<Vec<_>> = matrices.iter().map(|matrix| matrix.candle().cloned()).collect();
        let all = all.ok_or_else(|| {
            layout::mismatch("grouped_linear", "some of an expert's weights are in blocks and others are not".into())
        })?;
        Ok(Form::Candle(candle_core::Tensor::cat(&all, 0)?).into())
    }
}

#[cfg(all(test, feature = "candle"))]
mod tests {
    use candle_core::{DType, Device, quantized::GgmlDType};

    use super::*;

    #[test]
    fn plain_matrices_do_not_stand_below_blocks() {
        let blocks = Quantised::new(&[0; 34], GgmlDType::Q8_0, [1, 32], &Device::Cpu).unwrap();
        let plain = candle_core::Tensor::zeros((1, 32), DType::F32, &Device::Cpu).unwrap();
        let both = [Tensor::quantised(blocks), Tensor::from_candle(plain).unwrap()];
        let error = Tensor::below_each_other(&both).unwrap_err().to_string();
        assert!(error.contains("in blocks and others are not"), "{error}");
    }
}
