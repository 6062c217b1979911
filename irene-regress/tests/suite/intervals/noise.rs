//! Intervals hold: where measurements are noisy, where models, sizes or families were left out, and where a machine runs a module's parts
//! side by side.

use irene_regress::{DeviceProfile, Evaluation, LeaveOut, Track, crossvalidate};
use irene_tree::{Level, Node, Quantity, Tree};
use serde_json::json;

use super::width;
use crate::made_up::{data, evaluated, measured, model, predicted, scale, train, trained_on};

/// A number that is normally distributed, the same for the same words.
fn normal(words: &str) -> f64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let uniform = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        (words, salt).hash(&mut hasher);
        (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..12).map(uniform).sum::<f64>() - 6.0
}

/// The tree as a short, noisy measurement of three times slower a machine would have it: energies off by this share of them.
fn noisy(tree: &Tree, share: f64, seed: usize) -> Tree {
    let mut noisy = tree.clone();
    for node in noisy.nodes_mut() {
        let truth = 3.0 * node.get(Quantity::GroundTruthEnergy).unwrap();
        scale(node, 3.0);
        let factor = 1.0 + share * normal(&format!("{seed} {} {truth}", node.instance_type()));
        let joules = truth * factor.max(0.1);
        node.set(Quantity::GroundTruthEnergy, joules);
        let measurement = json!({"energy_half_width": 1.96 * share * truth, "latency_half_width": 0.0, "rounds": 3, "reached_target": false});
        node.extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), measurement);
    }
    noisy
}

fn without_measurement(mut tree: Tree) -> Tree {
    tree.nodes_mut().iter_mut().for_each(|node| node.extra = None);
    tree
}

/// The trees as a machine that is three times slower would have them, without noise.
fn noiseless() -> Vec<Tree> {
    data().iter().map(|tree| without_measurement(noisy(tree, 0.0, 0))).collect()
}

#[test]
fn the_intervals_of_a_calibration_on_one_noisy_tree_hold() {
    let here = train(&Track::Specs);
    let truth = noiseless();
    let mut all = Evaluation::default();
    for (seed, share) in [(1, 0.8), (2, 0.8), (3, 0.5), (4, 0.2)] {
        let few = [noisy(&data()[5 * seed], share, seed)];
        let there = here.calibrated(&few, "noisy").unwrap();
        let mut evaluation = Evaluation::default();
        for tree in &truth {
            let predicted = predicted(there.predictor.as_ref(), tree);
            evaluation.add(&predicted).unwrap();
            all.add(&predicted).unwrap();
        }
        for level in [Level::Ml, Level::Module, Level::Model] {
            let within = evaluation.coverage(level).unwrap();
            assert!(within >= 0.75, "{share} {seed} {level:?}: {within}");
        }
        let warning = there.provenance.warning().unwrap();
        assert!(warning.contains("--round SECONDS") && warning.contains("more trees"), "{warning}");
        let mut tree = truth[0].clone();
        there.predict(&mut tree).unwrap();
        assert!(width(tree.root()) > share, "{}", width(tree.root()));
        assert!(tree.extra["predictor"]["notes"].to_string().contains("more rounds"));
        // It is in the file too.
        let read = DeviceProfile::from_bytes("memory", &there.to_bytes().unwrap()).unwrap();
        assert_eq!(read.provenance, there.provenance);
        assert_eq!(predicted(read.predictor.as_ref(), &truth[3]), predicted(there.predictor.as_ref(), &truth[3]));
    }
    for level in [Level::Ml, Level::Module, Level::Model] {
        let within = all.coverage(level).unwrap();
        assert!(within >= 0.85, "{level:?}: {within}");
    }
}

