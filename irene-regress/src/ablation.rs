use irene_features::FeatureSet;
use irene_tree::Level;

use crate::{CrossValidation, PaperTrainer, Strategy, Track, Trainer};

/// One line of the paper's ablations: how a predictor is trained, and what was published for it.
pub struct Ablation {
    /// What is varied, as a person reads it.
    pub name: &'static str,
    /// How to train it.
    pub trainer: Box<dyn Trainer>,
    /// The published errors in percent on the paper's first machine (PC1), by level; None where there is none.
    pub published: Published,
}

/// Published errors, %.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Published {
    /// At the ML level.
    pub ml: Option<f64>,
    /// At the module level.
    pub module: Option<f64>,
    /// At the model level.
    pub model: Option<f64>,
}

impl Published {
    const fn new(ml: Option<f64>, module: f64, model: f64) -> Self {
        Self { ml, module: Some(module), model: Some(model) }
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

/// The paper's training strategies and feature sets, each to be cross-validated leaving one model out, and our three tracks.
pub fn ablations(seed: u64) -> Vec<Ablation> {
    let paper = |name, strategy, features, published| Ablation {
        name,
        trainer: Box::new(PaperTrainer { strategy, features, seed }),
        published,
    };
    let mut rows = vec![
        paper("End2End", Strategy::End2End, FeatureSet::all(), Published::new(Some(0.70), 8.54, 5.52)),
        paper("StepWise", Strategy::StepWise, FeatureSet::all(), Published::new(None, 9.28, 14.84)),
        paper("PredictedSum", Strategy::PredictedSum, FeatureSet::all(), Published::new(None, 16.4, 17.69)),
        paper("Unstructured", Strategy::Unstructured, FeatureSet::all(), Published::new(None, 278.0, 39.8)),
        paper("End2End, specs only", Strategy::End2End, FeatureSet::specs(), Published::new(Some(5.76), 11.54, 7.08)),
        paper(
            "End2End, resources only",
            Strategy::End2End,
            FeatureSet::resources(),
            Published::new(Some(0.63), 8.87, 7.32),
        ),
    ];
    let ours = [
        ("ours, all measured", Track::Measured),
        ("ours, primitives measured", Track::Primitives),
        ("ours, specs only", Track::Specs),
    ];
    rows.extend(ours.map(|(name, track)| Ablation { name, trainer: Box::new(track), published: Published::default() }));
    rows
}

impl CrossValidation {
    /// The mean over the folds of the mean error of one instance type, %.
    pub fn of_instance_type(&self, instance_type: &str) -> Option<f64> {
        self.by_instance_type()
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(instance_type))
            .map(|(_, mean)| mean)
    }
}
