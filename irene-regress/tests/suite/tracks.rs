//! Our tracks on trees whose energies are made by a known law: what they say of what they hardly know, and of too little.

use irene_regress::{DeviceProfile, Track, Trainer};
use irene_tree::{Format, Level, Mark, NodeId, OpKind, Operand, Operation, Quantity, Size, Tree, TreeBuilder};

use crate::made_up::{changed, data, evaluated, model, predicted, ratio, scale, traced, train, trained_on, trainers};

#[test]
fn explanations_add_up_to_what_they_explain() {
    for trainer in trainers() {
        let profile = train(trainer.as_ref());
        let tree = predicted(profile.predictor.as_ref(), &data()[9]);
        for id in tree.ids() {
            let explanation = profile.predictor.explain(&tree, id).unwrap();
            let node = tree.node(id);
            let sum = |terms: &[irene_regress::Term]| terms.iter().map(irene_regress::Term::value).sum::<f64>();
            let energy = node.get(Quantity::PredictedEnergy).unwrap();
            let (what, found) = (format!("{} {}", profile.predictor.summary(), node.scope()), sum(&explanation.energy));
            assert!((found - energy).abs() <= 1e-9 * energy.abs(), "{what}: {found} {energy}");
            if !explanation.latency.is_empty() {
                let (found, latency) = (sum(&explanation.latency), node.get(Quantity::PredictedLatency).unwrap());
                assert!((found - latency).abs() <= 1e-9 * latency, "{what}: {found} {latency}");
            }
        }
    }
}

#[test]
fn a_conv1d_that_was_never_seen_is_costed_as_a_linear() {
    let berts: Vec<&Tree> = data().iter().filter(|tree| tree.model_name.contains("bert")).collect();
    let predictor = Track::Specs.train(&berts).unwrap();
    let gpt = data().iter().find(|tree| tree.model_name == "distilgpt2").unwrap();
    let tree = predicted(predictor.as_ref(), gpt);
    let id = tree.ids().find(|&id| tree.node(id).is_instance_of("Conv1D")).unwrap();
    assert!(tree.node(id).marks.contains(Mark::UnseenOperation));
    assert!((0.7..1.4).contains(&ratio(tree.node(id))), "{}", ratio(tree.node(id)));
}

/// One operation of a tree under another name.
fn renamed(tree: &Tree, place: usize, name: &str) -> Tree {
    let json = irene_tree::jsonl::to_json(tree);
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    fn rename(node: &mut serde_json::Value, left: &mut usize, name: &str) {
        for child in node["child_nodes_obj"].as_array_mut().unwrap() {
            if child["instance_type"] == "Linear" {
                if *left == 0 {
                    child["instance_type"] = name.into();
                    child.as_object_mut().unwrap().remove("operation");
                }
                *left = left.wrapping_sub(1);
            }
            rename(child, left, name);
        }
    }
    rename(&mut value["frontend_tree"], &mut { place }, name);
    irene_tree::jsonl::parse_tree(value.to_string().as_bytes(), "renamed", 1).unwrap()
}

#[test]
fn kin_in_one_tree_keep_their_own_marks() {
    let berts: Vec<&Tree> = data().iter().filter(|tree| tree.model_name.contains("bert")).collect();
    let predictor = Track::Specs.train(&berts).unwrap();
    for place in [0, 3, 8] {
        let tree = predicted(predictor.as_ref(), &renamed(berts[3], place, "Conv1D"));
        for id in tree.ids().filter(|&id| tree.is_leaf(id)) {
            let node = tree.node(id);
            let is_unseen = node.marks.contains(Mark::UnseenOperation);
            assert_eq!(is_unseen, node.is_instance_of("Conv1D"), "{place} {}", node.scope());
        }
    }
}

#[test]
fn an_unknown_operation_has_an_interval_of_what_was_tried_on_unknown_ones() {
    let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
    let tree = renamed(&traced(&model("bert-base-uncased"), 8, 128), 0, "Mystery");
    let tree = predicted(profile.predictor.as_ref(), &tree);
    let width = |node: &irene_tree::Node| {
        node.get(Quantity::PredictedHigh).unwrap() / node.get(Quantity::PredictedLow).unwrap()
    };
    let unknown = tree.nodes().iter().find(|node| node.is_instance_of("Mystery")).unwrap();
    let known = tree.nodes().iter().find(|node| node.is_instance_of("Linear")).unwrap();
    assert!(width(unknown) > 1.5 && width(known) < 1.2, "{} {}", width(unknown), width(known));
}

#[test]
fn one_tree_scales_a_profile_to_a_machine_far_away() {
    let slow = changed(|node| scale(node, 100.0));
    let there = train(&Track::Specs).calibrated(&slow[..1], "slow").unwrap();
    let evaluation = evaluated(there.predictor.as_ref(), &slow);
    for level in [Level::Ml, Level::Module, Level::Model] {
        assert!(evaluation.mean(level).unwrap() < 10.0, "{level:?}: {:?}", evaluation.mean(level));
    }
}

