mod natural_parameter;
mod optimise;
mod perceptron;
mod train;

use irene_explore::{
    Candidate, Error, Result,
    learning::{Learner, PredictedValue, Saved, Surrogate},
    space::DesignSpace,
};
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

pub(crate) use self::optimise::optimise_input;
use self::{
    natural_parameter::NaturalParameter,
    perceptron::{Perceptron, Role},
    train::{Training, train},
};
use crate::records::{Records, centre_and_scale, check, embeddings, padded};

/// Passes with dropout that a teacher's spread is taken over.
const PASSES: usize = 50;
const TEACHER: Training = Training { epochs: 200, batch: 8, learning_rate: 0.002, decay: 0.01, patience: 40 };
const STUDENT: Training = Training { epochs: 100, batch: 8, learning_rate: 0.002, decay: 0.0, patience: 20 };
const NATURAL: Training = Training { epochs: 200, batch: 8, learning_rate: 0.002, decay: 0.0, patience: 40 };

/// Learns [`Boshnas`] on the published embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct BoshnasLearner {
    /// The least and the largest value of each coordinate, which are scaled to ±1.
    pub bounds: Vec<(f64, f64)>,
}

/// For the published design space.
impl Default for BoshnasLearner {
    fn default() -> Self {
        Self::of(&DesignSpace::published())
    }
}

impl BoshnasLearner {
    /// For the embeddings of a space.
    pub fn of(space: &DesignSpace) -> Self {
        // A number with a single choice has a range all the same.
        let bounds = |choices: u32| (0.0, f64::from(choices.saturating_sub(1).max(1)));
        Self { bounds: space.embedding_choices().into_iter().map(bounds).collect() }
    }
}

impl Learner for BoshnasLearner {
    fn name(&self) -> &'static str {
        "boshnas"
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], seed: u64) -> Result<Box<dyn Surrogate>> {
        Ok(Box::new(Boshnas::fit(self, &embeddings(candidates), figures, seed)?))
    }
}

/// The heteroscedastic surrogate of BOSHNAS (FlexiBERT, Tuli et al., arXiv 2205.11656), which ProTran compares with: three networks.
///
/// - The teacher expects the figure, with dropout: its spread over passes is what the data leaves open (epistemic).
/// - The student learns that spread e, to give it in one pass and with a gradient.
/// - A natural-parameter network gives the mean μ and the variance a of measurements (aleatoric), trained by their likelihood.
///
/// The value is μ, the deviation √(e² + a).
///
/// Unlike the published code, coordinates are scaled to ±1 and figures standardised (outputs are linear, the student's softplus, instead
/// of sigmoids), the likelihood's squared error is not weighed by 10, a rectifier's moments are exact, training is in small batches,
/// and the fifth of the records that decides when to stop is drawn once, not anew each epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Boshnas {
    bounds: Vec<(f64, f64)>,
    /// Subtracted from figures, which are then divided by `scale`.
    centre: f64,
    scale: f64,
    student: Perceptron,
    natural: NaturalParameter,
}

