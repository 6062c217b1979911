//! Products of pairs of bf16 by one instruction, on processors that have it.

#![allow(unsafe_code)]

use std::arch::x86_64::{__m512bh, _mm512_dpbf16_ps};

use pulp::{Simd, x86::V4};

pulp::simd_type! {
    /// Processors that multiply pairs of bf16.
    pub(super) struct Bf16 {
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512vl: "avx512vl",
        avx512dq: "avx512dq",
        avx512cd: "avx512cd",
        avx512bf16: "avx512bf16",
        avx2: "avx2",
        fma: "fma",
        bmi1: "bmi1",
        bmi2: "bmi2",
        lzcnt: "lzcnt",
        popcnt: "popcnt",
    }
}

pub(super) fn detected() -> Option<(Bf16, V4)> {
    Some((Bf16::try_new()?, V4::try_new()?))
}

/// An operation with the instructions of both.
pub(super) struct With<O>(pub(super) V4, pub(super) O);

impl<O: pulp::WithSimd> pulp::NullaryFnOnce for With<O> {
    type Output = O::Output;

    #[inline(always)]
    fn call(self) -> O::Output {
        self.1.with_simd(self.0)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Dot(pub(super) Bf16);

impl super::Product for Dot {
    #[inline(always)]
    fn added<S: Simd>(self, _: S, sums: S::f32s, weight: S::u32s, input: S::u32s) -> S::f32s {
        let _has_the_instruction: Bf16 = self.0;
        let halves = |lanes: S::u32s| pulp::bytemuck::cast::<_, __m512bh>(lanes);
        // SAFETY: a value of `Bf16` exists on processors with this instruction alone.
        let sums = unsafe { _mm512_dpbf16_ps(pulp::bytemuck::cast(sums), halves(weight), halves(input)) };
        pulp::bytemuck::cast(sums)
    }
}
