//! Predictors on trees whose energies are made by a known law: laws of prediction, files, errors.

use std::sync::OnceLock;

use irene_features::FeatureSet;
use irene_models::{Config, ModelSpec};
use irene_regress::{
    DeviceProfile, Explanation, LeaveOut, PaperTrainer, Predictor, Provenance, Result, Store, Term, Track, Trainer,
    crossvalidate, evaluate,
};
use irene_tree::{Level, Mark, NodeId, Parallel, Quantity, Size, Tree, TreeBuilder};
use proptest::{prelude::*, sample::Index};

use crate::made_up::{data, evaluated, model, predicted, traced, train, trainers};

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
        let mut tree = spec.trace(Size::new(batch, seq)).unwrap();
        if !math {
            tree = tree.without_math();
        }
        DeviceProfile::bundled("gtx-1080-ti").unwrap().predictor.predict(&mut tree).unwrap();
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
        prop_assert!(DeviceProfile::from_bytes("noise", &bytes).is_err());
    }

    #[test]
    fn no_damage_makes_the_predictor_reader_panic(place in any::<Index>(), byte: u8) {
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let bytes = BYTES.get_or_init(|| DeviceProfile::bundled("gtx-1080-ti").unwrap().to_bytes().unwrap());
        let place = place.index(bytes.len());
        prop_assert!(DeviceProfile::from_bytes("cut", &bytes[..place]).is_err());
        let mut damaged = bytes.clone();
        damaged[place] = byte;
        if let Ok(profile) = DeviceProfile::from_bytes("damaged", &damaged) {
            let _ = profile.predictor.predict(&mut traced(&model("distilgpt2"), 8, 32));
        }
    }
}

#[test]
fn the_law_behind_the_data_is_found_from_specs() {
    let result = crossvalidate(data(), &Track::Specs, LeaveOut::Size, &|| ()).unwrap();
    assert_eq!(result.folds.len(), 6);
    for level in [Level::Ml, Level::Module, Level::Model] {
        assert!(result.mean(level).unwrap() < 5.0, "{level:?}: {:?}", result.mean(level));
    }
}

#[test]
fn leaves_that_are_linear_in_a_feature_are_fitted_exactly_by_the_paper() {
    // The made-up driver energy is 0.6 of the wall's.
    let profile = train(&PaperTrainer::default());
    let evaluation = evaluated(profile.predictor.as_ref(), data());
    assert!(evaluation.mean(Level::Ml).unwrap() < 1e-6, "{:?}", evaluation.mean(Level::Ml));
    assert!(evaluation.mean(Level::Module).unwrap() < 60.0);
}

/// The tree with each child run four times by its parent, which costs nothing else.
fn repeated(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for id in tree.ids().rev() {
        if !tree.is_leaf(id) {
            let energies = tree.children(id).filter_map(|child| tree.node(child).get(Quantity::GroundTruthEnergy));
            let parts: f64 = energies.sum();
            tree.node_mut(id).set(Quantity::GroundTruthEnergy, 4.0 * parts);
        }
    }
    tree.nodes_mut()[1..].iter_mut().for_each(|node| node.set_times(4.0));
    tree
}

#[test]
fn the_paper_learns_from_nodes_that_run_several_times_as_it_predicts_them() {
    let trees: Vec<Tree> = data().iter().map(repeated).collect();
    let predictor = PaperTrainer::default().train(&trees.iter().collect::<Vec<_>>()).unwrap();
    let error = evaluated(predictor.as_ref(), &trees).mean(Level::Module).unwrap();
    assert!(error < 5.0, "{error}");
}

