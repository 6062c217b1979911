//! Held-out nodes whose energies are sums, and how far their parts must reach for an interval to hold the truth.

use std::collections::BTreeMap;

use irene_tree::Level;

use super::{
    compose::{Below, Composition, runs_alone, sides},
    held_out::HeldOut,
    reach::{Kind, MOST, Part, Reach, Reaches, Uncertainty},
};

/// Levels whose energies are composed, or predicted as a whole.
pub(super) const WHOLES: [Level; 2] = [Level::Module, Level::Model];

/// A held-out node whose energy is a sum; equal ones stand together.
pub(super) struct Sum {
    pub(super) level: Level,
    pub(super) count: usize,
    /// J.
    energy: f64,
    /// Measured less predicted, J.
    error: f64,
    /// The leaves, on each side.
    leaves: [Below; 2],
    /// The own parts, if each reaches as far as its energy.
    own: Below,
    /// Its energy if it is [run alone](runs_alone) when it is measured, J; 0 otherwise.
    alone: f64,
    outside: Outside,
}

/// The own parts below a node that are outside the training range.
#[derive(Clone, Copy, Default)]
struct Outside {
    /// J.
    energy: f64,
    /// Their energies, J, each times how much farther it reaches.
    grown: f64,
}

impl Outside {
    fn add(&mut self, Self { energy, grown }: Self, times: f64) {
        self.energy += times * energy;
        self.grown += times * grown;
    }

    /// How much farther they reach on average.
    fn growth(self) -> f64 {
        if self.energy > 0.0 { self.grown / self.energy } else { 1.0 }
    }
}

impl Sum {
    /// The sums of a tree.
    pub(super) fn all(of: &HeldOut<'_>, reaches: &Reaches) -> Vec<Self> {
        let (tree, predictions) = (of.tree, &of.predictions);
        let leaves = Composition::of(tree, predictions, |id| match &predictions[id.index()].uncertainty {
            Uncertainty { kind: Kind::Own, .. } => Some(Part::default()),
            uncertainty => reaches.part(tree, id, uncertainty),
        });
        // A reach of a factor of two makes the upper side equal to the energy.
        let own = Composition::of(tree, predictions, |id| match predictions[id.index()].uncertainty.kind {
            Kind::Own => Some(Part { within: std::f64::consts::LN_2, beyond: 0.0 }),
            _ => Some(Part::default()),
        });
        let outside = outside(of);
        let mut sums: BTreeMap<[u64; 3], Self> = BTreeMap::new();
        for id in tree.ids() {
            let (prediction, level) = (&predictions[id.index()], tree.node(id).level());
            let (Some(cost), Some(joules)) = (prediction.cost, of.measured(id)) else { continue };
            let (Some(leaves), Some([_, own])) = (leaves.below(id), own.below(id)) else { continue };
            if !prediction.is_sum || !WHOLES.contains(&level) {
                continue;
            }
            let key = [level as u64, cost.energy.to_bits(), joules.to_bits()];
            let new = || Self {
                level,
                count: 0,
                energy: cost.energy,
                error: joules - cost.energy,
                leaves,
                own,
                alone: if runs_alone(tree, id, predictions) { cost.energy } else { 0.0 },
                outside: outside[id.index()],
            };
            sums.entry(key).or_insert_with(new).count += 1;
        }
        sums.into_values().collect()
    }

    /// The half-width of one side of its interval, J, for a mismatch and a reach of own parts.
    fn half_width(&self, side: usize, correlation: f64, mismatch: f64, own: f64) -> f64 {
        let (leaves, share) = (self.leaves[side], sides(1.0, own)[side]);
        let farther = sides(1.0, own * self.outside.growth())[side] - share;
        let both = Below {
            squares: leaves.squares + share * share * self.own.squares,
            sum: leaves.sum + share * self.own.sum,
            beyond: leaves.beyond + self.outside.energy * farther,
        };
        both.together(correlation) + mismatch * self.alone
    }

    /// The smallest reach of own parts (e-folds) with which its interval holds the truth; infinite if none up to [`MOST`] does.
    pub(super) fn own_needed(&self, correlation: f64, mismatch: f64) -> f64 {
        const HALVINGS: usize = 12;
        let side = usize::from(self.error >= 0.0);
        let holds = |own: f64| self.half_width(side, correlation, mismatch, own) >= self.error.abs();
        if holds(0.0) {
            return 0.0;
        }
        if !holds(MOST) {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, MOST);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if holds(middle) { high = middle } else { low = middle }
        }
        high
    }

    /// How far it is off beyond what its parts may be, as a share of its energy.
    pub(super) fn unexplained(&self, correlation: f64, mismatch: f64) -> f64 {
        let side = usize::from(self.error >= 0.0);
        ((self.error.abs() - self.half_width(side, correlation, mismatch, MOST)) / self.energy).max(0.0)
    }

    /// The half-width of its interval, as a share of its energy.
    pub(super) fn width(&self, correlation: f64, mismatch: f64, own: f64) -> f64 {
        self.half_width(1, correlation, mismatch, own) / self.energy
    }
}

/// The own parts outside the training range below each node.
fn outside(of: &HeldOut<'_>) -> Vec<Outside> {
    const UNIT: Reach = Reach { multiple: 1.0, power: 0.0 };
    let mut below = vec![Outside::default(); of.predictions.len()];
    for id in of.tree.ids().rev() {
        let prediction = &of.predictions[id.index()];
        if prediction.uncertainty.kind == Kind::Own && prediction.uncertainty.distance > 0.0 {
            let energy = prediction.own.unwrap_or_default();
            below[id.index()].add(Outside { energy, grown: energy * UNIT.of(&prediction.uncertainty) }, 1.0);
        }
        if let Some(parent) = of.tree.parent(id) {
            let child = below[id.index()];
            below[parent.index()].add(child, of.tree.node(id).times());
        }
    }
    below
}
