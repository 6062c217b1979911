//! Work shared among threads, where each task writes to elements of its own.

#![allow(unsafe_code)]

use std::{cell::RefCell, marker::PhantomData};

use candle_core::utils::barrier_pool;

/// Runs tasks by their numbers on all threads. Idle threads spin for a while, so that they start the next operation at once.
///
/// A task must not start tasks: candle's pool would wait for itself.
///
/// `work` is that of all tasks, in multiplications or so: little is done on this thread, as waiting for another would take longer.
fn for_tasks(count: usize, work: usize, f: impl Fn(usize) + Sync) {
    match count {
        0 | 1 => (0..count).for_each(f),
        _ if work < LEAST_WORK => (0..count).for_each(f),
        _ => barrier_pool().execute_chunked(count, |tasks| tasks.for_each(&f)),
    }
}

const LEAST_WORK: usize = 1 << 15;

/// A pointer that tasks may share, each for its own elements.
struct Shared<T>(*mut T);

// SAFETY: it is only read; tasks write to elements that do not overlap.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Some of the elements.
    ///
    /// # Safety
    /// They lie in the allocation, and no other task uses them.
    unsafe fn piece<'a>(&self, first: usize, len: usize) -> &'a mut [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), len) }
    }
}

/// Runs `f` for pieces of this many elements (the last may have fewer), with their numbers.
pub(super) fn for_pieces<T: Send>(values: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    for_pieces_of(usize::MAX, values, len, f);
}

/// The same for pieces with this work in all.
pub(super) fn for_pieces_of<T: Send>(work: usize, values: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (all, len) = (values.len(), len.max(1));
    let shared = Shared(values.as_mut_ptr());
    for_tasks(all.div_ceil(len), work, |number| {
        let first = number * len;
        // SAFETY: numbers differ, so pieces do not overlap; the last ends with the slice.
        f(number, unsafe { shared.piece(first, len.min(all - first)) });
    });
}

/// The same for pieces of two slices of one length.
///
/// # Panics
/// If the lengths differ.
pub(super) fn for_pairs<T: Send, U: Send>(
    first: &mut [T],
    second: &mut [U],
    len: usize,
    f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    assert_eq!(first.len(), second.len());
    let shared = Shared(second.as_mut_ptr());
    for_pieces(first, len, |number, piece| {
        // SAFETY: the same places as those of the first slice's pieces, in a slice of the same length.
        let other = unsafe { shared.piece(number * len.max(1), piece.len()) };
        f(number, piece, other);
    });
}

/// Some columns of a matrix without gaps.
pub(super) struct Columns<'a, T> {
    shared: &'a Shared<T>,
    all: usize,
    rows: usize,
    first: usize,
    count: usize,
    owner: PhantomData<&'a mut [T]>,
}

impl<T> Columns<'_, T> {
    /// The place of the first column, and how many there are.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.first, self.count)
    }

    #[cfg(test)]
    fn rows(&self) -> usize {
        self.rows
    }

    /// # Panics
    /// If there is no such row.
    pub(super) fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows);
        // SAFETY: the row exists, its columns are these columns' alone, and `self` is borrowed as long as they are.
        unsafe { self.shared.piece(row * self.all + self.first, self.count) }
    }
}

/// Matrices without gaps (elements, columns), by groups of `width` columns (the last of a matrix may have fewer): `f` gets the matrix's
/// number and the columns.
///
/// # Panics
/// If a matrix's rows are not whole.
pub(super) fn for_columns<T: Send>(
    work: usize,
    matrices: Vec<(&mut [T], usize)>,
    width: usize,
    f: impl Fn(usize, Columns<'_, T>) + Sync,
) {
    let groups = |columns: usize| columns.div_ceil(width);
    let count = matrices.iter().map(|(_, columns)| groups(*columns)).sum();
    let shared: Vec<_> = matrices
        .into_iter()
        .map(|(values, columns)| {
            assert!(values.len().is_multiple_of(columns.max(1)));
            (Shared(values.as_mut_ptr()), columns, values.len() / columns.max(1))
        })
        .collect();
    for_tasks(count, work, |mut group| {
        for (matrix, (shared, columns, rows)) in shared.iter().enumerate() {
            if group < groups(*columns) {
                let first = group * width;
                let count = width.min(columns - first);
                return f(matrix, Columns { shared, all: *columns, rows: *rows, first, count, owner: PhantomData });
            }
            group -= groups(*columns);
        }
    });
}

/// Memory of this thread, with whatever it held last.
pub(super) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local!(static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) });
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        f(&mut scratch[..len])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_cover_every_element_once() {
        for (rows, columns) in [(1, 1), (3, 64), (2, 65), (5, 200), (0, 7)] {
            let (mut a, mut b) = (vec![0; rows * columns], vec![0; rows * 3]);
            for_columns(usize::MAX, vec![(&mut a, columns), (&mut b, 3)], 64, |matrix, mut part| {
                let (first, _) = part.place();
                for row in 0..part.rows() {
                    part.row(row).iter_mut().enumerate().for_each(|(i, x)| *x += 1000 * matrix + first + i + 1);
                }
            });
            assert_eq!(a, (0..rows).flat_map(|_| 1..=columns).collect::<Vec<_>>());
            assert_eq!(b, (0..rows).flat_map(|_| 1001..=1003).collect::<Vec<_>>());
        }
    }

    #[test]
    fn pieces_cover_every_element_once() {
        for (all, len) in [(0, 3), (1, 3), (7, 3), (9, 3), (100, 1)] {
            let (mut a, mut b) = (vec![0; all], vec![0; all]);
            for_pairs(&mut a, &mut b, len, |number, a, b| {
                a.iter_mut().for_each(|x| *x += number + 1);
                b.iter_mut().for_each(|x| *x += 10 * (number + 1));
            });
            assert_eq!(a, (0..all).map(|i| i / len + 1).collect::<Vec<_>>());
            assert!(a.iter().zip(&b).all(|(a, b)| 10 * a == *b));
        }
    }

    #[test]
    #[should_panic(expected = "row < self.rows")]
    fn a_row_that_is_not_there_is_refused() {
        // One group of columns runs on this thread.
        for_columns(usize::MAX, vec![(&mut [0; 6], 3)], 64, |_, mut part| part.row(2)[0] = 1);
    }
}
