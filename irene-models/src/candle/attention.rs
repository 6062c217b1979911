//! Attention as one operation on the CPU: scores stay in the processor's cache, and heads are read in place.
//!
//! A task takes some queries of all heads that share a key head, and goes through the keys piece by piece with a running softmax: what was
//! summed so far is scaled down whenever a greater score comes. With few queries, the keys are shared among tasks as well.

use std::ops::Range;

use candle_core::{Result, Tensor, bail, utils::get_num_threads};

use super::{
    masks::Masks,
    numbers::{Held, Number, by_number, has_numbers, with_rows},
    pieces::{for_pieces_of, with_scratch},
    product::{Matrix, Tile},
    scores::{self, State},
};
use crate::Attention;

/// The context as a view (batch, heads, tokens, width) of memory in the order (batch, tokens, heads, width), or None for tensors that this
/// operation cannot take.
pub(super) fn attention(heads: [&Tensor; 3], how: &Attention<'_>) -> Option<Result<Tensor>> {
    let [query, key, value] = heads;
    let of_one_type = heads.iter().all(|x| has_numbers(x) && x.dtype() == query.dtype());
    let sizes = Sizes::of(heads).filter(|_| of_one_type)?;
    by_number!(query.dtype(), T => of_numbers::<T>([query, key, value], sizes, how))
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    /// Heads of keys and values.
    groups: usize,
    queries: usize,
    keys: usize,
    width: usize,
    value_width: usize,
}

impl Sizes {
    fn of([query, key, value]: [&Tensor; 3]) -> Option<Self> {
        let (batch, heads, queries, width) = query.dims4().ok()?;
        let (groups, keys, value_width) = (key.dim(1).ok()?, key.dim(2).ok()?, value.dims4().ok()?.3);
        let fits = key.dims() == [batch, groups, keys, width] && value.dims() == [batch, groups, keys, value_width];
        let grouped = groups > 0 && heads.is_multiple_of(groups);
        (fits && grouped).then_some(Self { batch, heads, groups, queries, keys, width, value_width })
    }
}

/// Heads (batch, heads, rows, width) in memory.
struct Heads<'a, T> {
    values: &'a [T],
    /// Between batch entries, heads and rows.
    steps: [usize; 3],
    width: usize,
}

impl<'a, T: Number> Heads<'a, T> {
    fn new(held: &'a Held<'_>, tensor: &Tensor) -> Result<Self> {
        match *tensor.stride() {
            [batch, head, row, _] => {
                Ok(Self { values: held.numbers()?, steps: [batch, head, row], width: tensor.dims()[3] })
            }
            _ => bail!("expected heads"),
        }
    }

    fn from(&self, batch: usize, head: usize, row: usize) -> &'a [T] {
        let [batch_step, head_step, row_step] = self.steps;
        &self.values[batch * batch_step + head * head_step + row * row_step..]
    }

    /// Some rows of a head and the step between them: in place if they have 32 bits, else in `room`.
    fn wide<'r>(&self, batch: usize, head: usize, rows: Range<usize>, room: &'r mut [f32]) -> (&'r [f32], usize)
    where
        'a: 'r,
    {
        let values = self.from(batch, head, rows.start);
        if let Some(values) = T::as_wide(values) {
            return (values, self.steps[2]);
        }
        for (row, room) in room.chunks_exact_mut(self.width).take(rows.len()).enumerate() {
            T::widen(&values[row * self.steps[2]..][..self.width], room);
        }
        (room, self.width)
    }
}

/// Keys that a task goes through at once.
const PIECE: usize = 512;

/// The same with few rows.
const SHORT_PIECE: usize = 128;

/// Up to so many rows, products go row by row: packing the keys for a matrix product would cost more.
const FEW_ROWS: usize = 8;

/// Bounds on the rows of a task: fewer would pack the keys too often, more would not fit into the cache.
const ROWS: [usize; 2] = [16, 128];

/// How the work is cut into tasks.
struct Tasks {
    /// Queries of a task and how many such blocks there are.
    block: usize,
    blocks: usize,
    /// Parts of the keys.
    parts: usize,
    /// Rows of a task: heads of a group, each with the block's queries.
    rows: usize,
}

