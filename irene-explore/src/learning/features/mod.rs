//! What surrogates know of a design: the costs of its traced tree, summed by what they are spent on.

mod names;
mod table;

use irene_models::{ModelSpec, flexibert::Design};
use irene_tree::{NodeId, Tree};

pub use names::DesignFeature;
pub use table::FeatureTable;

use crate::Result;

/// Tokens in a sequence: the length that ProTran pads to.
const SEQ_LEN: usize = 128;

/// What one sequence of 128 tokens costs in a design, by [`DesignFeature`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DesignFeatures([f64; DesignFeature::COUNT]);

impl DesignFeatures {
    const NONE: Self = Self([0.0; DesignFeature::COUNT]);

    /// From the whole tree. [`FeatureTable`] gives the same, a few hundred times as fast.
    ///
    /// # Errors
    /// What tracing says.
    pub fn traced(design: &Design) -> Result<Self> {
        let tree = trace(design)?;
        let mut all = Self::NONE;
        tree.ids().for_each(|id| all.count(&tree, id));
        Ok(all)
    }

    /// One of them.
    pub fn get(&self, feature: DesignFeature) -> f64 {
        self.0[feature as usize]
    }

    /// All of them, in the order of [`DesignFeature`].
    pub fn values(&self) -> &[f64; DesignFeature::COUNT] {
        &self.0
    }

    /// Adds what a node spends itself.
    fn count(&mut self, tree: &Tree, id: NodeId) {
        names::of_node(tree, id, |feature, amount| self.0[feature as usize] += amount);
    }

    fn add(&mut self, share: f64, other: &Self) {
        for (sum, amount) in self.0.iter_mut().zip(&other.0) {
            *sum += share * amount;
        }
    }
}

fn trace(design: &Design) -> Result<Tree> {
    let mut tree = ModelSpec::from_design("design", design)?.trace(1, SEQ_LEN)?;
    irene_features::annotate(&mut tree);
    Ok(tree)
}
