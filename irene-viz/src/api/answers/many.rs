//! Many selections.

use irene_advice::{By, Estimate, FigureSet, Score};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A model at several sizes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sweep {
    pub(crate) model: String,
    pub(crate) device: String,
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) cells: Vec<Cell>,
    /// The default sizes that the model or the device cannot take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<CellLeftOut>,
}

/// One size.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cell {
    pub(crate) batch_size: usize,
    pub(crate) seq_len: usize,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) extrapolated: bool,
}

/// A size without figures.
#[derive(Serialize, ToSchema)]
pub(crate) struct CellLeftOut {
    pub(crate) batch_size: usize,
    pub(crate) seq_len: usize,
    pub(crate) reason: String,
}

/// The figures of one run: of the batch, or of a request where there is none.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Figures {
    pub(crate) energy_j: f64,
    energy_low_j: Option<f64>,
    energy_high_j: Option<f64>,
    /// Energy of a generated token, or of one that is read where none is generated.
    energy_per_token_j: f64,
    latency_s: Option<f64>,
}

impl Figures {
    pub(crate) fn of(estimate: &Estimate) -> Result<Self, Problem> {
        let sequences = match estimate.selection.row.load {
            Some(irene_requests::Load::Sequences(sequences)) => sequences as f64,
            _ => 1.0,
        };
        let unknown = || Problem::malformed(format!("{}: the predictor says nothing of the whole", estimate.selection));
        let interval = estimate.energy_interval_j(By::Request);
        let [low, high] = [0, 1].map(|end| interval.map(|interval| sequences * interval[end]));
        Ok(Self {
            energy_j: sequences * estimate.energy_j(By::Request).ok_or_else(unknown)?,
            energy_low_j: low,
            energy_high_j: high,
            energy_per_token_j: estimate.energy_j(By::Token).ok_or_else(unknown)?,
            latency_s: estimate.figures.latency_s,
        })
    }
}

/// The built-in models at one selection, least energy of a request first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Leaderboard {
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) entries: Vec<Entry>,
    /// Models that pass the filters and cannot run so.
    pub(crate) left_out: Vec<ModelLeftOut>,
    /// The benchmarks that some model has a score in.
    pub(crate) benchmarks: Vec<String>,
    /// The families, for the filter.
    pub(crate) families: Vec<String>,
}

/// A model and what it takes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Its place, from 1.
    pub(crate) rank: usize,
    pub(crate) model: String,
    /// The config's `model_type`.
    pub(crate) family: String,
    /// The authors' name for it and its like.
    pub(crate) series: String,
    /// `decoder`, `embedder` or `encoder`.
    pub(crate) task: &'static str,
    pub(crate) parameters: u64,
    /// Parameters that one token meets, where experts leave out the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active_parameters: Option<u64>,
    #[serde(rename = "figures")]
    pub(crate) figure_set: FigureSet,
    pub(crate) low: FigureSet,
    pub(crate) high: FigureSet,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Words for what is to be known beside the figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) marks: Vec<&'static str>,
    /// Its published score, in the benchmark that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<Score>,
    /// With a score: whether no other scored model has at least that score for at most that energy, and is better in one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_on_front: Option<bool>,
}

/// A model without figures.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelLeftOut {
    pub(crate) model: String,
    pub(crate) reason: String,
}

/// Energy against task accuracy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tradeoff {
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) points: Vec<Point>,
}

/// A model with its accuracy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Point {
    pub(crate) model: String,
    pub(crate) accuracy: f64,
    /// Energy of one run: of the batch, or of a request where there is none.
    pub(crate) energy_j: f64,
    pub(crate) energy_per_request_j: f64,
    /// Whether no other model is at least as accurate for at most the energy, and better in one of them.
    pub(crate) is_on_front: bool,
}
