//! The matrix product over `gemm`.

#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Contiguous rows that start `row_step` apart.
    ///
    /// # Panics
    /// If the slice is too short.
    pub(super) fn new(values: &'a [f32], (rows, columns): (usize, usize), row_step: usize) -> Self {
        assert!(reach(rows, columns, row_step) <= values.len());
        Self { values, rows, columns, row_step, column_step: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
        }
    }
}

/// Elements from a matrix's first to its last.
fn reach(rows: usize, columns: usize, row_step: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1).saturating_mul(row_step).saturating_add(columns) }
}

/// Some columns of a matrix with contiguous rows, to be written.
pub(super) struct Tile<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    row_step: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Tile<'a> {
    /// The columns from the slice's first element on.
    ///
    /// # Panics
    /// If the slice is too short, or rows overlap.
    pub(super) fn new(values: &'a mut [f32], (rows, columns): (usize, usize), row_step: usize) -> Self {
        assert!(reach(rows, columns, row_step) <= values.len() && columns <= row_step);
        Self { first: values.as_mut_ptr(), rows, columns, row_step, owner: PhantomData }
    }

    /// Fills the tile with x y, on this thread.
    ///
    /// # Panics
    /// If the sizes do not fit together.
    pub(super) fn fill_with_product(&mut self, x: Matrix<'_>, y: Matrix<'_>) {
        self.product(x, y, false);
    }

    /// Adds x y to the tile, on this thread.
    ///
    /// # Panics
    /// If the sizes do not fit together.
    pub(super) fn add_product(&mut self, x: Matrix<'_>, y: Matrix<'_>) {
        self.product(x, y, true);
    }

    fn product(&mut self, x: Matrix<'_>, y: Matrix<'_>, adds: bool) {
        assert!(x.rows == self.rows && x.columns == y.rows && y.columns == self.columns);
        // SAFETY: the constructors ensure that every element these sizes and steps reach exists, once each in the tile; by the
        // borrows, the tile does not overlap the operands.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                x.columns,
                self.first,
                1,
                self.row_step as isize,
                adds,
                x.values.as_ptr(),
                x.column_step as isize,
                x.row_step as isize,
                y.values.as_ptr(),
                y.column_step as isize,
                y.row_step as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_views_is_the_sum_of_its_terms() {
        let x: Vec<f32> = (0..60).map(|i| (i % 7) as f32 - 3.0).collect();
        let y: Vec<f32> = (0..60).map(|i| (i % 5) as f32 - 2.0).collect();
        let (rows, inner, columns) = (3, 4, 5);
        let mut out = [9.0; 20];
        let (left, right) = (Matrix::new(&x, (rows, inner), 6), Matrix::new(&y, (columns, inner), 7).transposed());
        Tile::new(&mut out, (rows, columns), 7).fill_with_product(left, right);
        for row in 0..rows {
            for column in 0..columns {
                let terms = (0..inner).map(|i| x[row * 6 + i] * y[column * 7 + i]);
                assert_eq!(out[row * 7 + column], terms.sum::<f32>());
            }
        }
        assert_eq!([out[5], out[6], out[19]], [9.0; 3], "what lies between rows stays");
        let before = out;
        Tile::new(&mut out, (rows, columns), 7).add_product(left, right);
        assert!((0..rows * 7).filter(|i| i % 7 < columns).all(|i| out[i] == 2.0 * before[i]));
    }

    #[test]
    #[should_panic(expected = "reach")]
    fn a_matrix_that_its_slice_does_not_hold_is_refused() {
        Matrix::new(&[0.0; 11], (3, 4), 4);
    }
}
