//! The features of designs that surrogates learn from: costs of the traced tree, summed by kind of work.

mod names;
mod table;
#[cfg(test)]
mod tests;

use irene_models::{ModelSpec, flexibert::Design};
use irene_tree::{NodeId, Size, Tree};

pub use names::DesignFeature;
pub(super) use table::FeatureTable;

use crate::Result;

/// The costs of one sequence in a design, by [`DesignFeature`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DesignFeatures([f64; DesignFeature::COUNT]);

impl DesignFeatures {
    const NONE: Self = Self([0.0; DesignFeature::COUNT]);

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

fn trace(design: &Design, seq_len: usize) -> Result<Tree> {
    let tree = ModelSpec::from_design("design", design)?.trace(Size::new(1, seq_len))?;
    Ok(tree)
}
