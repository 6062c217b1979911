//! Figures of others on the public measurements of IrEne's first machine (PC1, device_1), to hold ours against.

use irene_numerics::mean;
use irene_tree::{Level, Tree};

use crate::{DeviceProfile, Provenance};

/// Mean percentage errors by level that somebody reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reported {
    /// At the ML level.
    pub ml: Option<f64>,
    /// At the module level.
    pub module: Option<f64>,
    /// At the model level.
    pub model: Option<f64>,
}

impl Reported {
    pub(crate) const fn all(ml: f64, module: f64, model: f64) -> Self {
        Self { ml: Some(ml), module: Some(module), model: Some(model) }
    }

    pub(crate) const fn without_ml(module: f64, model: f64) -> Self {
        Self { ml: None, module: Some(module), model: Some(model) }
    }

    /// The mean of several at each level.
    pub fn mean(reported: impl Iterator<Item = Self> + Clone) -> Self {
        let at = |level| mean(&reported.clone().filter_map(|figures| figures.at(level)).collect::<Vec<_>>());
        Self { ml: at(Level::Ml), module: at(Level::Module), model: at(Level::Model) }
    }

    /// The figure at a level.
    pub fn at(&self, level: Level) -> Option<f64> {
        match level {
            Level::Ml => self.ml,
            Level::Module => self.module,
            Level::Model => self.model,
            Level::Math => None,
        }
    }
}

/// ML-level errors by primitive, % (the paper's table 7, PC1).
pub const PUBLISHED_BY_PRIMITIVE: [(&str, f64); 7] = [
    ("Embedding", 0.65),
    ("LayerNorm", 0.89),
    ("Linear", 0.60),
    ("Tanh", 0.82),
    ("MatMul", 0.61),
    ("Softmax", 1.0),
    ("Conv1D", 0.58),
];

/// End2End's errors by the model that is left out.
pub struct ByModel {
    /// The model.
    pub model: &'static str,
    /// A run of the authors' published code on the public measurements.
    pub authors_code: Reported,
    /// The run that the README of the authors' repository shows.
    pub authors_readme: Reported,
}

/// End2End by left-out model.
pub const END2END_BY_MODEL: [ByModel; 6] = [
    ByModel {
        model: "bert-base-uncased",
        authors_code: Reported::all(0.69, 5.46, 11.12),
        authors_readme: Reported::all(0.70, 5.45, 3.93),
    },
    ByModel {
        model: "distilbert-base-uncased",
        authors_code: Reported::all(0.60, 6.09, 17.24),
        authors_readme: Reported::all(0.60, 6.04, 19.01),
    },
    ByModel {
        model: "roberta-base",
        authors_code: Reported::all(0.69, 5.77, 6.01),
        authors_readme: Reported::all(0.71, 5.49, 6.91),
    },
    ByModel {
        model: "distilgpt2",
        authors_code: Reported::all(0.63, 14.69, 2.24),
        authors_readme: Reported::all(0.64, 14.78, 2.75),
    },
    ByModel {
        model: "openai-gpt",
        authors_code: Reported::all(0.90, 14.07, 3.34),
        authors_readme: Reported::all(0.92, 14.01, 2.96),
    },
    ByModel {
        model: "gpt2",
        authors_code: Reported::all(0.61, 14.97, 3.99),
        authors_readme: Reported::all(0.63, 14.92, 4.88),
    },
];

/// Whether these are the public measurements of the first machine, which figures of others hold for: those that the shipped profile was
/// trained on.
pub fn is_first_machine(trees: &[Tree]) -> bool {
    DeviceProfile::bundled("gtx-1080-ti")
        .is_ok_and(|profile| profile.provenance.digest == Provenance::new("gtx-1080-ti", trees).digest)
}
