use irene_tree::{Level, NodeId, Tree};

use super::{
    Spread,
    reach::{Part, Uncertainty},
};
use crate::prediction::NodePrediction;

/// How far energies may be off below and above, J.
pub(super) type Sides = [f64; 2];

/// How far an energy may be off if its reach is this many e-folds.
pub(super) fn sides(energy: f64, reach: f64) -> Sides {
    [energy * -(-reach).exp_m1(), energy * reach.exp_m1()]
}

/// Groups of parts that have a share of their errors in common.
pub(super) fn combined(correlation: f64, squares: f64, sum: f64) -> f64 {
    ((1.0 - correlation) * squares + correlation * sum * sum).sqrt()
}

fn add(sum: &mut Sides, part: Sides, times: f64) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += times * part);
}

/// Whether a node is a module below the whole with operations of its own. Measured alone, it waits for what the whole hides.
pub(super) fn runs_alone(tree: &Tree, id: NodeId, prediction: &NodePrediction) -> bool {
    prediction.is_sum && tree.node(id).level() == Level::Module && prediction.own.is_some_and(|own| own > 0.0)
}

/// What the parts below each node of a tree may be off by, group by group.
pub(super) struct Composition {
    groups: usize,
    /// For each node and group.
    within: Vec<Sides>,
    /// For each node.
    beyond: Vec<Sides>,
    /// Whether the reach of every part below a node is known.
    is_known: Vec<bool>,
}

impl Composition {
    /// `part` gives the reach of a part, if it is known.
    pub(super) fn of(tree: &Tree, predictions: &[NodePrediction], part: impl Fn(&Uncertainty) -> Option<Part>) -> Self {
        let mut groups: Vec<u64> = Vec::new();
        let place_of = |prediction: &NodePrediction| {
            let group = prediction.uncertainty.group;
            groups.iter().position(|known| *known == group).unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            })
        };
        let places: Vec<usize> = predictions.iter().map(place_of).collect();
        let (nodes, groups) = (predictions.len(), groups.len());
        let mut sum = Self {
            groups,
            within: vec![Sides::default(); nodes * groups],
            beyond: vec![Sides::default(); nodes],
            is_known: vec![true; nodes],
        };
        for id in tree.ids().rev() {
            let (place, prediction) = (id.index(), &predictions[id.index()]);
            match (prediction.own, part(&prediction.uncertainty)) {
                (Some(energy), Some(Part { within, beyond })) => {
                    let energy =
                        if prediction.is_sum { energy } else { prediction.cost.map_or(0.0, |cost| cost.energy) };
                    let (inside, whole) = (sides(energy, within), sides(energy, within + beyond));
                    add(&mut sum.within[place * groups + places[place]], inside, 1.0);
                    add(&mut sum.beyond[place], whole, 1.0);
                    add(&mut sum.beyond[place], inside, -1.0);
                }
                _ => sum.is_known[place] = false,
            }
            if let Some(parent) = tree.parent(id).filter(|parent| predictions[parent.index()].is_sum) {
                sum.add_child(parent.index(), place, tree.node(id).times());
            }
        }
        sum
    }

    fn add_child(&mut self, parent: usize, child: usize, times: f64) {
        for group in 0..self.groups {
            let part = self.within[child * self.groups + group];
            add(&mut self.within[parent * self.groups + group], part, times);
        }
        let part = self.beyond[child];
        add(&mut self.beyond[parent], part, times);
        self.is_known[parent] &= self.is_known[child];
    }

    /// For each side, the sum of the squares over the groups, the sum, and what is beyond.
    pub(super) fn sums(&self, node: usize) -> [[f64; 3]; 2] {
        let groups = &self.within[node * self.groups..][..self.groups];
        std::array::from_fn(|side| {
            let squares = groups.iter().map(|group| group[side] * group[side]).sum();
            [squares, groups.iter().map(|group| group[side]).sum(), self.beyond[node][side]]
        })
    }

    /// How far a node's energy may be off below and above, J, if that is known.
    pub(super) fn reach(&self, tree: &Tree, id: NodeId, prediction: &NodePrediction, spread: &Spread) -> Option<Sides> {
        let alone = if runs_alone(tree, id, prediction) { spread.mismatch * prediction.cost?.energy } else { 0.0 };
        let sides = self
            .sums(id.index())
            .map(|[squares, sum, beyond]| combined(spread.correlation, squares, sum) + beyond + alone);
        (self.is_known[id.index()] && sides.iter().all(|side| side.is_finite())).then_some(sides)
    }
}

/// Widens the interval of a parent until it is off by as much as each child may be, and reaches up to it. Composed intervals do; nodes that
/// were predicted one by one need not.
pub(super) fn hold_children(tree: &Tree, predictions: &[NodePrediction], intervals: &mut [Option<[f64; 2]>]) {
    let energy = |id: NodeId| predictions[id.index()].cost.map(|cost| cost.energy);
    for id in tree.ids().rev() {
        let Some(parent) = tree.parent(id) else { continue };
        let times = tree.node(id).times();
        let (Some([low, high]), Some(child), Some(whole)) = (intervals[id.index()], energy(id), energy(parent)) else {
            continue;
        };
        if let Some([least, most]) = &mut intervals[parent.index()] {
            *least = least.min((whole - times * (child - low)).max(0.0));
            *most = most.max(whole + times * (high - child)).max(times * high);
        }
    }
}
