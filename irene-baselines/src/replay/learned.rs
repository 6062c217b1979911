use irene_explore::{
    Candidate, Dataset, Describer, Measure, Result,
    learning::{Learner, Surrogate},
};
use rayon::prelude::*;

/// A recorded design.
pub(super) struct Measured {
    pub(super) candidate: Candidate,
    /// Its figures, a measure each.
    figures: Vec<f64>,
}

/// The records of a device, with the figures of some measures.
pub(super) fn measured(data: &Dataset, describer: &Describer, measures: &[Measure]) -> Result<Vec<Measured>> {
    let figures: Vec<Vec<f64>> = measures.iter().map(|&measure| data.figures(measure)).collect::<Result<_>>()?;
    let candidates = describer.describe_all(data)?.into_iter().enumerate();
    let of = |(at, candidate)| Measured { candidate, figures: figures.iter().map(|of| of[at]).collect() };
    Ok(candidates.map(of).collect())
}

/// Records whose largest figures, twice, the published way divides by.
const FIRST: usize = 16;

/// The divisor of each measure as published: twice the largest of the campaign's first 16 figures.
pub(super) fn scales(measured: &[Measured]) -> Vec<f64> {
    let measures = measured.first().map_or(0, |first| first.figures.len());
    let first = &measured[..measured.len().min(FIRST)];
    let largest = |at: usize| first.iter().map(|measured| measured.figures[at]).fold(f64::MIN_POSITIVE, f64::max);
    (0..measures).map(|at| 2.0 * largest(at)).collect()
}

/// The errors of one measure, over many designs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanErrors {
    /// Mean squared error of figures divided by their measure's scale.
    pub squared: f64,
    /// Mean absolute error as a share of the figure.
    pub relative: f64,
}

/// The surrogates of some measures, from the same designs.
pub(super) struct Learned {
    /// One a measure.
    pub(super) surrogates: Vec<Box<dyn Surrogate>>,
    /// The divisor of each measure.
    pub(super) scales: Vec<f64>,
}

impl Learned {
    /// Learns each measure.
    pub(super) fn fit(learner: &dyn Learner, measured: &[&Measured], scales: &[f64], seed: u64) -> Result<Self> {
        let candidates: Vec<&Candidate> = measured.iter().map(|measured| &measured.candidate).collect();
        let fit = |at: usize| {
            let figures: Vec<f64> = measured.iter().map(|measured| measured.figures[at]).collect();
            learner.fit(&candidates, &figures, seed)
        };
        let surrogates = (0..scales.len()).into_par_iter().map(fit).collect::<Result<Vec<_>>>()?;
        Ok(Self { surrogates, scales: scales.to_vec() })
    }

    /// The errors on recorded designs, a measure each.
    pub(super) fn errors(&self, measured: &[&Measured]) -> Vec<MeanErrors> {
        let of = |at: usize| {
            let (surrogate, scale) = (&self.surrogates[at], self.scales[at]);
            let (mut squared, mut relative) = (0.0, 0.0);
            for measured in measured {
                let figure = measured.figures[at];
                let miss = surrogate.predict(&measured.candidate).value - figure;
                squared += (miss / scale).powi(2);
                relative += (miss / figure).abs();
            }
            let count = measured.len().max(1) as f64;
            MeanErrors { squared: squared / count, relative: relative / count }
        };
        (0..self.scales.len()).map(of).collect()
    }

    /// The mean relative error that the surrogates themselves expect on these designs, of the measure where it is largest: √(2/π)
    /// deviations of a normal distribution.
    pub(super) fn expected_error(&self, measured: &[&Measured]) -> f64 {
        let mean = |surrogate: &dyn Surrogate| {
            let relative = measured.iter().map(|measured| {
                let prediction = surrogate.predict(&measured.candidate);
                prediction.deviation / prediction.value.abs().max(f64::MIN_POSITIVE)
            });
            relative.sum::<f64>() / measured.len().max(1) as f64
        };
        let worst = self.surrogates.iter().map(|surrogate| mean(surrogate.as_ref())).fold(0.0, f64::max);
        worst * std::f64::consts::FRAC_2_PI.sqrt()
    }
}
