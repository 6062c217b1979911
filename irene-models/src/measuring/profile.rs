//! Measuring every node of a model that runs on this machine.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::AtomicBool,
};

use irene_sampler::{Mean, MeasureError, Measurement, MeasuringProtocol, Metric, Provenance, Resource, Sampler};
use irene_tree::{Kernels, Level, Node, Precision, Quantity, Tree};
use serde::Serialize;
use serde_json::Value;

use super::training;
pub use super::training::TrainedStep;
use super::visitor::{MeasuredNode, MeasuringVisitor, ToMeasure};
use crate::{Batch, Cx, Error, Model, ModelSpec, Result, Run, TreeVisitor};

/// How nodes are measured.
#[derive(Debug)]
pub struct Profiler<'a> {
    /// Reads the probes, and the meter if there is one.
    pub sampler: &'a Sampler,
    /// How each node is measured.
    pub protocol: &'a MeasuringProtocol,
    /// The levels whose nodes are measured.
    pub levels: &'a [Level],
    /// The number formats of the model, for its tree.
    pub precision: Precision,
    /// How operations become kernels.
    pub kernels: Kernels,
    /// Ends the profile when it becomes true.
    pub stop: &'a AtomicBool,
}

/// The measured figures of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFigures {
    /// The values of the node's fields.
    pub quantities: Vec<(Quantity, f64)>,
    /// How they were measured.
    pub basis: MeasurementBasis,
}

/// How the figures of a node were measured: its [`MEASUREMENT_FIELD`](irene_tree::Node::MEASUREMENT_FIELD) in the interchange format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasurementBasis {
    /// Half the 95% confidence interval of the latency, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_half_width: Option<f64>,
    /// Half the 95% confidence interval of the energy, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_half_width: Option<f64>,
    /// Where the energy comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_provenance: Option<Provenance>,
    /// Why there is no energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_energy: Option<String>,
    /// Idle power before the first round, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
    /// The number of rounds.
    pub rounds: usize,
    /// Runs in a round.
    pub repeats: u32,
    /// Whether the intervals are as narrow as the protocol asks.
    pub reached_target: bool,
    /// Whether power was near idle power before every round, where it could be read.
    pub settled: bool,
    /// Whether the figures are those of a node with this one less those of a node without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_difference: bool,
}

/// A key in the measurement of a node: whether its figures are those of another node that does the same.
const SHARED_FIELD: &str = "is_shared";

impl NodeFigures {
    /// The figures of a measurement, without those that were not read.
    pub fn of(measurement: &Measurement) -> Self {
        let mut quantities = vec![(Quantity::Latency, measurement.latency.mean)];
        quantities.extend(measurement.energy.map(|energy| (Quantity::GroundTruthEnergy, energy.mean)));
        let probes = [
            (Quantity::Cpu, false, Metric::Utilisation),
            (Quantity::Mem, false, Metric::Memory),
            (Quantity::Gpu, true, Metric::Utilisation),
            (Quantity::GpuMem, true, Metric::Memory),
            (Quantity::GpuClk, true, Metric::CoreClock),
            (Quantity::GpuMemClk, true, Metric::MemoryClock),
        ];
        for (quantity, is_gpu, metric) in probes {
            let figures = measurement.channels.iter().filter(|figure| match figure.id.resource {
                Resource::Host => !is_gpu,
                Resource::Gpu(_) => is_gpu,
                _ => false,
            });
            let means: Vec<f64> =
                figures.filter(|figure| figure.id.metric == metric).map(|figure| figure.mean).collect();
            // The mean over the GPUs.
            quantities.extend(Mean::of(&means).map(|mean| (quantity, mean.mean)));
        }
        quantities.extend(gpu_energy(measurement).map(|joules| (Quantity::GpuEnergy, joules)));
        let energy = measurement.energy;
        Self {
            quantities,
            basis: MeasurementBasis {
                latency_half_width: measurement.latency.half_width,
                energy_half_width: energy.and_then(|energy| energy.half_width),
                energy_provenance: measurement.provenance.filter(|_| energy.is_some()),
                no_energy: measurement.no_energy.clone(),
                idle_watts: measurement.idle_watts,
                rounds: measurement.rounds.len(),
                repeats: measurement.repeats,
                reached_target: measurement.reached_target,
                settled: measurement.settled,
                is_difference: false,
            },
        }
    }
}

