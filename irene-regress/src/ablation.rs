use irene_features::FeatureSet;

use crate::{CrossValidation, PaperTrainer, Reported, Strategy, Track, Trainer};

/// One line of the paper's ablations: a way to train, and the errors that others report for it.
pub struct Ablation {
    /// Its name in tables.
    pub name: &'static str,
    /// The trainer.
    pub trainer: Box<dyn Trainer>,
    /// Errors on the paper's first machine (PC1), as published.
    pub published: Reported,
    /// Errors of a run of the authors' published code on the public measurements of that machine.
    pub authors_code: Reported,
}

/// The paper's training strategies and feature sets, each to be cross-validated leaving one model out, and our three tracks.
pub fn ablations(seed: u64) -> Vec<Ablation> {
    let paper = |name, strategy, features, published, authors_code| Ablation {
        name,
        trainer: Box::new(PaperTrainer { strategy, features, seed }),
        published,
        authors_code,
    };
    let with_all =
        |name, strategy, published, authors_code| paper(name, strategy, FeatureSet::all(), published, authors_code);
    let mut rows = vec![
        with_all("End2End", Strategy::End2End, Reported::all(0.70, 8.54, 5.52), Reported::all(0.69, 10.18, 7.32)),
        with_all("StepWise", Strategy::StepWise, Reported::without_ml(9.28, 14.84), Reported::all(0.69, 10.99, 14.25)),
        with_all(
            "PredictedSum",
            Strategy::PredictedSum,
            Reported::without_ml(16.4, 17.69),
            Reported::all(0.69, 18.16, 17.77),
        ),
        with_all(
            "Unstructured",
            Strategy::Unstructured,
            Reported::without_ml(278.0, 39.8),
            Reported::all(0.69, 956.0, 234.0),
        ),
        paper(
            "End2End, specs only",
            Strategy::End2End,
            FeatureSet::specs(),
            Reported::all(5.76, 11.54, 7.08),
            Reported::all(5.54, 12.18, 6.84),
        ),
        paper(
            "End2End, resources only",
            Strategy::End2End,
            FeatureSet::resources(),
            Reported::all(0.63, 8.87, 7.32),
            Reported::all(0.61, 10.46, 6.04),
        ),
    ];
    let ours = [
        ("ours, all measured", Track::Measured),
        ("ours, primitives measured", Track::Primitives),
        ("ours, specs only", Track::Specs),
    ];
    rows.extend(ours.map(|(name, track)| Ablation {
        name,
        trainer: Box::new(track),
        published: Reported::default(),
        authors_code: Reported::default(),
    }));
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