#[test]
fn whole_models_are_needed_to_carry_a_profile_over() {
    let mut builder = TreeBuilder::new("leaf", Size::new(8, 32));
    let x = Operand::activation([8, 32, 64], Format::F32);
    let op = Operation::new(OpKind::Linear, &[x, Operand::parameter([64, 64], Format::F32)], x);
    builder.leaf("root", "Linear", Level::Ml, Some(op));
    let mut tree = builder.finish().unwrap();
    irene_features::annotate(&mut tree);
    for quantity in [Quantity::Latency, Quantity::GpuEnergy, Quantity::GroundTruthEnergy, Quantity::Cpu] {
        tree.node_mut(NodeId::ROOT).set(quantity, 1e-3);
    }
    for track in Track::ALL {
        let error = DeviceProfile::bundled_for("gtx-1080-ti", track).unwrap().calibrated(&[tree.clone()], "x").err();
        let error = error.unwrap().to_string();
        assert!(error.contains("module"), "{}: {error}", track.name());
    }
}

#[test]
fn one_node_without_gpu_energy_leaves_the_rest_of_the_training() {
    let mut trees = data().to_vec();
    let leaf = trees[0].ids().find(|&id| trees[0].is_leaf(id)).unwrap();
    trees[0].node_mut(leaf).clear(Quantity::GpuEnergy);
    for track in Track::ALL {
        let predictor = track.train(&trees.iter().collect::<Vec<_>>()).unwrap();
        let tree = predicted(predictor.as_ref(), &trees[5]);
        let ratio = ratio(tree.root());
        assert!((ratio - 1.0).abs() < 0.1, "{}: {ratio}", track.name());
        assert!(track == Track::Specs || predictor.summary().contains("J/J of gpu_energy"), "{}", predictor.summary());
    }
}

#[test]
fn a_law_that_does_without_the_driver_s_energy_as_too_few_nodes_have_it_says_so() {
    let mut trees = data().to_vec();
    for tree in trees.iter_mut().step_by(2) {
        tree.nodes_mut().iter_mut().for_each(|node| node.clear(Quantity::GpuEnergy));
    }
    for track in [Track::Measured, Track::Primitives] {
        let profile = trained_on(&trees, &track);
        let read = DeviceProfile::from_bytes("memory", &profile.to_bytes().unwrap()).unwrap();
        let summary = read.predictor.summary();
        assert!(summary.contains("without gpu_energy_mean, which more than one node in ten lacks"), "{summary}");
        assert_eq!(summary, profile.predictor.summary());
    }
}

#[test]
fn nodes_that_were_measured_apart_may_exceed_the_whole_and_it_then_has_no_own_part() {
    let profile = train(&Track::Measured);
    let mut tree = data()[2].clone();
    let latency = tree.root().get(Quantity::Latency).unwrap();
    tree.node_mut(NodeId::ROOT).set(Quantity::Latency, 0.9 * latency);
    let energy = tree.root().get(Quantity::GpuEnergy).unwrap();
    tree.node_mut(NodeId::ROOT).set(Quantity::GpuEnergy, 0.9 * energy);
    let tree = predicted(profile.predictor.as_ref(), &tree);
    assert_eq!(tree.root().get(Quantity::OwnEnergy), None);
    assert!(tree.ids().skip(1).all(|id| tree.node(id).get(Quantity::OwnEnergy).unwrap() >= 0.0));
}

#[test]
fn too_little_to_learn_from_is_said() {
    let of = |keep: &dyn Fn(&&Tree) -> bool| data().iter().filter(keep).collect::<Vec<&Tree>>();
    let one_size = of(&|tree| (tree.size.sequences, tree.size.new) == (8, 32));
    let error = Track::Specs.train(&one_size).err().unwrap().to_string();
    assert!(
        error.starts_with("training data: all trees are of one size, 8x32; trees of two sizes are the least"),
        "{error}"
    );
    for (track, quantity, value, expected) in [
        (Track::Specs, Quantity::Latency, 1e-3, "times_mean is the same for every primitive"),
        (Track::Measured, Quantity::Latency, 1e-3, "times_mean is the same for every node"),
        (Track::Primitives, Quantity::GroundTruthEnergy, 2.0, "ground_truth_energy is the same for every node"),
        (Track::Specs, Quantity::Latency, f64::NAN, "feature `times_mean` is missing"),
        (Track::Measured, Quantity::Latency, f64::NAN, "feature `times_mean` is missing"),
        (Track::Specs, Quantity::Latency, 0.0, "times_mean must be above 0, found 0"),
        (Track::Specs, Quantity::GroundTruthEnergy, 0.0, "ground_truth_energy must be above 0, found 0"),
        (Track::Specs, Quantity::MovedBytes, f64::NAN, "feature `moved_bytes` is missing"),
    ] {
        let trees = changed(|node| node.set(quantity, value));
        let error = track.train(&trees.iter().collect::<Vec<_>>()).err().unwrap().to_string();
        assert!(error.contains(expected), "{}: {error}", track.name());
        assert!(!error.contains('\n'));
    }
    let calibrated = DeviceProfile::bundled("gtx-1080-ti").unwrap().calibrated(&[], "x").err().unwrap().to_string();
    assert!(calibrated.contains("give at least one that was measured on the other machine"), "{calibrated}");
}

