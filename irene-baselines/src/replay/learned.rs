use rayon::prelude::*;

use crate::{
    Candidate, Describer, Error, Measure, Measures, Record, Result,
    space::ModelHash,
    surrogate::{Learner, Prediction, Surrogate},
};

/// A design and what was measured of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The design.
    pub candidate: Candidate,
    /// The figures.
    pub measures: Measures,
}

impl Measured {
    /// From a record.
    ///
    /// # Errors
    /// As [`Describer::describe`].
    pub fn of_record(record: &Record, describer: &Describer) -> Result<Self> {
        Ok(Self { candidate: describer.describe(record.design.clone())?, measures: record.measures })
    }

    /// As a file holds it, at this place of the campaign.
    pub fn record(&self, order: usize) -> Record {
        Record::new(order, self.candidate.design.clone(), self.measures)
    }

    /// One figure.
    ///
    /// # Errors
    /// [`Error::Data`] that names the design, if the figure is missing or not above 0.
    pub fn figure(&self, measure: Measure) -> Result<f64> {
        let name = measure.name();
        let hash = || ModelHash::of(&self.candidate.design);
        match self.measures.get(measure) {
            Some(figure) if figure.is_finite() && figure > 0.0 => Ok(figure),
            Some(figure) => Err(Error::Data(format!("design {}: {name} is {figure}, which is not above 0", hash()))),
            None => Err(Error::Data(format!("design {}: has no {name}; leave the design or the measure out", hash()))),
        }
    }
}

/// Records whose largest figures, twice, the published way divides by.
const FIRST: usize = 16;

/// What each measure is divided by as published: twice the largest of the first 16 figures.
pub(super) fn scales(measured: &[Measured], measures: &[Measure]) -> Result<Vec<f64>> {
    let first = &measured[..measured.len().min(FIRST)];
    let scale = |&measure: &Measure| {
        let figures = first.iter().map(|measured| measured.figure(measure)).collect::<Result<Vec<f64>>>()?;
        Ok(2.0 * figures.into_iter().fold(f64::MIN_POSITIVE, f64::max))
    };
    measures.iter().map(scale).collect()
}

/// Of one measure, over many designs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanErrors {
    /// Mean squared error of figures divided by their measure's scale.
    pub squared: f64,
    /// Mean absolute error as a share of the figure.
    pub relative: f64,
}

/// The surrogates of some measures, from the same designs.
pub struct Learned {
    /// Which measures.
    pub measures: Vec<Measure>,
    /// One a measure.
    pub surrogates: Vec<Box<dyn Surrogate>>,
    /// What each measure's deviation is divided by where measures are added up.
    pub scales: Vec<f64>,
}

impl Learned {
    /// Learns each measure.
    ///
    /// # Errors
    /// [`Error::Data`] for a missing figure, or what the learner says of too few.
    pub fn fit(
        learner: &dyn Learner,
        measured: &[Measured],
        measures: &[Measure],
        scales: Vec<f64>,
        seed: u64,
    ) -> Result<Self> {
        let candidates: Vec<&Candidate> = measured.iter().map(|measured| &measured.candidate).collect();
        let fit = |&measure: &Measure| {
            let figures = measured.iter().map(|measured| measured.figure(measure)).collect::<Result<Vec<f64>>>()?;
            learner.fit(&candidates, &figures, seed)
        };
        let surrogates = measures.par_iter().map(fit).collect::<Result<Vec<_>>>()?;
        Ok(Self { measures: measures.to_vec(), surrogates, scales })
    }

    /// What is expected of a design, a measure each.
    pub fn predict<'a>(&'a self, candidate: &'a Candidate) -> impl Iterator<Item = Prediction> + 'a {
        self.surrogates.iter().map(move |surrogate| surrogate.predict(candidate))
    }

    /// How far off they are on designs that were measured, a measure each.
    ///
    /// # Errors
    /// [`Error::Data`] for a missing figure.
    pub fn errors(&self, measured: &[Measured]) -> Result<Vec<MeanErrors>> {
        let of = |(at, &measure): (usize, &Measure)| {
            let (surrogate, scale) = (&self.surrogates[at], self.scales[at]);
            let (mut squared, mut relative) = (0.0, 0.0);
            for measured in measured {
                let figure = measured.figure(measure)?;
                let miss = surrogate.predict(&measured.candidate).value - figure;
                squared += (miss / scale).powi(2);
                relative += (miss / figure).abs();
            }
            let count = measured.len().max(1) as f64;
            Ok(MeanErrors { squared: squared / count, relative: relative / count })
        };
        self.measures.iter().enumerate().map(of).collect()
    }

    /// The mean relative error that is expected over these designs, of the measure where it is largest: of a normal distribution,
    /// √(2/π) deviations.
    pub fn expected_error(&self, pool: &[&Candidate]) -> f64 {
        let mean = |surrogate: &dyn Surrogate| {
            let relative = pool.iter().map(|candidate| relative_deviation(surrogate.predict(candidate)));
            relative.sum::<f64>() / pool.len().max(1) as f64
        };
        let worst = self.surrogates.iter().map(|surrogate| mean(surrogate.as_ref())).fold(0.0, f64::max);
        worst * std::f64::consts::FRAC_2_PI.sqrt()
    }
}

/// In e-folds.
pub(super) fn relative_deviation(prediction: Prediction) -> f64 {
    prediction.deviation / prediction.value.abs().max(f64::MIN_POSITIVE)
}
