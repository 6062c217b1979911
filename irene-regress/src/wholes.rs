//! Modules that were measured with nothing below them, such as the backward pass of a training step: they are predicted as primitives are.

use std::collections::BTreeSet;

use irene_tree::{Level, Node, NodeId, Quantity, Tree};

use crate::{Result, Store, TreeSource};

/// The classes of modules that are predicted as a whole, in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wholes(BTreeSet<String>);

/// The list of them in a store; absent where there are none.
const FIELD: &str = "wholes";

impl Wholes {
    /// The classes whose modules were measured in these trees, and nothing below any of them although there are primitives.
    pub(crate) fn of(trees: &dyn TreeSource) -> Result<Self> {
        let (mut wholes, mut sums) = (BTreeSet::new(), BTreeSet::new());
        trees.each(&mut |tree| {
            let mut below = vec![Below::default(); tree.nodes().len()];
            for id in tree.ids().rev() {
                let (node, parts) = (tree.node(id), below[id.index()]);
                if node.level() == Level::Module && parts.are_measured {
                    sums.insert(class(node));
                } else if node.level() == Level::Module && parts.have_primitives && is_measured(node) {
                    wholes.insert(class(node));
                }
                if let Some(above) = tree.parent(id) {
                    let above = &mut below[above.index()];
                    above.have_primitives |= parts.have_primitives || node.level() == Level::Ml;
                    above.are_measured |= parts.are_measured || is_measured(node);
                }
            }
            Ok(())
        })?;
        Ok(Self(wholes.difference(&sums).cloned().collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tree with these modules as primitives, and for each of its nodes the one that it was.
    pub(crate) fn close(&self, tree: &Tree) -> (Tree, Vec<NodeId>) {
        tree.closed(|id| self.0.contains(&class(tree.node(id))))
    }

    /// The same classes, and those of other trees.
    pub(crate) fn and(&self, others: Self) -> Self {
        Self(self.0.iter().cloned().chain(others.0).collect())
    }

    pub(crate) fn write(&self, store: &mut Store) {
        if !self.is_empty() {
            store.set_list(FIELD, self.0.iter());
        }
    }

    pub(crate) fn read(store: &Store) -> Result<Self> {
        Ok(Self(store.get_list_if_any(FIELD)?.into_iter().collect()))
    }
}

/// The trees of a source with these modules as primitives.
pub(crate) struct Closed<'s> {
    pub(crate) wholes: &'s Wholes,
    pub(crate) source: &'s dyn TreeSource,
}

impl TreeSource for Closed<'_> {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        self.source.each(&mut |tree| if self.wholes.is_empty() { see(tree) } else { see(&self.wholes.close(tree).0) })
    }
}

/// The nodes below a node.
#[derive(Clone, Copy, Default)]
struct Below {
    have_primitives: bool,
    are_measured: bool,
}

fn class(node: &Node) -> String {
    node.instance_type().to_ascii_lowercase()
}

/// Whether it has an energy, which predictors learn from.
fn is_measured(node: &Node) -> bool {
    node.get(Quantity::GroundTruthEnergy).is_some()
}

#[cfg(test)]
mod tests {
    use irene_tree::{Format, OpKind, Operand, Operation, Size, TreeBuilder};

    use super::*;
    use crate::{DeviceProfile, Provenance, Track, Trainer};

    /// A step of two phases, each with products over the tokens; the backward pass has two a layer.
    fn step(size: Size) -> Tree {
        let mut builder = TreeBuilder::new("m", size);
        builder.enter("root", "TrainingStep", Level::Model);
        for (phase, class, products) in [("forward", "Net", 2), ("backward", "NetBackward", 4)] {
            builder.enter(phase, class, Level::Module);
            for layer in 0..products {
                let x = Operand::activation([size.sequences, size.new, 64], Format::F32);
                let weight = Operand::parameter([64, 64], Format::F32);
                let product = Operation::new(OpKind::MatMul, &[x, weight], x);
                builder.leaf(&format!("product_{layer}"), "MatMul", Level::Ml, Some(product));
            }
            builder.leave();
        }
        builder.leave();
        let mut tree = builder.finish().unwrap();
        irene_features::annotate(&mut tree);
        tree
    }