#[test]
fn a_predictor_survives_its_file() {
    for trainer in trainers() {
        let profile = train(trainer.as_ref());
        let bytes = profile.to_bytes().unwrap();
        let read = DeviceProfile::from_bytes("memory", &bytes).unwrap();
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
    let bytes = DeviceProfile::bundled("gtx-1080-ti").unwrap().to_bytes().unwrap();
    let field = br#"schema_version\":"#;
    let place = bytes.windows(field.len()).position(|window| window == field).unwrap() + field.len();
    let mut newer = bytes.clone();
    newer[place] = b'9';
    let error = DeviceProfile::from_bytes("f.safetensors", &newer).err().unwrap().to_string();
    assert!(error.starts_with("f.safetensors: written by a newer irene (schema 9, this one reads 1)"), "{error}");
    let error = DeviceProfile::from_bytes("f.safetensors", b"PK\x03\x04").err().unwrap().to_string();
    assert!(error.starts_with("f.safetensors: not a predictor file, or a damaged one"), "{error}");
}

fn with_unknown_leaf() -> Tree {
    let mut builder = TreeBuilder::new("novel", Size::new(8, 32));
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
    let tree = predicted(DeviceProfile::bundled("gtx-1080-ti").unwrap().predictor.as_ref(), &tree);
    assert!(tree.nodes()[1].marks.contains(Mark::UnseenOperation));
    assert!(tree.root().marks.contains(Mark::UnseenOperation));
    assert!(tree.nodes()[1].get(Quantity::PredictedEnergy).unwrap() > 0.0);
}

#[test]
fn sizes_beyond_the_training_data_are_marked() {
    let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
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
fn what_is_missing_is_named() {
    let mut tree = data()[0].clone();
    let profile = train(&PaperTrainer::default());
    tree.node_mut(NodeId::ROOT).clear(Quantity::Cpu);
    let error = profile.predictor.predict(&mut tree).unwrap_err().to_string();
    assert!(error.ends_with("node `root`: feature `cpu` is missing"), "{error}");

    let mut zero = data()[0].clone();
    let leaf = zero.ids().find(|&id| zero.is_leaf(id)).unwrap();
    zero.node_mut(leaf).set(Quantity::GroundTruthEnergy, 0.0);
    for trainer in trainers() {
        let error = trainer.train(&[&zero]).err().unwrap().to_string();
        assert!(error.contains("ground_truth_energy must be above 0, found 0"), "{error}");
        assert!(trainer.train(&[]).is_err());
    }
    let specs_only = traced(&model("distilgpt2"), 8, 32);
    assert!(Track::Specs.train(&[&specs_only]).is_err());
    let one_model = &data()[..6];
    let error = crossvalidate(one_model, &Track::Specs, LeaveOut::Model, &|| ()).unwrap_err().to_string();
    assert!(error.contains("needs at least two groups, found only google/bert"), "{error}");
}

/// Their energies are sums over the GPUs, which a prediction multiplies one GPU's by.
#[test]
fn runs_on_several_gpus_are_not_learned_from() {
    let profile = train(&Track::Specs);
    let mut spread = data().to_vec();
    spread[4].parallel = Parallel { tensor: 4, ..Parallel::default() };
    let refused = format!("training data: {} ran on 4 GPUs, and predictors learn from runs on one", spread[4]);
    for trainer in trainers() {
        let of_trees = trainer.train(&spread.iter().collect::<Vec<_>>()).err().unwrap().to_string();
        let of_source = trainer.train_on(&spread).err().unwrap().to_string();
        assert!(of_trees.starts_with(&refused) && of_source.starts_with(&refused), "{of_trees} {of_source}");
    }
    let error = profile.calibrated(&spread[4..5], "elsewhere").err().unwrap().to_string();
    assert!(error.starts_with(&refused), "{error}");
}

#[test]
fn predictions_are_held_against_the_truth_by_place_where_there_are_no_ids() {
    let profile = train(&PaperTrainer { features: FeatureSet::all(), ..PaperTrainer::default() });
    let predictions: Vec<Tree> = data().iter().map(|tree| predicted(profile.predictor.as_ref(), tree)).collect();
    let evaluation = evaluate(data(), &predictions).unwrap();
    assert_eq!(evaluation.by_level[&Level::Model].count(), data().len());
    assert_eq!(evaluation.by_instance_type["MatMul"].count(), 2 * evaluation.by_instance_type["Softmax"].count());
}

/// A method of somebody else's: so many joules a parameter, whatever the level, and one figure of one node without an end.
struct ByParameters {
    joules: f64,
    endless: Option<Quantity>,
}

impl Predictor for ByParameters {
    fn method(&self) -> &'static str {
        "by-parameters"
    }

    fn summary(&self) -> String {
        "joules a parameter".into()
    }

    fn predict(&self, tree: &mut Tree) -> Result<()> {
        for node in tree.nodes_mut() {
            let parameters = node.get(Quantity::NumParameters).unwrap_or(0.0);
            node.set(Quantity::PredictedEnergy, self.joules * parameters);
            if let Some(figure) = self.endless.filter(|_| node.scope() == "root.pooler") {
                node.set(figure, f64::INFINITY);
            }
        }
        Ok(())
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        let parameters = tree.node(id).get(Quantity::NumParameters).unwrap_or(0.0);
        let term = Term::new("parameters", parameters, "parameter", self.joules);
        Ok(Explanation { energy: vec![term], latency: Vec::new() })
    }

    fn write(&self, store: &mut Store) {
        store.set("per", "parameter");
        store.set("method", "another");
        store.put("joules", &[self.joules]);
    }
}

impl ByParameters {
    fn profile(joules: f64, endless: Option<Quantity>) -> DeviceProfile {
        let predictor = Box::new(Self { joules, endless });
        DeviceProfile { predictor, provenance: Provenance::new("made up", data()) }
    }

    fn read(store: &Store) -> Result<Box<dyn Predictor>> {
        match store.get("per")? {
            "parameter" => Ok(Box::new(Self { joules: store.take("joules", 1)?[0], endless: None })),
            other => Err(store.error(format!("joules a {other} are not known here"))),
        }
    }
}

#[test]
fn a_method_from_outside_is_saved_and_read_by_its_own_reader() {
    let profile = ByParameters::profile(2e-9, None);
    let bytes = profile.to_bytes().unwrap();
    let unknown = DeviceProfile::from_bytes("memory", &bytes).err().unwrap().to_string();
    assert_eq!(unknown, "memory: method `by-parameters` is not known to this irene");
    let read = DeviceProfile::from_bytes_with("memory", &bytes, &[("by-parameters", ByParameters::read)]).unwrap();
    assert_eq!(read.provenance, profile.provenance);
    let mut tree = data()[0].clone();
    let (id, explanation) = read.explain(&mut tree, "root.pooler.dense").unwrap();
    let predicted = tree.node(id).get(Quantity::PredictedEnergy).unwrap();
    assert_eq!(predicted, 2e-9 * tree.node(id).get(Quantity::NumParameters).unwrap());
    assert_eq!(explanation.energy[0].value(), predicted);
    // Files of this crate's methods are read as ever, whatever readers there are.
    let own = DeviceProfile::bundled("gtx-1080-ti").unwrap().to_bytes().unwrap();
    let read = DeviceProfile::from_bytes_with("memory", &own, &[("specs", ByParameters::read)]).unwrap();
    assert_eq!(read.to_bytes().unwrap(), own);
}

#[test]
fn a_method_from_outside_leaves_nothing_of_another_profile() {
    let profile = ByParameters::profile(2e-9, None);
    let mut fresh = data()[0].clone();
    let mut tree = fresh.clone();
    DeviceProfile::bundled("gtx-1080-ti").unwrap().predict(&mut tree).unwrap();
    assert!(tree.root().get(Quantity::PredictedLow).is_some());
    profile.predict(&mut tree).unwrap();
    profile.predict(&mut fresh).unwrap();
    assert_eq!(tree, fresh);
}

#[test]
fn a_method_that_has_nothing_to_carry_over_says_so() {
    let profile = ByParameters::profile(1.0, None);
    let error = profile.calibrated(&data()[..1], "elsewhere").err().unwrap().to_string();
    let expected = "training data: a predictor of method by-parameters has nothing to carry over to another machine";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_figure_without_an_end_is_refused_whichever_it_is() {
    let figures =
        [Quantity::PredictedEnergy, Quantity::PredictedLatency, Quantity::PredictedPower, Quantity::PredictedGpuEnergy];
    for figure in figures {
        let profile = ByParameters::profile(1.0, Some(figure));
        let error = profile.predict(&mut data()[0].clone()).unwrap_err().to_string();
        assert!(error.contains("node `root.pooler`: its prediction is not finite"), "{error}");
    }
}
