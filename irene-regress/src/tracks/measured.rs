use irene_tree::{Level, NodeId, Tree};

use super::{Method, wall_energy::WallEnergy};
use crate::{Explanation, Result, Store, TreeSource, prediction::NodePrediction};

/// Predicts every node's energy at the wall from its measured latency and driver energy, with one [`WallEnergy`] for primitives and one
/// for modules, which use the processors differently.
///
/// Nodes are measured one by one, so that children may exceed their parent, which then has no own part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    of_primitives: WallEnergy,
    of_modules: WallEnergy,
}

const PRIMITIVES: [Level; 1] = [Level::Ml];
const MODULES: [Level; 2] = [Level::Module, Level::Model];

impl Measured {
    fn law(&self, level: Level) -> &WallEnergy {
        if level.is_leaf() { &self.of_primitives } else { &self.of_modules }
    }
}

impl Method for Measured {
    const NAME: &'static str = "measured";

    fn summary(&self) -> String {
        format!("measured (primitives {}; modules {})", self.of_primitives.summary(), self.of_modules.summary())
    }

    fn fit(trees: &[&Tree]) -> Result<Self> {
        Ok(Self { of_primitives: WallEnergy::fit(trees, &PRIMITIVES)?, of_modules: WallEnergy::fit(trees, &MODULES)? })
    }

    fn on_all(self, source: &dyn TreeSource) -> Result<Self> {
        let of_primitives = self.of_primitives.on_all(source, &PRIMITIVES)?;
        Ok(Self { of_primitives, of_modules: self.of_modules.on_all(source, &MODULES)? })
    }

    fn predict(&self, tree: &Tree) -> Result<Vec<NodePrediction>> {
        let mut predictions = vec![NodePrediction::default(); tree.nodes().len()];
        for id in tree.ids().rev() {
            // Single operations are often not measured.
            let level = tree.node(id).level();
            if level == Level::Math && !self.law(level).knows(tree, id) {
                continue;
            }
            let mut prediction = self.law(level).predict(tree, id)?;
            let part = |child: NodeId| Some(tree.node(child).times() * predictions[child.index()].cost?.energy);
            let parts: f64 = tree.children(id).filter_map(part).sum();
            prediction.own = prediction.own.map(|energy| energy - parts).filter(|own| *own >= 0.0);
            predictions[id.index()] = prediction;
        }
        Ok(predictions)
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        Ok(Explanation { energy: self.law(tree.node(id).level()).terms(tree, id)?, latency: Vec::new() })
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        let of_primitives = self.of_primitives.refitted(trees, &PRIMITIVES)?;
        Ok(Self { of_primitives, of_modules: self.of_modules.refitted(trees, &MODULES)? })
    }

    fn write(&self, store: &mut Store) {
        self.of_primitives.write("law.primitives", store);
        self.of_modules.write("law.modules", store);
    }

    fn read(store: &Store) -> Result<Self> {
        let of_primitives = WallEnergy::read("law.primitives", store)?;
        Ok(Self { of_primitives, of_modules: WallEnergy::read("law.modules", store)? })
    }
}