impl Tasks {
    fn new(sizes: Sizes) -> Self {
        let threads = get_num_threads();
        let share = sizes.heads / sizes.groups;
        let rows = (sizes.batch * sizes.heads * sizes.queries).div_ceil(4 * threads).clamp(ROWS[0], ROWS[1]);
        let block = (rows / share).clamp(1, sizes.queries);
        let blocks = sizes.queries.div_ceil(block);
        let tasks = sizes.batch * sizes.groups * blocks;
        let parts =
            if tasks < threads { (2 * threads).div_ceil(tasks).min(sizes.keys / SHORT_PIECE).max(1) } else { 1 };
        Self { block, blocks, parts, rows: share * block }
    }
}

struct Kernel<'a, T> {
    sizes: Sizes,
    tasks: Tasks,
    query: Heads<'a, T>,
    key: Heads<'a, T>,
    value: Heads<'a, T>,
    masks: Masks,
}

fn of_numbers<T: Number>(heads: [&Tensor; 3], sizes: Sizes, how: &Attention<'_>) -> Result<Tensor> {
    let shape = (sizes.batch, sizes.queries, sizes.heads, sizes.value_width);
    let mut out = T::zeros(sizes.batch * sizes.queries * sizes.heads * sizes.value_width);
    if !out.is_empty() && sizes.keys > 0 {
        let [query, key, value] = [with_rows(heads[0])?, with_rows(heads[1])?, with_rows(heads[2])?];
        let held = [Held::new(&query), Held::new(&key), Held::new(&value)];
        let kernel = Kernel {
            sizes,
            tasks: Tasks::new(sizes),
            query: Heads::<T>::new(&held[0], &query)?,
            key: Heads::new(&held[1], &key)?,
            value: Heads::new(&held[2], &value)?,
            masks: Masks::new(how, [sizes.batch, sizes.heads, sizes.queries, sizes.keys])?,
        };
        kernel.fill(&mut out);
    }
    Tensor::from_vec(out, shape, heads[0].device())?.transpose(1, 2)
}

/// The queries and keys of a task.
struct Block {
    entry: usize,
    group: usize,
    first: usize,
    queries: usize,
    keys: Range<usize>,
}

