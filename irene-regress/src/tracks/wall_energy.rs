//! Energy at the wall from a node's measurements: its latency, the energy that the GPU's driver counted, and other amounts that lessen the
//! error.

mod sums;

use irene_numerics::mean;
use irene_tree::{Level, NodeId, Quantity, Tree};

use self::sums::{Nodes, Rows, Sums, all_rows, check, error, is_known, least_squares, missed, rows};
use crate::{
    Result, Store, Term, TreeSource,
    interval::{Kind, Uncertainty, group},
    latency, missing,
    prediction::{NodePrediction, PredictedCost},
    range::Range,
    splits::{Split, held_out},
};

/// An amount that may have a coefficient in the law.
struct Cause {
    name: &'static str,
    /// The amount's unit.
    unit: &'static str,
    /// The quantity that it is computed from.
    feature: Quantity,
    amount: fn(&Tree, NodeId) -> Option<f64>,
}

fn busy_processors(tree: &Tree, id: NodeId) -> Option<f64> {
    Some(tree.node(id).get(Quantity::Cpu)? / 100.0 * tree.node(id).get(Quantity::Latency)?)
}

/// The first two are in every law where they are known; the others have to lessen the error by [`GAIN`].
const CAUSES: [Cause; 6] = [
    Cause {
        name: "latency",
        unit: "s",
        feature: Quantity::Latency,
        amount: |tree, id| get(tree, id, Quantity::Latency),
    },
    Cause {
        name: "gpu_energy",
        unit: "J",
        feature: Quantity::GpuEnergy,
        amount: |tree, id| get(tree, id, Quantity::GpuEnergy),
    },
    // The time, as if all processors were busy for it.
    Cause { name: "busy_processors", unit: "s", feature: Quantity::Cpu, amount: busy_processors },
    Cause { name: "runs", unit: "run", feature: Quantity::Latency, amount: |_, _| Some(1.0) },
    Cause {
        name: "kernels",
        unit: "kernel",
        feature: Quantity::Kernels,
        amount: |tree, id| get(tree, id, Quantity::Kernels),
    },
    Cause {
        name: "bytes_moved",
        unit: "MiB",
        feature: Quantity::MovedBytes,
        amount: |tree, id| get(tree, id, Quantity::MovedBytes),
    },
];

fn get(tree: &Tree, id: NodeId, quantity: Quantity) -> Option<f64> {
    tree.node(id).get(quantity)
}

const ALWAYS: usize = 2;

/// The share that a cause has to take off the error on held-out trees.
const GAIN: f64 = 0.005;

/// E = Σ coefficient · amount over [`CAUSES`], no coefficient negative. A cause that is not in the law has no coefficient.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WallEnergy {
    coefficients: [Option<f64>; CAUSES.len()],
    /// The range of [`FEATURES`] in the training data.
    range: Range<{ FEATURES.len() }>,
    /// The first causes that it is without, because too few nodes of the training data know them.
    missed: Vec<usize>,
}

/// The end of the name of a header field: the first causes that the law is without.
const MISSED: &str = "missed";

/// The numbers that decide whether a node is outside the training range.
const FEATURES: [&str; 2] = [Quantity::Latency.name(), "gpu_power"];

/// Latency, s, and the driver's mean power, W, which is 0 on a machine without a GPU.
fn features(seconds: f64, gpu_joules: f64) -> [f64; FEATURES.len()] {
    [seconds, if gpu_joules.is_finite() { gpu_joules / seconds } else { 0.0 }]
}

