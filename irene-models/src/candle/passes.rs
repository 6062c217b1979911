//! Passes over rows of 16- or 32-bit floats on the CPU: norms, rotary position embeddings, gates. Each reads and writes memory once.

use candle_core::{Result, Tensor};

use super::{
    kernels::{self, Norm, Pair, TASK},
    numbers::{Held, Number, by_number, has_numbers, wide, with_rows},
    on_cpu,
    pieces::{for_pairs, for_pieces, with_scratch},
};
use crate::{Pairing, tensor::Unary};

/// Elements of whole rows that one task takes.
fn task(width: usize) -> usize {
    (TASK / width).max(1) * width
}

/// The norm over the last dimension, or None for tensors without a kernel: with a bias a layer norm, without one a root mean square norm.
pub(super) fn norm(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, eps: f64) -> Option<Result<Tensor>> {
    if !has_numbers(x) || x.elem_count() == 0 {
        return None;
    }
    by_number!(x.dtype(), T => with_norm(weight, bias, eps, |norm| {
        let x = x.contiguous()?;
        let held = Held::new(&x);
        let (values, width) = (held.numbers::<T>()?, norm.weight.len());
        let mut out = T::zeros(x.elem_count());
        for_pieces(&mut out, task(width), |number, out| with_scratch(width, |row| {
            for (out, x) in out.chunks_exact_mut(width).zip(values[number * task(width)..].chunks_exact(width)) {
                T::widen(x, row);
                kernels::norm_row(row, norm);
                T::narrow(row, out);
            }
        }));
        Tensor::from_vec(out, x.shape(), x.device())
    }))
}

/// The norm of a sum and, if it is kept, the sum (else the first term).
pub(super) fn norm_of_sum(
    [x, residual]: [&Tensor; 2],
    weight: &Tensor,
    bias: Option<&Tensor>,
    eps: f64,
    is_kept: bool,
) -> Option<Result<(Tensor, Tensor)>> {
    let fits = has_numbers(x) && has_numbers(residual) && x.dtype() == residual.dtype() && x.dims() == residual.dims();
    if !fits || x.elem_count() == 0 {
        return None;
    }
    by_number!(x.dtype(), T => with_norm(weight, bias, eps, |norm| {
        let [x, residual] = [x.contiguous()?, residual.contiguous()?];
        let held = [Held::new(&x), Held::new(&residual)];
        let terms = [held[0].numbers::<T>()?, held[1].numbers::<T>()?];
        let count = x.elem_count();
        let task = task(norm.weight.len());
        let mut normed = T::zeros(count);
        if !is_kept {
            for_pieces(&mut normed, task, |number, out| norm_sums(terms.map(|x| &x[number * task..]), norm, out, None));
            return Ok((Tensor::from_vec(normed, x.shape(), x.device())?, x.clone()));
        }
        let mut sums = T::zeros(count);
        for_pairs(&mut normed, &mut sums, task, |number, out, sums| {
            norm_sums(terms.map(|x| &x[number * task..]), norm, out, Some(sums));
        });
        Ok((Tensor::from_vec(normed, x.shape(), x.device())?, Tensor::from_vec(sums, x.shape(), x.device())?))
    }))
}

/// The norms of rows' sums and, if they are kept, the sums. The sum is normed as it is stored.
fn norm_sums<T: Number>([x, y]: [&[T]; 2], norm: Norm<'_>, out: &mut [T], mut sums: Option<&mut [T]>) {
    let width = norm.weight.len();
    with_scratch(2 * width, |scratch| {
        let (row, other) = scratch.split_at_mut(width);
        for (number, out) in out.chunks_exact_mut(width).enumerate() {
            let here = number * width..(number + 1) * width;
            T::widen(&x[here.clone()], row);
            T::widen(&y[here.clone()], other);
            kernels::pair_of(Pair::Add, row, other);
            if let Some(sums) = &mut sums {
                T::narrow(row, &mut sums[here.clone()]);
                T::widen(&sums[here], row);
            }
            kernels::norm_row(row, norm);
            T::narrow(row, out);
        }
    });
}

