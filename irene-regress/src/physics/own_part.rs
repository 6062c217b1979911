use std::collections::HashSet;

use irene_numerics::NormalEquations;
use irene_tree::{Level, NodeId, Quantity, Tree};

use super::{Departures, number};
use crate::{
    Error, Explanation, Result, Store, Term, TreeSource,
    interval::{Kind, Uncertainty, group},
    measured, noise,
    prediction::{NodePrediction, PredictedCost},
    range::Range,
};

/// The own part of a module: its cost beside its children's. For energy (J), latency (s) and the energy by the GPU's driver (J) it has a
/// coefficient for each of [`TERMS`]; none is negative, so that no own part is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnPart {
    pub(crate) energy: Coefficients,
    pub(crate) latency: Coefficients,
    /// None if the training data has none.
    pub(crate) gpu_energy: Option<Coefficients>,
    /// The amounts of the training data's modules; None in older files.
    range: Option<Range<{ TERMS.len() }>>,
    /// How modules depart from the sum of their children and this law.
    departures: Departures,
}

pub(crate) type Coefficients = [f64; TERMS.len()];

/// The amounts that an own part is computed from, with their units: the operations' launches; the bytes that they move element by element;
/// the bytes that they copy between layouts, which costs more a byte.
pub(crate) const TERMS: [(&str, &str); 3] =
    [("kernels", "kernel"), ("bytes moved", "MiB"), ("bytes copied between layouts", "MiB")];

/// The same amounts by the names of their quantities.
const FEATURES: [&str; TERMS.len()] =
    [Quantity::Kernels.name(), Quantity::MovedBytes.name(), Quantity::CopiedBytes.name()];

const UNCERTAINTY: Uncertainty =
    Uncertainty { kind: Kind::Own, group: 0, deviation: 1.0, is_seen: true, distance: 0.0, least_reach: 0.0 };

/// One module of the training data.
struct Module {
    /// The sum of [`TERMS`] over it and all modules below it.
    terms: Coefficients,
    /// Its own amounts of [`TERMS`].
    own: Coefficients,
    /// Latency, energy and GPU energy less those of all primitives below.
    rest: [f64; 3],
    /// Latency, energy and GPU energy.
    total: [f64; 3],
    level: Level,
    /// How much the latency and the energies count.
    worth: [f64; 3],
}

/// The spread of modules' measurements from the law, as a share of the whole: one with a wide interval of its own counts less.
const MISFIT: f64 = 0.03;

impl OwnPart {
    /// Fits each figure by non-negative least squares of the relative error of whole modules, given the measured figures of the primitives
    /// in them. All modules together count as much as all models together. The trees are without their math level.
    pub(crate) fn fit(trees: &dyn TreeSource) -> Result<Self> {
        let modules = Modules::of(trees)?;
        let fit = |figure: usize| modules.equations(figure).nonnegative();
        let gpu_energy = modules.have_gpu_energy().then(|| fit(2));
        let departures = Departures::default();
        let law = Self { latency: fit(0), energy: fit(1), gpu_energy, range: modules.range.clone(), departures };
        Ok(Self { departures: Departures::fit(&law, trees)?, ..law })
    }

