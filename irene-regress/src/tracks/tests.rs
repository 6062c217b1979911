use irene_models::ModelSpec;
use irene_tree::{NodeId, Quantity, Size};

use super::*;

/// Four models at nine sizes, by a law of latency and energy, with noise that alternates.
fn trees() -> Vec<Tree> {
    let names = ["google/bert_uncased_L-2_H-128_A-2", "google/bert_uncased_L-2_H-256_A-4", "distilgpt2", "openai-gpt"];
    let sizes = [(1, 32), (2, 64), (8, 32), (8, 64), (16, 32), (16, 128), (24, 96), (32, 64), (32, 128)];
    let tree = |(name, (batch, seq)): (&str, (usize, usize))| {
        let spec = ModelSpec::find(name).unwrap();
        let mut tree = spec.trace(Size::new(batch, seq)).unwrap().without_math();
        for id in tree.ids().rev() {
            let get = |quantity: Quantity| tree.node(id).get(quantity).unwrap();
            let noise = if (id.index() + batch).is_multiple_of(2) { 1.01 } else { 1.0 / 1.01 };
            let seconds = if tree.is_leaf(id) {
                1e-5 + 2e-7 * get(Quantity::Flops) + 4e-6 * get(Quantity::MovedBytes)
            } else {
                let below = tree.children(id).map(|child| tree.node(child).get(Quantity::Latency).unwrap());
                below.sum::<f64>() + 1e-6 * tree.own(id, Quantity::Kernels).unwrap()
            };
            let node = tree.node_mut(id);
            node.set(Quantity::Latency, seconds * if node.level().is_leaf() { noise } else { 1.0 });
            node.set(Quantity::GpuEnergy, 150.0 * seconds);
            node.set(Quantity::GroundTruthEnergy, 250.0 * seconds * noise);
        }
        tree
    };
    names.iter().flat_map(|name| sizes.map(|size| tree((name, size)))).collect()
}

fn predicted(predictor: &dyn Predictor, tree: &Tree) -> Vec<f64> {
    let mut tree = tree.clone();
    predictor.predict(&mut tree).unwrap();
    tree.nodes().iter().map(|node| node.get(Quantity::PredictedEnergy).unwrap()).collect()
}

#[test]
fn a_sample_chooses_the_form_and_all_trees_decide_the_constants() {
    let trees = trees();
    let all: Vec<&Tree> = trees.iter().collect();
    for track in Track::ALL {
        let whole = track.train(&all).unwrap();
        let nodes: usize = trees.iter().map(|tree| tree.nodes().len()).sum();
        let sample = Sample::of(&trees, nodes / 2).unwrap();
        assert!(!sample.is_whole && sample.trees.len() > 8);
        let sampled = track.train_plain(&sample.trees.iter().collect::<Vec<_>>(), Some(&Plain(&trees))).unwrap();
        for tree in &trees {
            for (a, b) in predicted(&*whole, tree).iter().zip(predicted(&*sampled, tree)) {
                // Which causes are in the law may differ; what they say does not.
                assert!((a / b - 1.0).abs() < 0.02, "{} {tree}: {a} {b}", track.name());
            }
        }
        let mut tree = trees[5].clone();
        sampled.predict(&mut tree).unwrap();
        assert!(tree.node(NodeId::ROOT).get(Quantity::PredictedHigh).is_some());
    }
}

#[test]
fn a_source_that_is_kept_whole_trains_what_its_trees_train() {
    let trees = trees();
    for track in Track::ALL {
        let (from_trees, from_source) = (track.train(&trees.iter().collect::<Vec<_>>()), track.train_on(&trees));
        let (from_trees, from_source) = (from_trees.unwrap(), from_source.unwrap());
        assert!(trees.iter().all(|tree| predicted(&*from_trees, tree) == predicted(&*from_source, tree)));
    }
}
