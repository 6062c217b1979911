//! Predictors on trees whose energies are made by a known law: laws of prediction, files, errors.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test that cannot be set up should stop, and say so

use std::sync::OnceLock;

use irene_features::FeatureSet;
use irene_models::{Config, ModelSpec};
use irene_regress::{
    PaperTrainer, Predictor, Profile, Protocol, Provenance, Strategy as Rule, Track, Trainer, crossvalidate, evaluate,
};
use irene_tree::{Level, Mark, NodeId, Quantity, Tree, TreeBuilder};
use proptest::{prelude::*, sample::Index};

fn traced(spec: &ModelSpec, batch_size: usize, seq_len: usize) -> Tree {
    let mut tree = spec.trace(batch_size, seq_len).unwrap();
    irene_features::annotate(&mut tree);
    tree.without_math()
}

/// A measured tree by a law of our own: a launch or the work, whichever takes longer; modules add their own part.
fn measured(spec: &ModelSpec, batch_size: usize, seq_len: usize) -> Tree {
    let mut tree = traced(spec, batch_size, seq_len);
    for id in tree.ids().rev() {
        let get = |quantity: Quantity| tree.node(id).get(quantity).unwrap();
        let energy = if tree.is_leaf(id) {
            f64::max(4e-3, 6e-5 * get(Quantity::Flops) + 1e-3 * get(Quantity::MovedBytes))
        } else {
            let children: f64 =
                tree.children(id).filter_map(|child| tree.node(child).get(Quantity::GroundTruthEnergy)).sum();
            let own = |quantity| tree.own(id, quantity).unwrap();
            children + 2e-3 + 1e-3 * own(Quantity::Kernels) + 1e-3 * own(Quantity::MovedBytes)
        };
        let node = tree.node_mut(id);
        node.set(Quantity::GroundTruthEnergy, energy);
        node.set(Quantity::GpuEnergy, 0.6 * energy);
        node.set(Quantity::Latency, energy / 300.0);
        for (quantity, value) in [
            (Quantity::Cpu, 8.5),
            (Quantity::Mem, 10.0),
            (Quantity::Gpu, 90.0),
            (Quantity::GpuMem, 40.0 + energy),
            (Quantity::GpuClk, 1900.0),
            (Quantity::GpuMemClk, 3802.0),
        ] {
            node.set(quantity, value);
        }
    }
    tree
}

fn model(name: &str) -> ModelSpec {
    ModelSpec::find(name).unwrap()
}

/// Four models at six sizes.
fn data() -> &'static [Tree] {
    static DATA: OnceLock<Vec<Tree>> = OnceLock::new();
    DATA.get_or_init(|| {
        let names =
            ["google/bert_uncased_L-2_H-128_A-2", "google/bert_uncased_L-2_H-256_A-4", "distilgpt2", "openai-gpt"];
        let sizes = [(8, 32), (8, 64), (16, 32), (16, 128), (24, 96), (32, 64)];
        names.iter().flat_map(|name| sizes.map(|(batch, seq)| measured(&model(name), batch, seq))).collect()
    })
}

fn train(trainer: &dyn Trainer) -> Profile {
    let predictor = trainer.train(&data().iter().collect::<Vec<_>>()).unwrap();
    Profile { predictor, provenance: Provenance::new("made up", data()) }
}

fn trainers() -> Vec<Box<dyn Trainer>> {
    let paper = |strategy: Rule| Box::new(PaperTrainer { strategy, ..PaperTrainer::default() }) as Box<dyn Trainer>;
    let mut trainers: Vec<Box<dyn Trainer>> = Rule::ALL.into_iter().map(paper).collect();
    trainers.extend(Track::ALL.map(|track| Box::new(track) as Box<dyn Trainer>));
    trainers
}

fn predicted(predictor: &dyn Predictor, tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    predictor.predict(&mut tree).unwrap();
    tree
}

