//! Each operation as candle runs it.

// All operations of the context end here.
#![allow(clippy::disallowed_methods)]

use candle_core::{D, DType as CandleDType, Result as CandleResult, Tensor as Candle};
use irene_tree::{Format, Shape};

use super::{
    attention,
    autograd::{self, tracks},
    on_cpu, passes,
};
use crate::{
    Attention, Pairing,
    tensor::{Binary, Layout, Scalar, Then, Unary},
};

/// Dimensions were checked when the tensor came in, and no operation here adds more than one.
fn shape_of(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap_or_default()
}

pub(crate) fn layout(tensor: &Candle) -> Layout {
    Layout { shape: shape_of(tensor.dims()), strides: shape_of(tensor.stride()) }
}

pub(crate) fn format(tensor: &Candle) -> Format {
    known_format(tensor.dtype()).unwrap_or(Format::F32)
}

/// The formats that candle computes with.
const TYPES: [(Format, CandleDType); 7] = [
    (Format::F64, CandleDType::F64),
    (Format::F32, CandleDType::F32),
    (Format::F16, CandleDType::F16),
    (Format::BF16, CandleDType::BF16),
    (Format::I64, CandleDType::I64),
    (Format::I32, CandleDType::I32),
    (Format::U8, CandleDType::U8),
];

pub(crate) fn known_format(dtype: CandleDType) -> Option<Format> {
    TYPES.iter().find(|known| known.1 == dtype).map(|known| known.0)
}

pub(crate) fn candle_dtype(format: Format) -> Option<CandleDType> {
    TYPES.iter().find(|known| known.0 == format).map(|known| known.1)
}

pub(crate) fn unary(x: &Candle, op: Unary) -> CandleResult<Candle> {
    let done = if tracks(&[x]) { autograd::unary(x, op) } else { on_cpu::unary(x, op) };
    if let Some(done) = done {
        return done;
    }
    match op {
        Unary::Softmax => candle_nn::ops::softmax_last_dim(&x.contiguous()?),
        Unary::Tanh => x.tanh(),
        Unary::Gelu => x.gelu_erf(),
        Unary::GeluTanh => x.gelu(),
        Unary::Relu => x.relu(),
        Unary::Silu => x.silu(),
        Unary::Sigmoid => candle_nn::ops::sigmoid(x),
        Unary::Erf => x.erf(),
        Unary::Expm1 => x.exp()?.affine(1.0, -1.0),
        Unary::Softplus => softplus(x),
        Unary::Neg => x.neg(),
        Unary::Cos => x.cos(),
        Unary::Sin => x.sin(),
        Unary::Sum => x.sum_keepdim(D::Minus1),
        Unary::Pow(exponent) => x.powf(exponent),
        Unary::Clamp(least, greatest) => x.clamp(least, greatest),
        Unary::NotEqual(value) => x.ne(&number(x, value as f64)?),
        // candle sums by a product with a triangle of ones, which needs floats.
        Unary::CumSum => x.to_dtype(CandleDType::F32)?.cumsum(D::Minus1)?.to_dtype(x.dtype()),
        Unary::Cast(to) => match candle_dtype(to) {
            Some(dtype) => x.to_dtype(dtype),
            None => candle_core::bail!("candle does not compute with {to}"),
        },
        Unary::Copy => x.contiguous(),
    }
}

/// ln(1 + eˣ), by the power that is at most 1.
fn softplus(x: &Candle) -> CandleResult<Candle> {
    let rest = x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?;
    x.relu()? + rest
}

pub(crate) fn binary(x: &Candle, op: Binary, y: &Candle) -> CandleResult<Candle> {
    if !tracks(&[x, y])
        && let Some(done) = on_cpu::binary(x, op, y)
    {
        return done;
    }
    match op {
        Binary::Add => x.broadcast_add(y),
        Binary::Sub => x.broadcast_sub(y),
        Binary::Mul => x.broadcast_mul(y),
        Binary::Div => x.broadcast_div(y),
    }
}

