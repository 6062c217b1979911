use irene_tree::{Level, Mark, NodeId, Quantity, Tree};

use super::{Method, law::Law};
use crate::{Explanation, Result, Store, figures::Prediction, range::Range};

/// Every node measured: its energy at the wall from its own latency and driver energy, by a [`Law`] for primitives and one for
/// modules, which keep the processors busy otherwise.
///
/// Nodes were measured one by one, and so may exceed the whole they are part of; such a whole has no own part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    of_primitives: Law,
    of_modules: Law,
    range: Range<{ FEATURES.len() }>,
}

const PRIMITIVES: [Level; 1] = [Level::Ml];
const MODULES: [Level; 2] = [Level::Module, Level::Model];

/// What a node may lie outside the training range by.
const FEATURES: [&str; 2] = [Quantity::Latency.name(), "gpu_power"];

/// Latency, s, and the driver's mean power, W; of a machine without a GPU that is 0.
fn features(tree: &Tree, id: NodeId) -> Result<[f64; FEATURES.len()]> {
    let seconds = crate::latency(tree, id)?;
    Ok([seconds, tree.node(id).get(Quantity::GpuEnergy).unwrap_or_default() / seconds])
}

fn range(trees: &[&Tree]) -> Result<Range<{ FEATURES.len() }>> {
    let mut rows = Vec::new();
    for tree in trees {
        for id in tree.ids() {
            rows.push(features(tree, id)?);
        }
    }
    Ok(Range::of(rows.into_iter()))
}

impl Measured {
    fn law(&self, level: Level) -> &Law {
        if level.is_leaf() { &self.of_primitives } else { &self.of_modules }
    }
}

impl Method for Measured {
    const NAME: &'static str = "measured";

    fn summary(&self) -> String {
        format!("measured (primitives {}; modules {})", self.of_primitives.summary(), self.of_modules.summary())
    }

    fn fit(trees: &[&Tree]) -> Result<Self> {
        let of_primitives = Law::fit(trees, &PRIMITIVES)?;
        Ok(Self { of_primitives, of_modules: Law::fit(trees, &MODULES)?, range: range(trees)? })
    }

    fn predict(&self, tree: &Tree) -> Result<Vec<Prediction>> {
        let mut predictions = vec![Prediction::default(); tree.nodes().len()];
        for id in tree.ids().rev() {
            // Single operations need not have been measured.
            let node = tree.node(id);
            if node.level() == Level::Math && node.get(Quantity::Latency).is_none() {
                continue;
            }
            let figures = self.law(node.level()).figures(tree, id)?;
            let mut prediction = Prediction::of(figures);
            let distances = self.range.beyond(&features(tree, id)?);
            prediction.beyond =
                FEATURES.into_iter().zip(distances).filter_map(|(name, factor)| Some((name, factor?))).collect();
            if !prediction.beyond.is_empty() {
                prediction.marks.insert(Mark::Extrapolated);
            }
            let parts = tree.children(id).filter_map(|child| predictions[child.index()].figures);
            let own = figures.energy - parts.map(|part| part.energy).sum::<f64>();
            prediction.own = (own >= 0.0).then_some(own);
            predictions[id.index()] = prediction;
        }
        Ok(predictions)
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        Ok(Explanation { energy: self.law(tree.node(id).level()).terms(tree, id)?, latency: Vec::new() })
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        let of_primitives = self.of_primitives.refitted(trees, &PRIMITIVES)?;
        Ok(Self { of_primitives, of_modules: self.of_modules.refitted(trees, &MODULES)?, range: range(trees)? })
    }

    fn write(&self, store: &mut Store) {
        self.of_primitives.write("law.primitives", store);
        self.of_modules.write("law.modules", store);
        self.range.write("range", store);
    }

    fn read(store: &Store) -> Result<Self> {
        let of_primitives = Law::read("law.primitives", store)?;
        Ok(Self { of_primitives, of_modules: Law::read("law.modules", store)?, range: Range::read("range", store)? })
    }
}
