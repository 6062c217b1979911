use irene_numerics::CovarianceFactor;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{are_divisors, are_usable, log_evidence};
use crate::learning::standard::Standard;

/// A quadratic surface over standardised coordinates: Bayesian linear regression with normal priors on its coefficients, whose
/// scales the evidence chooses (MacKay, 1992), and Student-t noise by reweighting, so that records far off count little.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Surface {
    #[serde(flatten)]
    standard: Standard,
    /// The height without any data.
    centre: f64,
    coefficients: Vec<f64>,
    /// The lower factor of the coefficients' precision over the noise's, row by row.
    factor: Vec<f64>,
    scales: SurfaceScales,
}

/// Prior standard deviations of the coefficients, in units of the noise's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SurfaceScales {
    linear: f64,
    quadratic: f64,
}

const LINEAR: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
const QUADRATIC: [f64; 6] = [1e-4, 0.03, 0.1, 0.3, 1.0, 3.0];

/// Degrees of freedom of the noise.
const STUDENT: f64 = 3.0;
const ROUNDS: usize = 4;

/// A weighted fit.
struct Fit {
    evidence: f64,
    scales: SurfaceScales,
    factor: CovarianceFactor,
    coefficients: DVector<f64>,
    /// The variance of the noise.
    variance: f64,
}

impl Surface {
    /// Fits a surface, with scales that were chosen before or by the evidence; returns also the final weight of each record.
    pub(super) fn fit<P: AsRef<[f64]>>(
        points: &[P],
        heights: &[f64],
        centre: f64,
        scales: Option<SurfaceScales>,
    ) -> (Self, DVector<f64>) {
        let mut empty = Self {
            standard: Standard::of(points),
            centre,
            coefficients: Vec::new(),
            factor: Vec::new(),
            scales: SurfaceScales { linear: 1.0, quadratic: 1.0 },
        };
        let terms: Vec<Vec<f64>> = points.iter().map(|point| empty.terms(point.as_ref())).collect();
        let coordinates = empty.standard.means.len();
        let columns = terms.first().map_or(0, Vec::len);
        let rows = DMatrix::from_fn(terms.len(), columns, |row, column| terms[row][column]);
        let left = DVector::from_iterator(heights.len(), heights.iter().map(|height| height - centre));
        let mut weights = DVector::from_element(heights.len(), 1.0);
        let mut best: Option<Fit> = None;
        for round in 0..ROUNDS {
            let mut weighted = rows.clone();
            for mut column in weighted.column_iter_mut() {
                column.component_mul_assign(&weights);
            }
            // A product, not `tr_mul`: only that is blocked.
            let transposed = weighted.transpose();
            let (gram, right) = (&transposed * &rows, &transposed * &left);
            let of = |scales| Fit::new(&gram, &right, &left, &weights, coordinates, scales);
            // The weights of a round change the evidence little, so only the first and the last round try all scales.
            let last = best.as_ref().map(|fit| fit.scales).filter(|_| round + 1 < ROUNDS);
            let tried = scales.or(last).map_or_else(SurfaceScales::all, |scales| vec![scales]);
            let fits = tried.into_iter().filter_map(of);
            let Some(fit) = fits.max_by(|a, b| a.evidence.total_cmp(&b.evidence)) else { break };
            fit.reweigh(&rows, &left, &mut weights);
            best = Some(fit);
        }
        if let Some(fit) = best {
            let lower = fit.factor.lower();
            empty.scales = fit.scales;
            empty.coefficients = fit.coefficients.as_slice().to_vec();
            empty.factor = (0..columns)
                .flat_map(|row| (0..=row).map(move |column| (row, column)))
                .map(|place| lower[place])
                .collect();
        }
        (empty, weights)
    }

    /// Whether it has this many coordinates, and finite numbers.
    pub(super) fn is_sound(&self, coordinates: usize) -> bool {
        let terms = 1 + coordinates * (coordinates + 3) / 2;
        let sizes =
            [self.standard.means.len(), self.standard.deviations.len(), self.coefficients.len(), self.factor.len()];
        let mut pivots = (1..=terms).filter_map(|row| self.factor.get(row * (row + 1) / 2 - 1));
        sizes == [coordinates, coordinates, terms, terms * (terms + 1) / 2]
            && are_usable(
                self.standard.means.iter().chain(&self.coefficients).chain(&self.factor).chain([&self.centre]),
            )
            && are_divisors(self.standard.deviations.iter().chain(pivots.by_ref()))
    }