pub(crate) fn scalar(x: &Candle, op: Scalar) -> CandleResult<Candle> {
    if x.dtype().is_int() {
        return match op {
            Scalar::Add(value) => x.broadcast_add(&number(x, value)?),
            Scalar::Mul(value) => x.broadcast_mul(&number(x, value)?),
            Scalar::Rsub(value) => number(x, value)?.broadcast_sub(x),
            Scalar::Div(value) => x.broadcast_div(&number(x, value)?),
        };
    }
    if !tracks(&[x])
        && let Some(done) = on_cpu::scalar(x, op)
    {
        return done;
    }
    let (factor, term) = op.as_affine();
    x.affine(factor, term)
}

/// The number as a scalar tensor of the same type on the same device, stretched to the tensor's shape.
fn number(like: &Candle, value: f64) -> CandleResult<Candle> {
    Candle::new(value, like.device())?.to_dtype(like.dtype())?.broadcast_as(like.shape())
}

pub(crate) fn where_mask(x: &Candle, mask: &Candle, otherwise: f64) -> CandleResult<Candle> {
    mask.broadcast_as(x.shape())?.where_cond(x, &number(x, otherwise)?)
}

pub(crate) fn matmul(x: &Candle, y: &Candle) -> CandleResult<Candle> {
    if tracks(&[x, y]) {
        return autograd::matmul(x, y);
    }
    on_cpu::matmul(x, y).unwrap_or_else(|| multipliable(x)?.matmul(&multipliable(y)?))
}

/// Copies matrices that candle does not multiply: batches of them at uneven distances, and for devices other than the CPU those whose rows and
/// columns both have gaps.
fn multipliable(x: &Candle) -> CandleResult<Candle> {
    if let ([batch, heads, ..], [step, of_head, _, _]) = (x.dims(), x.stride())
        && *batch > 1
        && *heads > 1
        && *step != of_head * heads
    {
        return x.contiguous();
    }
    let is_packed = match (x.dims(), x.stride()) {
        ([.., rows, columns], [.., row, column]) => (*column == 1 && row == columns) || (*row == 1 && column == rows),
        _ => true,
    };
    if is_packed || x.device().is_cpu() { Ok(x.clone()) } else { x.contiguous() }
}

/// The product of (batch, m, n) with one matrix (n, p).
pub(crate) fn matmul_matrix(x: &Candle, matrix: &Candle) -> CandleResult<Candle> {
    if tracks(&[x, matrix]) {
        return autograd::matmul_matrix(x, matrix);
    }
    let outer = &x.dims()[..x.rank().saturating_sub(2)];
    let matrix = matrix.broadcast_left(outer)?;
    // With one matrix for a whole batch, candle 0.11 computes one product as if every x lay row by row.
    if x.stride().last() == Some(&1) { matmul(x, &matrix) } else { matmul(&x.contiguous()?, &matrix) }
}

/// Tensors of one shape beside each other along a new dimension, contiguous.
pub(crate) fn stack(tensors: &[&Candle], dim: usize) -> CandleResult<Candle> {
    let tensors: Vec<Candle> = tensors.iter().map(|x| x.contiguous()).collect::<CandleResult<_>>()?;
    Candle::stack(&tensors, dim)
}

pub(crate) fn zeros(beside: &Candle, dims: &[usize]) -> CandleResult<Candle> {
    Candle::zeros(dims, beside.dtype(), beside.device())
}

/// Two tensors one behind the other along a dimension, contiguous.
pub(crate) fn concat(x: &Candle, y: &Candle, dim: usize) -> CandleResult<Candle> {
    Candle::cat(&[x.contiguous()?, y.contiguous()?], dim)
}

/// x W + b with a weight (inputs, outputs), and the activation: one product over all rows.
pub(crate) fn affine(x: &Candle, weight: &Candle, bias: Option<&Candle>, then: Then) -> CandleResult<Candle> {
    if tracks(&[x, weight]) {
        return finished(autograd::matmul_matrix(x, weight)?, bias, then);
    }
    let (inputs, outputs) = weight.dims2()?;
    let rows = x.elem_count() / inputs.max(1);
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = outputs;
    }
    finished(x.reshape((rows, inputs))?.matmul(weight)?.reshape(dims)?, bias, then)
}