    /// Seconds: a fixed cost and a price of each token.
    fn seconds(size: Size, phase: f64) -> f64 {
        phase * (2e-3 + 1e-5 * size.tokens() as f64)
    }

    /// The same with the phases measured, the forward pass with its parts or without.
    fn measured(size: Size, has_parts: bool) -> Tree {
        let mut tree = step(size);
        for (place, class, time) in [(0, "TrainingStep", 3.0), (1, "Net", 1.0), (2, "NetBackward", 2.0)] {
            let id = tree.ids().filter(|id| !tree.is_leaf(*id)).nth(place).unwrap();
            assert_eq!(tree.node(id).instance_type(), class);
            set(tree.node_mut(id), seconds(size, time));
        }
        if has_parts {
            tree.nodes_mut()[2..4].iter_mut().for_each(|node| set(node, seconds(size, 0.5)));
        }
        tree
    }

    fn set(node: &mut Node, seconds: f64) {
        node.set(Quantity::Latency, seconds);
        node.set(Quantity::GroundTruthEnergy, 50.0 * seconds);
    }

    const SIZES: [[usize; 2]; 5] = [[1, 32], [2, 64], [4, 64], [8, 128], [16, 128]];

    fn trained(has_parts: bool) -> (DeviceProfile, Vec<Tree>) {
        let trees: Vec<Tree> = SIZES.map(|[batch, seq]| measured(Size::new(batch, seq), has_parts)).into();
        let predictor = Track::Specs.train(&trees.iter().collect::<Vec<_>>()).unwrap();
        (DeviceProfile { predictor, provenance: Provenance::new("made up", &trees) }, trees)
    }

    #[test]
    fn a_phase_that_was_measured_as_a_whole_is_predicted_at_other_sizes_also_from_a_file() {
        for has_parts in [false, true] {
            let (profile, _) = trained(has_parts);
            let read = DeviceProfile::from_bytes("file", &profile.to_bytes().unwrap()).unwrap();
            for (profile, [batch, seq]) in [(&profile, [4, 128]), (&read, [4, 128]), (&read, [8, 64])] {
                let size = Size::new(batch, seq);
                let mut tree = step(size);
                profile.predict(&mut tree).unwrap();
                for (scope, phase) in [("root", 3.0), ("root.forward", 1.0), ("root.backward", 2.0)] {
                    let node = tree.node(tree.find(scope).unwrap());
                    let found = node.get(Quantity::PredictedLatency).unwrap() / seconds(size, phase);
                    assert!((0.9..1.1).contains(&found), "{scope} {size}: {found}");
                }
                let known = |scope: &str| tree.node(tree.find(scope).unwrap()).get(Quantity::PredictedEnergy).is_some();
                assert_eq!(known("root.forward.product_0"), has_parts);
                assert!(!known("root.backward.product_0"));
            }
        }
    }

    #[test]
    fn a_whole_is_explained_by_its_work_and_its_parts_are_not() {
        let (profile, _) = trained(false);
        let mut tree = step(Size::new(4, 32));
        let (_, explanation) = profile.explain(&mut tree, "root.backward").unwrap();
        assert!(explanation.energy.iter().any(|term| term.name == "latency"), "{explanation:?}");
        let error = profile.explain(&mut tree, "root.backward.product_1").unwrap_err().to_string();
        assert!(error.ends_with("is part of what was measured and is predicted as a whole"), "{error}");
    }

    #[test]
    fn modules_with_measured_parts_are_sums_wherever_they_are() {
        let (_, without) = trained(false);
        let (_, with) = trained(true);
        let of = |trees: &[Tree]| Wholes::of(&trees).unwrap().0;
        assert_eq!(of(&without), BTreeSet::from(["net".to_owned(), "netbackward".to_owned()]));
        assert_eq!(of(&with), BTreeSet::from(["netbackward".to_owned()]));
        assert_eq!(of(&[with, without].concat()), BTreeSet::from(["netbackward".to_owned()]));
        assert!(of(&[step(Size::new(1, 8))]).is_empty());
    }
}
