use std::collections::HashMap;

use irene_tree::{Level, NodeId, Tree};

use super::{Spread, reach::Part};
use crate::prediction::NodePrediction;

/// How far energies may be off below and above, J.
pub(super) type Sides = [f64; 2];

/// How far an energy may be off if its reach is this many e-folds.
pub(super) fn sides(energy: f64, reach: f64) -> Sides {
    [energy * -(-reach).exp_m1(), energy * reach.exp_m1()]
}

/// How far off the parts below a node may be on one side.
#[derive(Clone, Copy)]
pub(super) struct Below {
    /// The squares of the groups of parts, added up, J².
    pub(super) squares: f64,
    /// The groups added up, J.
    pub(super) sum: f64,
    /// The part beyond the training data, J.
    pub(super) beyond: f64,
}

impl Below {
    /// All together, J, if groups have this share of their errors in common.
    pub(super) fn together(self, correlation: f64) -> f64 {
        let Self { squares, sum, beyond } = self;
        ((1.0 - correlation) * squares + correlation * sum * sum).sqrt() + beyond
    }
}

fn add(sum: &mut Sides, part: Sides, times: f64) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += times * part);
}

/// Own parts below this share of their module do not set it apart from the sum of its children.
const LEAST_OWN_SHARE: f64 = 0.03;

/// Whether a node is a module below the whole with operations of its own, whether or not the tree shows them. Measured alone, it waits for
/// what the whole hides.
pub(super) fn runs_alone(tree: &Tree, id: NodeId, predictions: &[NodePrediction]) -> bool {
    let prediction = &predictions[id.index()];
    let is_own = || {
        let operations = tree.children(id).filter(|child| tree.node(*child).level() == Level::Math);
        let energy = |child: NodeId| Some(tree.node(child).times() * predictions[child.index()].cost?.energy);
        let own = prediction.own? + operations.filter_map(energy).sum::<f64>();
        Some(own > LEAST_OWN_SHARE * prediction.cost?.energy)
    };
    prediction.is_sum && tree.node(id).level() == Level::Module && is_own() == Some(true)
}

/// How far off the parts below each node of a tree may be together.
pub(super) struct Composition {
    /// For each node, on each side; None if a part's reach is not known.
    below: Vec<Option<[Below; 2]>>,
}

/// The same of a node whose children are still being added.
struct Open {
    /// By group.
    within: Vec<Sides>,
    beyond: Sides,
    is_known: bool,
}

impl Composition {
    /// `part` gives the reach of a part, if it is known.
    pub(super) fn of(tree: &Tree, predictions: &[NodePrediction], part: impl Fn(NodeId) -> Option<Part>) -> Self {
        let mut groups: HashMap<u64, usize> = HashMap::new();
        for prediction in predictions {
            let next = groups.len();
            groups.entry(prediction.uncertainty.group).or_insert(next);
        }
        let new = || Open { within: vec![Sides::default(); groups.len()], beyond: Sides::default(), is_known: true };
        // Children come first here, so that only nodes above the current one are open.
        let mut open: HashMap<usize, Open> = HashMap::new();
        let mut all = vec![None; predictions.len()];
        for id in tree.ids().rev() {
            let prediction = &predictions[id.index()];
            let mut below = open.remove(&id.index()).unwrap_or_else(new);
            let energy = if prediction.is_sum { prediction.own } else { prediction.cost.map(|cost| cost.energy) };
            match (energy, part(id)) {
                (Some(energy), Some(Part { within, beyond })) => {
                    let (inside, whole) = (sides(energy, within), sides(energy, within + beyond));
                    add(&mut below.within[groups[&prediction.uncertainty.group]], inside, 1.0);
                    add(&mut below.beyond, whole, 1.0);
                    add(&mut below.beyond, inside, -1.0);
                }
                _ => below.is_known = false,
            }
            all[id.index()] = below.is_known.then(|| below.sides());
            if let Some(parent) = tree.parent(id).filter(|parent| predictions[parent.index()].is_sum) {
                let above = open.entry(parent.index()).or_insert_with(new);
                above.add(&below, tree.node(id).times());
            }
        }
        Self { below: all }
    }

    pub(super) fn below(&self, id: NodeId) -> Option<[Below; 2]> {
        self.below[id.index()]
    }

    /// How far a node's energy may be off below and above, J, if that is known.
    pub(super) fn reach(
        &self,
        tree: &Tree,
        id: NodeId,
        predictions: &[NodePrediction],
        spread: &Spread,
    ) -> Option<Sides> {
        let prediction = &predictions[id.index()];
        let is_whole = prediction.is_sum && !tree.is_leaf(id);
        let mut share = if is_whole { spread.unexplained } else { 0.0 };
        if runs_alone(tree, id, predictions) {
            share += spread.mismatch;
        }
        let more = share * prediction.cost?.energy;
        let sides = self.below(id)?.map(|below| below.together(spread.correlation) + more);
        sides.iter().all(|side| side.is_finite()).then_some(sides)
    }
}

impl Open {
    fn add(&mut self, child: &Self, times: f64) {
        self.within.iter_mut().zip(&child.within).for_each(|(sum, part)| add(sum, *part, times));
        add(&mut self.beyond, child.beyond, times);
        self.is_known &= child.is_known;
    }

    fn sides(&self) -> [Below; 2] {
        std::array::from_fn(|side| Below {
            squares: self.within.iter().map(|group| group[side] * group[side]).sum(),
            sum: self.within.iter().map(|group| group[side]).sum(),
            beyond: self.beyond[side],
        })
    }
}

/// Widens the interval of a parent until it is off by as much as each child may be, equal children together, and reaches up to them.
/// Composed intervals nearly do; nodes that were predicted one by one need not.
pub(super) fn hold_children(tree: &Tree, predictions: &[NodePrediction], intervals: &mut [Option<[f64; 2]>]) {
    let energy = |id: NodeId| predictions[id.index()].cost.map(|cost| cost.energy);
    let mut runs: HashMap<[u64; 3], f64> = HashMap::new();
    for parent in tree.ids().rev().filter(|&id| !tree.is_leaf(id)) {
        runs.clear();
        for child in tree.children(parent) {
            if let (Some([low, high]), Some(energy)) = (intervals[child.index()], energy(child)) {
                *runs.entry([low, energy, high].map(f64::to_bits)).or_default() += tree.node(child).times();
            }
        }
        let (Some([least, most]), Some(whole)) = (&mut intervals[parent.index()], energy(parent)) else { continue };
        for (key, times) in &runs {
            let [low, energy, high] = key.map(f64::from_bits);
            *least = least.min((whole - times * (energy - low)).max(0.0));
            *most = most.max(whole + times * (high - energy)).max(times * high);
        }
    }
}
