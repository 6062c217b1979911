//! Choosing by places, in both forms.

#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

#[cfg(feature = "candle")]
use super::Form;
use super::{Tensor, layout};
use crate::Result;
#[cfg(feature = "candle")]
use crate::candle::picking;

impl Tensor {
    /// The numbers of each row at its places, in every matrix of (batch, heads, rows, columns): places (rows, count).
    pub(crate) fn picked_columns(&self, places: &Self) -> Result<Self> {
        if places.dim(0) != self.dim(2) {
            return Err(layout::mismatch("gather", format!("{} at {}", self.shape(), places.shape())));
        }
        #[cfg(feature = "candle")]
        if let (Form::Candle(x), Form::Candle(places)) = (&self.form, &places.form) {
            return Ok(Form::Candle(picking::columns(x, places)?).into());
        }
        Ok(Self::of_shape([self.dim(0), self.dim(1), self.dim(2), places.dim(1)], self.format()))
    }

    /// The row of each sequence (batch, tokens, width) at its place: places (batch).
    pub(crate) fn picked_tokens(&self, places: &Self) -> Result<Self> {
        if places.dim(0) != self.dim(0) {
            return Err(layout::mismatch("gather", format!("{} at {}", self.shape(), places.shape())));
        }
        #[cfg(feature = "candle")]
        if let (Form::Candle(x), Form::Candle(places)) = (&self.form, &places.form) {
            return Ok(Form::Candle(picking::tokens(x, places)?).into());
        }
        Ok(Self::of_shape([self.dim(0), self.dim(2)], self.format()))
    }
}
