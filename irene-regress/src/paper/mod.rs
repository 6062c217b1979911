//! The predictors of IrEne (Cao et al., ACL 2021, section 4), as published.
//!
//! - Leaves: one linear regressor per primitive on standardised features (equation 1).
//! - Above them, by [`Strategy`]: the sum of the children (PredictedSum, equation 2); the sum weighted by
//!   α(c) = 1 + tanh(w·f(c) + b)/τ with f the polynomial terms of the standardised features (equation 3), learned over the
//!   whole tree (End2End, equation 4) or one node at a time on the children's true energies (StepWise, equation 5); or a
//!   regression on the node's own features that ignores the tree (Unstructured).

mod leaves;
mod recursion;
mod rows;
mod weighting;

use irene_features::{Feature, FeatureSet};
use irene_tree::{Level, NodeId, Quantity, Tree};
use leaves::Leaves;
pub use recursion::Strategy;
use weighting::Weighting;

use crate::{Error, Explanation, Predictor, Result, Store, Term, Trainer, TreeSource, explain::name_of_child};

/// How to train the paper's predictor.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperTrainer {
    /// How a node's energy follows from its children's.
    pub strategy: Strategy,
    /// The columns of leaves and inner nodes.
    pub features: FeatureSet,
    /// Decides the initial weights.
    pub seed: u64,
}

impl Default for PaperTrainer {
    fn default() -> Self {
        Self { strategy: Strategy::End2End, features: FeatureSet::all(), seed: 13370 }
    }
}

/// A trained predictor of the paper's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PaperPredictor {
    strategy: Strategy,
    features: FeatureSet,
    leaves: Leaves,
    /// None for PredictedSum, which learns nothing above the leaves.
    weighting: Option<Weighting>,
}

/// The method's name in files and on the command line.
pub(crate) const METHOD: &str = "irene";

impl Trainer for PaperTrainer {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn train(&self, trees: &[&Tree]) -> Result<Box<dyn Predictor>> {
        Ok(Box::new(self.train_paper(&trees)?))
    }

    /// Goes through the trees several times, where there are too many to keep what it learns from.
    fn train_on(&self, source: &dyn TreeSource) -> Result<Box<dyn Predictor>> {
        Ok(Box::new(self.train_paper(source)?))
    }
}

impl PaperTrainer {
    /// The same with those of its features that these trees have at every node, and the features that it does without.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] if it is to learn from resources and the trees have none; those of the source.
    pub fn with_features_of(self, trees: &(impl TreeSource + ?Sized)) -> Result<(Self, Vec<Feature>)> {
        let mut features = self.features.clone();
        trees.each(&mut |tree| {
            features = features.known_in(std::slice::from_ref(tree)).0;
            Ok(())
        })?;
        if self.features == FeatureSet::resources() && !features.has_resources() {
            trees.each(&mut |tree| {
                for id in tree.ids().filter(|&id| tree.node(id).level() != Level::Math) {
                    self.features.row(tree, id)?;
                }
                Ok(())
            })?;
        }
        let is_missing = |feature: &&Feature| !features.features().contains(feature);
        let missing = self.features.features().iter().filter(is_missing).copied().collect();
        Ok((Self { features, ..self }, missing))
    }

    fn train_paper(&self, trees: &dyn TreeSource) -> Result<PaperPredictor> {
        let leaves = Leaves::fit(trees, &self.features)?;
        if leaves.is_empty() && self.strategy != Strategy::Unstructured {
            let reason = "no primitive has an energy, and sums begin there; the strategy unstructured learns from modules and models alone";
            return Err(Error::Unmeasured(reason));
        }
        let weighting = match self.strategy {
            Strategy::PredictedSum => None,
            strategy => Some(recursion::train(trees, &self.features, &leaves, strategy, self.seed)?),
        };
        Ok(PaperPredictor { strategy: self.strategy, features: self.features.clone(), leaves, weighting })
    }
}

