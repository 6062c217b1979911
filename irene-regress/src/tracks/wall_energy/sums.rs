//! The sums that a fit of the law needs, and how far it is off.

use std::collections::HashMap;

use irene_numerics::{NormalEquations, mean};
use irene_tree::{Level, Quantity, Tree};

use super::{ALWAYS, CAUSES, FEATURES, WallEnergy, features};
use crate::{
    Error, Result, measured,
    noise::{self, NOISE},
    range::Range,
    unmeasured,
};

/// Nodes with equal figures: the layers of a model.
pub(super) struct Nodes {
    /// The amount of each cause; NaN if it is not known.
    pub(super) amounts: [f64; CAUSES.len()],
    energy: f64,
    /// How many there are; one with a wide interval of its own counts less.
    count: f64,
}

/// The nodes of a tree, by level; those without latency or energy are left out.
pub(super) type Rows = Vec<Vec<Nodes>>;

pub(super) fn rows(tree: &Tree, levels: &[Level]) -> Result<Rows> {
    let mut rows: Rows = levels.iter().map(|_| Vec::new()).collect();
    let mut places: HashMap<(usize, [u64; CAUSES.len() + 1]), usize> = HashMap::new();
    for id in tree.ids() {
        let Some(level) = levels.iter().position(|level| *level == tree.node(id).level()) else { continue };
        let Some([_, energy]) = measured(tree, id)? else { continue };
        let amounts = CAUSES.map(|cause| (cause.amount)(tree, id).unwrap_or(f64::NAN));
        let mut key = [energy.to_bits(); CAUSES.len() + 1];
        key[1..].copy_from_slice(&amounts.map(f64::to_bits));
        let place = *places.entry((level, key)).or_insert(rows[level].len());
        let worth = noise::worth(tree.node(id), Quantity::GroundTruthEnergy, NOISE);
        match rows[level].get_mut(place) {
            Some(nodes) => nodes.count += worth,
            None => rows[level].push(Nodes { amounts, energy, count: worth }),
        }
    }
    Ok(rows)
}

pub(super) fn all_rows(trees: &[&Tree], levels: &[Level]) -> Result<Vec<Rows>> {
    let rows = trees.iter().map(|tree| rows(tree, levels)).collect::<Result<Vec<Rows>>>()?;
    if rows.iter().flatten().all(Vec::is_empty) {
        return Err(unmeasured(trees, levels));
    }
    Ok(rows)
}

/// The share of nodes that have to know a cause. Few that lack one of the first are left out in its place.
fn least_share(cause: usize) -> f64 {
    if cause < ALWAYS { 0.9 } else { 1.0 }
}

/// How many nodes know a cause, of how many, and whether it is ever above 0.
#[derive(Clone, Copy, Default)]
pub(super) struct Knowledge {
    known: f64,
    all: f64,
    is_above_0: bool,
}

impl Knowledge {
    fn of(trees: &[Rows], cause: usize) -> Self {
        let mut knowledge = Self::default();
        trees.iter().flatten().flatten().for_each(|nodes| knowledge.add(nodes, cause));
        knowledge
    }

    fn add(&mut self, nodes: &Nodes, cause: usize) {
        self.all += nodes.count;
        if nodes.amounts[cause] >= 0.0 {
            self.known += nodes.count;
            self.is_above_0 |= nodes.amounts[cause] > 0.0;
        }
    }

    pub(super) fn is_enough(self, cause: usize) -> bool {
        self.known >= least_share(cause) * self.all
    }

    /// Whether the law would have the cause, had more nodes known it.
    pub(super) fn is_missed(self, cause: usize) -> bool {
        cause < ALWAYS && self.is_above_0 && !self.is_enough(cause)
    }
}

/// Whether every node, or nearly every, knows a cause, and it is not always 0.
pub(super) fn is_known(trees: &[Rows], cause: usize) -> bool {
    let knowledge = Knowledge::of(trees, cause);
    knowledge.is_enough(cause) && knowledge.is_above_0
}

/// The first causes that the law is without although some nodes know them.
pub(super) fn missed(trees: &[Rows]) -> Vec<usize> {
    (0..ALWAYS).filter(|&cause| Knowledge::of(trees, cause).is_missed(cause)).collect()
}