impl WallEnergy {
    /// Fits the nodes of these levels.
    pub(super) fn fit(trees: &[&Tree], levels: &[Level]) -> Result<Self> {
        let rows = all_rows(trees, levels)?;
        check(&rows)?;
        let fit = |trees: &[&Rows], causes: &[usize]| least_squares(trees, levels.len(), causes);
        let splits = held_out(trees);
        let held_out_error = |causes: &[usize]| {
            let of = |places: &[usize]| places.iter().map(|&tree| &rows[tree]).collect::<Vec<&Rows>>();
            let of_split = |split: &Split| error(&of(&split.test), levels.len(), &fit(&of(&split.training), causes));
            mean(&splits.iter().filter_map(of_split).collect::<Vec<_>>())
        };
        let mut causes: Vec<usize> = (0..ALWAYS).filter(|&cause| is_known(&rows, cause)).collect();
        let mut candidates: Vec<usize> = (ALWAYS..CAUSES.len()).filter(|&cause| is_known(&rows, cause)).collect();
        while let Some(error) = held_out_error(&causes) {
            let with = |cause: usize| [&causes[..], &[cause]].concat();
            let tried = candidates.iter().filter_map(|&cause| Some((held_out_error(&with(cause))?, cause)));
            match tried.min_by(|(a, _), (b, _)| a.total_cmp(b)) {
                Some((less, cause)) if less < (1.0 - GAIN) * error => {
                    causes.push(cause);
                    candidates.retain(|candidate| *candidate != cause);
                }
                _ => break,
            }
        }
        Ok(Self { missed: missed(&rows), ..fit(&rows.iter().collect::<Vec<_>>(), &causes) })
    }

    /// Fits the coefficients of the same causes to all trees of a source, as far as nearly every node there knows them.
    pub(super) fn on_all(&self, source: &dyn TreeSource, levels: &[Level]) -> Result<Self> {
        let mut causes: Vec<usize> = self.parts().map(|(cause, _)| cause).collect();
        let mut missed = self.missed.clone();
        loop {
            let mut sums = Sums::new(levels.len(), &causes);
            source.each(&mut |tree| {
                sums.add(&rows(tree, levels)?, Some(self));
                Ok(())
            })?;
            let unknown: Vec<usize> =
                causes.iter().copied().filter(|&cause| !sums.known[cause].is_enough(cause)).collect();
            if unknown.is_empty() {
                return Ok(Self { missed, ..sums.law() });
            }
            missed.extend(unknown.iter().filter(|&&cause| sums.known[cause].is_missed(cause)));
            causes.retain(|cause| !unknown.contains(cause));
        }
    }

    /// Fits coefficients of another machine to the same causes, as far as they are known there.
    pub(super) fn refitted(&self, trees: &[&Tree], levels: &[Level]) -> Result<Self> {
        let rows = all_rows(trees, levels)?;
        let causes: Vec<usize> = self.parts().map(|(cause, _)| cause).filter(|&cause| is_known(&rows, cause)).collect();
        let law = least_squares(&rows.iter().collect::<Vec<_>>(), levels.len(), &causes);
        Ok(Self { missed: missed(&rows), ..law })
    }

    /// The energy of nodes that know all its causes, J.
    fn joules(&self, nodes: &Nodes) -> f64 {
        self.parts().map(|(cause, coefficient)| coefficient * nodes.amounts[cause]).sum()
    }

    fn parts(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.coefficients.iter().enumerate().filter_map(|(cause, coefficient)| Some((cause, (*coefficient)?)))
    }

    /// Predicts a measured node.
    pub(super) fn predict(&self, tree: &Tree, id: NodeId) -> Result<NodePrediction> {
        let energy = self.terms(tree, id)?.iter().map(Term::value).sum();
        let (seconds, gpu_energy) = (latency(tree, id)?, tree.node(id).get(Quantity::GpuEnergy));
        let cost = PredictedCost { latency: Some(seconds), energy, gpu_energy };
        let kind = if tree.node(id).level().is_leaf() { Kind::Leaf } else { Kind::Whole };
        // Nodes of one class are off alike.
        let group = group(tree.node(id).instance_type().to_ascii_lowercase());
        let uncertainty = Uncertainty { kind, group, deviation: DEVIATION, is_seen: true, ..Uncertainty::default() };
        let distances = self.range.beyond(&features(seconds, gpu_energy.unwrap_or(f64::NAN)));
        Ok(NodePrediction::of(cost, uncertainty).beyond(FEATURES.into_iter().zip(distances)))
    }

    /// Whether a node has all the measurements that the law needs.
    pub(super) fn knows(&self, tree: &Tree, id: NodeId) -> bool {
        self.parts().all(|(cause, _)| (CAUSES[cause].amount)(tree, id).is_some()) && latency(tree, id).is_ok()
    }

