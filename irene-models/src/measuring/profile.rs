//! Measuring every node of a model that runs on this machine.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::AtomicBool,
};

use irene_sampler::{Estimate, MeasureError, Measurement, MeasuringProtocol, Metric, Provenance, Resource, Sampler};
use irene_tree::{Kernels, Level, Precision, Quantity, Tree};
use serde::Serialize;
use serde_json::Value;

use crate::{Batch, Cx, Error, MeasuredNode, MeasuringVisitor, Model, ModelSpec, Result, Run, ToMeasure, TreeVisitor};

/// How nodes are measured.
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
            quantities.extend(Estimate::of(&means).map(|mean| (quantity, mean.mean)));
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
    let run = spec.share(run.into())?;
    let tree = TreeVisitor::new(spec.name(), run.size);
    let mut visitor = MeasuringVisitor::new(tree, levels, |to_measure: ToMeasure<'_>| Ok(to_measure.key));
    spec.follow(spec.model_of(run)?.model.as_ref(), run, &mut visitor)?;
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
        mut known: HashMap<u64, Measurement>,
        mut keep: impl FnMut(u64, &Measurement),
    ) -> std::result::Result<Tree, ProfileError> {
        let mut pass = 0;
        loop {
            pass += 1;
            let (tree, found, is_done) = self.pass(pass, spec, model, batch, &mut known, &mut keep)?;
            if is_done {
                return Ok(filled_in(tree, &found));
            }
        }
    }

    /// Whether a node is known well enough, or has as many rounds as the protocol allows.
    pub fn is_done(&self, measured: &Measurement) -> bool {
        self.protocol.is_enough(measured) || measured.rounds.len() >= self.protocol.most_rounds
    }

    /// One pass, and whether all nodes are done after it.
    #[allow(clippy::type_complexity)] // it is written once
    fn pass(
        &self,
        pass: usize,
        spec: &ModelSpec,
        model: &dyn Model,
        batch: &Batch,
        known: &mut HashMap<u64, Measurement>,
        keep: &mut impl FnMut(u64, &Measurement),
    ) -> std::result::Result<(Tree, Vec<Option<MeasuredNode<NodeFigures>>>, bool), ProfileError> {
        let (mut stopped, mut all_done) = (false, true);
        let measure = |to_measure: ToMeasure<'_>| {
            let ToMeasure { key, label, rerun } = to_measure;
            let earlier = known.get(&key);
            // A node that was measured before this run may be ahead of the pass.
            if let Some(earlier) = earlier.filter(|earlier| self.is_done(earlier) || earlier.rounds.len() >= pass) {
                all_done &= self.is_done(earlier);
                return Ok(NodeFigures::of(earlier));
            }
            match self.protocol.try_round(self.sampler, self.stop, earlier.cloned(), &mut *rerun) {
                Ok(measured) => {
                    keep(key, &measured);
                    all_done &= self.is_done(&measured);
                    let figures = NodeFigures::of(&measured);
                    known.insert(key, measured);
                    Ok(figures)
                }
                Err(MeasureError::Run(error)) => Err(error),
                Err(MeasureError::Stopped) => {
                    stopped = true;
                    Err(Error::Input { model: spec.name().to_owned(), reason: format!("stopped at {}", label.name) })
                }
            }
        };
        let tree = TreeVisitor::new(spec.name(), batch.size()).followed_in(self.precision, self.kernels);
        let mut visitor = MeasuringVisitor::new(tree, self.levels, measure);
        let run =
            model.run(&mut Cx::visited(&mut visitor).with_kernels(self.kernels), batch).and_then(|_| visitor.finish());
        match run {
            Err(_) if stopped => Err(ProfileError::Stopped),
            Err(error) => Err(error.into()),
            Ok((tree, found)) => Ok((tree, found, all_done)),
        }
    }
}

fn filled_in(mut tree: Tree, found: &[Option<MeasuredNode<NodeFigures>>]) -> Tree {
    for (node, found) in tree.nodes_mut().iter_mut().zip(found) {
        let Some(MeasuredNode { figures, is_shared }) = found else { continue };
        for &(quantity, value) in &figures.quantities {
            node.set(quantity, value);
        }
        let extra = node.extra.get_or_insert_default();
        if let Ok(mut basis) = serde_json::to_value(&figures.basis) {
            basis[SHARED_FIELD] = Value::Bool(*is_shared);
            extra.insert(irene_tree::Node::MEASUREMENT_FIELD.to_owned(), basis);
        }
    }
    tree
}
