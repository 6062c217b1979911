//! The product of rows with one panel of a weight, in vector registers.
//!
//! A panel holds [`WIDTH`] outputs; for each step it has a lane of 32 bits for each output: the weight of one input in 32 bits, or those
//! of two inputs in bf16. Rows have the same lanes, one a step.

#[cfg(target_arch = "x86_64")]
mod dots;

use pulp::{Simd, WithSimd};

/// Outputs of a panel: four AVX-512 registers.
pub(super) const WIDTH: usize = 64;

/// The content of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// A 32-bit float.
    Single,
    /// Two bf16, the first in the lower half.
    Pair,
}

/// Rows of lanes that start `step` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) lanes: &'a [u32],
    pub(super) step: usize,
    pub(super) count: usize,
}

/// Adds the products of the rows with a panel (steps, WIDTH) to `sums` (rows, WIDTH).
///
/// # Panics
/// If the rows or the sums are too short.
pub(super) fn add(lanes: Lanes, rows: Rows<'_>, panel: &[u32], sums: &mut [f32]) {
    match lanes {
        Lanes::Single => vectorized(Add { of: Single, rows, panel, sums }),
        Lanes::Pair => {
            #[cfg(target_arch = "x86_64")]
            if let Some((with_bf16, simd)) = dots::detected() {
                return with_bf16.vectorize(dots::With(simd, Add { of: dots::Dot(with_bf16), rows, panel, sums }));
            }
            vectorized(Add { of: Pair, rows, panel, sums });
        }
    }
}

/// Runs it with the widest vector instructions of this processor. pulp's own choice leaves out AVX2 with the features that gemm asks for.
fn vectorized(op: impl WithSimd<Output = ()>) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Simd::vectorize(simd, op);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Simd::vectorize(simd, op);
        }
    }
    pulp::Arch::new().dispatch(op);
}

/// How a lane of the weight and one of a row are multiplied.
trait Product: Copy {
    fn added<S: Simd>(self, simd: S, sums: S::f32s, weight: S::u32s, input: S::u32s) -> S::f32s;
}

#[derive(Clone, Copy)]
struct Single;

impl Product for Single {
    #[inline(always)]
    fn added<S: Simd>(self, simd: S, sums: S::f32s, weight: S::u32s, input: S::u32s) -> S::f32s {
        simd.mul_add_e_f32s(simd.transmute_f32s_u32s(input), simd.transmute_f32s_u32s(weight), sums)
    }
}

/// bf16 is the upper half of a 32-bit float.
#[derive(Clone, Copy)]
struct Pair;

impl Product for Pair {
    #[inline(always)]
    fn added<S: Simd>(self, simd: S, sums: S::f32s, weight: S::u32s, input: S::u32s) -> S::f32s {
        let first = |lanes| simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(lanes, simd.splat_u32s(16)));
        let second = |lanes| simd.transmute_f32s_u32s(simd.and_u32s(lanes, simd.splat_u32s(0xffff_0000)));
        let sums = simd.mul_add_e_f32s(first(input), first(weight), sums);
        simd.mul_add_e_f32s(second(input), second(weight), sums)
    }
}

struct Add<'a, P> {
    of: P,
    rows: Rows<'a>,
    panel: &'a [u32],
    sums: &'a mut [f32],
}

/// Rows whose sums fill the registers.
const MOST_ROWS: usize = 6;

impl<P: Product> WithSimd for Add<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, rows, panel, sums } = self;
        let groups = rows.count.div_ceil(MOST_ROWS);
        let mut first = 0;
        for group in 0..groups {
            // Groups as equal as can be.
            let count = (rows.count - first).div_ceil(groups - group);
            let lanes = &rows.lanes[first * rows.step..];
            let sums = &mut sums[first * WIDTH..][..count * WIDTH];
            match count {
                1 => columns::<S, P, 1>(simd, of, lanes, rows.step, panel, sums),
                2 => columns::<S, P, 2>(simd, of, lanes, rows.step, panel, sums),
                3 => columns::<S, P, 3>(simd, of, lanes, rows.step, panel, sums),
                4 => columns::<S, P, 4>(simd, of, lanes, rows.step, panel, sums),
                5 => columns::<S, P, 5>(simd, of, lanes, rows.step, panel, sums),
                _ => columns::<S, P, 6>(simd, of, lanes, rows.step, panel, sums),
            }
            first += count;
        }
    }
}

#[inline(always)]
fn columns<S: Simd, P: Product, const ROWS: usize>(
    simd: S,
    of: P,
    lanes: &[u32],
    step: usize,
    panel: &[u32],
    sums: &mut [f32],
) {
    if S::REGISTER_COUNT >= 32 {
        (0..WIDTH)
            .step_by(4 * S::F32_LANES)
            .for_each(|first| tile::<S, P, ROWS, 4>(simd, of, lanes, step, panel, sums, first));
    } else {
        (0..WIDTH)
            .step_by(2 * S::F32_LANES)
            .for_each(|first| tile::<S, P, ROWS, 2>(simd, of, lanes, step, panel, sums, first));
    }
}

#[inline(always)]
fn tile<S: Simd, P: Product, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    of: P,
    lanes: &[u32],
    step: usize,
    panel: &[u32],
    sums: &mut [f32],
    first: usize,
) {
    let steps = panel.len() / WIDTH;
    let mut rows = [lanes; ROWS];
    for (row, lanes) in rows.iter_mut().enumerate() {
        *lanes = &lanes[row * step..][..steps];
    }
    // One sum for each number, in the order of the steps: a row's result does not depend on how many others there are.
    let mut in_registers = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for (k, weight) in (0..steps).zip(panel.chunks_exact(WIDTH)) {
        in_registers = added(simd, of, in_registers, &weight[first..], &rows, k);
    }
    for (row, sums) in sums.chunks_exact_mut(WIDTH).enumerate().take(ROWS) {
        let (sums, _) = S::as_mut_simd_f32s(&mut sums[first..]);
        for vector in 0..VECTORS {
            sums[vector] = simd.add_f32s(sums[vector], in_registers[row][vector]);
        }
    }
}

#[inline(always)]
fn added<S: Simd, P: Product, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    of: P,
    mut sums: [[S::f32s; VECTORS]; ROWS],
    weight: &[u32],
    rows: &[&[u32]; ROWS],
    step: usize,
) -> [[S::f32s; VECTORS]; ROWS] {
    let (weight, _) = S::as_simd_u32s(weight);
    for row in 0..ROWS {
        let input = simd.splat_u32s(rows[row][step]);
        for vector in 0..VECTORS {
            sums[row][vector] = of.added(simd, sums[row][vector], weight[vector], input);
        }
    }
    sums
}
