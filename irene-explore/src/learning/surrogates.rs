use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{AdaBoost, Boshnas, DecisionTree, GaussianProcess, Law, Learner, Prediction, Surrogate};
use crate::{Candidate, Dataset, Describer, Error, Measure, Result, space::DesignSpace};

/// A surrogate that a file can hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "learner", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Saved {
    /// Ours.
    Law(Box<Law>),
    /// A Gaussian process on the embedding.
    GaussianProcess(GaussianProcess),
    /// A regression tree on the embedding.
    DecisionTree(DecisionTree),
    /// Boosted trees on the embedding.
    AdaBoost(AdaBoost),
    /// Heteroscedastic networks on the embedding.
    Boshnas(Boshnas),
}

impl Surrogate for Saved {
    fn predict(&self, candidate: &Candidate) -> Prediction {
        match self {
            Self::Law(law) => Surrogate::predict(law.as_ref(), candidate),
            Self::GaussianProcess(process) => process.predict(candidate),
            Self::DecisionTree(tree) => tree.predict(candidate),
            Self::AdaBoost(trees) => trees.predict(candidate),
            Self::Boshnas(networks) => networks.predict(candidate),
        }
    }

    fn saved(&self) -> Option<Saved> {
        Some(self.clone())
    }
}

/// The surrogates of a device, one a measure.
#[derive(Serialize, Deserialize)]
pub struct Surrogates {
    format: Format,
    /// The device whose records they learned from.
    pub device: String,
    /// How many records.
    pub records: usize,
    /// The design space.
    pub space: DesignSpace,
    /// One a measure.
    pub measures: BTreeMap<Measure, Saved>,
}

/// What a file of ours says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "irene-surrogates-1")]
    One,
}

impl Surrogates {
    /// Of a device.
    pub fn new(
        device: impl Into<String>,
        records: usize,
        space: DesignSpace,
        measures: BTreeMap<Measure, Saved>,
    ) -> Self {
        Self { format: Format::One, device: device.into(), records, space, measures }
    }

    /// Learns these measures of a device.
    ///
    /// # Errors
    /// [`Error::Outside`] for a record outside the space; [`Error::Data`] for one without the measure, for too few records, and for
    /// a learner whose surrogates no file holds.
    pub fn learn(
        learner: &dyn Learner,
        data: &Dataset,
        space: &DesignSpace,
        measures: &[Measure],
        seed: u64,
    ) -> Result<Self> {
        let candidates = Describer::new(space.clone()).describe_all(data)?;
        let candidates: Vec<&Candidate> = candidates.iter().collect();
        let learn = |&measure: &Measure| {
            let surrogate = learner.fit(&candidates, &data.figures(measure)?, seed)?;
            let saved = surrogate.saved().ok_or_else(|| Error::Data(format!("no file holds a {}", learner.name())))?;
            Ok((measure, saved))
        };
        let measures = measures.iter().map(learn).collect::<Result<_>>()?;
        Ok(Self::new(&data.device, data.records.len(), space.clone(), measures))
    }

    /// From a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] for a file that is none of ours, or of a version that this irene does not know.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::File { origin: path.display().to_string(), reason: error.to_string() })
    }

    /// As a file's text.
    ///
    /// # Errors
    /// [`Error::Data`] for numbers that JSON cannot hold.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Data(error.to_string()))
    }

    /// What is expected of one measure of a design, if there is a surrogate of it.
    pub fn predict(&self, measure: Measure, candidate: &Candidate) -> Option<Prediction> {
        Some(self.measures.get(&measure)?.predict(candidate))
    }
}