    /// The own part on another machine, from trees that were measured there: all coefficients are scaled alike, and each then departs from
    /// that as far as the data asks for. A coefficient of 0 here is fitted there without a prior.
    pub(crate) fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        let modules = Modules::of(&trees)?;
        if modules.is_empty() {
            return Err(Error::Training("no tree has a module; whole models have to be measured".into()));
        }
        let fit = |figure: usize, here: &Coefficients| {
            let mut equations = modules.equations(figure);
            let scale = equations.nonnegative_multiple(here);
            for (term, each) in here.iter().enumerate().filter(|(_, each)| scale * **each > 0.0) {
                let weight = (PRIOR / trees.len() as f64).sqrt();
                let mut row = Coefficients::default();
                row[term] = weight / (scale * each);
                equations.add(&row, weight);
            }
            equations.nonnegative()
        };
        let gpu_energy = self.gpu_energy.as_ref().filter(|_| modules.have_gpu_energy());
        let law = Self {
            latency: fit(0, &self.latency),
            energy: fit(1, &self.energy),
            gpu_energy: gpu_energy.map(|here| fit(2, here)),
            range: self.range.as_ref().zip(modules.range.as_ref()).map(|(before, here)| before.union(here)),
            departures: Departures::default(),
        };
        // Those of another machine were no better than none.
        Ok(Self { departures: Departures::fit(&law, &trees)?, ..law })
    }

    /// The number of its figures.
    pub(super) fn figure_count(&self) -> usize {
        2 + usize::from(self.gpu_energy.is_some())
    }

    /// The cost of these amounts of [`TERMS`] by the law.
    pub(super) fn cost(&self, terms: &Coefficients) -> PredictedCost {
        let sum = |coefficients: &Coefficients| terms.iter().zip(coefficients).map(|(term, each)| term * each).sum();
        PredictedCost {
            latency: Some(sum(&self.latency)),
            energy: sum(&self.energy),
            gpu_energy: self.gpu_energy.as_ref().map(sum),
        }
    }

    /// Predicts a module's own part, or a single operation. A module's children are predicted already and added up; where it departs from
    /// the law, its operations do as its own part does.
    pub(crate) fn predict(
        &self,
        tree: &Tree,
        id: NodeId,
        predictions: &mut [NodePrediction],
    ) -> Result<NodePrediction> {
        // An operation is as uncertain as all of its module's together: how far off they are does not depend on whether a tree shows them.
        let module = tree.parent(id).filter(|_| tree.node(id).level() == Level::Math).unwrap_or(id);
        let together = terms_with_operations(tree, module)?;
        let (mut cost, mut is_seen) = (self.cost(&terms(tree, id)?), true);
        if module == id {
            (cost, is_seen) = self.departures.apply(tree, id, [cost, self.cost(&together)], predictions);
        }
        let distances = self.range.iter().flat_map(|range| FEATURES.into_iter().zip(range.beyond(&together)));
        // Own parts of equal amounts are off alike.
        let uncertainty = Uncertainty { group: group(together.map(f64::to_bits)), is_seen, ..UNCERTAINTY };
        Ok(NodePrediction::of(cost, uncertainty).beyond(distances))
    }

    /// Explains a predicted module by its children and its own part, and a single operation by its cost.
    pub(crate) fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        let amounts = terms(tree, id)?;
        let own = |coefficients: &Coefficients| -> Vec<Term> {
            let term = |((name, unit), (amount, each)): (&(&'static str, &'static str), (f64, &f64))| {
                (amount > 0.0).then(|| Term::new(*name, amount, unit, *each))
            };
            TERMS.iter().zip(amounts.into_iter().zip(coefficients)).filter_map(term).collect()
        };
        let mut explanation = Explanation::of_children(tree, id);
        explanation.energy.extend(own(&self.energy));
        explanation.latency.extend(own(&self.latency));
        let node = tree.node(id);
        explanation.energy.extend(departure(&explanation.energy, node.get(Quantity::PredictedEnergy), "J"));
        explanation.latency.extend(departure(&explanation.latency, node.get(Quantity::PredictedLatency), "s"));
        Ok(explanation)
    }

    pub(crate) fn write(&self, store: &mut Store) {
        store.put("own_part.latency", &self.latency);
        store.put("own_part.energy", &self.energy);
        if let Some(coefficients) = &self.gpu_energy {
            store.put("own_part.gpu_energy", coefficients);
        }
        if let Some(range) = &self.range {
            range.write("own_part.range", store);
        }
        self.departures.write(store);
    }

    pub(crate) fn read(store: &Store) -> Result<Self> {
        let (gpu_energy, range) = ("own_part.gpu_energy", "own_part.range");
        let law = Self {
            latency: store.take_coefficients("own_part.latency")?,
            energy: store.take_coefficients("own_part.energy")?,
            gpu_energy: if store.has(gpu_energy) { Some(store.take_coefficients(gpu_energy)?) } else { None },
            range: if store.has(range) { Some(Range::read(range, store)?) } else { None },
            departures: Departures::default(),
        };
        Ok(Self { departures: Departures::read(law.figure_count(), store)?, ..law })
    }
}

/// The term by which a predicted figure departs from the sum of its terms, if it does.
fn departure(terms: &[Term], predicted: Option<f64>, unit: &'static str) -> Option<Term> {
    /// The last bits of a sum are nothing.
    const NOTHING: f64 = 1e-12;
    let sum: f64 = terms.iter().map(Term::value).sum();
    let departure = predicted.filter(|_| sum > 0.0)? / sum - 1.0;
    (departure.abs() > NOTHING).then(|| Term::new("departure from the law, as measured", sum, unit, departure))
}

/// The penalty on a coefficient that doubles from one machine to another, beside the sum of the squares of the relative errors that one
/// tree leaves at both levels.
const PRIOR: f64 = 0.005;

/// The levels of modules, whose equations weigh alike.
const LEVELS: [Level; 2] = [Level::Module, Level::Model];

/// The sums over the modules of the training trees that a fit needs.
#[derive(Default)]
struct Modules {
    /// For each of [`LEVELS`], and latency, energy and GPU energy.
    equations: [[NormalEquations<{ TERMS.len() }>; 3]; LEVELS.len()],
    counts: [usize; LEVELS.len()],
    lack_gpu_energy: bool,
    range: Option<Range<{ TERMS.len() }>>,
}