/// Runs something with a norm's parameters in 32 bits.
fn with_norm<R>(
    weight: &Tensor,
    bias: Option<&Tensor>,
    eps: f64,
    run: impl FnOnce(Norm<'_>) -> Result<R>,
) -> Result<R> {
    let (weight, bias) = (wide(weight)?, bias.map(wide).transpose()?);
    run(Norm { weight: &weight, bias: bias.as_deref(), eps: eps as f32 })
}

/// The first numbers of each head of (batch, heads, tokens, width) rotated by their angles, contiguous.
pub(super) fn rotated(x: &Tensor, [cos, sin]: [&Tensor; 2], pairing: Pairing) -> Option<Result<Tensor>> {
    let ((batch, heads, tokens, width), angles) = (x.dims4().ok()?, cos.dims4().ok()?);
    let rotated = angles.3;
    let fits = [(1, 1, tokens, rotated), (batch, 1, tokens, rotated)].contains(&angles) && cos.dims() == sin.dims();
    if !has_numbers(x) || !fits || rotated > width || x.elem_count() == 0 || rotated == 0 {
        return None;
    }
    by_number!(x.dtype(), T => {
           let run = || {
               let x = with_rows(x)?;
               let (cos, sin) = (wide(cos)?, wide(sin)?);
               let held = Held::new(&x);
               let (values, steps) = (held.numbers::<T>()?, x.stride());
               let mut out = T::zeros(x.elem_count());
               for_pieces(&mut out, task(width), |number, out| with_scratch(width + rotated, |scratch| {
    let (row, other) = scratch.split_at_mut(width);
                   for (place, out) in out.chunks_exact_mut(width).enumerate() {
                       let place = number * (task(width) / width) + place;
                       let (token, head, entry) = (place % tokens, place / tokens % heads, place / tokens / heads);
                       let angle = (if angles.0 == 1 { token } else { entry * tokens + token }) * rotated;
                       let from = entry * steps[0] + head * steps[1] + token * steps[2];
                       T::widen(&values[from..from + width], row);
                       let (cos, sin) = (&cos[angle..angle + rotated], &sin[angle..angle + rotated]);
                       if pairing == Pairing::NeighboursToHalves {
                           other.copy_from_slice(&row[..rotated]);
                           in_halves(other, &mut row[..rotated]);
                       }
                       kernels::rotate(&mut row[..rotated], cos, sin, pairing);
                       T::narrow(row, out);
                   }
               }));
               Tensor::from_vec(out, x.shape(), x.device())
           };
           run()
       })
}

/// Each even number in the first half, the next in the second.
fn in_halves(neighbours: &[f32], halves: &mut [f32]) {
    let (first, second) = halves.split_at_mut(neighbours.len() / 2);
    for (pair, (x, y)) in neighbours.chunks_exact(2).zip(first.iter_mut().zip(second)) {
        (*x, *y) = (pair[0], pair[1]);
    }
}

/// An activation of a gate, times another tensor.
pub(super) fn gated(op: Unary, gate: &Tensor, up: &Tensor) -> Option<Result<Tensor>> {
    let activation = on_cpu::activation(op)?;
    let fits = has_numbers(gate) && has_numbers(up) && gate.dtype() == up.dtype() && gate.dims() == up.dims();
    if !fits || gate.elem_count() == 0 {
        return None;
    }
    let width = *gate.dims().last()?;
    by_number!(gate.dtype(), T => {
        let run = || {
            let [gate, up] = [by_rows(gate)?, by_rows(up)?];
            let held = [Held::new(&gate), Held::new(&up)];
            let (gates, ups) = (held[0].numbers::<T>()?, held[1].numbers::<T>()?);
            let steps = [row_step(&gate), row_step(&up)];
            let mut out = T::zeros(gate.elem_count());
            for_pieces(&mut out, task(width), |number, out| with_scratch(2 * width, |scratch| {
                let (row, other) = scratch.split_at_mut(width);
                for (place, out) in out.chunks_exact_mut(width).enumerate() {
                    let place = number * (task(width) / width) + place;
                    T::widen(&gates[place * steps[0]..][..width], row);
                    T::widen(&ups[place * steps[1]..][..width], other);
                    kernels::each_of(activation, row);
                    kernels::pair_of(Pair::Mul, row, other);
                    T::narrow(row, out);
                }
            }));
            Tensor::from_vec(out, gate.shape(), gate.device())
        };
        run()
    })
}

/// The same tensor, or a copy if its rows do not start at equal distances.
fn by_rows(x: &Tensor) -> Result<Tensor> {
    let (dims, steps) = (x.dims(), x.stride());
    let last = dims.len() - 1;
    let even = (1..last).all(|dim| dims[dim - 1] == 1 || steps[dim - 1] == dims[dim] * steps[dim]);
    if steps[last] == 1 && even { Ok(x.clone()) } else { x.contiguous() }
}

/// Elements from a row's first to the next row's.
fn row_step(x: &Tensor) -> usize {
    match x.stride() {
        [.., step, _] => *step,
        _ => x.elem_count(),
    }
}
