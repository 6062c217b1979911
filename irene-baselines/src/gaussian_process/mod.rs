mod kernel;
mod likelihood;

use irene_explore::{
    Candidate, Error, Result,
    learning::{Learner, PredictedValue, Saved, Surrogate},
};
use irene_numerics::{CovarianceFactor, moments};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use self::{kernel::Kernel, likelihood::most_likely};
use crate::records::{Records, centre_and_scale, check, embeddings, padded};

/// Added to the diagonal, as scikit-learn does.
const ALPHA: f64 = 1e-10;

/// Learns a [`GaussianProcess`] on the published embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaussianProcessLearner {
    /// As ProTran (Tuli and Jha) uses the defaults of the scikit-learn of its time (1.9 optimises them): a fixed RBF kernel of
    /// length scale 1 and variance 1, coordinates as they are, figures divided by twice the largest, 1e-10 on the diagonal.
    /// Distinct embeddings are so far apart that it predicts 0 nearly everywhere.
    Published,
    /// Matérn 5/2 plus a linear kernel, one length scale, coordinates and figures standardised, and all that by the largest
    /// marginal likelihood.
    MaternLinear,
}

impl Learner for GaussianProcessLearner {
    fn name(&self) -> &'static str {
        match self {
            Self::Published => "gp-rbf",
            Self::MaternLinear => "gp-matern",
        }
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], _seed: u64) -> Result<Box<dyn Surrogate>> {
        Ok(Box::new(GaussianProcess::fit(*self, &embeddings(candidates), figures)?))
    }
}

/// A Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1):
///
/// value = k*ᵀ K⁻¹ y, variance = k** − k*ᵀ K⁻¹ k* + noise, with K the kernel between records plus the noise on its diagonal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct GaussianProcess {
    #[serde(flatten)]
    raw: Raw,
    /// K⁻¹ y.
    #[serde(skip)]
    weights: DVector<f64>,
    #[serde(skip)]
    factor: CovarianceFactor,
}

/// The fields that a file holds; the others are computed from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Raw {
    kernel: Kernel,
    /// Variance on the diagonal, in scaled figures.
    noise: f64,
    /// Subtracted from coordinates, which are then divided by `spans`.
    origins: Vec<f64>,
    spans: Vec<f64>,
    /// Subtracted from figures, which are then divided by `scale`.
    centre: f64,
    scale: f64,
    /// Coordinates and figures of the records, scaled.
    rows: Vec<Vec<f64>>,
    figures: Vec<f64>,
}

impl GaussianProcess {
    /// Fits rows of coordinates and their figures.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no records, or their numbers or lengths do not fit.
    pub(crate) fn fit(learner: GaussianProcessLearner, rows: &[Vec<f64>], figures: &[f64]) -> Result<Self> {
        let records = Records::new(rows, figures)?;
        match learner {
            GaussianProcessLearner::Published => Raw::published(records),
            GaussianProcessLearner::MaternLinear => Raw::matern_linear(records),
        }
        .try_into()
    }

    /// The prediction at these coordinates (a missing one counts as 0).
    pub(crate) fn at(&self, coordinates: &[f64]) -> PredictedValue {
        let raw = &self.raw;
        let at = raw.scaled(&padded(coordinates, raw.origins.len()));
        let mut near = DVector::from_iterator(raw.rows.len(), raw.rows.iter().map(|row| raw.kernel.between(row, &at)));
        let value = raw.centre + raw.scale * near.dot(&self.weights);
        self.factor.whiten(&mut near);
        let variance = raw.kernel.between(&at, &at) - near.norm_squared() + raw.noise;
        PredictedValue { value, deviation: raw.scale * variance.max(0.0).sqrt() }
    }
}

impl Surrogate for GaussianProcess {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        self.at(&candidate.coordinates())
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("gaussian-process", self)
    }
}

