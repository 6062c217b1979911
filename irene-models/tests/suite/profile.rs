//! Every node of a running model is measured in place, and what is known is not measured again.

use std::{collections::HashMap, sync::atomic::AtomicBool, time::Duration};

use candle_core::Device;
use irene_models::{
    Batch, ModelSpec, Run, Targets, TaskHead, Trainer,
    profile::{NodeFigures, ProfileError, Profiler, TrainedStep, distinct},
};
use irene_sampler::{
    Channel, Measurement, MeasuringProtocol, Metric, Resource, Sampler, SamplerOptions, Sensor, Sensors,
};
use irene_tree::{Kernels, Level, Node, Precision, Quantity, Size, Training, Tree};

use crate::support::{fixture, random};

const LEVELS: [Level; 4] = [Level::Model, Level::Module, Level::Ml, Level::Math];

type Known = HashMap<u64, Measurement>;

/// A tree, all that is known of it then, and how often a round was added.
type Profiled = (Result<Tree, ProfileError>, Known, usize);

fn found(name: &str) -> ModelSpec {
    ModelSpec::find(fixture(name).to_str().unwrap()).unwrap()
}

/// Two rounds of a few milliseconds.
fn short() -> MeasuringProtocol {
    let short = Duration::from_millis(2);
    MeasuringProtocol { probe: short, round: short, least_rounds: 2, most_rounds: 2, ..MeasuringProtocol::quick() }
}

fn profiled(run: Run, stop: bool, known: Known) -> Profiled {
    let spec = found("gpt2");
    let model = spec.build_with_head(&random(1), run.head).unwrap();
    let batch = Batch::made_up_for(&spec, model.as_ref(), run, &Device::Cpu).unwrap();
    let protocol = short();
    let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
    let (stop, precision) = (&AtomicBool::new(stop), Precision::F32);
    let profiler =
        Profiler { sampler: &sampler, protocol: &protocol, levels: &LEVELS, precision, kernels: run.kernels, stop };
    let (mut kept, mut rounds) = (HashMap::new(), 0);
    let tree = profiler.profile(&spec, model.as_ref(), &batch, known, |key, measured| {
        kept.insert(key, measured.clone());
        rounds += 1;
    });
    let distinct = distinct(&spec, run, &LEVELS).unwrap().len();
    assert!(kept.is_empty() || kept.len() == distinct, "{} of {distinct}", kept.len());
    (tree, kept, rounds)
}

fn whole() -> Run {
    Size::new(2, 6).into()
}

#[test]
fn a_step_after_a_cache_is_measured_by_either_kernels() {
    let spec = found("gpt2");
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let run = Run { kernels, head: TaskHead::Lm, ..Size::new(2, 1).after(5).into() };
        let tree = profiled(run, false, HashMap::new()).0.unwrap();
        assert_eq!((tree.size, tree.kernels), (run.size, kernels));
        let followed = spec.trace(run).unwrap();
        let scopes = |tree: &Tree| tree.nodes().iter().map(|node| node.scope().to_owned()).collect::<Vec<_>>();
        assert_eq!(scopes(&tree), scopes(&followed));
        assert!(tree.root().get(Quantity::Latency).is_some_and(|seconds| seconds > 0.0));
    }
}

#[test]
fn each_distinct_node_is_measured_and_not_again() {
    let (tree, kept, rounds) = profiled(whole(), false, HashMap::new());
    let tree = tree.unwrap();
    assert_eq!(rounds, 2 * kept.len());
    for node in tree.nodes().iter().filter(|node| node.operation.as_ref().is_none_or(|operation| !operation.on_host)) {
        assert!(node.get(Quantity::Latency).is_some_and(|seconds| seconds > 0.0), "{}", node.scope());
    }
    let is_shared = |node: &Node| node.extra.as_ref().is_some_and(|extra| extra["measurement"]["is_shared"] == true);
    // The layers of a model do the same; those after the first are not measured.
    let second = tree.find("root.1").unwrap();
    assert!(tree.subtree(second).iter().filter(|node| node.extra.is_some()).all(is_shared));
    assert!(!is_shared(tree.node(tree.find("root.0").unwrap())));

    let (again, _, rounds) = profiled(whole(), false, kept);
    assert_eq!(rounds, 0);
    assert_eq!(again.unwrap(), tree);
}

#[test]
fn a_profile_that_is_stopped_says_so() {
    assert!(matches!(profiled(whole(), true, HashMap::new()).0, Err(ProfileError::Stopped)));
}

/// Readings of a machine with a GPU.
struct Readings([Channel; 5]);

impl Sensor for Readings {
    fn channels(&self) -> &[Channel] {
        &self.0
    }

    fn sample(&mut self, readings: &mut irene_sampler::Readings<'_>) {
        for (channel, value) in [20.0, 30.0, 40.0, 50.0, 60.0].into_iter().enumerate() {
            readings.push(channel, value);
        }
    }
}

