use irene_numerics::nonnegative_least_squares;
use irene_tree::{Node, Size, TreeBuilder};
use serde_json::json;

use super::*;

/// J for a kernel, a MiB moved element by element, a MiB copied; latencies are a hundredth, the driver's energies half.
const LAW: Coefficients = [1e-3, 2e-4, 5e-4];

/// Kernels, MiB moved, MiB copied of a module beside its children.
type Amounts = [f64; 3];

fn set(node: &mut Node, joules: f64, [kernels, moved, copied]: Amounts) {
    let measured = [
        (Quantity::GroundTruthEnergy, joules),
        (Quantity::Latency, joules / 100.0),
        (Quantity::GpuEnergy, joules / 2.0),
    ];
    let amounts = [(Quantity::Kernels, kernels), (Quantity::MovedBytes, moved), (Quantity::CopiedBytes, copied)];
    measured.into_iter().chain(amounts).for_each(|(quantity, value)| node.set(quantity, value));
}

/// A model of modules with a primitive of 0.05 J in each, by a law times a factor.
fn tree(modules: &[Amounts], factor: f64) -> Tree {
    let own = |amounts: &Amounts| {
        let terms = [amounts[0], amounts[1] - amounts[2], amounts[2]];
        terms.iter().zip(LAW).map(|(term, each)| factor * term * each).sum::<f64>()
    };
    let leaf = (0.05, [1.0, 10.0, 0.0]);
    let add = |a: Amounts, b: &Amounts| std::array::from_fn(|i| a[i] + b[i]);
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    let of_model = [2.0, 0.0, 0.0];
    let all = modules.iter().fold(of_model, |sum, amounts| add(add(sum, amounts), &leaf.1));
    let joules: f64 = modules.iter().map(|amounts| own(amounts) + leaf.0).sum::<f64>() + own(&of_model);
    set(builder.enter("root", "M", Level::Model), joules, all);
    for (place, amounts) in modules.iter().enumerate() {
        set(builder.enter(&place.to_string(), "Layer", Level::Module), own(amounts) + leaf.0, add(*amounts, &leaf.1));
        set(builder.leaf("linear", "Linear", Level::Ml, None), leaf.0, leaf.1);
        builder.leave();
    }
    builder.leave();
    builder.finish().unwrap()
}

const MODULES: [Amounts; 4] = [[3.0, 20.0, 0.0], [8.0, 30.0, 10.0], [1.0, 90.0, 40.0], [20.0, 5.0, 5.0]];

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * expected.abs() + 1e-15, "{found} {expected}");
    }
}

fn fitted(factor: f64) -> OwnPart {
    OwnPart::fit(&[&tree(&MODULES, factor), &tree(&MODULES[1..3], factor)]).unwrap()
}

#[test]
fn the_fit_finds_the_law_of_what_modules_cost_beside_their_primitives() {
    let own = fitted(1.0);
    close(&own.energy, &LAW, 1e-6);
    close(&own.latency, &LAW.map(|each| each / 100.0), 1e-6);
    close(&own.gpu_energy.unwrap(), &LAW.map(|each| each / 2.0), 1e-6);
}

#[test]
fn a_node_that_runs_twice_costs_its_parent_twice() {
    let mut tree = tree(&MODULES, 1.0);
    let second = tree.ids().nth(3).unwrap();
    tree.node_mut(second).set_times(3.0);
    let (root, node) = (tree.root().clone(), tree.node(second).clone());
    for quantity in [Quantity::GroundTruthEnergy, Quantity::Latency, Quantity::GpuEnergy].into_iter().chain([
        Quantity::Kernels,
        Quantity::MovedBytes,
        Quantity::CopiedBytes,
    ]) {
        let value = root.get(quantity).unwrap() + 2.0 * node.get(quantity).unwrap();
        tree.node_mut(NodeId::ROOT).set(quantity, value);
    }
    close(&OwnPart::fit(&[&tree]).unwrap().energy, &LAW, 1e-6);
}