    pub(super) fn scales(&self) -> SurfaceScales {
        self.scales
    }

    pub(super) fn height(&self, point: &[f64]) -> f64 {
        self.height_of(&self.terms(point))
    }

    fn height_of(&self, terms: &[f64]) -> f64 {
        let rises = terms.iter().zip(&self.coefficients).map(|(term, coefficient)| term * coefficient);
        self.centre + rises.sum::<f64>()
    }

    /// The height, and its variance over the noise's.
    pub(super) fn at(&self, point: &[f64]) -> (f64, f64) {
        let mut terms = self.terms(point);
        let height = self.height_of(&terms);
        // By forward substitution, in place.
        let mut rest = &self.factor[..];
        let mut leverage = 0.0;
        for row in 0..terms.len() {
            let (factors, after) = rest.split_at(row + 1);
            let known: f64 = factors[..row].iter().zip(&terms[..row]).map(|(factor, term)| factor * term).sum();
            terms[row] = (terms[row] - known) / factors[row];
            leverage += terms[row] * terms[row];
            rest = after;
        }
        (height, leverage)
    }

    /// 1, the coordinates, and their products two by two.
    fn terms(&self, point: &[f64]) -> Vec<f64> {
        let standard = self.standard.within_reach(point);
        let size = standard.len() as f64;
        let mut terms = Vec::with_capacity(1 + standard.len() * (standard.len() + 3) / 2);
        terms.push(1.0);
        terms.extend(standard.iter().map(|value| value / size.sqrt()));
        for (index, value) in standard.iter().enumerate() {
            terms.push((value * value - 1.0) / size);
            terms.extend(standard[index + 1..].iter().map(|other| value * other / size));
        }
        terms
    }
}

impl SurfaceScales {
    fn all() -> Vec<Self> {
        LINEAR.iter().flat_map(|&linear| QUADRATIC.map(|quadratic| Self { linear, quadratic })).collect()
    }
}

impl Fit {
    /// Weighs each record by how far off it is when it is left out.
    fn reweigh(&self, rows: &DMatrix<f64>, left: &DVector<f64>, weights: &mut DVector<f64>) {
        let mut inverse = DMatrix::identity(rows.ncols(), rows.ncols());
        self.factor.whiten(&mut inverse);
        let whitened = inverse * rows.transpose();
        let fitted = rows * &self.coefficients;
        for record in 0..left.len() {
            let leverage = whitened.column(record).norm_squared();
            let miss = (left[record] - fitted[record]) / (1.0 - (leverage * weights[record]).min(0.95));
            let variance = self.variance * (1.0 + leverage);
            weights[record] = (STUDENT + 1.0) / (STUDENT + miss * miss / variance);
        }
    }

    fn new(
        gram: &DMatrix<f64>,
        right: &DVector<f64>,
        left: &DVector<f64>,
        weights: &DVector<f64>,
        coordinates: usize,
        scales: SurfaceScales,
    ) -> Option<Self> {
        let prior = |column: usize| match column {
            0 => 1.0,
            column if column <= coordinates => scales.linear.powi(2),
            _ => scales.quadratic.powi(2),
        };
        let mut precision = gram.clone();
        for column in 0..precision.ncols() {
            precision[(column, column)] += 1.0 / prior(column);
        }
        let factor = CovarianceFactor::new(precision)?;
        let coefficients = factor.solve(right);
        // The squared residuals and the penalty on the coefficients in one: left·W·left - right·coefficients.
        let squares: f64 = left.iter().zip(weights.iter()).map(|(left, weight)| weight * left * left).sum();
        let rest = (squares - right.dot(&coefficients)).max(0.0);
        let half_prior: f64 = 0.5 * (0..coefficients.len()).map(|column| prior(column).ln()).sum::<f64>();
        let evidence = log_evidence(rest, left.len(), &factor) - half_prior - 0.05 * scales.linear.ln().powi(2);
        let variance = (rest / left.len() as f64).max(1e-12);
        Some(Self { evidence, scales, factor, coefficients, variance })
    }
}
