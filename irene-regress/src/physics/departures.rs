//! How modules depart from the sum of their children and the law of their own part.
//!
//! Modules that run the same things depart alike, whatever they are called and in whichever model they are. So a [`Correction`] is learned
//! for each [`key`], from ln measured − ln (children + law). A module whose key was never measured costs what the law says.

use std::collections::{BTreeMap, HashSet};

use irene_tree::{Level, NodeId, Quantity, Tree};

use super::{
    Correction, Sample, Samples, keys,
    own_part::{OwnPart, terms_with_operations},
    primitive::Measurements,
    shape,
};
use crate::{
    Result, Store, TreeSource, measured,
    noise::{self, NOISE},
    prediction::{NodePrediction, PredictedCost},
};

/// The departures by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Departures(BTreeMap<String, Correction>);

/// The list of keys in a file; older files have none.
const FIELD: &str = "own_part.departures";

/// The least share of an own part by the law that departures leave: operations take some time and energy.
const LEAST: f64 = 0.1;

fn name(key: &str) -> String {
    format!("own_part.departure.{key}")
}

/// The key of a module, by what it runs: the kernels of its own, its primitives, each as often as it runs, and whether there are modules in
/// it, however many layers these are. None for a module that only holds others: it is their sum.
fn key(tree: &Tree, id: NodeId) -> Option<String> {
    let node = tree.node(id);
    if node.level().is_leaf() {
        return None;
    }
    let [kernels, ..] = terms_with_operations(tree, id).ok()?;
    let mut primitives: BTreeMap<String, f64> = BTreeMap::new();
    let mut holds_modules = false;
    for child in tree.children(id) {
        match tree.node(child).level() {
            Level::Math => {}
            Level::Ml => *primitives.entry(keys(tree, child).next()?).or_default() += tree.node(child).times(),
            _ => holds_modules = true,
        }
    }
    let kernels = kernels.round();
    let mut parts: Vec<String> = primitives.iter().map(|(name, times)| format!("{times} {name}")).collect();
    if holds_modules {
        parts.push("modules".into());
    }
    if parts.is_empty() {
        // Nothing is known of its operations but their number.
        parts.push(node.instance_type().to_ascii_lowercase());
    } else if primitives.is_empty() && kernels == 0.0 {
        return None;
    }
    Some(format!("{}: {kernels} kernels + {}", node.level().name(), parts.join(" + ")))
}

impl Departures {
    /// Learns from trees without their math level.
    pub(crate) fn fit(law: &OwnPart, trees: &dyn TreeSource) -> Result<Self> {
        let fit = |(key, samples): (String, Vec<Sample>)| (key, learned(&samples, law.figure_count()));
        Ok(Self(samples(law, trees)?.into_iter().map(fit).collect()))
    }

    /// The factors on the whole of a module, for latency, energy and the driver's energy; None for one that is like none that was measured.
    fn at(&self, tree: &Tree, id: NodeId) -> Option<[f64; 3]> {
        const ALIKE: Option<[f64; 3]> = Some([1.0; 3]);
        // An older file knows none.
        if self.0.is_empty() {
            return ALIKE;
        }
        let Some(key) = key(tree, id) else { return ALIKE };
        let logs = self.0.get(&key)?.log_factors(&shape(tree, id).ok()?);
        let factor = |figure: usize| logs.get(figure).map_or(1.0, |log| (logs[0] + log).exp());
        Some([logs.first()?.exp(), factor(1), factor(2)])
    }