#[test]
fn a_machine_without_a_gpu_has_laws_of_latency() {
    let trees = changed(|node| node.clear(Quantity::GpuEnergy));
    for track in Track::ALL {
        let predictor = track.train(&trees.iter().collect::<Vec<_>>()).unwrap();
        let tree = predicted(predictor.as_ref(), &trees[4]);
        assert_eq!(tree.root().get(Quantity::PredictedGpuEnergy), None);
        let ratio = ratio(tree.root());
        assert!((ratio - 1.0).abs() < 0.1, "{}: {ratio}", track.name());
    }
    // A profile with a GPU's laws is carried over without them.
    let carried = DeviceProfile::bundled("gtx-1080-ti").unwrap().calibrated(&trees[..2], "no GPU").unwrap();
    let read = DeviceProfile::from_bytes("memory", &carried.to_bytes().unwrap()).unwrap();
    let tree = predicted(read.predictor.as_ref(), &trees[4]);
    assert_eq!(tree.root().get(Quantity::PredictedGpuEnergy), None);
    assert_eq!(tree, predicted(carried.predictor.as_ref(), &trees[4]));
}

/// A tree in other formats is predicted by its own bytes, and says so at every node.
#[test]
fn other_number_formats_are_marked() {
    let spec = irene_models::ModelSpec::find("gpt2").unwrap();
    let tree = |dtype: &str| {
        let run =
            irene_models::Run { precision: dtype.parse().unwrap(), shows_math: false, ..Size::new(8, 128).into() };
        let mut tree = spec.trace(run).unwrap();
        DeviceProfile::bundled("gtx-1080-ti").unwrap().predict(&mut tree).unwrap();
        tree
    };
    let (full, half) = (tree("f32"), tree("bf16"));
    assert!(full.nodes().iter().all(|node| !node.marks.contains(Mark::OtherPrecision)));
    assert!(half.nodes().iter().all(|node| node.marks.contains(Mark::OtherPrecision)));
    let energy = |tree: &Tree| tree.root().get(Quantity::PredictedEnergy).unwrap();
    assert!(energy(&half) < energy(&full));
}

/// A model at four sizes in a format, on a machine that takes so many seconds a kernel and a MiB.
fn in_format(dtype: &str, seconds: f64) -> [Tree; 4] {
    let spec = irene_models::ModelSpec::find("distilgpt2").unwrap();
    [(1, 32), (2, 64), (4, 64), (8, 128)].map(|(batch, len)| {
        let size = Size::new(batch, len);
        let run = irene_models::Run { precision: dtype.parse().unwrap(), shows_math: false, ..size.into() };
        let mut tree = spec.trace(run).unwrap();
        for node in tree.nodes_mut() {
            let work = node.get(Quantity::Kernels).unwrap() + node.get(Quantity::MovedBytes).unwrap();
            node.set(Quantity::Latency, seconds * work);
            node.set(Quantity::GroundTruthEnergy, 100.0 * seconds * work);
        }
        tree
    })
}

#[test]
fn a_profile_of_one_format_is_carried_over_to_a_machine_that_ran_another() {
    let trees = in_format("bf16", 1e-5);
    let profile = trained_on(&trees, &Track::Specs);
    for dtype in ["f32", "f16"] {
        let there = in_format(dtype, 2e-5);
        let carried = profile.calibrated(&there[..1], "there").unwrap();
        let tree = predicted(carried.predictor.as_ref(), &there[2]);
        let ratio = ratio(tree.root());
        assert!((0.7..1.4).contains(&ratio), "{dtype}: {ratio}");
    }
}

/// Trained on both formats, each primitive has a law of its own, and neither is strange to the predictor.
#[test]
fn formats_are_learned_apart() {
    let trees = [in_format("f32", 1e-4), in_format("bf16", 1e-5)].concat();
    let profile = trained_on(&trees, &Track::Specs);
    assert_eq!(profile.provenance.precisions.len(), 2);
    for truth in &trees {
        let mut tree = truth.clone();
        profile.predict(&mut tree).unwrap();
        assert!(tree.nodes().iter().all(|node| !node.marks.contains(Mark::OtherPrecision)));
        for (node, truth) in tree.nodes().iter().zip(truth.nodes()).filter(|(node, _)| node.level() == Level::Ml) {
            let joules = node.get(Quantity::PredictedEnergy).unwrap();
            let ratio = joules / truth.get(Quantity::GroundTruthEnergy).unwrap();
            // The formats are a factor of ten apart.
            assert!((0.5..2.0).contains(&ratio), "{tree} {}: {ratio}", node.scope());
        }
    }
}