/// A product with its bias and activation.
pub(crate) fn finished(product: Candle, bias: Option<&Candle>, then: Then) -> CandleResult<Candle> {
    let sum = match bias {
        Some(bias) => product.broadcast_add(bias)?,
        None => product,
    };
    match then {
        Then::Nothing => Ok(sum),
        Then::Gelu => sum.gelu_erf(),
        Then::GeluNew => sum.gelu(),
        Then::Relu if tracks(&[&sum]) => autograd::relu(&sum),
        Then::Relu => sum.relu(),
    }
}

/// Attention in one pass, where there is a kernel for it.
pub(crate) fn attention(heads: [&Candle; 3], how: &Attention<'_>) -> Option<CandleResult<Candle>> {
    let added = [how.bias, how.sinks].into_iter().flatten().filter_map(crate::Tensor::candle);
    if tracks(&heads) || added.into_iter().any(Candle::track_op) {
        return None;
    }
    attention::attention(heads, how)
}

/// A mask (batch, key) as numbers (batch, 1, 1, key) to be added: 0, or the lowest number, which outweighs any score.
pub(super) fn lowest_where_zero(mask: &Candle) -> CandleResult<Candle> {
    let zero = mask.eq(0i64)?.to_dtype(CandleDType::F32)?;
    zero.affine(f64::from(f32::MIN), 0.0)?.unsqueeze(1)?.unsqueeze(1)
}

/// In two passes, mean before variance: one pass loses all digits where the mean is large against the spread.
pub(crate) fn layer_norm(x: &Candle, weight: &Candle, bias: &Candle, eps: f64) -> CandleResult<Candle> {
    if !tracks(&[x, weight, bias])
        && let Some(normed) = passes::norm(x, weight, Some(bias), eps)
    {
        return normed;
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)?.broadcast_mul(weight)?.broadcast_add(bias)
}

/// The layer norm of a sum, where there is a kernel for it.
pub(crate) fn norm_of_sum(
    terms: [&Candle; 2],
    weight: &Candle,
    bias: &Candle,
    eps: f64,
) -> Option<CandleResult<Candle>> {
    if norm_tracks(terms, weight, Some(bias)) {
        return None;
    }
    Some(passes::norm_of_sum(terms, weight, Some(bias), eps, false)?.map(|(normed, _)| normed))
}

fn norm_tracks(terms: [&Candle; 2], weight: &Candle, bias: Option<&Candle>) -> bool {
    tracks(&terms) || tracks(&[weight]) || bias.is_some_and(Candle::track_op)
}

/// The norm of a sum, and the sum.
pub(crate) fn norm_and_sum(
    terms: [&Candle; 2],
    weight: &Candle,
    bias: Option<&Candle>,
    eps: f64,
) -> CandleResult<(Candle, Candle)> {
    if !norm_tracks(terms, weight, bias)
        && let Some(both) = passes::norm_of_sum(terms, weight, bias, eps, true)
    {
        return both;
    }
    let sum = binary(terms[0], Binary::Add, terms[1])?;
    let normed = match bias {
        Some(bias) => layer_norm(&sum, weight, bias, eps)?,
        None => rms_norm(&sum, weight, eps)?,
    };
    Ok((normed, sum))
}

/// An activation of a gate, times another tensor, where there is a kernel for it.
pub(crate) fn gated(op: Unary, gate: &Candle, up: &Candle) -> Option<CandleResult<Candle>> {
    if tracks(&[gate, up]) { None } else { passes::gated(op, gate, up) }
}