/// A BERT-like or GPT-like config of any size, some far beyond what any profile saw.
fn any_spec() -> impl proptest::strategy::Strategy<Value = ModelSpec> {
    (any::<bool>(), 1..4usize, 1..5usize, prop::sample::select(vec![1usize, 8, 64, 512]), 1..3000usize).prop_map(
        |(bert, layers, heads, width, inner)| {
            let hidden = heads * width;
            let json = if bert {
                format!(
                    r#"{{"model_type":"bert","hidden_size":{hidden},"num_hidden_layers":{layers},"num_attention_heads":{heads},
                    "intermediate_size":{inner},"vocab_size":100,"max_position_embeddings":4096}}"#
                )
            } else {
                format!(
                    r#"{{"model_type":"gpt2","n_embd":{hidden},"n_layer":{layers},"n_head":{heads},"n_inner":{inner},
                    "vocab_size":100,"n_positions":4096,"activation_function":"relu"}}"#
                )
            };
            ModelSpec::from_config("any", Config::from_json("any", json.as_bytes()).unwrap()).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn specs_predictions_are_finite_not_negative_and_add_up(
        spec in any_spec(), batch in 1..300usize, seq in 1..4000usize, math: bool,
    ) {
        let mut tree = spec.trace(batch, seq).unwrap();
        irene_features::annotate(&mut tree);
        if !math {
            tree = tree.without_math();
        }
        Profile::bundled("gtx-1080-ti").unwrap().predictor.predict(&mut tree).unwrap();
        for id in tree.ids() {
            let node = tree.node(id);
            let (energy, own) = (node.get(Quantity::PredictedEnergy).unwrap(), node.get(Quantity::OwnEnergy).unwrap());
            prop_assert!(energy.is_finite() && energy >= 0.0, "{}: {energy}", node.scope());
            prop_assert!(own >= 0.0, "{}: {own}", node.scope());
            let (latency, power) =
                (node.get(Quantity::PredictedLatency).unwrap(), node.get(Quantity::PredictedPower).unwrap_or(0.0));
            prop_assert!((power * latency - energy).abs() <= 1e-12 * energy, "{}: {power} W", node.scope());
            if node.level() != Level::Math {
                let (low, high) =
                    (node.get(Quantity::PredictedLow).unwrap(), node.get(Quantity::PredictedHigh).unwrap());
                prop_assert!(low <= energy && energy <= high, "{}: {low} {energy} {high}", node.scope());
            }
            let children: f64 = tree.children(id).filter_map(|child| tree.node(child).get(Quantity::PredictedEnergy)).sum();
            prop_assert!((children + own - energy).abs() <= 1e-12 * energy, "{}", node.scope());
        }
    }

    #[test]
    fn no_bytes_make_the_predictor_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Profile::from_bytes("noise", &bytes).is_err());
    }

    #[test]
    fn no_damage_makes_the_predictor_reader_panic(place in any::<Index>(), byte: u8) {
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let bytes = BYTES.get_or_init(|| Profile::bundled("gtx-1080-ti").unwrap().to_bytes().unwrap());
        let place = place.index(bytes.len());
        prop_assert!(Profile::from_bytes("cut", &bytes[..place]).is_err());
        let mut damaged = bytes.clone();
        damaged[place] = byte;
        if let Ok(profile) = Profile::from_bytes("damaged", &damaged) {
            let _ = profile.predictor.predict(&mut traced(&model("distilgpt2"), 8, 32));
        }
    }
}

#[test]
fn showing_the_math_level_moves_energy_and_adds_none() {
    let profile = Profile::bundled("gtx-1080-ti").unwrap();
    let mut with = model("gpt2").trace(8, 64).unwrap();
    irene_features::annotate(&mut with);
    let without = predicted(profile.predictor.as_ref(), &with.without_math());
    let with = predicted(profile.predictor.as_ref(), &with);
    let energy =
        |tree: &Tree, scope: &str| tree.node(tree.find(scope).unwrap()).get(Quantity::PredictedEnergy).unwrap();
    for scope in ["root", "root.0", "root.0.attn", "root.0.mlp"] {
        assert!((energy(&with, scope) / energy(&without, scope) - 1.0).abs() < 1e-12, "{scope}");
    }
}

#[test]
fn the_law_behind_the_data_is_found_from_specs() {
    let result = crossvalidate(data(), &Track::Specs, Protocol::LeaveSizeOut, &|| ()).unwrap();
    assert_eq!(result.folds.len(), 6);
    for level in [Level::Ml, Level::Module, Level::Model] {
        assert!(result.mean(level).unwrap() < 5.0, "{level:?}: {:?}", result.mean(level));
    }
}