impl Raw {
    fn published(records: Records<'_>) -> Self {
        let largest = records.figures.iter().fold(0.0f64, |largest, figure| largest.max(figure.abs()));
        let scale = if largest > 0.0 { 2.0 * largest } else { 1.0 };
        Self {
            kernel: Kernel::Rbf { length: 1.0 },
            noise: ALPHA,
            origins: vec![0.0; records.width()],
            spans: vec![1.0; records.width()],
            centre: 0.0,
            scale,
            rows: records.rows.to_vec(),
            figures: records.figures.iter().map(|figure| figure / scale).collect(),
        }
    }

    fn matern_linear(records: Records<'_>) -> Self {
        let column = |feature: usize| moments(records.rows.iter().map(|row| row[feature]));
        let (origins, spans): (Vec<f64>, Vec<f64>) = (0..records.width()).map(column).unzip();
        // A constant coordinate tells nothing: it is left as it is.
        let spans = origins.iter().zip(spans).map(|(o, s)| if s > 1e-12 * (1.0 + o.abs()) { s } else { 1.0 }).collect();
        let (centre, scale) = centre_and_scale(records.figures);
        let figures: Vec<f64> = records.figures.iter().map(|figure| (figure - centre) / scale).collect();
        let mut raw =
            Self { kernel: Kernel::default(), noise: 0.1, origins, spans, centre, scale, rows: vec![], figures };
        raw.rows = records.rows.iter().map(|row| raw.scaled(row)).collect();
        (raw.kernel, raw.noise) = most_likely(&raw.rows, &raw.figures);
        raw
    }

    fn scaled(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(&self.origins).zip(&self.spans).map(|((x, origin), span)| (x - origin) / span).collect()
    }

    fn validate(&self) -> Result<()> {
        let width = self.origins.len();
        Records::new(&self.rows, &self.figures)?;
        if self.spans.len() != width || self.rows.iter().any(|row| row.len() != width) {
            return Err(Error::Data("Gaussian process: origins, spans and records of different widths".into()));
        }
        check("Gaussian process: origin", &self.origins)?;
        check("Gaussian process: span", &self.spans)?;
        let positive = [self.scale, self.noise];
        check("Gaussian process: centre, scale, noise", &[&[self.centre], &positive[..]].concat())?;
        if self.spans.iter().chain(&positive).any(|number| *number <= 0.0) || !self.kernel.holds() {
            return Err(Error::Data("Gaussian process: spans, scale, noise and kernel must be above 0".into()));
        }
        Ok(())
    }
}

