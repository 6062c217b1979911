use nalgebra::{Cholesky, DMatrix, DVector, Dim, Dyn, Matrix, StorageMut};

/// Shares of the largest variance that [`CovarianceFactor::with_jitter`] adds to the diagonal, until there is a factor.
const JITTERS: [f64; 6] = [0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5];

/// The lower factor L of a covariance K = L Lᵀ (Cholesky), with the operations that Gaussian processes need (Rasmussen and Williams,
/// "Gaussian Processes for Machine Learning", 2006, algorithm 2.1).
///
/// ```
/// use irene_numerics::CovarianceFactor;
/// use nalgebra::DVector;
///
/// // K = [[4, 2], [2, 2]]
/// let factor = CovarianceFactor::of(2, |i, j| [[3.0, 2.0], [2.0, 1.0]][i][j], |_| 1.0).unwrap();
/// assert_eq!(factor.solve(&DVector::from_vec(vec![2.0, 2.0])).as_slice(), [0.0, 1.0]);
/// assert!((factor.half_log_determinant() - 0.5 * 4f64.ln()).abs() < 1e-15);
/// ```
#[derive(Clone, Debug)]
pub struct CovarianceFactor(Cholesky<f64, Dyn>);

impl CovarianceFactor {
    /// The factor of a matrix; None if it is not positive definite. Only the lower half is read.
    pub fn new(matrix: DMatrix<f64>) -> Option<Self> {
        Cholesky::new(matrix).map(Self)
    }

    /// The factor for this many points, from the covariance of each pair (i, j), j ≤ i, plus each point's noise on the diagonal.
    pub fn of(
        points: usize,
        mut covariance: impl FnMut(usize, usize) -> f64,
        noise: impl Fn(usize) -> f64,
    ) -> Option<Self> {
        let mut matrix = DMatrix::zeros(points, points);
        for i in 0..points {
            for j in 0..=i {
                matrix[(i, j)] = covariance(i, j);
            }
            matrix[(i, i)] += noise(i);
        }
        Self::new(matrix)
    }

    /// The factor with this noise on the diagonal. If rounding leaves that not positive definite, the least jitter that helps is added, up
    /// to 1e-5 of the largest variance.
    pub fn with_jitter(matrix: &DMatrix<f64>, noise: f64) -> Option<Self> {
        JITTERS.iter().find_map(|jitter| {
            let mut matrix = matrix.clone();
            let added = noise + jitter * matrix.diagonal().max();
            (0..matrix.nrows()).for_each(|at| matrix[(at, at)] += added);
            Self::new(matrix).filter(|factor| factor.0.l_dirty().diagonal().iter().all(|pivot| pivot.is_normal()))
        })
    }

    /// K⁻¹ y.
    ///
    /// # Panics
    /// If y is not as long as K.
    pub fn solve(&self, right: &DVector<f64>) -> DVector<f64> {
        self.0.solve(right)
    }

    /// Replaces y by L⁻¹ y, column by column: values with covariance K become independent, with variance 1.
    ///
    /// # Panics
    /// If a column is not as long as K.
    pub fn whiten<C: Dim, S: StorageMut<f64, Dyn, C>>(&self, right: &mut Matrix<f64, Dyn, C, S>) {
        // This fails only for a zero on the diagonal, and a factor has none.
        self.0.l_dirty().solve_lower_triangular_mut(right);
    }

    /// ½ ln |K|.
    pub fn half_log_determinant(&self) -> f64 {
        self.pivots().map(f64::ln).sum()
    }

    /// The diagonal of L.
    pub(crate) fn pivots(&self) -> impl Iterator<Item = f64> + '_ {
        let lower = self.0.l_dirty();
        (0..lower.nrows()).map(|at| lower[(at, at)])
    }

    /// L, with zeros above the diagonal.
    pub fn lower(&self) -> DMatrix<f64> {
        self.0.l()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> DMatrix<f64> {
        DMatrix::from_fn(4, 4, |i, j| (-0.5 * (i as f64 - j as f64).powi(2)).exp())
    }

    #[test]
    fn whitening_twice_over_is_solving() {
        let factor = CovarianceFactor::new(points()).unwrap();
        let right = DVector::from_vec(vec![1.0, -2.0, 0.5, 3.0]);
        let mut whitened = right.clone();
        factor.whiten(&mut whitened);
        assert!((whitened.norm_squared() - right.dot(&factor.solve(&right))).abs() < 1e-12);
        let mut identity = factor.lower();
        factor.whiten(&mut identity);
        assert!((identity - DMatrix::identity(4, 4)).amax() < 1e-12);
    }

    #[test]
    fn a_closure_gives_what_its_matrix_gives() {
        let of = CovarianceFactor::of(4, |i, j| points()[(i, j)], |i| i as f64).unwrap();
        let matrix = points() + DMatrix::from_diagonal(&DVector::from_fn(4, |i, _| i as f64));
        assert_eq!(of.lower(), CovarianceFactor::new(matrix).unwrap().lower());
    }

    #[test]
    fn jitter_is_added_where_it_is_needed() {
        let repeated = DMatrix::from_element(3, 3, 1.0);
        assert!(CovarianceFactor::new(repeated.clone()).is_none());
        let factor = CovarianceFactor::with_jitter(&repeated, 0.0).unwrap();
        let added = (factor.lower() * factor.lower().transpose() - repeated).amax();
        assert!(added > 0.0 && added <= 1.1e-9, "{added}");
        assert!(CovarianceFactor::with_jitter(&DMatrix::from_element(1, 1, -1.0), 0.0).is_none());
    }
}
