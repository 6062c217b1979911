//! Trees whose energies are made by a known law.
#![allow(dead_code)] // each test takes what it needs

use std::sync::OnceLock;

use irene_models::ModelSpec;
use irene_regress::{DeviceProfile, Evaluation, PaperTrainer, Predictor, Provenance, Strategy as Rule, Track, Trainer};
use irene_tree::{Node, Quantity, Size, Tree};

pub(crate) fn traced(spec: &ModelSpec, batch_size: usize, seq_len: usize) -> Tree {
    let tree = spec.trace(Size::new(batch_size, seq_len)).unwrap();
    tree.without_math()
}

/// A measured tree by a law of our own: a launch or the work, whichever takes longer; modules add their own part.
pub(crate) fn measured(spec: &ModelSpec, batch_size: usize, seq_len: usize) -> Tree {
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

pub(crate) fn model(name: &str) -> ModelSpec {
    ModelSpec::find(name).unwrap()
}

/// Four models at six sizes.
pub(crate) fn data() -> &'static [Tree] {
    static DATA: OnceLock<Vec<Tree>> = OnceLock::new();
    DATA.get_or_init(|| {
        let names =
            ["google/bert_uncased_L-2_H-128_A-2", "google/bert_uncased_L-2_H-256_A-4", "distilgpt2", "openai-gpt"];
        let sizes = [(8, 32), (8, 64), (16, 32), (16, 128), (24, 96), (32, 64)];
        names.iter().flat_map(|name| sizes.map(|(batch, seq)| measured(&model(name), batch, seq))).collect()
    })
}

pub(crate) fn train(trainer: &dyn Trainer) -> DeviceProfile {
    trained_on(data(), trainer)
}

pub(crate) fn trained_on(trees: &[Tree], trainer: &dyn Trainer) -> DeviceProfile {
    let predictor = trainer.train(&trees.iter().collect::<Vec<_>>()).unwrap();
    DeviceProfile { predictor, provenance: Provenance::new("made up", trees) }
}

pub(crate) fn trainers() -> Vec<Box<dyn Trainer>> {
    let paper = |strategy: Rule| Box::new(PaperTrainer { strategy, ..PaperTrainer::default() }) as Box<dyn Trainer>;
    let mut trainers: Vec<Box<dyn Trainer>> = Rule::ALL.into_iter().map(paper).collect();
    trainers.extend(Track::ALL.map(|track| Box::new(track) as Box<dyn Trainer>));
    trainers
}

pub(crate) fn predicted(predictor: &dyn Predictor, tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    predictor.predict(&mut tree).unwrap();
    tree
}

/// The errors of a predictor on trees.
pub(crate) fn evaluated(predictor: &dyn Predictor, trees: &[Tree]) -> Evaluation {
    let mut evaluation = Evaluation::default();
    trees.iter().for_each(|tree| evaluation.add(&predicted(predictor, tree)).unwrap());
    evaluation
}

/// The energy that is predicted of a node over the one that was measured.
pub(crate) fn ratio(node: &Node) -> f64 {
    node.get(Quantity::PredictedEnergy).unwrap() / node.get(Quantity::GroundTruthEnergy).unwrap()
}

/// The made-up trees with each node changed.
pub(crate) fn changed(change: impl Fn(&mut Node)) -> Vec<Tree> {
    let mut trees = data().to_vec();
    trees.iter_mut().for_each(|tree| tree.nodes_mut().iter_mut().for_each(&change));
    trees
}

/// Multiplies all that was measured of a node's cost.
pub(crate) fn scale(node: &mut Node, factor: f64) {
    for quantity in [Quantity::Latency, Quantity::GpuEnergy, Quantity::GroundTruthEnergy] {
        node.set(quantity, factor * node.get(quantity).unwrap());
    }
}