impl Boshnas {
    /// Fits rows of coordinates and their figures.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no records, their numbers or lengths do not fit, or the bounds do not.
    pub fn fit(learner: &BoshnasLearner, rows: &[Vec<f64>], figures: &[f64], seed: u64) -> Result<Self> {
        let records = Records::new(rows, figures)?;
        let width = records.width();
        if learner.bounds.len() != width {
            let reason = format!("{width} coordinates with {} bounds", learner.bounds.len());
            return Err(Error::Data(reason));
        }
        check_bounds(&learner.bounds)?;
        let (centre, scale) = centre_and_scale(figures);
        let random = &mut Pcg64Mcg::seed_from_u64(seed);
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| scaled(row, &learner.bounds)).collect();
        let figures: Vec<f64> = figures.iter().map(|figure| (figure - centre) / scale).collect();
        let mut teacher = Perceptron::new(Role::Teacher, width, random);
        train(&mut teacher, &rows, &figures, TEACHER, random);
        let spreads: Vec<f64> = rows.iter().map(|row| teacher.spread(row, PASSES, random)).collect();
        let mut student = Perceptron::new(Role::Student, width, random);
        train(&mut student, &rows, &spreads, STUDENT, random);
        let mut natural = NaturalParameter::new(width, random);
        train(&mut natural, &rows, &figures, NATURAL, random);
        Raw { bounds: learner.bounds.clone(), centre, scale, student, natural }.try_into()
    }

    /// The prediction at these coordinates (a missing one counts as 0).
    pub fn at(&self, coordinates: &[f64]) -> PredictedValue {
        let row = scaled(&padded(coordinates, self.bounds.len()), &self.bounds);
        let (natural, spread) = (self.natural.forward(&row), self.student.forward(&row, None).output);
        let deviation = self.scale * (spread * spread + natural.variance).sqrt();
        PredictedValue { value: self.centre + self.scale * natural.mean, deviation }
    }

    /// The lower confidence bound, value − `exploration` · deviation, with its gradient with respect to the coordinates: what a
    /// search for the least figure follows ([`Gradient`](crate::Gradient)). BOSHNAS explores with 0.5; 0 gives the value's own gradient.
    pub fn gradient(&self, coordinates: &[f64], exploration: f64) -> (f64, Vec<f64>) {
        let row = scaled(&padded(coordinates, self.bounds.len()), &self.bounds);
        let (natural, student) = (self.natural.forward(&row), self.student.forward(&row, None));
        let deviation = (student.output.powi(2) + natural.variance).sqrt();
        let of_natural = self.natural.backward(&natural, (1.0, -exploration / (2.0 * deviation)), None);
        let of_student = self.student.backward(&student, -exploration * student.output / deviation, None);
        let slopes = of_natural.iter().zip(&of_student).zip(&self.bounds);
        let gradient = slopes.map(|((a, b), bound)| self.scale * (a + b) * steepness(*bound)).collect();
        (self.centre + self.scale * (natural.mean - exploration * deviation), gradient)
    }
}

impl Surrogate for Boshnas {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        self.at(&candidate.coordinates())
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("boshnas", self)
    }
}

fn check_bounds(bounds: &[(f64, f64)]) -> Result<()> {
    check("BOSHNAS: bound", &bounds.iter().flat_map(|bound| [bound.0, bound.1]).collect::<Vec<_>>())?;
    match bounds.iter().find(|(least, most)| least > most) {
        Some(bound) => Err(Error::Data(format!("BOSHNAS: the bounds {bound:?} are not in order"))),
        None => Ok(()),
    }
}

/// Bounds become ±1.
fn scaled(row: &[f64], bounds: &[(f64, f64)]) -> Vec<f64> {
    row.iter().zip(bounds).map(|(x, bound)| (x - bound.0) * steepness(*bound) - 1.0).collect()
}

/// The slope of a scaled coordinate; a coordinate with a single value is not scaled.
fn steepness((least, most): (f64, f64)) -> f64 {
    if most > least { 2.0 / (most - least) } else { 1.0 }
}

/// The fields as read, before any check.
#[derive(Deserialize)]
struct Raw {
    bounds: Vec<(f64, f64)>,
    centre: f64,
    scale: f64,
    student: Perceptron,
    natural: NaturalParameter,
}

impl TryFrom<Raw> for Boshnas {
    type Error = Error;

    fn try_from(Raw { bounds, centre, scale, student, natural }: Raw) -> Result<Self> {
        if !student.holds(Role::Student, bounds.len()) || natural.width() != bounds.len() || bounds.is_empty() {
            return Err(Error::Data("BOSHNAS: networks of other sizes than the bounds ask for".into()));
        }
        check("BOSHNAS: centre, scale", &[centre, scale])?;
        check_bounds(&bounds)?;
        check("BOSHNAS: the student's parameter", student.numbers())?;
        check("BOSHNAS: the natural-parameter network's parameter", natural.numbers())?;
        if scale <= 0.0 {
            return Err(Error::Data(format!("BOSHNAS: the scale must be above 0, found {scale}")));
        }
        Ok(Self { bounds, centre, scale, student, natural })
    }
}

#[cfg(test)]
mod differences;
#[cfg(test)]
mod tests;