impl TryFrom<Raw> for GaussianProcess {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        raw.validate()?;
        let count = raw.rows.len();
        let matrix = DMatrix::from_fn(count, count, |i, j| raw.kernel.between(&raw.rows[i], &raw.rows[j]));
        let factor = CovarianceFactor::with_jitter(&matrix, raw.noise);
        let factor = factor.ok_or_else(|| Error::Data("Gaussian process: the kernel's matrix is singular".into()))?;
        let weights = factor.solve(&DVector::from_column_slice(&raw.figures));
        Ok(Self { raw, weights, factor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn the_published_form_interpolates_and_reverts_to_0_far_away() {
        let (rows, figures) = synthetic::records(40, 1);
        let gp = GaussianProcess::fit(GaussianProcessLearner::Published, &rows, &figures).unwrap();
        for (row, figure) in rows.iter().zip(&figures) {
            let at = gp.at(row);
            assert!((at.value - figure).abs() < 1e-6 && at.deviation < 1e-3, "{at:?} {figure}");
        }
        let far = gp.at(&[1e4; 5]);
        assert_eq!(far.value, 0.0);
        assert!((far.deviation - 2.0 * synthetic::range(&figures).1).abs() < 1e-6);
    }

    /// scikit-learn 1.9.1, `GaussianProcessRegressor(C(1.0, "fixed") * RBF(1.0, "fixed"))` of the same records.
    #[test]
    fn the_published_form_is_that_of_scikit_learn() {
        let rows = [vec![0.0, 0.0], vec![1.0, 0.0], vec![0.0, 2.0]];
        let gp = GaussianProcess::fit(GaussianProcessLearner::Published, &rows, &[0.2, 0.4, 0.1]).unwrap();
        let golden = [
            ([0.5, 0.5], 0.304_318_088_077_599_97, 0.459_899_431_519_411_2),
            ([3.0, 1.0], 0.036_168_849_785_138_38, 0.995_136_028_375_767_2),
        ];
        for (row, value, deviation) in golden {
            let at = gp.at(&row);
            assert!((at.value - value).abs() < 1e-8 && (at.deviation / 0.8 - deviation).abs() < 1e-8, "{at:?}");
        }
    }

    #[test]
    fn the_learned_form_explains_unseen_records_and_knows_how_well() {
        let (rows, figures) = synthetic::records(120, 2);
        let (unseen, truth) = synthetic::records(80, 3);
        let gp = GaussianProcess::fit(GaussianProcessLearner::MaternLinear, &rows, &figures).unwrap();
        let predictions: Vec<PredictedValue> = unseen.iter().map(|row| gp.at(row)).collect();
        let values: Vec<f64> = predictions.iter().map(|prediction| prediction.value).collect();
        assert!(synthetic::r2(&values, &truth) > 0.85, "{}", synthetic::r2(&values, &truth));
        let within = predictions.iter().zip(&truth).filter(|(p, t)| (p.value - **t).abs() < 2.0 * p.deviation).count();
        assert!(within > 68, "{within} of 80 within two deviations");
        assert!(gp.at(&[100.0; 5]).deviation > 2.0 * gp.at(&rows[0]).deviation);
    }

    #[test]
    fn hostile_records_give_finite_predictions_or_errors() {
        for learner in [GaussianProcessLearner::Published, GaussianProcessLearner::MaternLinear] {
            let fit = |rows: &[Vec<f64>], figures: &[f64]| GaussianProcess::fit(learner, rows, figures);
            let one = fit(&[vec![1.0, 2.0]], &[3.0]).unwrap();
            assert!((one.at(&[1.0, 2.0]).value - 3.0).abs() < 1e-6);
            assert!(one.at(&[]).value.is_finite());
            let repeated = fit(&vec![vec![1.0]; 9], &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]).unwrap();
            assert!((repeated.at(&[1.0]).value - 2.0).abs() < 0.1);
            let equal = fit(&[vec![1.0], vec![2.0], vec![5.0], vec![7.0]], &[4.0; 4]).unwrap();
            assert!((equal.at(&[2.0]).value - 4.0).abs() < 1e-3);
            assert!(fit(&[vec![0.0]], &[0.0]).unwrap().at(&[3.0]).deviation > 0.0);
            assert!(fit(&[vec![f64::NAN]], &[1.0]).is_err());
            assert!(fit(&[vec![]], &[1.0]).is_err());
        }
    }

    #[test]
    fn a_file_gives_the_same_predictions_and_a_broken_one_is_refused() {
        let (rows, figures) = synthetic::records(20, 4);
        for learner in [GaussianProcessLearner::Published, GaussianProcessLearner::MaternLinear] {
            let gp = GaussianProcess::fit(learner, &rows, &figures).unwrap();
            let text = serde_json::to_string(&gp).unwrap();
            let read: GaussianProcess = serde_json::from_str(&text).unwrap();
            assert_eq!(read.at(&[1.0, 2.0, 3.0, 4.0, 5.0]), gp.at(&[1.0, 2.0, 3.0, 4.0, 5.0]));
            let noise = format!("\"noise\":{}", serde_json::to_string(&gp.raw.noise).unwrap());
            for (from, to) in [("\"origins\":[", "\"origins\":[0.0,"), (noise.as_str(), "\"noise\":-1.0")] {
                assert!(text.contains(from), "{from} in {text}");
                assert!(serde_json::from_str::<GaussianProcess>(&text.replacen(from, to, 1)).is_err(), "{from}");
            }
        }
    }
}
