//! Scores of an attention, in 32 bits on one thread: products of few rows, and a softmax that runs over pieces of the keys.

use std::ops::Range;

use multiversion::multiversion;

use super::kernels::{exp_of, greatest_of, sum_of, tanh_of};

/// The changes of a query's scores of some keys, in this order.
pub(super) struct Mask<'a> {
    /// Scores become cap · tanh(score / cap).
    pub(super) cap: Option<f32>,
    pub(super) bias: Option<&'a [f32]>,
    /// Replaces the scores from a place on.
    pub(super) later: Option<(f32, usize)>,
    pub(super) padding: Option<&'a [f32]>,
    /// The keys that have a share in the softmax.
    pub(super) seen: Range<usize>,
}

/// The weighed values so far, then the greatest score and the sum of the weights.
pub(super) struct State<'a>(&'a mut [f32]);

impl<'a> State<'a> {
    /// Numbers of a state for values of this width.
    pub(super) fn len(width: usize) -> usize {
        width + 2
    }

    pub(super) fn of(numbers: &'a mut [f32]) -> Self {
        Self(numbers)
    }

    /// Nothing but a sink's score, which weighs no value.
    pub(super) fn start(self, sink: Option<f32>) {
        let width = self.0.len() - 2;
        self.0[..width].fill(0.0);
        self.0[width..].copy_from_slice(&match sink {
            Some(score) => [score, 1.0],
            None => [f32::MIN, 0.0],
        });
    }
}

/// Turns scores into weights, and scales the state down if a greater score has come.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn weigh(scores: &mut [f32], mask: &Mask<'_>, state: State<'_>) {
    scores[..mask.seen.start].fill(0.0);
    scores[mask.seen.end..].fill(0.0);
    let row = &mut scores[mask.seen.clone()];
    if let Some(cap) = mask.cap {
        row.iter_mut().for_each(|x| *x = cap * tanh_of(*x / cap));
    }
    if let Some(bias) = mask.bias {
        row.iter_mut().zip(&bias[mask.seen.clone()]).for_each(|(x, bias)| *x += bias);
    }
    if let Some((score, from)) = mask.later {
        let from = from.saturating_sub(mask.seen.start).min(row.len());
        row[from..].fill(score);
    }
    if let Some(padding) = mask.padding {
        row.iter_mut().zip(&padding[mask.seen.clone()]).for_each(|(x, padding)| *x += padding);
    }
    let (values, [greatest, sum]) = state.0.split_at_mut(state.0.len() - 2) else { return };
    let before = *greatest;
    // Never minus infinity, from which nothing can be taken.
    *greatest = before.max(greatest_of(row));
    row.iter_mut().for_each(|x| *x = exp_of(*x - *greatest));
    let factor = exp_of(before - *greatest);
    *sum = *sum * factor + sum_of(row, |x| x);
    if factor != 1.0 {
        values.iter_mut().for_each(|x| *x *= factor);
    }
}

/// The context of one query from the states of all parts of its keys.
pub(super) fn gathered<'a>(states: impl Iterator<Item = &'a [f32]> + Clone, context: &mut [f32]) {
    let width = context.len();
    let greatest = states.clone().fold(f32::MIN, |greatest, state| greatest.max(state[width]));
    let share = |state: &[f32]| exp_of(state[width] - greatest);
    let sum: f32 = states.clone().map(|state| share(state) * state[width + 1]).sum();
    context.fill(0.0);
    // A query that sees no key has no context.
    if sum > 0.0 {
        for state in states {
            let factor = share(state) / sum;
            context.iter_mut().zip(state).for_each(|(x, value)| *x += value * factor);
        }
    }
}

/// The product of each row of queries with each key (rows `step` apart).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn products(query: &[f32], width: usize, (key, step): (&[f32], usize), scores: &mut [f32]) {
    let keys = scores.len() / (query.len() / width);
    for (place, key) in key.chunks(step).take(keys).enumerate() {
        for (row, query) in query.chunks_exact(width).enumerate() {
            scores[row * keys + place] = product(query, &key[..width]);
        }
    }
}

const LANES: usize = 16;

/// In sixteen partial sums, which the compiler turns into vector instructions.
#[inline(always)]
fn product(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (chunks, others) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f32 = chunks.remainder().iter().zip(others.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in chunks.zip(others) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Adds the values (rows `step` apart), each by its weight in each row of weights (rows, keys), to the rows' states.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn add_values(
    weights: &[f32],
    keys: usize,
    (value, step): (&[f32], usize),
    width: usize,
    states: &mut [f32],
) {
    for (place, value) in value.chunks(step).take(keys).enumerate() {
        for (weights, state) in weights.chunks_exact(keys).zip(states.chunks_exact_mut(State::len(width))) {
            let weight = weights[place];
            state[..width].iter_mut().zip(&value[..width]).for_each(|(x, value)| *x += weight * value);
        }
    }
}