    /// A module's own part, from that by the law and the same with its operations, so that its whole departs. Its children are predicted and
    /// added up. At least [`LEAST`] of the own part is left. Operations that the tree shows take less with it, and with them the sum of the
    /// children; what it takes more is the module's own.
    /// Also whether a module like it was measured.
    pub(crate) fn apply(
        &self,
        tree: &Tree,
        id: NodeId,
        [own, all]: [PredictedCost; 2],
        predictions: &mut [NodePrediction],
    ) -> (PredictedCost, bool) {
        let (factors, is_seen) = self.at(tree, id).map_or(([1.0; 3], false), |factors| (factors, true));
        let below = predictions[id.index()].cost.unwrap_or(PredictedCost::NONE);
        let [own, all, below] = [own, all, below].map(PredictedCost::figures);
        // An unknown figure stays one.
        let at_least = |least: f64, figure: f64| if figure < least { least } else { figure };
        let departed: [f64; 3] = std::array::from_fn(|figure| {
            let departed = all[figure] + (factors[figure] - 1.0) * (below[figure] + own[figure]);
            at_least(LEAST * all[figure], departed)
        });
        let scales = std::array::from_fn(|figure| (departed[figure] / all[figure]).min(1.0));
        for operation in tree.children(id).filter(|child| tree.node(*child).level() == Level::Math) {
            let operation = &mut predictions[operation.index()];
            operation.cost = operation.cost.map(|cost| cost.scaled(scales));
            operation.own = operation.cost.map(|cost| cost.energy);
            operation.uncertainty.is_seen = is_seen;
        }
        let operations = |figure: usize| all[figure] - own[figure];
        let sum = |figure: usize| below[figure] + (scales[figure] - 1.0) * operations(figure);
        predictions[id.index()].cost = Some(PredictedCost::of(std::array::from_fn(sum)));
        let own = |figure: usize| at_least(0.0, departed[figure] - scales[figure] * operations(figure));
        (PredictedCost::of(std::array::from_fn(own)), is_seen)
    }

    pub(crate) fn write(&self, store: &mut Store) {
        if self.0.is_empty() {
            return;
        }
        store.set_list(FIELD, self.0.keys());
        for (key, correction) in &self.0 {
            correction.write(&name(key), store);
        }
    }

    /// Reads departures of so many figures.
    pub(crate) fn read(figures: usize, store: &Store) -> Result<Self> {
        let read = |key: String| Ok((key.clone(), Correction::read(&name(&key), figures, store)?));
        let keys = store.get_list_if_any(FIELD)?;
        let count = keys.len();
        let all: BTreeMap<String, Correction> = keys.into_iter().map(read).collect::<Result<_>>()?;
        if all.len() < count {
            return Err(store.error(format!("header field `{FIELD}` has a name twice")));
        }
        Ok(Self(all))
    }
}

/// The departures of measured modules, as the logarithms of ratios.
fn samples(law: &OwnPart, trees: &dyn TreeSource) -> Result<Samples> {
    let mut measured: BTreeMap<String, Measurements> = BTreeMap::new();
    trees.each(&mut |tree| add_samples(law, tree, &mut measured))?;
    Ok(measured.into_iter().map(|(key, measurements)| (key, measurements.samples())).collect())
}

/// Adds a tree's modules, each beside its children as they were measured, and those that only hold others as the sum of these.
fn add_samples(law: &OwnPart, tree: &Tree, measurements: &mut BTreeMap<String, Measurements>) -> Result<()> {
    // Layers repeat their measurement.
    let mut of_tree = HashSet::new();
    let mut below = vec![[0.0; 3]; tree.nodes().len()];
    for id in tree.ids().rev() {
        let node = tree.node(id);
        let [seconds, joules] = measured(tree, id)?.unwrap_or([f64::NAN; 2]);
        let total = [seconds, joules, node.get(Quantity::GpuEnergy).unwrap_or(f64::NAN)];
        let mut known = total;
        if !node.level().is_leaf() {
            let own = law.cost(&terms_with_operations(tree, id)?).figures();
            let sum: [f64; 3] = std::array::from_fn(|figure| below[id.index()][figure] + own[figure]);
            let ratios: [f64; 3] = std::array::from_fn(|figure| total[figure] / sum[figure]);
            known = sum;
            let is_known = ratios[..2].iter().all(|ratio| ratio.is_normal() && *ratio > 0.0);
            if is_known
                && let Some(key) = key(tree, id)
                && let Ok(shape) = shape(tree, id)
            {
                known = total;
                if of_tree.insert((key.clone(), shape.map(f64::to_bits), ratios.map(f64::to_bits))) {
                    measurements.entry(key).or_default().add(&shape, ratios, noise::worths(node, NOISE));
                }
            }
        }
        if let Some(parent) = tree.parent(id) {
            below[parent.index()].iter_mut().zip(known).for_each(|(sum, figure)| *sum += node.times() * figure);
        }
    }
    Ok(())
}

