use irene_tree::{Level, NodeId, Tree};

use super::{Method, wall_energy::WallEnergy};
use crate::{
    Explanation, Result, Store, TreeSource,
    physics::OwnPart,
    prediction::{self, NodePrediction},
};

/// Predicts primitives from their measurements by a [`WallEnergy`], modules and models as the sum of their parts and an [`OwnPart`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Primitives {
    law: WallEnergy,
    own_part: OwnPart,
}

impl Method for Primitives {
    const NAME: &'static str = "primitives";

    fn summary(&self) -> String {
        format!("primitives ({}; modules by own cost)", self.law.summary())
    }

    fn fit(trees: &[&Tree]) -> Result<Self> {
        Ok(Self { law: WallEnergy::fit(trees, &[Level::Ml])?, own_part: OwnPart::fit(&trees)? })
    }

    fn on_all(self, source: &dyn TreeSource) -> Result<Self> {
        Ok(Self { law: self.law.on_all(source, &[Level::Ml])?, own_part: OwnPart::fit(source)? })
    }

    fn predict(&self, tree: &Tree) -> Result<Vec<NodePrediction>> {
        prediction::sum_up(tree, |id, predictions| match tree.node(id).level() {
            Level::Ml => self.law.predict(tree, id),
            _ => self.own_part.predict(tree, id, predictions),
        })
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        match tree.node(id).level() {
            Level::Ml => Ok(Explanation { energy: self.law.terms(tree, id)?, latency: Vec::new() }),
            _ => self.own_part.explain(tree, id),
        }
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        Ok(Self { law: self.law.refitted(trees, &[Level::Ml])?, own_part: self.own_part.adapted(trees)? })
    }

    fn write(&self, store: &mut Store) {
        self.law.write("law", store);
        self.own_part.write(store);
    }

    fn read(store: &Store) -> Result<Self> {
        Ok(Self { law: WallEnergy::read("law", store)?, own_part: OwnPart::read(store)? })
    }
}
