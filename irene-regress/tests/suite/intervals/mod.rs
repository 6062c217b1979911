//! The promises of intervals: parents and children do not contradict each other, noisy measurements widen them, and they say what predictions
//! rest on.

mod coherence;
mod noise;

use irene_models::{Config, ModelSpec, Run};
use irene_regress::{DeviceProfile, Track};
use irene_tree::{Format, Level, Mark, Node, OpKind, Operand, Operation, Quantity, Size, Tree, TreeBuilder};
use serde_json::json;

use crate::made_up::{data, measured, model, predicted, train, trained_on};

/// Energy, and how far it may be off below and above, J.
fn off(node: &Node) -> [f64; 3] {
    let get = |quantity| node.get(quantity).unwrap();
    let energy = get(Quantity::PredictedEnergy);
    [energy, energy - get(Quantity::PredictedLow), get(Quantity::PredictedHigh) - energy]
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
        &include_bytes!("../../fixtures/older.primitives.safetensors")[..],
        &include_bytes!("../../fixtures/older.measured.safetensors")[..],
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
    }
}
