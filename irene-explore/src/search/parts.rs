//! The parts of a design's energy tree that differ from another's.

use irene_models::{ModelSpec, flexibert::Design};
use irene_regress::DeviceProfile;
use irene_tree::{NodeId, Quantity, Size, Tree};
use serde::Serialize;

use crate::{Error, Result};

/// A part with its energy in two designs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartDifference {
    /// Its scope in the tree.
    pub scope: String,
    /// Its class, of the first design where it has the part.
    pub instance_type: String,
    /// Energy in the first design, J; None where it has no such part.
    pub one: Option<f64>,
    /// Energy in the other design, J.
    pub other: Option<f64>,
}

impl PartDifference {
    /// The energy of the first design less that of the other, J.
    pub fn difference(&self) -> f64 {
        self.one.unwrap_or_default() - self.other.unwrap_or_default()
    }
}

/// The energy tree of a design at one sequence of this many tokens, by a profile of a device.
///
/// # Errors
/// An error of tracing; [`Error::Data`] from the profile.
pub fn energy_tree(name: &str, design: &Design, seq_len: usize, profile: &DeviceProfile) -> Result<Tree> {
    let model = ModelSpec::from_design(name, design)?;
    irene_predict::predict(&model, Size::new(1, seq_len), profile).map_err(|error| match error {
        irene_predict::Error::Model(error) => error.into(),
        other => Error::Data(other.to_string()),
    })
}

/// The parts of two trees, embeddings, pooler and what is in each layer, from the greatest difference to the least.
pub fn differences(one: &Tree, other: &Tree) -> Vec<PartDifference> {
    let mut all: Vec<PartDifference> = Vec::new();
    for id in one.ids().filter(|&id| is_part(one, id)) {
        let node = one.node(id);
        let beside = other.find(node.scope()).and_then(|id| energy(other, id));
        all.push(PartDifference {
            scope: node.scope().to_owned(),
            instance_type: node.instance_type().to_owned(),
            one: energy(one, id),
            other: beside,
        });
    }
    for id in other.ids().filter(|&id| is_part(other, id) && one.find(other.node(id).scope()).is_none()) {
        let node = other.node(id);
        let (scope, instance_type) = (node.scope().to_owned(), node.instance_type().to_owned());
        all.push(PartDifference { scope, instance_type, one: None, other: energy(other, id) });
    }
    all.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    all
}

fn energy(tree: &Tree, id: NodeId) -> Option<f64> {
    tree.node(id).get(Quantity::PredictedEnergy)
}

/// Whether a node is a part: a child of an encoder's layer, or a module beside the encoder.
fn is_part(tree: &Tree, id: NodeId) -> bool {
    let Some(parent) = tree.parent(id) else { return false };
    let in_layer = tree.node(parent).is_instance_of("FlexiBertLayer");
    let is_encoder = tree.node(id).is_instance_of("FlexiBertEncoder");
    in_layer || parent == NodeId::ROOT && !is_encoder && !tree.is_leaf(id)
}

#[cfg(test)]
mod tests {
    use irene_models::flexibert::{Head, LayerDesign};

    use super::*;

    #[test]
    fn the_part_that_differs_comes_first_and_a_layer_more_is_a_part_more() {
        let layer =
            |width| LayerDesign { hidden: 128, heads: vec![Head::ScaledDotProduct; 2], feed_forward: vec![width] };
        let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
        let tree =
            |layers: Vec<LayerDesign>| energy_tree("design", &Design::new(layers).unwrap(), 128, &profile).unwrap();
        let (small, wide) = (tree(vec![layer(256); 2]), tree(vec![layer(256), layer(4096)]));
        let all = differences(&wide, &small);
        assert!(all[0].scope.starts_with("root.encoder.1."), "{:?}", all[0]);
        assert!(all[0].difference() > 0.0);
        assert!(all.iter().any(|part| part.scope == "root.embeddings" && part.difference() == 0.0));
        let longer = tree(vec![layer(256); 3]);
        let of_third =
            differences(&longer, &small).into_iter().filter(|part| part.scope.starts_with("root.encoder.2."));
        assert!(of_third.clone().count() > 0 && of_third.clone().all(|part| part.other.is_none()));
    }
}
