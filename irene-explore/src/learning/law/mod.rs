//! Our learner: the costs of the traced tree at prices fitted to the data, and smooth surfaces over the residuals.
//!
//! Five views of the logarithm of a figure are learned beside each other: the additive law with a surface over it, a surface that
//! has the law as one of its coordinates, a surface that does without, a Gaussian process, and the law alone. How far each is
//! trusted is chosen by cross-validation inside the training data, where also the spread of the predictions comes from. It grows with
//! the distance from the training data, and with fewness of records; docs/surrogates.md has what that was chosen by.

mod additive;
mod blend;
mod process;
mod surface;

use irene_numerics::{CovarianceFactor, upper_median};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::{
    additive::Additive,
    blend::Blend,
    process::{Process, Range},
    surface::{Surface, SurfaceScales},
};
use super::{
    covariance::KernelScales,
    features::{DesignFeature, DesignFeatures},
    surrogate::{Learner, PredictedValue, Saved, Surrogate},
};
use crate::{Candidate, Error, Result};

/// Learns our surrogate, a law of costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct CostLawLearner;

/// An additive law of costs with smooth corrections, of one measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct CostLaw {
    views: Views,
    blend: Blend,
    #[serde(skip)]
    range: Range,
}

/// The fields as read, before any check.
#[derive(Deserialize)]
struct Raw {
    views: Views,
    blend: Blend,
}

impl TryFrom<Raw> for CostLaw {
    type Error = String;

    fn try_from(Raw { views, blend }: Raw) -> std::result::Result<Self, String> {
        let wide = COORDINATES.len() + 1;
        let sound = views.additive.is_sound()
            && views.on_law.is_sound(wide)
            && views.with_law.is_sound(wide)
            && views.without_law.is_sound(COORDINATES.len())
            && views.process.is_sound(COORDINATES.len())
            && blend.is_sound();
        if sound { Ok(Self::of(views, blend)) } else { Err("a law whose numbers do not fit together".into()) }
    }
}

/// Views of the logarithm of a figure.
const VIEWS: usize = 5;

/// Squares and ratios of numbers up to this do not overflow.
const LARGEST: f64 = 1e100;

/// Whether arithmetic with all of these stays finite.
fn are_usable<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> bool {
    numbers.into_iter().all(|number| number.abs() <= LARGEST)
}

/// Whether all of these can be divided by.
fn are_divisors<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> bool {
    numbers.into_iter().all(|number| (1.0 / LARGEST..=LARGEST).contains(number))
}

/// Refuses figures that are not above 0, and those that squares or ratios would overflow from.
pub(crate) fn are_figures<'a>(figures: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    match figures.into_iter().find(|figure| !are_divisors([*figure])) {
        Some(figure) => {
            Err(Error::Data(format!("a figure is {figure:e}, expected one from {:e} to {LARGEST:e}", 1.0 / LARGEST)))
        }
        None => Ok(()),
    }
}

/// The logarithm of the evidence for a fit of so many records, whose residuals' squares over their variances (in units of the noise's) are `rest`,
/// but for a constant.
fn log_evidence(rest: f64, records: usize, factor: &CovarianceFactor) -> f64 {
    /// The noise's standard deviation in e-folds, as a prior worth two records.
    const NOISE: f64 = 0.05;
    -0.5 * (records as f64 + 2.0) * (rest + 2.0 * NOISE * NOISE).ln() - factor.half_log_determinant()
}

/// Fewer records cannot be cross-validated.
const FEWEST: usize = 3;

/// Parts that the training data is split into to choose how far each view is trusted.
const FOLDS: usize = 4;

/// The views, learned from the same records.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Views {
    additive: Additive,
    /// Over the residuals of the law, with the law among its coordinates.
    on_law: Surface,
    /// Over the logarithm of the figure, with the law among its coordinates.
    with_law: Surface,
    /// Over the logarithm of the figure, without the law.
    without_law: Surface,
    /// The same by a process, which is less stiff.
    process: Process,
}

/// The scales that a fit to all records chose.
#[derive(Clone, Copy)]
struct ViewScales {
    on_law: SurfaceScales,
    with_law: SurfaceScales,
    without_law: SurfaceScales,
    process: KernelScales,
}

/// The views' predictions of a design, in e-folds, and how far the design is from the training data.
#[derive(Clone, Copy, Debug)]
struct Said {
    views: [f64; VIEWS],
    /// The variance of the surface without the law, as a share of the variance of the measurements.
    leverage: f64,
}

/// The features whose logarithms surfaces lie over.
pub(crate) const COORDINATES: [DesignFeature; 6] = [
    DesignFeature::Flops,
    DesignFeature::EncoderParameters,
    DesignFeature::WordParameters,
    DesignFeature::Layers,
    DesignFeature::Heads,
    DesignFeature::Linears,
];

pub(crate) fn coordinates(features: &DesignFeatures) -> [f64; COORDINATES.len()] {
    COORDINATES.map(|feature| features.get(feature).max(f64::MIN_POSITIVE).ln())
}