#[test]
fn leaves_that_are_linear_in_a_feature_are_fitted_exactly_by_the_paper() {
    // The made-up driver energy is 0.6 of the wall's.
    let profile = train(&PaperTrainer::default());
    let mut evaluation = irene_regress::Evaluation::default();
    for tree in data() {
        evaluation.add(&predicted(profile.predictor.as_ref(), tree)).unwrap();
    }
    assert!(evaluation.mean(Level::Ml).unwrap() < 1e-6, "{:?}", evaluation.mean(Level::Ml));
    assert!(evaluation.mean(Level::Module).unwrap() < 60.0);
}

#[test]
fn a_predictor_survives_its_file() {
    for trainer in trainers() {
        let profile = train(trainer.as_ref());
        let bytes = profile.to_bytes().unwrap();
        let read = Profile::from_bytes("memory", &bytes).unwrap();
        assert_eq!(read.provenance, profile.provenance);
        assert_eq!(read.predictor.summary(), profile.predictor.summary());
        let tree = &data()[3];
        assert_eq!(predicted(read.predictor.as_ref(), tree), predicted(profile.predictor.as_ref(), tree));
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn the_same_seed_trains_the_same_predictor_and_another_does_not() {
    let bytes = |seed| train(&PaperTrainer { seed, ..PaperTrainer::default() }).to_bytes().unwrap();
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn a_newer_file_says_so() {
    let bytes = Profile::bundled("gtx-1080-ti").unwrap().to_bytes().unwrap();
    let field = br#"schema_version\":"#;
    let place = bytes.windows(field.len()).position(|window| window == field).unwrap() + field.len();
    let mut newer = bytes.clone();
    newer[place] = b'9';
    let error = Profile::from_bytes("f.safetensors", &newer).err().unwrap().to_string();
    assert!(error.starts_with("f.safetensors: written by a newer irene (schema 9, this one reads 1)"), "{error}");
    let error = Profile::from_bytes("f.safetensors", b"PK\x03\x04").err().unwrap().to_string();
    assert!(error.starts_with("f.safetensors: not a predictor file, or a damaged one"), "{error}");
}

fn with_unknown_leaf() -> Tree {
    let mut builder = TreeBuilder::new("novel", 8, 32);
    builder.enter("root", "Novel", Level::Model);
    builder.leaf("flash", "FlashAttention", Level::Ml, None);
    builder.leave();
    let mut tree = builder.finish().unwrap();
    for node in tree.nodes_mut() {
        for quantity in Quantity::all() {
            node.set(quantity, 20.0);
        }
        node.clear(Quantity::PredictedEnergy);
    }
    tree
}

#[test]
fn an_operation_that_was_never_seen_is_refused_by_the_paper_and_costed_by_ours() {
    let mut tree = with_unknown_leaf();
    let error = train(&PaperTrainer::default()).predictor.predict(&mut tree).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "novel 8x32, node `root.flash`: this predictor never saw the operation FlashAttention; it knows"
        ),
        "{error}"
    );
    let tree = predicted(Profile::bundled("gtx-1080-ti").unwrap().predictor.as_ref(), &tree);
    assert!(tree.nodes()[1].marks.contains(Mark::UnseenOperation));
    assert!(tree.root().marks.contains(Mark::UnseenOperation));
    assert!(tree.nodes()[1].get(Quantity::PredictedEnergy).unwrap() > 0.0);
}

#[test]
fn sizes_beyond_the_training_data_are_marked() {
    let profile = Profile::bundled("gtx-1080-ti").unwrap();
    let bert = model("bert-base-uncased");
    let inside = predicted(profile.predictor.as_ref(), &traced(&bert, 16, 128));
    assert!(inside.nodes().iter().all(|node| node.marks.is_empty()));
    let outside = predicted(profile.predictor.as_ref(), &traced(&bert, 64, 512));
    assert!(outside.root().marks.contains(Mark::Extrapolated));
    // By which feature, and how far: 512 tokens where 256 were the most.
    let beyond = |tree: &Tree, scope: &str| {
        let node = tree.node(tree.find(scope).unwrap());
        node.extra.as_ref().and_then(|extra| extra.get(irene_tree::Node::EXTRAPOLATED_FIELD).cloned())
    };
    let factor = beyond(&outside, "root.encoder.3.output.dense").unwrap()["seq_len"].as_f64().unwrap();
    assert!((factor - 2.0).abs() < 1e-6, "{factor}");
    assert!(beyond(&outside, "root").unwrap()["seq_len"].is_number());
    let width = |tree: &Tree| {
        let [low, high] = [Quantity::PredictedLow, Quantity::PredictedHigh].map(|end| tree.root().get(end).unwrap());
        (high / low).ln()
    };
    assert!(width(&outside) > 1.5 * width(&inside), "{} {}", width(&outside), width(&inside));
    // Another prediction takes the mark off.
    let mut again = outside.clone();
    again.clear_predictions();
    assert_eq!(beyond(&again, "root"), None);
}

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
    let error =
        tree.node(id).get(Quantity::PredictedEnergy).unwrap() / tree.node(id).get(Quantity::GroundTruthEnergy).unwrap();
    assert!((0.7..1.4).contains(&error), "{error}");
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
    let profile = Profile::bundled("gtx-1080-ti").unwrap();
    let tree = renamed(&traced(&model("bert-base-uncased"), 8, 128), 0, "Mystery");
    let tree = predicted(profile.predictor.as_ref(), &tree);
    let width = |node: &irene_tree::Node| {
        node.get(Quantity::PredictedHigh).unwrap() / node.get(Quantity::PredictedLow).unwrap()
    };
    let unknown = tree.nodes().iter().find(|node| node.is_instance_of("Mystery")).unwrap();
    let known = tree.nodes().iter().find(|node| node.is_instance_of("Linear")).unwrap();
    assert!(width(unknown) > 1.5 && width(known) < 1.1, "{} {}", width(unknown), width(known));
}

