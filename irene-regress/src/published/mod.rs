//! The figures that the IrEne paper prints (Cao et al., ACL 2021) and those that its authors' code gives, to hold ours against.

mod tables;

use irene_tree::{Level, Tree};

pub use self::tables::{
    COST_SETTING, CostSetting, ENERGY_SHARES, ERRORS_WITHIN, EnergyShares, MACHINES, MINIATURES, Miniatures,
    NODE_COUNTS, NodeCounts, PRIMITIVES,
};
use crate::{Ablation, DeviceProfile, Provenance};

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
    const NONE: Self = Self { ml: None, module: None, model: None };

    const fn all(ml: f64, module: f64, model: f64) -> Self {
        Self { ml: Some(ml), module: Some(module), model: Some(model) }
    }

    const fn without_ml(module: f64, model: f64) -> Self {
        Self { ml: None, module: Some(module), model: Some(model) }
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

/// One of the two machines that IrEne's authors measured, with what is reported of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicMachine {
    /// The folder of its CSV files.
    pub data: &'static str,
    /// Its name in the paper's tables.
    pub paper: &'static str,
    /// The bundled profile that was trained on it.
    pub device: &'static str,
    /// The card that its clocks and speed show.
    pub card: &'static str,
    /// The card that the paper's table 2 gives.
    pub printed_card: &'static str,
    /// Errors of the paper's predictors, averaged over the six models.
    by_ablation: &'static [(Ablation, OfOthers)],
    /// Errors by the model that is left out, then their average.
    pub by_model: [ByModel; 7],
    /// Errors of the ML level by primitive, in the order of [`PRIMITIVES`], % (table 7).
    by_primitive: [f64; PRIMITIVES.len()],
}

/// Errors of one predictor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OfOthers {
    /// As published.
    pub published: Reported,
    /// A run of the authors' published code on the public measurements.
    pub authors_code: Reported,
}

/// End2End's errors by the model that is left out, and those of a software measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByModel {
    /// The model, or `average`.
    pub model: &'static str,
    /// Tables 5 and 6.
    pub published: Reported,
    /// A run of the authors' published code on the public measurements.
    pub authors_code: Reported,
    /// The run that the README of the authors' repository shows.
    pub authors_readme: Reported,
    /// The software measurement of Strubell et al. (2019): tables 5 and 11.
    pub software: Reported,
}

impl PublicMachine {
    /// The machine that these trees are the public measurements of: the bundled profile of the machine was trained on the same.
    pub fn of(trees: &[Tree]) -> Option<&'static Self> {
        let digest = Provenance::new("", trees).digest;
        MACHINES.iter().find(|machine| {
            DeviceProfile::bundled(machine.device).is_ok_and(|profile| profile.provenance.digest == digest)
        })
    }

    /// The errors that others report of a predictor.
    pub fn reported(&self, ablation: Ablation) -> OfOthers {
        let found = self.by_ablation.iter().find(|(known, _)| *known == ablation);
        found.map_or_else(OfOthers::default, |(_, reported)| *reported)
    }

    /// The errors that others report of a model that is left out, or of the `average`.
    pub fn model(&self, name: &str) -> ByModel {
        self.by_model.iter().find(|row| row.model == name).copied().unwrap_or_default()
    }

    /// The published error of a primitive, %.
    pub fn primitive(&self, name: &str) -> Option<f64> {
        PRIMITIVES.iter().position(|known| *known == name).map(|place| self.by_primitive[place])
    }
}