/// A correction of so many figures. Energies depart at the measured latency, as those of primitives do.
fn learned(samples: &[Sample], figures: usize) -> Correction {
    let of_gpu = |sample: &Sample| sample.log_gpu_energy.unwrap_or_default() - sample.log_time;
    let of: [fn(&Sample) -> f64; 2] = [|sample| sample.log_time, |sample| sample.log_energy - sample.log_time];
    let mut residuals: Vec<Vec<f64>> = of.iter().map(|of| samples.iter().map(of).collect()).collect();
    if figures > residuals.len() {
        residuals.push(samples.iter().map(of_gpu).collect());
    }
    // The sum of many children scatters by more than a primitive does, and an own part that may not be negative goes up by chance, not down.
    Correction::fit(&Correction::with_their_noise(samples, &residuals), &residuals)
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;
    use crate::prediction;

    /// J of a leaf of this size.
    fn leaf(size: f64) -> f64 {
        0.05 * size
    }

    /// J of a kernel.
    const KERNEL: f64 = 1e-3;

    /// A model of modules, each of a class with so many kernels of its own and a linear, that take their share more than the law says. With
    /// `shows_math` the kernels are nodes.
    fn tree(size: usize, modules: &[(&'static str, usize, f64)], shows_math: bool) -> Tree {
        let scale = size as f64;
        let mut builder = TreeBuilder::new("m", Size::new(size, 8));
        let set = |node: &mut irene_tree::Node, joules: f64, kernels: usize| {
            let figures = [
                (Quantity::GroundTruthEnergy, joules),
                (Quantity::Latency, joules / 100.0),
                (Quantity::Kernels, kernels as f64),
                (Quantity::MovedBytes, 10.0 * scale),
                (Quantity::CopiedBytes, 0.0),
                (Quantity::Flops, 50.0 * scale),
                (Quantity::NumParameters, 100.0),
            ];
            figures.into_iter().for_each(|(quantity, value)| node.set(quantity, value));
        };
        let joules = |kernels: usize, more: f64| (leaf(scale) + KERNEL * kernels as f64) * (1.0 + more);
        let whole: f64 = modules.iter().map(|(_, kernels, more)| joules(*kernels, *more)).sum();
        let kernels: usize = modules.iter().map(|(_, kernels, _)| kernels + 1).sum();
        set(builder.enter("root", "M", Level::Model), whole, kernels);
        for (place, (class, kernels, more)) in modules.iter().enumerate() {
            set(builder.enter(&place.to_string(), *class, Level::Module), joules(*kernels, *more), kernels + 1);
            set(builder.leaf("linear", "Linear", Level::Ml, None), leaf(scale), 1);
            for operation in 0..if shows_math { *kernels } else { 0 } {
                let node = builder.leaf(&operation.to_string(), "Add", Level::Math, None);
                set(node, KERNEL, 1);
                node.set(Quantity::MovedBytes, 0.0);
            }
            builder.leave();
        }
        builder.leave();
        builder.finish().unwrap()
    }

    /// Departs by 10% more than what it runs, and by 3% less, beside one that does not depart.
    const MODULES: [(&str, usize, f64); 3] = [("Slow", 4, 0.1), ("Fast", 9, -0.03), ("Plain", 20, 0.0)];

    fn law() -> OwnPart {
        let mut store = Store::new("specs");
        store.put("own_part.latency", &[KERNEL / 100.0, 0.0, 0.0]);
        store.put("own_part.energy", &[KERNEL, 0.0, 0.0]);
        OwnPart::read(&store).unwrap()
    }

    fn learned() -> Departures {
        Departures::fit(&law(), &[1, 2, 4, 8].map(|size| tree(size, &MODULES, false))).unwrap()
    }

    /// The energy of a node, J, where leaves cost what was measured, and whether a module like it was measured.
    fn predicted(departures: &Departures, tree: &Tree, scope: &str) -> (f64, bool) {
        let law = law();
        let part = |id: NodeId, predictions: &mut [NodePrediction]| {
            let cost = law.cost(&super::super::own_part::terms(tree, id)?);
            let all = law.cost(&terms_with_operations(tree, id)?);
            let (cost, is_seen) = match tree.node(id).level() {
                Level::Ml => {
                    let joules = tree.node(id).get(Quantity::GroundTruthEnergy).unwrap();
                    (PredictedCost { energy: joules, latency: Some(joules / 100.0), gpu_energy: None }, true)
                }
                Level::Math => (cost, true),
                _ => departures.apply(tree, id, [cost, all], predictions),
            };
            let uncertainty = crate::interval::Uncertainty { is_seen, ..Default::default() };
            Ok(NodePrediction::of(cost, uncertainty))
        };
        let predictions = prediction::sum_up(tree, part).unwrap();
        let id = tree.find(scope).unwrap();
        let below: f64 = tree.children(id).map(|child| predictions[child.index()].cost.unwrap().energy).sum();
        let NodePrediction { cost, own, uncertainty, .. } = &predictions[id.index()];
        let (whole, own) = (cost.unwrap().energy, own.unwrap());
        assert!(own >= 0.0 && (below + own - whole).abs() < 1e-12, "{below} + {own} = {whole}");
        (whole, uncertainty.is_seen)
    }

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found} {expected}");
    }

    #[test]
    fn modules_that_run_the_same_depart_alike_whatever_they_are_called() {
        let departures = learned();
        for size in [2, 3, 6, 8] {
            // A part of the own part of `Fast` is always left.
            for (class, kernels, more) in MODULES {
                let tree = tree(size, &[("Other", kernels, 0.0)], false);
                let (found, is_seen) = predicted(&departures, &tree, "root.0");
                let law = leaf(size as f64) + KERNEL * kernels as f64;
                close(found, (law * (1.0 + more)).max(leaf(size as f64) + LEAST * KERNEL * kernels as f64), 0.01);
                assert!(is_seen, "{class}");
            }
            let unlike = tree(size, &[("Slow", 5, 0.0)], false);
            assert_eq!(predicted(&departures, &unlike, "root.0"), (leaf(size as f64) + KERNEL * 5.0, false));
        }
        // Far away the law stands alone.
        let far = tree(1 << 20, &MODULES, false);
        close(predicted(&departures, &far, "root.0").0, leaf(far.size.sequences as f64), 1e-3);
    }

    #[test]
    fn departures_do_not_depend_on_whether_operations_are_shown() {
        let departures = learned();
        for scope in ["root", "root.0", "root.1", "root.2"] {
            let [shown, hidden] = [true, false].map(|shown| predicted(&departures, &tree(4, &MODULES, shown), scope));
            close(shown.0, hidden.0, 1e-12);
            assert_eq!(shown.1, hidden.1);
        }
    }

    #[test]
    fn modules_that_scatter_by_chance_hardly_depart() {
        let more = |place: usize| if place.is_multiple_of(2) { 0.2 } else { -0.2 };
        let trees: Vec<Tree> = (1..=24).map(|size| tree(size, &[("M", 20, more(size))], false)).collect();
        let departures = Departures::fit(&law(), &trees).unwrap();
        for size in [3, 12] {
            let (found, _) = predicted(&departures, &tree(size, &[("M", 20, 0.0)], false), "root.0");
            close(found, leaf(size as f64) + 20.0 * KERNEL, 0.05);
        }
    }

    #[test]
    fn departures_survive_their_file_and_older_ones_have_none() {
        for departures in [learned(), Departures::default()] {
            let mut store = Store::new("specs");
            departures.write(&mut store);
            assert_eq!(Departures::read(2, &store).unwrap(), departures);
        }
        let any = tree(4, &[("Slow", 4, 0.0)], false);
        assert_eq!(predicted(&Departures::default(), &any, "root.0"), (leaf(4.0) + 4.0 * KERNEL, true));
        let mut store = Store::new("specs");
        learned().write(&mut store);
        store.set_list(FIELD, ["a", "a"].into_iter());
        assert!(Departures::read(2, &store).is_err());
    }
}