#[test]
fn each_probe_goes_into_its_own_field() {
    let channels = [
        Channel::new(Resource::Host, Metric::Utilisation),
        Channel::new(Resource::Host, Metric::Memory),
        Channel::new(Resource::Gpu(0), Metric::Utilisation),
        Channel::new(Resource::Gpu(0), Metric::Memory),
        Channel::new(Resource::Gpu(0), Metric::Power),
    ];
    let sensors = Sensors { probes: vec![Box::new(Readings(channels))], ..Sensors::default() };
    let options = SamplerOptions { period: Duration::from_millis(1), ..SamplerOptions::default() };
    let sampler = Sampler::start(sensors, options).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let protocol = MeasuringProtocol {
        least_rounds: 1,
        most_rounds: 1,
        round: Duration::from_millis(30),
        ..MeasuringProtocol::quick()
    };
    let pause = || std::thread::sleep(Duration::from_millis(30));
    let measured = protocol.measure(&sampler, &AtomicBool::new(false), pause).unwrap();
    let figures = NodeFigures::of(&measured).quantities;
    let get = |wanted| figures.iter().find(|(quantity, _)| *quantity == wanted).map(|(_, value)| *value);
    assert_eq!(get(Quantity::Cpu), Some(20.0));
    assert_eq!(get(Quantity::Mem), Some(30.0));
    assert_eq!(get(Quantity::Gpu), Some(40.0));
    assert_eq!(get(Quantity::GpuMem), Some(50.0));
    assert_eq!(get(Quantity::GpuClk), None);
    assert_eq!(get(Quantity::GroundTruthEnergy), None, "the GPU's power is not the meter here");
    // 60 W over a run of 30 ms or a little more.
    assert!(get(Quantity::GpuEnergy).is_none_or(|joules| joules > 1.0), "{figures:?}");
}

/// A step of a small BERT's training.
fn step(levels: &[Level], stop: bool, known: Known) -> Profiled {
    let spec = found("bert");
    let (head, training) = (TaskHead::Lm, Training { accumulate: 2, ..Training::default() });
    let run = Run { head, training: Some(training), ..Size::new(2, 6).into() };
    let new = || Trainer::new(&spec, &random(1), head, training, 0.0, 1).unwrap();
    let mut trainer = new();
    let batch = Batch::made_up(&spec, run.size, &Device::Cpu).unwrap();
    let targets = Targets::made_up(&batch, &spec, head, 1).unwrap();
    let protocol = short();
    let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
    let (stop, precision, kernels) = (&AtomicBool::new(stop), Precision::F32, Kernels::Eager);
    let profiler = Profiler { sampler: &sampler, protocol: &protocol, levels, precision, kernels, stop };
    let (mut kept, mut rounds) = (known.clone(), 0);
    let mut step = TrainedStep { spec: &spec, run, trainer: &mut trainer, batch: &batch, targets: &targets };
    let tree = profiler.profile_step(&mut step, known, |key, measured| {
        kept.insert(key, measured.clone());
        rounds += 1;
    });
    if tree.is_ok() {
        let distinct = distinct(&spec, run, levels).unwrap();
        assert!(distinct.iter().all(|node| kept.contains_key(&node.key)) && distinct.len() == kept.len());
        assert!(trainer.weights().map(numbers).eq(new().weights().map(numbers)), "the weights stay");
    }
    (tree, kept, rounds)
}

fn numbers((_, weight): (&str, candle_core::Tensor)) -> Vec<f32> {
    weight.flatten_all().unwrap().to_vec1().unwrap()
}

fn is_measured(node: &Node) -> bool {
    node.get(Quantity::Latency).is_some_and(|seconds| seconds > 0.0)
}

#[test]
fn a_step_of_training_is_measured_by_its_phases_and_the_nodes_of_its_forward_pass() {
    let (tree, kept, rounds) = step(&LEVELS, false, HashMap::new());
    let tree = tree.unwrap();
    tree.check().unwrap();
    assert_eq!(rounds, 2 * kept.len());
    assert_eq!(tree.training.map(|training| training.accumulate), Some(2));
    for scope in
        ["root", "root.forward", "root.backward", "root.optimizer", "root.forward.bert.encoder.1.attention.self"]
    {
        assert!(is_measured(tree.node(tree.find(scope).unwrap())), "{scope}");
    }
    for node in tree.nodes() {
        let scope = node.scope();
        let is_host = node.operation.as_ref().is_some_and(|operation| operation.on_host);
        let why = || node.extra.as_ref().unwrap()["measurement"]["not_measured"].as_str().unwrap().to_owned();
        if scope.starts_with("root.backward.") {
            assert!(!is_measured(node) && why() == "the backward pass runs as a whole", "{scope}");
        } else if scope.starts_with("root.optimizer.") {
            assert!(!is_measured(node) && why() == "the update runs as a whole", "{scope}");
        } else if scope.starts_with("root.forward.loss") {
            // The loss as a whole may be too small to be told.
            let is_difference = || node.extra.as_ref().unwrap()["measurement"]["is_difference"] == true;
            assert!(if is_measured(node) { is_difference() } else { !why().is_empty() }, "{scope}");
        } else {
            assert!(is_measured(node) || is_host, "{scope}");
        }
    }
    // Goes on from what is known.
    let (again, _, rounds) = step(&LEVELS, false, kept);
    assert_eq!((again.unwrap(), rounds), (tree, 0));
}

#[test]
fn phases_alone_are_measured_where_no_other_level_is_asked_for() {
    let (tree, kept, rounds) = step(&[Level::Model], false, HashMap::new());
    let tree = tree.unwrap();
    let measured: Vec<&str> = tree.nodes().iter().filter(|node| is_measured(node)).map(Node::scope).collect();
    assert_eq!(measured, ["root", "root.forward", "root.backward", "root.optimizer"]);
    assert_eq!((kept.len(), rounds), (4, 8));
    assert!(matches!(step(&LEVELS, true, HashMap::new()).0, Err(ProfileError::Stopped)));
}
