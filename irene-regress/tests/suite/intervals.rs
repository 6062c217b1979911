//! What intervals promise: parents and children do not contradict each other, noisy measurements widen them, and what predictions rest on is
//! said.

use std::{collections::HashMap, sync::OnceLock};

use irene_models::{Config, ModelSpec, Run};
use irene_regress::{DeviceProfile, Evaluation, LeaveOut, Track, crossvalidate};
use irene_tree::{Format, Level, Mark, Node, NodeId, OpKind, Operand, Operation, Quantity, Size, Tree, TreeBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::made_up::{data, measured, model, predicted, train, trained_on};

fn profiles() -> &'static [DeviceProfile] {
    static PROFILES: OnceLock<Vec<DeviceProfile>> = OnceLock::new();
    PROFILES.get_or_init(|| {
        let bundled = DeviceProfile::bundled_names().map(|name| DeviceProfile::bundled(name).unwrap());
        bundled.chain([train(&Track::Specs)]).collect()
    })
}

/// Energy, and how far it may be off below and above, J.
fn off(node: &Node) -> [f64; 3] {
    let get = |quantity| node.get(quantity).unwrap();
    let energy = get(Quantity::PredictedEnergy);
    [energy, energy - get(Quantity::PredictedLow), get(Quantity::PredictedHigh) - energy]
}

/// A parent's energy may be off by what each of its children may be, equal ones together, and reaches up to them; where one child is
/// nearly all of it, its interval says the same of it as that of the child.
fn is_coherent(tree: &Tree) -> Result<(), TestCaseError> {
    for parent in tree.ids().filter(|&id| !tree.is_leaf(id)) {
        let [energy, below, above] = off(tree.node(parent));
        let slack = 1e-9 * (energy + above);
        let mut alike: HashMap<[u64; 3], f64> = HashMap::new();
        let runs_operations = tree.children(parent).any(|child| tree.node(child).level() == Level::Math);
        for child in tree.children(parent) {
            *alike.entry(off(tree.node(child)).map(f64::to_bits)).or_default() += tree.node(child).times();
        }
        for (figures, times) in alike {
            let [of_child, down, up] = figures.map(f64::from_bits).map(|figure| times * figure);
            let what = format!(
                "{tree} {}: {energy} -{below} +{above} J, child {of_child} -{down} +{up} J",
                tree.node(parent).scope()
            );
            prop_assert!(below + slack >= down.min(energy) && above + slack >= up, "{what}");
            prop_assert!(energy + above + slack >= of_child + up, "{what}");
            let rest = 1.0 - of_child / energy;
            // Modules that run operations themselves are measured alone, and wait then for what the operations in them do not.
            if rest < 0.01 && !runs_operations {
                prop_assert!(above / energy <= up / of_child + 4.0 * rest + 1e-9, "{what}");
                prop_assert!(below / energy <= down / of_child + 4.0 * rest + 1e-9, "{what}");
            }
        }
    }
    Ok(())
}