    /// The terms of a measured node's energy.
    pub(super) fn terms(&self, tree: &Tree, id: NodeId) -> Result<Vec<Term>> {
        let term = |(cause, coefficient): (usize, f64)| {
            let Cause { name, unit, feature, amount } = &CAUSES[cause];
            let amount = amount(tree, id).ok_or_else(|| missing(tree, id, *feature))?;
            Ok(Term::new(*name, amount, unit, coefficient))
        };
        self.parts().map(term).collect()
    }

    /// The law in a line, and what it does without because too few nodes know it.
    pub(super) fn summary(&self) -> String {
        let part = |(cause, coefficient): (usize, f64)| {
            format!("{} J/{} of {}", significant(coefficient), CAUSES[cause].unit, CAUSES[cause].name)
        };
        let law = self.parts().map(part).collect::<Vec<_>>().join(" + ");
        let missed: Vec<&str> = self.missed.iter().map(|&cause| CAUSES[cause].feature.name()).collect();
        match missed.is_empty() {
            true => law,
            false => format!("{law}, without {}, which more than one node in ten lacks", missed.join(" and ")),
        }
    }

    pub(super) fn write(&self, name: &str, store: &mut Store) {
        store.set_list(&format!("{name}.causes"), self.parts().map(|(cause, _)| CAUSES[cause].name));
        if !self.missed.is_empty() {
            store.set_list(&format!("{name}.{MISSED}"), self.missed.iter().map(|&cause| CAUSES[cause].name));
        }
        self.range.write(&format!("{name}.range"), store);
        store.put(name, &self.parts().map(|(_, coefficient)| coefficient).collect::<Vec<_>>());
    }

    pub(super) fn read(name: &str, store: &Store) -> Result<Self> {
        let names = store.get_list(&format!("{name}.causes"))?;
        let numbers = store.take(name, names.len())?;
        let mut coefficients = [None; CAUSES.len()];
        for (known, number) in names.iter().zip(numbers) {
            match CAUSES.iter().position(|cause| cause.name == known) {
                Some(cause) if number >= 0.0 => coefficients[cause] = Some(number),
                Some(_) => return Err(store.error(format!("`{name}` has a negative coefficient for {known}"))),
                None => return Err(store.error(format!("`{name}.causes` has {known}, which this irene does not know"))),
            }
        }
        let missed = store.get_list_if_any(&format!("{name}.{MISSED}"))?;
        let place = |missed: String| CAUSES.iter().position(|cause| cause.name == missed);
        let missed = missed.into_iter().filter_map(place).collect();
        Ok(Self { coefficients, range: Range::read(&format!("{name}.range"), store)?, missed })
    }
}

/// The first guess of the deviation, in e-folds: about how well measurements repeat.
const DEVIATION: f64 = 0.005;

/// The number with four significant digits.
fn significant(number: f64) -> String {
    let digits = if number > 0.0 { (3.0 - number.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// Primitives of 100 W, measured with energies that are off by these e-folds.
    fn tree(noise: impl Fn(usize) -> f64) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "M", Level::Model);
        for place in 0..200 {
            let seconds = 1e-3 * (1 + place % 9) as f64;
            let leaf = builder.leaf(&place.to_string(), "Linear", Level::Ml, None);
            leaf.set(Quantity::Latency, seconds);
            leaf.set(Quantity::GroundTruthEnergy, 100.0 * seconds * noise(place).exp());
        }
        builder.leave();
        builder.finish().unwrap()
    }

    #[test]
    fn energies_that_are_off_alike_above_and_below_leave_the_law_where_it_is() {
        let trees = [tree(|place| if place % 2 == 0 { 0.3 } else { -0.3 })];
        let power = |law: &WallEnergy| law.coefficients[0].unwrap();
        let rows = all_rows(&[&trees[0]], &[Level::Ml]).unwrap();
        let law = least_squares(&[&rows[0]], 1, &[0]);
        // Divided by the measured energies alone it is 88 W.
        assert!((power(&law) - 100.0).abs() < 1.0, "{law:?}");
        let on_all = law.on_all(&trees, &[Level::Ml]).unwrap();
        assert!((power(&on_all) / power(&law) - 1.0).abs() < 1e-3, "{on_all:?}");
    }
}