/// Joules of a run on all GPUs by their drivers: by each card's counter, or by its power if it has none.
fn gpu_energy(measurement: &Measurement) -> Option<f64> {
    let joules = |gpu: u32, metric: Metric| {
        let is_it = |resource: &Resource| *resource == Resource::Gpu(gpu);
        let figure =
            measurement.channels.iter().find(|figure| is_it(&figure.id.resource) && figure.id.metric == metric);
        figure?.energy
    };
    let gpu = |resource: &Resource| if let Resource::Gpu(number) = resource { Some(*number) } else { None };
    let gpus: BTreeSet<u32> = measurement.channels.iter().filter_map(|figure| gpu(&figure.id.resource)).collect();
    if gpus.is_empty() {
        return None;
    }
    // A partial sum is not reported as the total.
    gpus.into_iter().map(|gpu| joules(gpu, Metric::Energy).or_else(|| joules(gpu, Metric::Power))).sum()
}

/// A node that a profile measures, for itself and for all nodes that do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    /// Nodes that do the same have the same key.
    pub key: u64,
    /// The scope of the first of them.
    pub scope: String,
}

/// The distinct nodes of these levels: those that a profile of this run measures.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub fn distinct(spec: &ModelSpec, run: impl Into<Run>, levels: &[Level]) -> Result<Vec<Distinct>> {
    let run: Run = run.into();
    if run.training.is_some() {
        return training::distinct(spec, run, levels);
    }
    let run = spec.share(run)?;
    let mut visitor = following(spec, run, levels);
    spec.follow(spec.model_of(run)?.model.as_ref(), run, &mut visitor)?;
    distinct_of(visitor)
}

/// A visitor that follows a pass by shape for the keys of its nodes.
pub(super) fn following(spec: &ModelSpec, run: Run, levels: &[Level]) -> MeasuringVisitor<'static, u64> {
    MeasuringVisitor::new(TreeVisitor::new(spec.name(), run.size), levels, |node: ToMeasure<'_>| Ok(node.key))
}

pub(super) fn distinct_of(visitor: MeasuringVisitor<'_, u64>) -> Result<Vec<Distinct>> {
    let (tree, found) = visitor.finish()?;
    let nodes = tree.nodes().iter().zip(found).filter_map(|(node, found)| {
        let MeasuredNode { figures: key, is_shared } = found?;
        (!is_shared).then(|| Distinct { key, scope: node.scope().to_owned() })
    });
    Ok(nodes.collect())
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The model did not run.
    #[error(transparent)]
    Model(#[from] Error),
    /// The caller stopped it.
    #[error("stopped")]
    Stopped,
}

impl Profiler<'_> {
    /// Runs the model on a batch and measures its nodes in place: each pass measures one round of each node, and passes go on until
    /// every interval is narrow enough. The rounds of a node lie apart, so that its interval also covers drift over minutes. The tree
    /// gets latency, utilisations and energy, and how each was measured.
    ///
    /// `known` has earlier measurements of nodes, by their keys; `keep` gets every measurement that has a new round.
    ///
    /// # Errors
    /// [`ProfileError::Stopped`] if the caller stops it; the model's error.
    pub fn profile(
        &self,
        spec: &ModelSpec,
        model: &dyn Model,
        batch: &Batch,
        known: HashMap<u64, Measurement>,
        mut keep: impl FnMut(u64, &Measurement),
    ) -> std::result::Result<Tree, ProfileError> {
        let mut rounds = Rounds::new(self, known, &mut keep);
        loop {
            rounds.begin_pass();
            let tree = TreeVisitor::new(spec.name(), batch.size()).followed_in(self.precision, self.kernels);
            let mut visitor =
                MeasuringVisitor::new(tree, self.levels, |node: ToMeasure<'_>| rounds.add(node.key, node.rerun));
            let mut cx = Cx::visited(&mut visitor).with_kernels(self.kernels);
            let run = model.run(&mut cx, batch).and_then(|_| visitor.finish());
            let (mut tree, found) = rounds.checked(run)?;
            if rounds.are_done() {
                for (node, found) in tree.nodes_mut().iter_mut().zip(&found) {
                    found.iter().for_each(|found| fill_in(node, found));
                }
                return Ok(tree);
            }
        }
    }

    /// Whether a node is known well enough, or has as many rounds as the protocol allows.
    pub fn is_done(&self, measured: &Measurement) -> bool {
        self.protocol.is_enough(measured) || measured.rounds.len() >= self.protocol.most_rounds
    }
}

/// The measurements of a profile while it goes on: each pass adds a round of every node that is not known well enough.
pub(super) struct Rounds<'p> {
    profiler: &'p Profiler<'p>,
    known: HashMap<u64, Measurement>,
    keep: &'p mut dyn FnMut(u64, &Measurement),
    pass: usize,
    are_done: bool,
    is_stopped: bool,
}