#[test]
fn one_tree_scales_a_profile_to_a_machine_far_away() {
    let slow: Vec<Tree> = data()
        .iter()
        .cloned()
        .map(|mut tree| {
            for node in tree.nodes_mut() {
                for quantity in [Quantity::Latency, Quantity::GpuEnergy, Quantity::GroundTruthEnergy] {
                    node.set(quantity, 100.0 * node.get(quantity).unwrap());
                }
            }
            tree
        })
        .collect();
    let there = train(&Track::Specs).calibrated(&slow[..1], "slow").unwrap();
    let mut evaluation = irene_regress::Evaluation::default();
    for tree in &slow {
        evaluation.add(&predicted(there.predictor.as_ref(), tree)).unwrap();
    }
    for level in [Level::Ml, Level::Module, Level::Model] {
        assert!(evaluation.mean(level).unwrap() < 10.0, "{level:?}: {:?}", evaluation.mean(level));
    }
}

#[test]
fn whole_models_are_needed_to_carry_a_profile_over() {
    let mut builder = TreeBuilder::new("leaf", 8, 32);
    let op = irene_tree::Operation::new(
        irene_tree::OpKind::Linear,
        &[[8, 32, 64].into(), [64, 64].into(), [64].into()],
        [8, 32, 64].into(),
        irene_tree::DType::F32,
    );
    builder.leaf("root", "Linear", Level::Ml, Some(op));
    let mut tree = builder.finish().unwrap();
    irene_features::annotate(&mut tree);
    for quantity in [Quantity::Latency, Quantity::GpuEnergy, Quantity::GroundTruthEnergy, Quantity::Cpu] {
        tree.node_mut(NodeId::ROOT).set(quantity, 1e-3);
    }
    for track in Track::ALL {
        let error = Profile::bundled_for("gtx-1080-ti", track).unwrap().calibrated(&[tree.clone()], "x").err();
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
        let [energy, truth] =
            [Quantity::PredictedEnergy, Quantity::GroundTruthEnergy].map(|of| tree.root().get(of).unwrap());
        assert!((energy / truth - 1.0).abs() < 0.1, "{}: {energy} {truth}", track.name());
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
    let one_size = of(&|tree| (tree.batch_size, tree.seq_len) == (8, 32));
    let error = Track::Specs.train(&one_size).err().unwrap().to_string();
    assert!(
        error.starts_with("training data: all trees are of one size, 8x32; trees of two sizes are the least"),
        "{error}"
    );
    let with = |quantity: Quantity, value: f64| -> Vec<Tree> {
        let changed = |mut tree: Tree| {
            tree.nodes_mut().iter_mut().for_each(|node| node.set(quantity, value));
            tree
        };
        data().iter().cloned().map(changed).collect()
    };
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
        let trees = with(quantity, value);
        let error = track.train(&trees.iter().collect::<Vec<_>>()).err().unwrap().to_string();
        assert!(error.contains(expected), "{}: {error}", track.name());
        assert!(!error.contains('\n'));
    }
    let calibrated = Profile::bundled("gtx-1080-ti").unwrap().calibrated(&[], "x").err().unwrap().to_string();
    assert!(calibrated.contains("one that was measured on the other machine is the least"), "{calibrated}");
}