impl<T: Number> Kernel<'_, T> {
    fn fill(&self, out: &mut [T]) {
        let Sizes { batch, groups, heads, queries, value_width, .. } = self.sizes;
        let Tasks { blocks, parts, rows, .. } = self.tasks;
        let len = rows * State::len(value_width);
        let mut sums = vec![0.0; batch * groups * blocks * parts * len];
        let work = batch * heads * queries * self.sizes.keys * (self.sizes.width + value_width);
        for_pieces_of(work, &mut sums, len, |task, sums| self.run(self.block(task), task % parts == 0, sums));
        let piece = heads * (OUTPUTS / (heads * value_width)).clamp(1, queries);
        for_pieces_of(work, out, piece * value_width, |number, out| {
            with_scratch(value_width, |context| {
                for (row, out) in out.chunks_exact_mut(value_width).enumerate() {
                    let place = number * piece + row;
                    let (token, head) = (place / heads, place % heads);
                    self.gather(&sums, [token / queries, head, token % queries], context);
                    T::narrow(context, out);
                }
            });
        });
    }

    fn block(&self, task: usize) -> Block {
        let Tasks { block, blocks, parts, .. } = self.tasks;
        let (part, place) = (task % parts, task / parts);
        let first = place % blocks * block;
        let head = place / blocks;
        let (entry, group) = (head / self.sizes.groups, head % self.sizes.groups);
        let queries = block.min(self.sizes.queries - first);
        // The last query sees the latest keys, the first the earliest.
        let seen = self.masks.seen(first).start..self.masks.seen(first + queries - 1).end;
        let bound = |part: usize| self.sizes.keys * part / parts;
        let keys = seen.start.max(bound(part))..seen.end.min(bound(part + 1));
        Block { entry, group, first, queries, keys }
    }

    /// The sums of one task's rows: heads of the group, each with the queries.
    fn run(&self, block: Block, is_first_part: bool, sums: &mut [f32]) {
        let Sizes { width, value_width, .. } = self.sizes;
        let share = self.sizes.heads / self.sizes.groups;
        let rows = share * block.queries;
        let sums = &mut sums[..rows * State::len(value_width)];
        for (row, sums) in sums.chunks_exact_mut(State::len(value_width)).enumerate() {
            let head = block.group * share + row / block.queries;
            State::of(sums).start(self.masks.sink(head).filter(|_| is_first_part));
        }
        let longest = if rows <= FEW_ROWS { SHORT_PIECE } else { PIECE }.min(block.keys.len());
        let room = if T::as_wide(&[]).is_some() { 0 } else { longest };
        with_scratch(rows * (width + longest) + room * (width + value_width), |scratch| {
            let (query, scratch) = scratch.split_at_mut(rows * width);
            let (scores, scratch) = scratch.split_at_mut(rows * longest);
            let (key_room, value_room) = scratch.split_at_mut(room * width);
            self.gather_queries(&block, query);
            for start in block.keys.clone().step_by(longest.max(1)) {
                let keys = start..block.keys.end.min(start + longest);
                let scores = &mut scores[..rows * keys.len()];
                let (key, step) = self.key.wide(block.entry, block.group, keys.clone(), key_room);
                products(query, width, (key, step), scores);
                self.weigh(&block, keys.clone(), scores, sums);
                let value = self.value.wide(block.entry, block.group, keys.clone(), value_room);
                add_values(scores, keys.len(), value, value_width, sums);
            }
        });
    }

    fn gather_queries(&self, block: &Block, to: &mut [f32]) {
        let share = self.sizes.heads / self.sizes.groups;
        let width = self.sizes.width;
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let (head, query) = (block.group * share + row / block.queries, block.first + row % block.queries);
            T::widen(&self.query.from(block.entry, head, query)[..width], to);
            to.iter_mut().for_each(|x| *x *= self.masks.scale);
        }
    }

    fn weigh(&self, block: &Block, keys: Range<usize>, scores: &mut [f32], sums: &mut [f32]) {
        let share = self.sizes.heads / self.sizes.groups;
        let states = sums.chunks_exact_mut(State::len(self.sizes.value_width));
        for (row, (scores, sums)) in scores.chunks_exact_mut(keys.len()).zip(states).enumerate() {
            let (head, query) = (block.group * share + row / block.queries, block.first + row % block.queries);
            scores::weigh(scores, &self.masks.of(block.entry, head, query, keys.clone()), State::of(sums));
        }
    }

    /// The context of one query of one head, from the sums of all parts of its keys.
    fn gather(&self, sums: &[f32], [entry, head, query]: [usize; 3], context: &mut [f32]) {
        let Tasks { block, blocks, parts, rows } = self.tasks;
        let share = self.sizes.heads / self.sizes.groups;
        let first = query / block * block;
        let row = head % share * block.min(self.sizes.queries - first) + query - first;
        let task = ((entry * self.sizes.groups + head / share) * blocks + query / block) * parts;
        let len = State::len(self.sizes.value_width);
        let of_part = |part| &sums[((task + part) * rows + row) * len..][..len];
        scores::gathered((0..parts).map(of_part), context);
    }
}

/// Elements of the result that a task gathers.
const OUTPUTS: usize = 1 << 14;

/// The products of rows of queries and keys.
fn products(query: &[f32], width: usize, (key, step): (&[f32], usize), scores: &mut [f32]) {
    let rows = query.len() / width;
    let keys = scores.len() / rows;
    if rows <= FEW_ROWS {
        return scores::products(query, width, (key, step), scores);
    }
    let (query, key) = (Matrix::new(query, (rows, width), width), Matrix::new(key, (keys, width), step));
    Tile::new(scores, (rows, keys), keys).fill_with_product(query, key.transposed());
}

/// Adds the weighed values to the sums.
fn add_values(weights: &[f32], keys: usize, (value, step): (&[f32], usize), width: usize, sums: &mut [f32]) {
    let rows = weights.len() / keys;
    if rows <= FEW_ROWS {
        return scores::add_values(weights, keys, (value, step), width, sums);
    }
    let (weights, value) = (Matrix::new(weights, (rows, keys), keys), Matrix::new(value, (keys, width), step));
    Tile::new(sums, (rows, width), State::len(width)).add_product(weights, value);
}
