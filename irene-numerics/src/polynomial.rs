/// All products of up to `degree` columns, as scikit-learn's `PolynomialFeatures` makes them: first 1, then the columns, then
/// the products of two, of three ..., each in lexicographic order of the columns, repetitions included.
///
/// n columns give C(n + degree, degree) terms: 680 for the paper's 14 columns at degree 3.
///
/// ```
/// use irene_numerics::PolynomialFeatures;
/// let polynomial = PolynomialFeatures::new(2, 2);
/// let mut terms = Vec::new();
/// polynomial.transform(&[2.0, 3.0], &mut terms);
/// assert_eq!(terms, [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]); // 1, a, b, a², ab, b²
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolynomialFeatures {
    columns: usize,
    degree: usize,
}

impl PolynomialFeatures {
    /// Products of up to `degree` of `columns` columns.
    pub fn new(columns: usize, degree: usize) -> Self {
        Self { columns, degree }
    }

    /// The number of terms.
    pub fn terms(&self) -> usize {
        // C(columns + degree, degree), each step exact.
        (1..=self.degree).fold(1, |terms, k| terms * (self.columns + k) / k)
    }

    /// Appends the terms of one row.
    pub fn transform(&self, row: &[f64], terms: &mut Vec<f64>) {
        debug_assert_eq!(row.len(), self.columns);
        let row = &row[..self.columns];
        let origin = terms.len();
        terms.push(1.0);
        // Where, among the terms of the degree below, those begin whose first column is at least this one.
        let mut starts = vec![origin; self.columns];
        let mut end = terms.len();
        for _ in 0..self.degree {
            for (column, x) in row.iter().enumerate() {
                let from = starts[column];
                starts[column] = terms.len();
                terms.extend_from_within(from..end);
                let products = terms.len() - (end - from);
                terms[products..].iter_mut().for_each(|term| *term *= x);
            }
            end = terms.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9.1: `PolynomialFeatures(3).fit_transform([[2., 3., 5.]])`
    #[test]
    fn it_agrees_with_scikit_learn() {
        let mut terms = Vec::new();
        PolynomialFeatures::new(3, 3).transform(&[2.0, 3.0, 5.0], &mut terms);
        let expected = [
            1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 10.0, 9.0, 15.0, 25.0, 8.0, 12.0, 20.0, 18.0, 30.0, 50.0, 27.0, 45.0, 75.0,
            125.0,
        ];
        assert_eq!(terms, expected);
    }

    #[test]
    fn the_papers_fourteen_columns_give_680_terms() {
        let polynomial = PolynomialFeatures::new(14, 3);
        let mut terms = vec![7.0];
        polynomial.transform(&[1.5; 14], &mut terms);
        assert_eq!((polynomial.terms(), terms.len()), (680, 681));
        assert_eq!(terms.iter().filter(|&&term| term == 1.5f64.powi(3)).count(), 560);
    }
}
