use std::collections::BTreeMap;

use irene_numerics::JOULES_PER_KWH;
use irene_tree::{Level, Quantity, Tree};

/// The energy of all nodes of one instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct Bottleneck {
    /// The class, e.g. `Linear`, in the spelling of its first node.
    pub instance_type: String,
    /// The level: a primitive, or a module whose own part this is.
    pub level: Level,
    /// The number of its nodes in the tree.
    pub count: usize,
    /// Joules in one run of the whole: of a primitive all, of a module what its children do not account for.
    pub energy_j: f64,
    /// The share of the tree's energy.
    pub share: f64,
}

/// A tree's energy (predicted, or the ground truth) by instance type, greatest first: the paper's tables 10 and 12.
///
/// Every joule is counted once: primitives whole, modules by their own part. Empty if the root has no such energy. The own part of a
/// module that was measured apart from its children may be below zero.
pub fn bottlenecks(tree: &Tree, energy: Quantity) -> Vec<Bottleneck> {
    let Some(total) = tree.root().get(energy).filter(|joules| *joules > 0.0) else {
        return Vec::new();
    };
    let mut by_type: BTreeMap<(String, Level), Bottleneck> = BTreeMap::new();
    for id in tree.ids() {
        let node = tree.node(id);
        let Some(spent) = tree.spent_itself(id, energy) else { continue };
        let (instance_type, level) = (node.instance_type(), node.level());
        let new = || Bottleneck { instance_type: instance_type.into(), level, count: 0, energy_j: 0.0, share: 0.0 };
        let row = by_type.entry((instance_type.to_ascii_lowercase(), level)).or_insert_with(new);
        row.count += 1;
        row.energy_j += spent;
    }
    let mut rows: Vec<Bottleneck> =
        by_type.into_values().map(|row| Bottleneck { share: row.energy_j / total, ..row }).collect();
    rows.sort_by(|a, b| b.energy_j.total_cmp(&a.energy_j));
    rows
}

/// US average price of a kWh in the paper's use case (Cao et al. 2021), USD.
pub const PRICE_PER_KWH: f64 = 0.1319;

/// Energy of a million runs, kWh.
pub fn kwh_per_million(energy_j: f64) -> f64 {
    const RUNS: f64 = 1e6;
    energy_j * RUNS / JOULES_PER_KWH
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// The rows of a model of so many joules with primitives of some classes and joules.
    fn of(joules: f64, primitives: &[(&'static str, f64)]) -> Vec<Bottleneck> {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "M", Level::Model).set(Quantity::PredictedEnergy, joules);
        for (class, joules) in primitives {
            builder.leaf("x", *class, Level::Ml, None).set(Quantity::PredictedEnergy, *joules);
        }
        builder.leave();
        bottlenecks(&builder.finish().unwrap(), Quantity::PredictedEnergy)
    }

    #[test]
    fn every_joule_is_counted_once() {
        let rows = of(10.0, &[("Linear", 4.0), ("Linear", 3.0)]);
        let found: Vec<_> = rows.iter().map(|row| (row.instance_type.as_str(), row.count, row.energy_j)).collect();
        assert_eq!(found, [("Linear", 2, 7.0), ("M", 1, 3.0)]);
        assert_eq!(rows.iter().map(|row| row.share).sum::<f64>(), 1.0);
    }

    #[test]
    fn a_class_is_the_same_however_it_is_spelt() {
        let rows = of(3.0, &[("MatMul", 2.0), ("matmul", 1.0)]);
        assert_eq!((rows[0].instance_type.as_str(), rows[0].count, rows[0].energy_j), ("MatMul", 2, 3.0));
    }

    #[test]
    fn a_node_counts_as_often_as_it_runs() {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "M", Level::Model).set(Quantity::PredictedEnergy, 10.0);
        let step = builder.enter("step", "Step", Level::Module);
        step.set(Quantity::PredictedEnergy, 2.0);
        step.set_times(4.0);
        builder.leaf("a", "Linear", Level::Ml, None).set(Quantity::PredictedEnergy, 1.5);
        builder.leave();
        builder.leave();
        let rows = bottlenecks(&builder.finish().unwrap(), Quantity::PredictedEnergy);
        let found: Vec<_> = rows.iter().map(|row| (row.instance_type.as_str(), row.energy_j)).collect();
        assert_eq!(found, [("Linear", 6.0), ("M", 2.0), ("Step", 2.0)]);
    }

    #[test]
    fn what_children_account_for_is_exactly_nothing() {
        let rows = of(0.1 + 0.2, &[("Linear", 0.3)]);
        assert_eq!(rows.iter().map(|row| row.energy_j).collect::<Vec<_>>(), [0.3, 0.0]);
    }

    #[test]
    fn a_million_runs_of_36_joules_are_10_kwh() {
        assert_eq!(kwh_per_million(36.0), 10.0);
    }
}