impl Modules {
    fn of(trees: &dyn TreeSource) -> Result<Self> {
        let (mut sums, mut has_modules) = (Self::default(), false);
        trees.each(&mut |tree| {
            modules(tree)?.iter().for_each(|module| sums.add(module));
            has_modules |= tree.nodes().iter().any(|node| !node.level().is_leaf());
            Ok(())
        })?;
        if sums.is_empty() && has_modules {
            let reason = "no module was measured together with all primitives below it, and own parts follow from both";
            return Err(Error::Unmeasured(reason));
        }
        Ok(sums)
    }

    /// Adds, for each figure, the equation that its terms make up its rest; both are divided by the whole figure.
    fn add(&mut self, module: &Module) {
        let level = usize::from(module.level == Level::Model);
        self.counts[level] += 1;
        for (figure, equations) in self.equations[level].iter_mut().enumerate() {
            let weight = module.worth[figure].sqrt() / module.total[figure];
            equations.add(&module.terms.map(|term| weight * term), weight * module.rest[figure]);
        }
        self.lack_gpu_energy |= !(module.total[2] > 0.0 && module.rest[2].is_finite());
        let own = Range::of(std::iter::once(module.own));
        self.range = Some(self.range.as_ref().map_or_else(|| own.clone(), |range| range.union(&own)));
    }

    fn is_empty(&self) -> bool {
        self.counts == [0; LEVELS.len()]
    }

    fn have_gpu_energy(&self) -> bool {
        !self.is_empty() && !self.lack_gpu_energy
    }

    /// Those of a figure; the weights of each level add up to 1.
    fn equations(&self, figure: usize) -> NormalEquations<{ TERMS.len() }> {
        let mut sum = NormalEquations::new();
        for (equations, &count) in self.equations.iter().zip(&self.counts) {
            sum.add_all(&equations[figure], 1.0 / count.max(1) as f64);
        }
        sum
    }
}

/// The modules of a tree that were measured with all primitives below them; equal measurements of several layers count once.
fn modules(tree: &Tree) -> Result<Vec<Module>> {
    let mut terms_below = vec![Coefficients::default(); tree.nodes().len()];
    let mut primitives = vec![[0.0; 3]; tree.nodes().len()];
    let mut seen = HashSet::new();
    let mut modules = Vec::new();
    for id in tree.ids().rev() {
        let gpu_energy = tree.node(id).get(Quantity::GpuEnergy).unwrap_or(f64::NAN);
        let [seconds, joules] = measured(tree, id)?.unwrap_or([f64::NAN; 2]);
        let total = [seconds, joules, gpu_energy];
        let (mut terms, mut known) = (terms_below[id.index()], primitives[id.index()]);
        if tree.node(id).level().is_leaf() {
            known = total;
        } else {
            let own = self::terms(tree, id)?;
            add(&mut terms, &own, 1.0);
            let rest: [f64; 3] = std::array::from_fn(|figure| total[figure] - known[figure]);
            let is_measured = rest[..2].iter().all(|figure| figure.is_finite());
            if is_measured
                && seen.insert((
                    tree.node(id).level(),
                    terms.map(f64::to_bits),
                    rest.map(f64::to_bits),
                    total.map(f64::to_bits),
                ))
            {
                let worth = noise::worths(tree.node(id), MISFIT);
                modules.push(Module { terms, own, rest, total, level: tree.node(id).level(), worth });
            }
        }
        if let Some(parent) = tree.parent(id) {
            let times = tree.node(id).times();
            add(&mut terms_below[parent.index()], &terms, times);
            add(&mut primitives[parent.index()], &known, times);
        }
    }
    Ok(modules)
}

fn add<const N: usize>(sum: &mut [f64; N], terms: &[f64; N], times: f64) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += times * term);
}

/// A node's own amounts of [`TERMS`]; where the tree shows the math level, a module's operations are nodes of their own.
pub(crate) fn terms(tree: &Tree, id: NodeId) -> Result<Coefficients> {
    let own = |quantity: Quantity| match tree.own(id, quantity) {
        Some(own) => Ok(own.max(0.0)),
        // The node or a child lacks it.
        None => number(tree, id, quantity),
    };
    let (kernels, moved, copied) = (own(Quantity::Kernels)?, own(Quantity::MovedBytes)?, own(Quantity::CopiedBytes)?);
    Ok([kernels, (moved - copied).max(0.0), copied])
}

/// The amounts of [`TERMS`] of all that a module runs itself, whether or not the tree shows its operations.
pub(super) fn terms_with_operations(tree: &Tree, module: NodeId) -> Result<Coefficients> {
    let mut sum = terms(tree, module)?;
    for operation in tree.children(module).filter(|child| tree.node(*child).level() == Level::Math) {
        add(&mut sum, &terms(tree, operation)?, tree.node(operation).times());
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
