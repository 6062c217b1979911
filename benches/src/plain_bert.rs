//! BERT written straight against candle, with the operations candle has: what the context is compared with.

// This is what going without the context looks like.
#![allow(clippy::disallowed_methods)]

use candle_core::{D, DType, Device, Result, Tensor};

/// A linear layer; the weight is (in, out).
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(inputs: usize, outputs: usize) -> Result<Self> {
        let weight = Tensor::randn(0f32, 0.02, (inputs, outputs), &Device::Cpu)?;
        Ok(Self { weight, bias: Tensor::zeros(outputs, DType::F32, &Device::Cpu)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, seq_len, inputs) = x.dims3()?;
        let rows = x.reshape((batch * seq_len, inputs))?.matmul(&self.weight)?.broadcast_add(&self.bias)?;
        rows.reshape((batch, seq_len, ()))
    }
}

/// A layer norm in two passes.
#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(width: usize) -> Result<Self> {
        let weight = Tensor::ones(width, DType::F32, &Device::Cpu)?;
        Ok(Self { bias: weight.zeros_like()?, weight })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        centred.broadcast_div(&(variance + 1e-12)?.sqrt()?)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

/// BERT-base.
#[derive(Debug)]
pub struct PlainBert {
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    pooler: Linear,
}

const HIDDEN: usize = 768;
const HEADS: usize = 12;
const INNER: usize = 3072;

impl PlainBert {
    /// With made-up weights.
    ///
    /// # Errors
    /// Any error of candle's.
    pub fn new() -> Result<Self> {
        let table = |rows: usize| Tensor::randn(0f32, 0.02, (rows, HIDDEN), &Device::Cpu);
        let layer = |_| {
            Ok(Layer {
                query: Linear::new(HIDDEN, HIDDEN)?,
                key: Linear::new(HIDDEN, HIDDEN)?,
                value: Linear::new(HIDDEN, HIDDEN)?,
                attended: Linear::new(HIDDEN, HIDDEN)?,
                attention_norm: Norm::new(HIDDEN)?,
                intermediate: Linear::new(HIDDEN, INNER)?,
                output: Linear::new(INNER, HIDDEN)?,
                output_norm: Norm::new(HIDDEN)?,
            })
        };
        Ok(Self {
            words: table(30522)?,
            positions: table(512)?,
            segments: table(2)?,
            norm: Norm::new(HIDDEN)?,
            layers: (0..12).map(layer).collect::<Result<_>>()?,
            pooler: Linear::new(HIDDEN, HIDDEN)?,
        })
    }

    /// The last hidden state and the pooled first token, of ids (batch, sequence) without padding.
    ///
    /// # Errors
    /// Any error of candle's.
    pub fn forward(&self, ids: &Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, seq_len) = ids.dims2()?;
        let mask = Tensor::ones((batch, 1, 1, seq_len), DType::F32, &Device::Cpu)?.affine(10_000.0, -10_000.0)?;
        let words = self.words.index_select(&ids.flatten_all()?, 0)?.reshape((batch, seq_len, HIDDEN))?;
        let sum = words.broadcast_add(&self.positions.narrow(0, 0, seq_len)?)?;
        let mut hidden = self.norm.forward(&sum.broadcast_add(&self.segments.narrow(0, 0, 1)?)?)?;
        for layer in &self.layers {
            let heads = |x: Tensor| -> Result<Tensor> {
                x.reshape((batch, seq_len, HEADS, HIDDEN / HEADS))?.transpose(1, 2)?.contiguous()
            };
            let query = heads(layer.query.forward(&hidden)?)?;
            let key = heads(layer.key.forward(&hidden)?)?;
            let value = heads(layer.value.forward(&hidden)?)?;
            let scores = (query.matmul(&key.t()?)? / ((HIDDEN / HEADS) as f64).sqrt())?.broadcast_add(&mask)?;
            let context = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&value)?;
            let context = context.transpose(1, 2)?.contiguous()?.reshape((batch, seq_len, HIDDEN))?;
            let attended = layer.attention_norm.forward(&(layer.attended.forward(&context)? + &hidden)?)?;
            let inner = layer.intermediate.forward(&attended)?.gelu_erf()?;
            hidden = layer.output_norm.forward(&(layer.output.forward(&inner)? + attended)?)?;
        }
        let pooled = self.pooler.forward(&hidden.narrow(1, 0, 1)?)?.tanh()?;
        Ok((hidden, pooled))
    }
}