/// The same with the law's prediction.
fn with_law(features: &DesignFeatures, law: f64) -> [f64; COORDINATES.len() + 1] {
    let mut all = [law; COORDINATES.len() + 1];
    all[..COORDINATES.len()].copy_from_slice(&coordinates(features));
    all
}

impl Views {
    /// Fits each view, with the scales that another fit chose or with its own.
    fn fit(features: &[&DesignFeatures], figures: &[f64], scales: Option<ViewScales>) -> Self {
        let logs: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
        let additive = Additive::fit(features, figures);
        let laws: Vec<f64> = features.iter().map(|features| additive.log(features)).collect();
        let left: Vec<f64> = logs.iter().zip(&laws).map(|(log, law)| log - law).collect();
        let narrow: Vec<_> = features.iter().map(|features| coordinates(features)).collect();
        let wide: Vec<_> = features.iter().zip(&laws).map(|(features, law)| with_law(features, *law)).collect();
        let centre = upper_median(logs.iter().copied()).unwrap_or_default();
        let (on_law, _) = Surface::fit(&wide, &left, 0.0, scales.map(|scales| scales.on_law));
        let (with_law, _) = Surface::fit(&wide, &logs, centre, scales.map(|scales| scales.with_law));
        let (without_law, weights) = Surface::fit(&narrow, &logs, centre, scales.map(|scales| scales.without_law));
        let process = Process::fit(&narrow, &logs, centre, &weights, scales.map(|scales| scales.process));
        Self { additive, on_law, with_law, without_law, process }
    }

    fn scales(&self) -> ViewScales {
        ViewScales {
            on_law: self.on_law.scales(),
            with_law: self.with_law.scales(),
            without_law: self.without_law.scales(),
            process: self.process.scales(),
        }
    }

    /// The prediction of each view that has some `trust`; the others' are not computed.
    fn say(&self, features: &DesignFeatures, trust: &[f64; VIEWS]) -> Said {
        let law = self.additive.log(features);
        let wide = with_law(features, law);
        let narrow = &wide[..COORDINATES.len()];
        // The surface without the law always counts: its leverage tells how unlike the training data a design is.
        let (without_law, leverage) = self.without_law.at(narrow);
        let of = |view: usize, say: &dyn Fn() -> f64| if trust[view] > 0.0 { say() } else { 0.0 };
        let views = [
            law + of(0, &|| self.on_law.height(&wide)),
            of(1, &|| self.with_law.height(&wide)),
            without_law,
            of(3, &|| self.process.height(narrow)),
            law,
        ];
        Said { views, leverage }
    }
}

impl CostLaw {
    fn of(views: Views, blend: Blend) -> Self {
        Self { range: views.process.range(), views, blend }
    }

    /// Learns from the features of designs and their figures, above 0.
    ///
    /// # Errors
    /// [`Error::Data`] if they are fewer than three, or a figure is not above 0 or is beyond all measure.
    pub(crate) fn fit(features: &[&DesignFeatures], figures: &[f64]) -> Result<Self> {
        let found = features.len();
        if found < FEWEST || found != figures.len() {
            let reason = format!("expected at least {FEWEST} designs with a figure each, found {found}");
            return Err(Error::Data(reason));
        }
        are_figures(figures)?;
        let views = Views::fit(features, figures, None);
        let scales = views.scales();
        let held_out: Vec<(Said, f64)> = (0..FOLDS.min(features.len()))
            .into_par_iter()
            .flat_map_iter(|fold| {
                let is_held = |index: usize| index % FOLDS == fold;
                let (mut kept, mut kept_figures) = (Vec::new(), Vec::new());
                for index in (0..features.len()).filter(|&index| !is_held(index)) {
                    kept.push(features[index]);
                    kept_figures.push(figures[index]);
                }
                let views = Views::fit(&kept, &kept_figures, Some(scales));
                let held = (0..features.len()).filter(|&index| is_held(index));
                held.map(|index| (views.say(features[index], &[1.0; VIEWS]), figures[index].ln())).collect::<Vec<_>>()
            })
            .collect();
        Ok(Self::of(views, Blend::fit(&held_out)))
    }

    /// The prediction for a design with these features.
    pub(crate) fn predict(&self, features: &DesignFeatures) -> PredictedValue {
        let beyond = self.views.process.beyond(&self.range, &coordinates(features));
        self.blend.predict(&self.views.say(features, self.blend.trust()), beyond)
    }
}

impl Surrogate for CostLaw {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        self.predict(&candidate.features)
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("law", self)
    }
}

impl Learner for CostLawLearner {
    fn name(&self) -> &'static str {
        "law"
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], _seed: u64) -> Result<Box<dyn Surrogate>> {
        let features: Vec<&DesignFeatures> = candidates.iter().map(|candidate| &candidate.features).collect();
        Ok(Box::new(CostLaw::fit(&features, figures)?))
    }
}

#[cfg(test)]
mod tests;