impl<'p> Rounds<'p> {
    pub(super) fn new(
        profiler: &'p Profiler<'p>,
        known: HashMap<u64, Measurement>,
        keep: &'p mut dyn FnMut(u64, &Measurement),
    ) -> Self {
        Self { profiler, known, keep, pass: 0, are_done: true, is_stopped: false }
    }

    pub(super) fn begin_pass(&mut self) {
        self.pass += 1;
        self.are_done = true;
    }

    /// Whether all nodes of this pass are known well enough.
    pub(super) fn are_done(&self) -> bool {
        self.are_done
    }

    /// The figures of a node after a round of this pass.
    pub(super) fn add(&mut self, key: u64, rerun: &mut dyn FnMut() -> Result<()>) -> Result<NodeFigures> {
        let (profiler, earlier) = (self.profiler, self.known.get(&key));
        // A node that was measured before this run may be ahead of the pass.
        if let Some(earlier) = earlier.filter(|earlier| profiler.is_done(earlier) || earlier.rounds.len() >= self.pass)
        {
            self.are_done &= profiler.is_done(earlier);
            return Ok(NodeFigures::of(earlier));
        }
        match profiler.protocol.try_round(profiler.sampler, profiler.stop, earlier.cloned(), rerun) {
            Ok(measured) => {
                (self.keep)(key, &measured);
                self.are_done &= profiler.is_done(&measured);
                let figures = NodeFigures::of(&measured);
                self.known.insert(key, measured);
                Ok(figures)
            }
            Err(MeasureError::Run(error)) => Err(error),
            Err(MeasureError::Stopped) => {
                self.is_stopped = true;
                // It ends the pass and is told as `Stopped`.
                Err(Error::Input { model: "profile".into(), reason: "stopped".into() })
            }
        }
    }

    /// The result of a pass, which may have been stopped.
    pub(super) fn checked<T>(&self, result: Result<T>) -> std::result::Result<T, ProfileError> {
        result.map_err(|error| if self.is_stopped { ProfileError::Stopped } else { error.into() })
    }
}

/// Writes a node's figures and how they were measured.
pub(super) fn fill_in(node: &mut Node, MeasuredNode { figures, is_shared }: &MeasuredNode<NodeFigures>) {
    for &(quantity, value) in &figures.quantities {
        node.set(quantity, value);
    }
    let extra = node.extra.get_or_insert_default();
    if let Ok(mut basis) = serde_json::to_value(&figures.basis) {
        basis[SHARED_FIELD] = Value::Bool(*is_shared);
        extra.insert(Node::MEASUREMENT_FIELD.to_owned(), basis);
    }
}
