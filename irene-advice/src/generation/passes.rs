//! The passes of a generation: those that were followed, and the cost of others.

use std::sync::Arc;

use irene_models::{ModelSpec, Run, TaskHead};
use irene_predict::{Forecast, PassesCost, Setting};
use irene_regress::DeviceProfile;
use irene_tree::{Component, NodeId, Quantity, Size, Tree};

use super::{ENERGY, NextTurn, TurnCost};
use crate::{Answer, Lookup, Result, Selection, lookup::Way};

impl Lookup {
    pub(super) fn passes(&self, selection: &Selection, answer: &Answer) -> Result<Passes> {
        let model = self.followed(selection)?;
        let (_, steps) = phases(&answer.tree);
        let steps = steps.into_iter().filter_map(|step| Step::of(&answer.tree, step)).collect();
        let costing = match self.way(selection, &model)? {
            Way::Measured { profile, run, .. } => Costing::Measured { spec: model.spec, profile, run },
            Way::Sheet(setting) => Costing::Sheet { forecast: Box::new(setting.forecast()?), setting },
        };
        Ok(Passes { steps, costing })
    }
}

/// The pass of the prompt, and those of single tokens.
pub(super) fn phases(tree: &Tree) -> (Option<NodeId>, Vec<NodeId>) {
    let is_step = |id: &NodeId| tree.node(*id).size.is_some_and(|size| size.past > 0);
    let prompt = tree.ids().find(|id| tree.node(*id).size.is_some_and(|size| size.past == 0));
    (prompt, tree.ids().filter(is_step).collect())
}

/// The passes of single tokens that an answer followed, and how others are costed.
pub(super) struct Passes {
    steps: Vec<Step>,
    costing: Costing,
}

enum Costing {
    Measured { spec: Arc<ModelSpec>, profile: Arc<DeviceProfile>, run: Run },
    Sheet { setting: Box<Setting>, forecast: Box<Forecast> },
}

/// A pass of single tokens.
struct Step {
    size: Size,
    /// How often it runs.
    runs: f64,
    /// Its cost: J, s, and J in attention.
    spent: [f64; 3],
}

impl Step {
    fn of(tree: &Tree, id: NodeId) -> Option<Self> {
        let node = tree.node(id);
        let attention = tree.components_below(id, ENERGY).into_iter().find(|(part, _)| *part == Component::Attention);
        // Components are of all runs of a node, and the node's own figures of one.
        let runs = tree.runs(id);
        let attention = attention.map_or(0.0, |(_, joules)| joules / runs);
        let spent = [node.get(ENERGY)?, node.get(Quantity::PredictedLatency).unwrap_or_default(), attention];
        Some(Self { size: node.size?, runs, spent })
    }
}

/// The value at a place of the lines through some points in order, whose outermost go on.
fn on_lines(points: &[(f64, f64)], at: f64) -> Option<f64> {
    let next = points.iter().position(|(place, _)| *place >= at).unwrap_or(points.len());
    let second = next.clamp(1, points.len().saturating_sub(1).max(1));
    let (from, low) = *points.get(second - 1)?;
    let (to, high) = *points.get(second).unwrap_or(&(from, low));
    Some(if to > from { low + (high - low) * (at - from) / (to - from) } else { low })
}

impl Passes {
    /// The cost of a pass of single tokens with so many in the cache: J, s, and J in attention. There are passes of each number of
    /// sequences that the answer has, as often as it has them.
    pub(super) fn at(&self, cached: usize) -> Result<[f64; 3]> {
        let (mut runs, mut sum) = (0.0, [0.0; 3]);
        for step in &self.steps {
            let mut spent = [0, 1, 2].map(|figure| self.between(step.size.sequences, figure, cached));
            if let Costing::Sheet { setting, forecast } = &self.costing {
                let pass = setting.pass(forecast, Size { past: cached, ..step.size })?;
                (spent[0], spent[1]) = (pass.joules, pass.seconds);
            }
            runs += step.runs;
            sum.iter_mut().zip(spent).for_each(|(sum, spent)| *sum += step.runs * spent);
        }
        Ok(sum.map(|sum| sum / runs))
    }

    /// A figure on the line of the passes of so many sequences.
    fn between(&self, sequences: usize, figure: usize, cached: usize) -> f64 {
        let same = self.steps.iter().filter(|step| step.size.sequences == sequences);
        let points: Vec<(f64, f64)> = same.map(|step| (step.size.past as f64, step.spent[figure])).collect();
        on_lines(&points, cached as f64).unwrap_or_default()
    }

    /// A pass of one sequence on its own.
    fn alone(&self, size: Size) -> Result<TurnCost> {
        match &self.costing {
            Costing::Measured { spec, profile, run } => {
                let head = TaskHead::Lm;
                let run = Run { size, generate: 0, keeps_cache: true, head, shows_math: false, ..*run };
                let [energy_j, latency_s] = root(&irene_predict::predict(spec, run, profile)?);
                Ok(TurnCost { energy_j, latency_s })
            }
            Costing::Sheet { setting, forecast } => {
                let PassesCost { joules, seconds, .. } = setting.lone_pass(forecast, size)?;
                Ok(TurnCost { energy_j: joules, latency_s: seconds })
            }
        }
    }

    pub(super) fn next_turn(&self, before: usize, new_tokens: usize) -> Result<NextTurn> {
        Ok(NextTurn {
            new_tokens,
            before,
            with_cache: self.alone(Size::new(1, new_tokens).after(before))?,
            without_cache: self.alone(Size::new(1, before + new_tokens))?,
        })
    }
}

fn root(tree: &Tree) -> [f64; 2] {
    [ENERGY, Quantity::PredictedLatency].map(|quantity| tree.root().get(quantity).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::on_lines;

    #[test]
    fn lines_go_through_their_points_and_on() {
        let points = [(10.0, 1.0), (20.0, 2.0), (30.0, 4.0)];
        for (at, value) in [(0.0, 0.0), (10.0, 1.0), (15.0, 1.5), (20.0, 2.0), (25.0, 3.0), (40.0, 6.0)] {
            assert_eq!(on_lines(&points, at), Some(value), "{at}");
        }
        assert_eq!((on_lines(&points[..1], 5.0), on_lines(&[], 5.0)), (Some(1.0), None));
    }
}