/// The equations of one figure, row by row, with the weights of each level adding up to 1.
fn rows(trees: &[&Tree], figure: usize) -> (Vec<Coefficients>, Vec<f64>) {
    let all: Vec<Module> = trees.iter().flat_map(|tree| modules(tree).unwrap()).collect();
    let row = |module: &Module| {
        let count = all.iter().filter(|other| other.level == module.level).count() as f64;
        let weight = (module.worth[figure] / count).sqrt() / module.total[figure];
        (module.terms.map(|term| weight * term), weight * module.rest[figure])
    };
    all.iter().map(row).unzip()
}

#[test]
fn equal_layers_count_once_and_all_modules_as_much_as_all_models() {
    assert_eq!(modules(&tree(&[MODULES[0]; 5], 1.0)).unwrap().len(), 2);
    let mut tree = tree(&MODULES, 1.0);
    assert_eq!(modules(&tree).unwrap().len(), 5);
    // A model that departs from the law of its modules: the weights decide.
    for quantity in [Quantity::Latency, Quantity::GroundTruthEnergy] {
        let whole = tree.root().get(quantity).unwrap();
        tree.node_mut(NodeId::ROOT).set(quantity, 1.1 * whole);
    }
    let own = OwnPart::fit(&[&tree]).unwrap();
    for (figure, found, law) in [(0, own.latency, fitted(1.0).latency), (1, own.energy, fitted(1.0).energy)] {
        let (rows, targets) = rows(&[&tree], figure);
        close(&found, &nonnegative_least_squares(&rows, &targets), 1e-9);
        assert!(found.iter().zip(law).any(|(found, law)| (found / law - 1.0).abs() > 1e-3), "{found:?}");
    }
}

#[test]
fn a_module_with_a_wide_interval_counts_less() {
    let mut tree = tree(&MODULES, 1.0);
    let joules = tree.root().get(Quantity::GroundTruthEnergy).unwrap();
    // A deviation of 3%, as much as modules depart from the law.
    let measurement = json!({"latency_half_width": 0.0, "energy_half_width": 1.96 * 0.03 * joules, "rounds": 5});
    tree.node_mut(NodeId::ROOT).extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), measurement);
    let modules = modules(&tree).unwrap();
    let worth = modules.iter().find(|module| module.level == Level::Model).unwrap().worth;
    close(&worth, &[1.0, 0.5, 1.0], 1e-9);
}

#[test]
fn the_drivers_energy_must_be_known_throughout() {
    let mut lacking = tree(&MODULES, 1.0);
    let last = lacking.ids().last().unwrap();
    lacking.node_mut(last).clear(Quantity::GpuEnergy);
    let own = OwnPart::fit(&[&lacking]).unwrap();
    assert_eq!(own.gpu_energy, None);
    close(&own.energy, &LAW, 1e-6);
    let mut zero = tree(&MODULES, 1.0);
    zero.node_mut(NodeId::ROOT).set(Quantity::GpuEnergy, 0.0);
    assert_eq!(OwnPart::fit(&[&zero]).unwrap().gpu_energy, None);
}

#[test]
fn modules_without_measured_primitives_say_so_and_primitives_alone_have_no_own_part() {
    let mut lacking = tree(&MODULES[..1], 1.0);
    let last = lacking.ids().last().unwrap();
    lacking.node_mut(last).clear(Quantity::Latency);
    for trees in [&[&lacking][..], &[&lacking, &lacking]] {
        let error = OwnPart::fit(&trees).unwrap_err();
        assert!(matches!(error, Error::Unmeasured(_)), "{error}");
    }
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    set(builder.leaf("root", "Linear", Level::Ml, None), 0.05, [1.0, 1.0, 0.0]);
    let alone = builder.finish().unwrap();
    let own = OwnPart::fit(&[&alone]).unwrap();
    assert_eq!((own.energy, own.gpu_energy, &own.range), ([0.0; 3], None, &None));
    let error = own.adapted(&[&alone]).unwrap_err().to_string();
    assert!(error.contains("no tree has a module"), "{error}");
}