#[test]
fn noisy_trees_count_little_beside_good_ones() {
    let here = train(&Track::Specs);
    let truth = noiseless();
    let noise: Vec<Tree> = data()[6..12].iter().map(|tree| noisy(tree, 0.7, 9)).collect();
    let error = |trees: &[Tree]| {
        let profile = here.calibrated(trees, "x").unwrap();
        evaluated(profile.predictor.as_ref(), &truth[12..]).mean(Level::Model).unwrap()
    };
    let both = [&truth[..6], &noise[..]].concat();
    let blind: Vec<Tree> = both.iter().cloned().map(without_measurement).collect();
    let [alone, weighted, blind] = [error(&truth[..6]), error(&both), error(&blind)];
    assert!(weighted < 0.5 * blind && weighted < alone + 3.0, "{alone} {weighted} {blind}");
}

/// Half of what training leaves out is predicted as well as its intervals say.
#[test]
fn intervals_of_made_up_models_that_were_left_out_hold() {
    for leave_out in [LeaveOut::Model, LeaveOut::Size, LeaveOut::Family] {
        let trees: Vec<Tree> = data().iter().map(|tree| jittered(tree, 0.03)).collect();
        let result = crossvalidate(&trees, &Track::Specs, leave_out, &|| ()).unwrap();
        for level in [Level::Ml, Level::Module, Level::Model] {
            let within = result.mean_of(|evaluation| evaluation.coverage(level)).unwrap();
            assert!(within >= 0.8, "{} {level:?}: {within}", leave_out.name());
        }
    }
}

/// Energies and latencies that depart from the law by about this share.
fn jittered(tree: &Tree, share: f64) -> Tree {
    let mut tree = tree.clone();
    let words = tree.to_string();
    for node in tree.nodes_mut() {
        let energy = node.get(Quantity::GroundTruthEnergy).unwrap();
        let factor = (share * normal(&format!("{words} {} {energy}", node.instance_type()))).exp();
        scale(node, factor);
    }
    tree
}

/// The tree as a machine would measure it that runs a module's parts side by side: each module takes a little less than they do together.
fn overlapping(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    let words = tree.to_string();
    for id in tree.ids().rev() {
        if tree.is_leaf(id) {
            continue;
        }
        let parts: f64 = tree.children(id).filter_map(|child| tree.node(child).get(Quantity::GroundTruthEnergy)).sum();
        let jitter = (0.01 * normal(&format!("{words} {}", tree.node(id).scope()))).exp();
        tree.node_mut(id).set(Quantity::GroundTruthEnergy, 0.95 * jitter * parts);
    }
    tree
}

#[test]
fn modules_that_cost_less_than_their_parts_leave_a_profile_and_its_intervals_whole() {
    let trees: Vec<Tree> = data().iter().map(overlapping).collect();
    for track in [Track::Specs, Track::Primitives] {
        let profile = trained_on(&trees, &track);
        let read = DeviceProfile::from_bytes("memory", &profile.to_bytes().unwrap()).unwrap();
        // Neither of the two families that it was trained on.
        let stranger = measured(&model("distilbert-base-uncased"), 16, 128);
        let stranger = predicted(read.predictor.as_ref(), &stranger);
        assert!(stranger.root().get(Quantity::PredictedHigh).is_some(), "{}", track.name());
    }
}

/// A machine whose modules take less than their primitives do when they are measured alone: no own part can tell how much less.
#[test]
fn intervals_hold_also_where_modules_take_less_than_their_parts() {
    let less = |tree: &Tree| {
        let mut tree = jittered(tree, 0.02);
        tree.nodes_mut().iter_mut().filter(|node| !node.level().is_leaf()).for_each(|node| scale(node, 0.75));
        tree
    };
    let trees: Vec<Tree> = data().iter().map(less).collect();
    let leave_out = LeaveOut::Model;
    let result = crossvalidate(&trees, &Track::Specs, leave_out, &|| ()).unwrap();
    for level in [Level::Module, Level::Model] {
        let within = result.mean_of(|evaluation| evaluation.coverage(level)).unwrap();
        assert!(within >= 0.8, "{level:?}: {within}");
    }
}