/// Refuses training data without variation.
pub(super) fn check(trees: &[Rows]) -> Result<()> {
    for name in [Quantity::Latency, Quantity::GroundTruthEnergy] {
        let figure = |nodes: &Nodes| if name == Quantity::Latency { nodes.amounts[0] } else { nodes.energy };
        let mut figures = trees.iter().flatten().flatten().map(figure);
        let first = figures.next();
        if figures.all(|figure| Some(figure) == first) {
            return Err(Error::Training(format!(
                "{name} is the same for every node: there is nothing to learn; nodes of two sizes are the least"
            )));
        }
    }
    Ok(())
}

/// The sums over the nodes of some trees that a fit of the coefficients of some causes needs.
pub(super) struct Sums {
    causes: Vec<usize>,
    /// For each level.
    equations: Vec<NormalEquations<{ CAUSES.len() }>>,
    counts: Vec<f64>,
    range: Option<Range<{ FEATURES.len() }>>,
    /// How many nodes know each cause.
    pub(super) known: [Knowledge; CAUSES.len()],
}

impl Sums {
    pub(super) fn new(levels: usize, causes: &[usize]) -> Self {
        let equations = vec![NormalEquations::new(); levels];
        let known = [Knowledge::default(); CAUSES.len()];
        Self { causes: causes.to_vec(), equations, counts: vec![0.0; levels], range: None, known }
    }

    /// Adds a tree: each node's equation is divided by its energy, or by a [`scale`] of that and what an earlier law predicts. Nodes that do not
    /// know a cause are left out.
    pub(super) fn add(&mut self, rows: &Rows, before: Option<&WallEnergy>) {
        let causes = self.causes.clone();
        let knows_all = |of: &Nodes| causes.iter().all(|&cause| of.amounts[cause] >= 0.0);
        for (level, nodes) in rows.iter().enumerate() {
            for of in nodes {
                causes.iter().for_each(|&cause| self.known[cause].add(of, cause));
                if knows_all(of) {
                    let weight = of.count.sqrt() / before.map_or(of.energy, |law| scale(of.energy, law.joules(of)));
                    let mut row = [0.0; CAUSES.len()];
                    causes.iter().for_each(|&cause| row[cause] = weight * of.amounts[cause]);
                    self.equations[level].add(&row, weight * of.energy);
                    self.counts[level] += of.count;
                }
            }
        }
        let known = rows.iter().flatten().filter(|of| knows_all(of));
        let seen = Range::of(known.map(|nodes| features(nodes.amounts[0], nodes.amounts[1])));
        self.range = Some(self.range.as_ref().map_or_else(|| seen.clone(), |range| range.union(&seen)));
    }

    /// The non-negative least squares of the relative error; each level has the same weight.
    pub(super) fn law(&self) -> WallEnergy {
        let mut sum = NormalEquations::new();
        for (equations, count) in self.equations.iter().zip(&self.counts).filter(|(_, count)| **count > 0.0) {
            sum.add_all(equations, count.recip());
        }
        let found = sum.nonnegative();
        WallEnergy {
            coefficients: std::array::from_fn(|cause| self.causes.contains(&cause).then_some(found[cause])),
            range: self.range.clone().unwrap_or_else(|| Range::of(std::iter::empty())),
            missed: Vec::new(),
        }
    }
}

/// How often the equations are scaled anew.
const ROUNDS: usize = 2;

/// By what an equation is divided, J. Divided by the measured energy, equations of energies that came out too low by chance would count more, and
/// the law would be too low by 1.5 times the variance of the noise, as a share. By this the mean logarithm of the error is 0.
fn scale(measured: f64, predicted: f64) -> f64 {
    if predicted > 0.0 { measured * (predicted / measured).powf(0.75) } else { measured }
}

pub(super) fn least_squares(trees: &[&Rows], levels: usize, causes: &[usize]) -> WallEnergy {
    let fit = |before: Option<&WallEnergy>| {
        let mut sums = Sums::new(levels, causes);
        trees.iter().for_each(|rows| sums.add(rows, before));
        sums.law()
    };
    (0..ROUNDS).fold(fit(None), |law, _| fit(Some(&law)))
}

/// The mean over the levels of their mean absolute relative error.
pub(super) fn error(trees: &[&Rows], levels: usize, law: &WallEnergy) -> Option<f64> {
    let of_level = |level: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        let knows = |nodes: &&Nodes| law.parts().all(|(cause, _)| nodes.amounts[cause] >= 0.0);
        for nodes in trees.iter().flat_map(|tree| &tree[level]).filter(knows) {
            sum += nodes.count * (law.joules(nodes) / nodes.energy - 1.0).abs();
            count += nodes.count;
        }
        (count > 0.0).then_some(sum / count)
    };
    mean(&(0..levels).filter_map(of_level).collect::<Vec<_>>())
}