#[test]
fn on_another_machine_all_coefficients_are_scaled_and_depart_as_the_data_asks() {
    let here = fitted(1.0);
    let there = tree(&MODULES[..1], 3.0);
    let adapted = here.adapted(&[&there]).unwrap();
    close(&adapted.energy, &LAW.map(|each| 3.0 * each), 1e-3);
    close(&adapted.latency, &LAW.map(|each| 3.0 * each / 100.0), 1e-3);
    close(&adapted.gpu_energy.unwrap(), &LAW.map(|each| 3.0 * each / 2.0), 1e-3);
    // One that is 0 here is fitted there; the others are held by their priors.
    let without = OwnPart { energy: [LAW[0], LAW[1], 0.0], ..here.clone() };
    let all = [tree(&MODULES, 1.0), tree(&MODULES[1..], 1.0)];
    let found = without.adapted(&all.iter().collect::<Vec<_>>()).unwrap().energy;
    close(&found, &LAW, 0.3);
    // Amounts of both machines are known.
    let far = tree(&[[500.0, 20.0, 0.0]], 1.0);
    let range = here.adapted(&[&far]).unwrap().range.unwrap();
    assert_eq!((range.beyond(&[500.0, 0.0, 0.0])[0], range.beyond(&[1.0, 0.0, 0.0])[0]), (None, None));
    assert!(range.beyond(&[600.0, 0.0, 0.0])[0].is_some());
    assert_eq!(OwnPart { gpu_energy: None, ..here }.adapted(&[&there]).unwrap().gpu_energy, None);
}

/// The sum of the squares of the relative errors, and 0.005 a tree for a coefficient that is twice that of the scaled machine: at its
/// least, data and prior pull alike.
#[test]
fn data_and_prior_pull_alike_at_the_coefficients_that_are_found() {
    let here = OwnPart { energy: [LAW[0], 3.0 * LAW[1], 0.5 * LAW[2]], ..fitted(1.0) };
    let trees = [tree(&MODULES[..2], 2.0), tree(&MODULES[1..3], 2.0)];
    let trees: Vec<&Tree> = trees.iter().collect();
    let found = here.adapted(&trees).unwrap().energy;
    let (rows, targets) = rows(&trees, 1);
    let dot = |row: &Coefficients, by: &Coefficients| row.iter().zip(by).map(|(a, b)| a * b).sum::<f64>();
    let predicted: Vec<f64> = rows.iter().map(|row| dot(row, &here.energy)).collect();
    let scale =
        predicted.iter().zip(&targets).map(|(a, b)| a * b).sum::<f64>() / predicted.iter().map(|a| a * a).sum::<f64>();
    for term in 0..3 {
        let data: f64 = rows.iter().zip(&targets).map(|(row, target)| row[term] * (dot(row, &found) - target)).sum();
        let expected = scale * here.energy[term];
        let prior = 0.005 / 2.0 * (found[term] / expected - 1.0) / expected;
        assert!((data + prior).abs() < 1e-6 * prior.abs(), "{term}: {data} {prior}");
        assert!((found[term] / expected - 1.0).abs() > 1e-3, "{term}: {found:?}");
    }
}