impl Predictor for PaperPredictor {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn summary(&self) -> String {
        let unmeasured: Vec<&str> = self.leaves.unmeasured().collect();
        let without = if unmeasured.is_empty() {
            String::new()
        } else {
            format!("; nothing was measured of {}, which count as 0", unmeasured.join(", "))
        };
        format!("IrEne {} on {}{without}", self.strategy.name(), self.features)
    }

    fn predict(&self, tree: &mut Tree) -> Result<()> {
        tree.clear_predictions();
        let mut energies = vec![0.0; tree.nodes().len()];
        for id in tree.ids().rev() {
            let level = tree.node(id).level();
            if level == Level::Math {
                continue;
            }
            let row = self.features.row(tree, id)?;
            if level == Level::Ml {
                energies[id.index()] = self.leaves.predict(tree, id, &row)?.unwrap_or(0.0);
            }
            let mut share = 1.0;
            if let Some(weighting) = &self.weighting {
                let score = weighting.score(&row);
                if self.strategy == Strategy::Unstructured {
                    if level != Level::Ml {
                        energies[id.index()] = score;
                    }
                    share = 0.0;
                } else {
                    share = Weighting::share(score);
                }
            }
            if let Some(parent) = tree.parent(id) {
                energies[parent.index()] += tree.node(id).times() * share * energies[id.index()];
            }
        }
        for id in tree.ids() {
            let node = tree.node(id);
            if node.level() != Level::Math && !(node.level() == Level::Ml && self.leaves.is_unmeasured(node)) {
                tree.node_mut(id).set(Quantity::PredictedEnergy, energies[id.index()]);
            }
        }
        Ok(())
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        let row = self.features.row(tree, id)?;
        let energy = match (tree.node(id).level(), &self.weighting) {
            (Level::Ml, _) => self.leaves.terms(tree, id, &row, &self.features)?,
            (_, Some(weighting)) if self.strategy == Strategy::Unstructured => {
                vec![Term::new("regression on its own features", 1.0, "node", weighting.score(&row))]
            }
            _ => {
                let mut terms = Vec::new();
                for child in tree.children(id) {
                    let Some(joules) = tree.node(child).get(Quantity::PredictedEnergy) else { continue };
                    let row = self.features.row(tree, child)?;
                    let share =
                        self.weighting.as_ref().map_or(1.0, |weighting| Weighting::share(weighting.score(&row)));
                    let child = tree.node(child);
                    terms.push(Term::new(name_of_child(tree, id, child), child.times() * joules, "J", share));
                }
                terms
            }
        };
        Ok(Explanation { energy, latency: Vec::new() })
    }

    fn write(&self, store: &mut Store) {
        store.set("strategy", self.strategy.name());
        store.set_list("features", self.features.features().iter().map(|feature| feature.name()));
        self.leaves.write(store);
        if let Some(weighting) = &self.weighting {
            weighting.write(store);
        }
    }
}

impl PaperPredictor {
    /// Reads a store that [`Predictor::write`] wrote.
    pub(crate) fn read(store: &Store) -> Result<Self> {
        let strategy = store.get("strategy")?;
        let strategy =
            Strategy::from_name(strategy).ok_or_else(|| store.error(format!("unknown strategy `{strategy}`")))?;
        let features =
            FeatureSet::from_names(store.get_list("features")?).map_err(|error| store.error(error.to_string()))?;
        let leaves = Leaves::read(store, features.len())?;
        let weighting = match strategy {
            Strategy::PredictedSum => None,
            _ => Some(Weighting::read(store, features.len())?),
        };
        Ok(Self { strategy, features, leaves, weighting })
    }
}

/// The node's ground truth, J, finite and above 0; None if it was not measured.
pub(crate) fn measured_energy(tree: &Tree, id: NodeId) -> Result<Option<f64>> {
    let node = tree.node(id);
    match node.get(Quantity::GroundTruthEnergy) {
        Some(joules) if !(joules.is_finite() && joules > 0.0) => Err(Error::GroundTruth {
            tree: tree.to_string(),
            scope: node.scope().to_owned(),
            found: joules.to_string(),
        }),
        known => Ok(known),
    }
}