/// Rotates the first numbers of each head of (batch, heads, tokens, width) by their angles' cosines and sines (batch or 1, 1, tokens, rotated).
pub(crate) fn rotated(x: &Candle, [cos, sin]: [&Candle; 2], pairing: Pairing) -> CandleResult<Candle> {
    if !tracks(&[x])
        && let Some(rotated) = passes::rotated(x, [cos, sin], pairing)
    {
        return rotated;
    }
    let (width, rotated) = (x.dim(D::Minus1)?, cos.dim(D::Minus1)?);
    let turned = x.narrow(D::Minus1, 0, rotated)?;
    let half = rotated / 2;
    let turned = match pairing {
        Pairing::NeighboursToHalves => {
            let pairs = turned.contiguous()?.reshape((x.dim(0)?, x.dim(1)?, x.dim(2)?, half, 2))?;
            pairs.transpose(3, 4)?.contiguous()?.reshape(turned.dims())?
        }
        Pairing::Halves | Pairing::Neighbours => turned,
    };
    let swapped = match pairing {
        Pairing::Halves | Pairing::NeighboursToHalves => {
            let (first, second) = (turned.narrow(D::Minus1, 0, half)?, turned.narrow(D::Minus1, half, half)?);
            Candle::cat(&[second.contiguous()?.neg()?, first.contiguous()?], D::Minus1)?
        }
        Pairing::Neighbours => {
            let pairs = turned.contiguous()?.reshape((x.dim(0)?, x.dim(1)?, x.dim(2)?, half, 2))?;
            let (first, second) = (pairs.narrow(4, 0, 1)?, pairs.narrow(4, 1, 1)?);
            Candle::cat(&[second.contiguous()?.neg()?, first.contiguous()?], 4)?.reshape(turned.dims())?
        }
    };
    let turned = (turned.broadcast_mul(cos)? + swapped.broadcast_mul(sin)?)?;
    if rotated == width {
        return Ok(turned);
    }
    Candle::cat(&[turned, x.narrow(D::Minus1, rotated, width - rotated)?.contiguous()?], D::Minus1)
}

/// The root mean square norm, computed in 32 bits at least; the weight scales the result in its own format, as in transformers.
pub(crate) fn rms_norm(x: &Candle, weight: &Candle, eps: f64) -> CandleResult<Candle> {
    if !tracks(&[x, weight])
        && let Some(normed) = passes::norm(x, weight, None, eps)
    {
        return normed;
    }
    let wide = if matches!(x.dtype(), CandleDType::F16 | CandleDType::BF16) { CandleDType::F32 } else { x.dtype() };
    let scaled = x.to_dtype(wide)?;
    let mean = scaled.sqr()?.mean_keepdim(D::Minus1)?;
    let scaled = scaled.broadcast_div(&(mean + eps)?.sqrt()?)?;
    // A weight in more bits, such as Gemma's 1 + w, scales before the result is narrowed.
    scaled.to_dtype(weight.dtype())?.broadcast_mul(weight)?.to_dtype(x.dtype())
}

/// Each head of (batch, heads, tokens, width) this many times after itself.
pub(crate) fn repeated_heads(x: &Candle, times: usize) -> CandleResult<Candle> {
    let (batch, heads, tokens, width) = x.dims4()?;
    x.unsqueeze(2)?.expand((batch, heads, times, tokens, width))?.reshape((batch, heads * times, tokens, width))
}

pub(crate) fn rows(table: &Candle, ids: &Candle) -> CandleResult<Candle> {
    let mut dims = ids.dims().to_vec();
    dims.push(table.dim(1)?);
    table.index_select(&ids.flatten_all()?.contiguous()?, 0)?.reshape(dims)
}

/// Memory (batch, heads, room, width) with `new` stored behind the earlier tokens, and the place behind it: the memory given, of which
/// the places before `end` are taken, or new memory with the earlier tokens copied to its
/// beginning. New memory has at least `least` places, or twice as many as needed at most.
pub(crate) fn stored_behind(
    room: Option<(&Candle, usize)>,
    earlier: Option<&Candle>,
    least: usize,
    new: &Candle,
) -> CandleResult<(Candle, usize)> {
    let (batch, heads, more, width) = new.dims4()?;
    let (room, end) = match room {
        Some((room, end)) if room.dim(2)? >= end + more => (room.clone(), end),
        _ => {
            let kept = earlier.map_or(Ok(0), |earlier| earlier.dim(2))?;
            // Another token will follow.
            let places = if kept + more <= least { least } else { (kept + more + 1).next_power_of_two() };
            let larger = Candle::zeros((batch, heads, places, width), new.dtype(), new.device())?;
            if let Some(earlier) = earlier.filter(|_| kept > 0) {
                larger.slice_set(&earlier.contiguous()?, 2, 0)?;
            }
            (larger, kept)
        }
    };
    room.slice_set(&new.contiguous()?, 2, end)?;
    Ok((room, end + more))
}