#[test]
fn a_prediction_is_the_sum_of_the_terms_that_explain_it() {
    let own = fitted(1.0);
    let mut tree = tree(&MODULES, 1.0);
    let module = tree.ids().nth(3).unwrap();
    let child = tree.children(module).next().unwrap();
    let prediction = predicted(&own, &tree, module);
    let cost = prediction.cost.unwrap();
    let [kernels, moved, copied] = MODULES[1];
    let joules = LAW[0] * kernels + LAW[1] * (moved - copied) + LAW[2] * copied;
    close(
        &[cost.energy, cost.latency.unwrap(), cost.gpu_energy.unwrap()],
        &[joules, joules / 100.0, joules / 2.0],
        1e-6,
    );
    assert!(prediction.beyond.is_empty());
    tree.node_mut(child).set(Quantity::PredictedEnergy, 0.05);
    tree.node_mut(child).set(Quantity::PredictedLatency, 0.0005);
    let explanation = own.explain(&tree, module).unwrap();
    let sum = |terms: &[Term]| terms.iter().map(Term::value).sum::<f64>();
    close(&[sum(&explanation.energy), sum(&explanation.latency)], &[joules + 0.05, (joules + 0.05) / 100.0], 1e-6);
    assert_eq!((explanation.energy.len(), explanation.latency.len()), (4, 4));
    // Amounts of 0 explain nothing.
    let first = tree.ids().nth(1).unwrap();
    assert_eq!(own.explain(&tree, first).unwrap().energy.len(), 2);
}

#[test]
fn amounts_beyond_the_training_data_are_named_and_equal_ones_are_off_alike() {
    let own = fitted(1.0);
    let far = tree(&[[400.0, 20.0, 0.0], [400.0, 20.0, 0.0], [3.0, 20.0, 0.0]], 1.0);
    let at = |place: usize| predicted(&own, &far, far.ids().nth(place).unwrap());
    assert_eq!(
        at(1).beyond.iter().map(|(name, factor)| (*name, factor.round())).collect::<Vec<_>>(),
        [("kernels", 20.0)]
    );
    assert_eq!(at(1).uncertainty.group, at(3).uncertainty.group);
    assert_ne!(at(1).uncertainty.group, at(5).uncertainty.group);
}

#[test]
fn a_node_without_a_sum_has_its_own_amounts_and_none_are_below_zero() {
    let mut tree = tree(&MODULES[..1], 1.0);
    let module = tree.ids().nth(1).unwrap();
    close(&terms(&tree, module).unwrap(), &[3.0, 20.0, 0.0], 1e-12);
    // By measuring error a child may have more than the whole.
    tree.node_mut(module).set(Quantity::MovedBytes, 5.0);
    tree.node_mut(module).set(Quantity::CopiedBytes, 2.0);
    assert_eq!(terms(&tree, module).unwrap(), [3.0, 0.0, 2.0]);
    let child = tree.ids().nth(2).unwrap();
    tree.node_mut(child).clear(Quantity::Kernels);
    assert_eq!(terms(&tree, module).unwrap()[0], 4.0);
    tree.node_mut(module).clear(Quantity::Kernels);
    assert!(terms(&tree, module).unwrap_err().to_string().contains("kernels"));
}

#[test]
fn an_own_part_survives_its_file_and_older_ones_lack_a_range() {
    let whole = fitted(1.0);
    for own in [OwnPart { gpu_energy: None, range: None, ..whole.clone() }, whole] {
        let mut store = Store::new("specs");
        own.write(&mut store);
        assert_eq!(OwnPart::read(&store).unwrap(), own);
    }
}

/// The prediction of a node whose children cost what was measured.
fn predicted(own: &OwnPart, tree: &Tree, id: NodeId) -> NodePrediction {
    let mut predictions = vec![NodePrediction::default(); tree.nodes().len()];
    let sum = |quantity: Quantity| tree.children(id).filter_map(|child| tree.node(child).get(quantity)).sum::<f64>();
    let [energy, latency, gpu_energy] = [Quantity::GroundTruthEnergy, Quantity::Latency, Quantity::GpuEnergy].map(sum);
    predictions[id.index()].cost = Some(PredictedCost { latency: Some(latency), energy, gpu_energy: Some(gpu_energy) });
    own.predict(tree, id, &mut predictions).unwrap()
}