/// A GPT or a BERT of any size, most of them far outside what the profiles know.
fn any_spec() -> impl proptest::strategy::Strategy<Value = ModelSpec> {
    (any::<bool>(), 1..40usize, 1..5usize, prop::sample::select(vec![32usize, 256, 1024]), 32..9000usize).prop_map(
        |(bert, layers, heads, width, inner)| {
            let hidden = heads * width;
            let config = if bert {
                json!({"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                    "intermediate_size": inner, "vocab_size": 30_000, "max_position_embeddings": 4096})
            } else {
                json!({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads, "n_inner": inner,
                    "vocab_size": 50_000, "n_positions": 4096})
            };
            ModelSpec::from_config("any", Config::from_json("any", config.to_string().as_bytes()).unwrap()).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn intervals_of_parents_and_children_agree(
        spec in any_spec(), batch in 1..65usize, len in 1..1024usize, generate in prop::sample::select(vec![0usize, 0, 5, 300]),
        shows_math in any::<bool>(),
    ) {
        let size = Size::new(batch, len);
        let run = Run { generate, shows_math, ..size.into() };
        let tree = spec.trace(run).or_else(|_| spec.trace(Run { shows_math, ..size.into() })).unwrap();
        for profile in profiles() {
            let mut tree = tree.clone();
            profile.predict(&mut tree).unwrap();
            is_coherent(&tree)?;
            // Also as it is printed, with equal layers as one node.
            is_coherent(&tree.layers_folded())?;
        }
    }

    #[test]
    fn measured_nodes_agree_with_their_parents_even_where_the_parts_exceed_the_whole(
        place in 0..24usize, factor in 0.7..1.3f64,
    ) {
        for track in [Track::Measured, Track::Primitives] {
            let profile = train(&track);
            let mut tree = data()[place].clone();
            for quantity in [Quantity::Latency, Quantity::GpuEnergy] {
                let value = tree.root().get(quantity).unwrap();
                tree.node_mut(NodeId::ROOT).set(quantity, factor * value);
            }
            let tree = predicted(profile.predictor.as_ref(), &tree);
            for id in tree.ids().skip(1) {
                let ([parent, below, above], [child, down, up]) = (off(tree.node(tree.parent(id).unwrap())), off(tree.node(id)));
                prop_assert!(above + 1e-9 >= up && parent + above + 1e-9 >= child + up && below + 1e-9 >= down.min(parent));
            }
        }
    }
}

#[test]
fn an_interval_does_not_depend_on_whether_operations_are_shown() {
    for profile in profiles() {
        for (name, size) in [("bert-base-uncased", Size::new(8, 128)), ("gpt2", Size::new(2, 64))] {
            let mut shown = model(name).trace(size).unwrap();
            let mut plain = shown.without_math();
            profile.predict(&mut shown).unwrap();
            profile.predict(&mut plain).unwrap();
            for node in plain.nodes() {
                let other = off(shown.node(shown.find(node.scope()).unwrap()));
                for (one, other) in off(node).into_iter().zip(other) {
                    assert!((one - other).abs() <= 1e-6 * one.abs(), "{name} {}: {one} J, {other} J", node.scope());
                }
            }
        }
    }
}

fn width(node: &Node) -> f64 {
    let [energy, _, above] = off(node);
    above / energy
}

/// A model of eight billion parameters, whose layers are far outside the training range.
#[test]
fn the_whole_is_as_uncertain_as_its_extrapolated_layers_and_each_says_why() {
    let config = json!({"model_type": "gpt2", "n_embd": 4096, "n_layer": 36, "n_head": 32, "n_inner": 16384, "vocab_size": 50_257,
        "n_positions": 4096});
    let spec = ModelSpec::from_config("8b", Config::from_json("8b", config.to_string().as_bytes()).unwrap()).unwrap();
    for run in [Run::from(Size::new(4, 2048)), Run { generate: 200, ..Size::new(4, 1024).into() }] {
        let mut tree = spec.trace(run).unwrap();
        DeviceProfile::bundled("gtx-1080-ti").unwrap().predict(&mut tree).unwrap();
        let heaviest = |level: Level| {
            let nodes = tree.nodes().iter().filter(|node| node.level() == level && node.depth() > 0);
            nodes.max_by(|a, b| off(a)[0].total_cmp(&off(b)[0])).unwrap()
        };
        let (root, layer) = (width(tree.root()), width(heaviest(Level::Module)));
        assert!(root > 0.2 && root > 0.7 * layer, "{tree}: {root} {layer}");
        let (name, factor) = heaviest(Level::Ml).extrapolated()[0];
        assert!(factor > 5.0 && !name.is_empty(), "{name} {factor}");
        assert!(heaviest(Level::Ml).marks.contains(Mark::Extrapolated));
        let table = irene_tree::render::Table::new(
            &tree,
            &irene_tree::render::TableOptions {
                columns: vec![irene_tree::render::Column::Marks],
                max_depth: usize::MAX,
            },
        );
        assert!(table.to_string().contains("extrapolated: "), "{table}");
        let notes = tree.extra["predictor"]["notes"].to_string();
        assert!(
            notes.contains("does not fit the device's memory") && notes.contains("the device has 11 GiB"),
            "{notes}"
        );
    }
}

#[test]
fn a_model_that_fits_is_not_said_not_to() {
    let tree = |wide: usize| {
        let mut builder = TreeBuilder::new("wide", Size::new(1, 8));
        builder.enter("root", "Wide", Level::Model);
        let x = Operand::activation([1, 8, wide], Format::F32);
        let operation = Operation::new(OpKind::Linear, &[x, Operand::parameter([wide, wide], Format::F32)], x);
        builder.leaf("dense", "Linear", Level::Ml, Some(operation));
        builder.leave();
        let mut tree = builder.finish().unwrap();
        irene_features::annotate(&mut tree);
        tree
    };
    let card = DeviceProfile::bundled("gtx-1070").unwrap();
    assert_eq!(card.provenance.memory_gib, Some(8.0));
    assert!(card.notes(&tree(40_000)).is_empty());
    // 9.3 GiB of weights.
    let notes = card.notes(&tree(50_000));
    assert!(notes[0].contains("weights 9.31 GiB") && notes[0].contains("the device has 8"), "{notes:?}");
    assert!(DeviceProfile::bundled("gtx-1080-ti").unwrap().notes(&tree(50_000)).is_empty());
}

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
        for quantity in [Quantity::Latency, Quantity::GpuEnergy] {
            node.set(quantity, 3.0 * node.get(quantity).unwrap());
        }
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

#[test]
fn the_intervals_of_a_calibration_on_one_noisy_tree_hold() {
    let here = train(&Track::Specs);
    let truth: Vec<Tree> = data().iter().map(|tree| without_measurement(noisy(tree, 0.0, 0))).collect();
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
    let good: Vec<Tree> = data()[..6].iter().map(|tree| without_measurement(noisy(tree, 0.0, 0))).collect();
    let noise: Vec<Tree> = data()[6..12].iter().map(|tree| noisy(tree, 0.7, 9)).collect();
    let error = |trees: &[Tree]| {
        let profile = here.calibrated(trees, "x").unwrap();
        let mut evaluation = Evaluation::default();
        for tree in &data()[12..] {
            evaluation.add(&predicted(profile.predictor.as_ref(), &without_measurement(noisy(tree, 0.0, 0)))).unwrap();
        }
        evaluation.mean(Level::Model).unwrap()
    };
    let both = [good.clone(), noise.clone()].concat();
    let blind: Vec<Tree> = both.iter().cloned().map(without_measurement).collect();
    let [alone, weighted, blind] = [error(&good), error(&both), error(&blind)];
    assert!(weighted < 0.5 * blind && weighted < alone + 3.0, "{alone} {weighted} {blind}");
}

#[test]
fn where_too_little_could_be_left_out_for_an_interval_a_note_says_so() {
    let few = &data()[..2];
    let profile = trained_on(few, &Track::Specs);
    let mut tree = data()[2].clone();
    profile.predict(&mut tree).unwrap();
    assert_eq!(tree.root().get(Quantity::PredictedLow), None);
    assert!(tree.extra["predictor"]["notes"].to_string().contains("irene calibrate"), "{}", tree.extra["predictor"]);
    let mut tree = data()[2].clone();
    train(&Track::Specs).predict(&mut tree).unwrap();
    assert_eq!(tree.extra["predictor"].get("notes"), None);
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
        for quantity in [Quantity::GroundTruthEnergy, Quantity::GpuEnergy, Quantity::Latency] {
            node.set(quantity, factor * node.get(quantity).unwrap());
        }
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
        for node in tree.nodes_mut().iter_mut().filter(|node| !node.level().is_leaf()) {
            for quantity in [Quantity::GroundTruthEnergy, Quantity::GpuEnergy, Quantity::Latency] {
                node.set(quantity, 0.75 * node.get(quantity).unwrap());
            }
        }
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

fn estimated(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for node in tree.nodes_mut() {
        node.extra.get_or_insert_default().insert(
            Node::MEASUREMENT_FIELD.into(),
            json!({"energy_provenance": "estimated", "rounds": 3, "energy_half_width": 0.0}),
        );
    }
    tree
}

#[test]
fn what_rests_on_estimates_says_so_through_training_calibration_and_files() {
    let trees: Vec<Tree> = data().iter().map(estimated).collect();
    let trained = trained_on(&trees, &Track::Specs);
    let of_estimates = DeviceProfile::bundled("gtx-1080-ti").unwrap().calibrated(&trees[..1], "x").unwrap();
    let from_estimates = trained.calibrated(&data()[..1], "y").unwrap();
    for profile in [trained, of_estimates, from_estimates] {
        let read = DeviceProfile::from_bytes("memory", &profile.to_bytes().unwrap()).unwrap();
        assert!(read.provenance.estimated);
        let mut tree = data()[3].clone();
        read.predict(&mut tree).unwrap();
        assert_eq!(tree.extra["predictor"]["provenance"], "predicted from estimated energies");
        assert_eq!(tree.extra["predictor"]["trained_on"]["estimated"], true);
        assert!(read.notes(&tree)[0].contains("estimates"));
    }
    let mut tree = data()[3].clone();
    train(&Track::Specs).predict(&mut tree).unwrap();
    assert_eq!(tree.extra["predictor"]["provenance"], "predicted");
    assert_eq!(tree.extra["predictor"].get("notes"), None);
}

#[test]
fn a_calibration_knows_the_sizes_of_both_machines_and_says_them() {
    let before = DeviceProfile::bundled("gtx-1080-ti").unwrap();
    let few = [measured(&model("distilgpt2"), 2, 700)];
    let there = before.calibrated(&few, "there").unwrap();
    let (old, new) = (before.provenance.sizes.unwrap(), there.provenance.sizes.unwrap());
    assert_eq!((new.sequences, new.new), ([2, old.sequences[1]], [old.new[0], 700]));
    let text = &there.provenance.training_data;
    assert!(
        text.starts_with("1 tree: distilgpt2 (1); batch 2 to 2, sequence 700 to 700")
            && text.contains(&old.to_string()),
        "{text}"
    );
    // Neither its own sizes nor those of the first machine are outside.
    for (name, batch, len) in [("distilgpt2", 2, 700), ("bert-base-uncased", 16, 128)] {
        let mut tree = crate::made_up::traced(&model(name), batch, len);
        there.predict(&mut tree).unwrap();
        let outside = tree.nodes().iter().find(|node| node.marks.contains(Mark::Extrapolated));
        assert!(outside.is_none(), "{name} {:?}", outside.map(|node| (node.scope(), node.extrapolated())));
    }
}

/// Files of before intervals were composed.
#[test]
fn older_files_are_read() {
    for bytes in [
        &include_bytes!("../fixtures/older.primitives.safetensors")[..],
        &include_bytes!("../fixtures/older.measured.safetensors")[..],
    ] {
        let profile = DeviceProfile::from_bytes("older", bytes).unwrap();
        let provenance = &profile.provenance;
        assert!(!provenance.estimated && provenance.uncertainty.is_none() && provenance.memory_gib.is_none());
        let mut tree = measured(&model("bert-base-uncased"), 16, 128);
        profile.predict(&mut tree).unwrap();
        let share = width(tree.root());
        assert!((0.005..0.2).contains(&share), "{share}");
        let again = DeviceProfile::from_bytes("again", &profile.to_bytes().unwrap()).unwrap();
        assert_eq!(predicted(again.predictor.as_ref(), &tree), predicted(profile.predictor.as_ref(), &tree));
        assert!(!tree.extra["predictor"]["trained_on"].as_object().is_some_and(|of| of.contains_key("memory_gib")));
        let _: &Value = &tree.extra["predictor"];
    }
}
