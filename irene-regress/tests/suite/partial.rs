//! Training on trees of which only some nodes, or some figures, were measured.

use irene_features::FeatureSet;
use irene_regress::{
    Ablation, DeviceProfile, Error, LeaveOut, PaperTrainer, Strategy, Track, Trainer, Tried, crossvalidate,
};
use irene_tree::{Level, Quantity, Tree};

use crate::made_up::{data, trained_on, trainers};

/// The data without a figure of some nodes.
fn without(quantities: &[Quantity], of: impl Fn(usize, &irene_tree::Node) -> bool) -> Vec<Tree> {
    let mut trees = data().to_vec();
    for node in trees.iter_mut().flat_map(|tree| tree.nodes_mut().iter_mut().enumerate()) {
        if of(node.0, node.1) {
            quantities.iter().for_each(|&quantity| node.1.clear(quantity));
        }
    }
    trees
}

#[test]
fn nodes_without_an_energy_are_not_learned_from() {
    // One layer of each model, and every seventh node.
    let part = without(&[Quantity::GroundTruthEnergy], |place, node| place % 7 == 3 || node.scope().contains(".1."));
    for trainer in trainers() {
        let [whole, part] =
            [data(), &part].map(|trees| crossvalidate(trees, trainer.as_ref(), LeaveOut::Size, &|| ()).unwrap());
        assert!(part.count(Level::Ml) < whole.count(Level::Ml));
        let [whole, part] = [whole, part].map(|errors| errors.mean(Level::Ml).unwrap());
        assert!(part < 2.0 * whole + 1.0, "{}: {whole}% became {part}%", trainer.method());
    }
}

#[test]
fn without_any_energy_or_latency_the_error_names_what_is_missing() {
    let train = |trainer: &dyn Trainer, trees: &[Tree]| trainer.train(&trees.iter().collect::<Vec<_>>()).err().unwrap();
    let (no_energy, no_latency) =
        (without(&[Quantity::GroundTruthEnergy], |_, _| true), without(&[Quantity::Latency], |_, _| true));
    for track in Track::ALL {
        for (trees, feature) in [(&no_energy, "ground_truth_energy"), (&no_latency, "times_mean")] {
            let error = train(&track, trees);
            assert!(matches!(&error, Error::MissingFeature(missing) if missing.feature == feature), "{error}");
        }
    }
    let error = train(&PaperTrainer::default(), &no_energy).to_string();
    assert!(
        error.contains("no primitive has an energy, and sums begin there; the strategy unstructured learns"),
        "{error}"
    );
    let no_modules = without(&[Quantity::GroundTruthEnergy], |_, node| !node.level().is_leaf());
    let error = train(&Track::Specs, &no_modules).to_string();
    assert!(error.contains("no module was measured together with all primitives below it"), "{error}");
}

#[test]
fn a_primitive_that_nobody_measured_counts_as_0_in_the_papers_sums_and_the_predictor_says_so() {
    let is_in_code = |node: &irene_tree::Node| node.is_instance_of("Softmax") || node.is_instance_of("MatMul");
    let trees = without(&[Quantity::GroundTruthEnergy], |_, node| is_in_code(node));
    for strategy in Strategy::ALL {
        let profile = trained_on(&trees, &PaperTrainer { strategy, ..PaperTrainer::default() });
        assert!(profile.predictor.summary().ends_with("; nothing was measured of matmul, softmax, which count as 0"));
        let read = DeviceProfile::from_bytes("memory", &profile.to_bytes().unwrap()).unwrap();
        let mut tree = data()[0].clone();
        read.predict(&mut tree).unwrap();
        for node in tree.nodes() {
            assert_eq!(node.get(Quantity::PredictedEnergy).is_none(), is_in_code(node), "{}", node.scope());
        }
        let (_, explanation) = read.explain(&mut tree, "root.encoder.0.attention.self.softmax").unwrap();
        assert!(explanation.energy.is_empty());
    }
}

#[test]
fn the_papers_predictor_does_without_the_features_that_some_node_lacks() {
    let trees = without(&[Quantity::Cpu, Quantity::GpuClk], |place, _| place == 5);
    let (trainer, missing) = PaperTrainer::default().with_features_of(&trees).unwrap();
    assert_eq!(missing.iter().map(|feature| feature.name()).collect::<Vec<_>>(), ["cpu", "gpu_clk"]);
    assert_eq!((trainer.features.len(), trainer.features.has_resources()), (12, true));
    assert!(crossvalidate(&trees, &trainer, LeaveOut::Model, &|| ()).is_ok());

    let resources = [
        Quantity::Cpu,
        Quantity::Mem,
        Quantity::Gpu,
        Quantity::GpuMem,
        Quantity::GpuClk,
        Quantity::GpuMemClk,
        Quantity::Latency,
        Quantity::GpuEnergy,
    ];
    let specs = without(&resources, |_, _| true);
    let (trainer, missing) = PaperTrainer::default().with_features_of(&specs).unwrap();
    assert_eq!((trainer.features, missing.len()), (FeatureSet::specs(), 8));
    let tried = Tried::new(Ablation::End2End, &specs, 1, &|| ()).unwrap();
    assert_eq!(tried.missing.len(), 8);
    let error = Tried::new(Ablation::ResourcesOnly, &specs, 1, &|| ()).unwrap_err();
    assert!(matches!(error, Error::MissingFeature(_)), "{error}");
}