#[test]
fn a_machine_without_a_gpu_has_laws_of_latency() {
    let trees: Vec<Tree> = data()
        .iter()
        .cloned()
        .map(|mut tree| {
            tree.nodes_mut().iter_mut().for_each(|node| node.clear(Quantity::GpuEnergy));
            tree
        })
        .collect();
    for track in Track::ALL {
        let predictor = track.train(&trees.iter().collect::<Vec<_>>()).unwrap();
        let tree = predicted(predictor.as_ref(), &trees[4]);
        assert_eq!(tree.root().get(Quantity::PredictedGpuEnergy), None);
        let [energy, truth] =
            [Quantity::PredictedEnergy, Quantity::GroundTruthEnergy].map(|of| tree.root().get(of).unwrap());
        assert!((energy / truth - 1.0).abs() < 0.1, "{}: {energy} {truth}", track.name());
    }
    // A profile with a GPU's laws is carried over without them.
    let carried = Profile::bundled("gtx-1080-ti").unwrap().calibrated(&trees[..2], "no GPU").unwrap();
    let read = Profile::from_bytes("memory", &carried.to_bytes().unwrap()).unwrap();
    let tree = predicted(read.predictor.as_ref(), &trees[4]);
    assert_eq!(tree.root().get(Quantity::PredictedGpuEnergy), None);
    assert_eq!(tree, predicted(carried.predictor.as_ref(), &trees[4]));
}

#[test]
fn what_is_missing_is_named() {
    let mut tree = data()[0].clone();
    let profile = train(&PaperTrainer::default());
    tree.node_mut(NodeId::ROOT).clear(Quantity::Cpu);
    let error = profile.predictor.predict(&mut tree).unwrap_err().to_string();
    assert!(error.ends_with("node `root`: feature `cpu` is missing"), "{error}");

    let mut unmeasured = data()[0].clone();
    let leaf = unmeasured.ids().find(|&id| unmeasured.is_leaf(id)).unwrap();
    unmeasured.node_mut(leaf).clear(Quantity::GroundTruthEnergy);
    for trainer in trainers() {
        let error = trainer.train(&[&unmeasured]).err().unwrap().to_string();
        assert!(error.contains("ground_truth_energy must be above 0, found none"), "{error}");
        assert!(trainer.train(&[]).is_err());
    }
    let specs_only = traced(&model("distilgpt2"), 8, 32);
    assert!(Track::Specs.train(&[&specs_only]).is_err());
    let one_model = &data()[..6];
    let error = crossvalidate(one_model, &Track::Specs, Protocol::LeaveModelOut, &|| ()).unwrap_err().to_string();
    assert!(error.contains("needs at least two groups, found only google/bert"), "{error}");
}

#[test]
fn predictions_are_held_against_the_truth_by_place_where_there_are_no_ids() {
    let profile = train(&PaperTrainer { features: FeatureSet::all(), ..PaperTrainer::default() });
    let predictions: Vec<Tree> = data().iter().map(|tree| predicted(profile.predictor.as_ref(), tree)).collect();
    let evaluation = evaluate(data(), &predictions).unwrap();
    assert_eq!(evaluation.by_level[&Level::Model].count(), data().len());
    assert_eq!(evaluation.by_instance_type["MatMul"].count(), 2 * evaluation.by_instance_type["Softmax"].count());
}
