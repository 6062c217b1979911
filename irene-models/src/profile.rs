//! Measuring every node of a model that runs on this machine.

use std::{collections::HashMap, sync::atomic::AtomicBool};

use irene_sampler::{Estimate, MeasureError, Measurement, Protocol, Provenance, Sampler, Unit};
use irene_tree::{Kernels, Level, Precision, Quantity, Tree};
use serde::Serialize;
use serde_json::Value;

use crate::{Batch, Cx, Error, MeasuredNode, MeasuringVisitor, Model, ModelSpec, Result, Run, ToMeasure, TreeVisitor};

/// How nodes are measured.
pub struct Profiler<'a> {
    /// Reads the probes, and the meter if there is one.
    pub sampler: &'a Sampler,
    /// How each node is measured.
    pub protocol: &'a Protocol,
    /// The levels whose nodes are measured.
    pub levels: &'a [Level],
    /// The number formats of the model, which its tree says.
    pub precision: Precision,
    /// Ends the profile when it becomes true.
    pub stop: &'a AtomicBool,
}

/// What one node was found to cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// What goes into the node's fields.
    pub quantities: Vec<(Quantity, f64)>,
    /// What they rest on.
    pub basis: Basis,
}

/// What the figures of a node rest on: its [`MEASUREMENT_FIELD`](irene_tree::Node::MEASUREMENT_FIELD) in the interchange format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Basis {
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
    /// Idle power before, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
    /// Rounds.
    pub rounds: usize,
    /// Runs in a round.
    pub repeats: u32,
    /// Whether the intervals are as narrow as was asked.
    pub reached_target: bool,
    /// Whether power was near idle power before every round, as far as it could be read.
    pub settled: bool,
}

/// In the measurement of a node: whether its figures are those of another that does the same.
const SHARED_FIELD: &str = "is_shared";

impl Figures {
    /// The figures of a measurement; what was not read is left out.
    pub fn of(measurement: &Measurement) -> Self {
        let mut quantities = vec![(Quantity::Latency, measurement.latency.mean)];
        quantities.extend(measurement.energy.map(|energy| (Quantity::GroundTruthEnergy, energy.mean)));
        let probes = [
            (Quantity::Cpu, "cpu"),
            (Quantity::Mem, "mem"),
            (Quantity::Gpu, ".util"),
            (Quantity::GpuMem, ".mem"),
            (Quantity::GpuClk, ".sm_clock"),
            (Quantity::GpuMemClk, ".mem_clock"),
        ];
        for (quantity, name) in probes {
            // Of several GPUs the mean.
            let is_it = |channel: &str| {
                channel == name || name.starts_with('.') && channel.starts_with("gpu") && channel.ends_with(name)
            };
            let means: Vec<f64> =
                measurement.channels.iter().filter(|figure| is_it(&figure.name)).map(|figure| figure.mean).collect();
            quantities.extend(Estimate::of(&means).map(|mean| (quantity, mean.mean)));
        }
        quantities.extend(gpu_energy(measurement).map(|joules| (Quantity::GpuEnergy, joules)));
        let energy = measurement.energy;
        Self {
            quantities,
            basis: Basis {
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

/// Joules of a run by the GPUs' drivers: of each its counter, or its power where it has none.
fn gpu_energy(measurement: &Measurement) -> Option<f64> {
    let gpus = measurement.channels.iter().filter(|figure| figure.name.starts_with("gpu"));
    let of = |unit: Unit| gpus.clone().filter(move |figure| figure.unit == unit);
    let gpu = |name: &str| name.split('.').next().map(str::to_owned);
    let counters = of(Unit::Joules);
    let powers =
        of(Unit::Watts).filter(|power| !of(Unit::Joules).any(|counter| gpu(&counter.name) == gpu(&power.name)));
    let energies: Vec<f64> = counters.chain(powers).filter_map(|figure| figure.energy).collect();
    // The sum of some is not that of all.
    let mut cards: Vec<_> = gpus.clone().map(|figure| gpu(&figure.name)).collect();
    cards.dedup();
    (!energies.is_empty() && energies.len() == cards.len()).then(|| energies.iter().sum())
}

/// A node that a profile measures, for itself and for those that do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    /// The same for nodes that do the same.
    pub key: u64,
    /// The scope of the first of them.
    pub scope: String,
}

/// The distinct nodes of these levels, which a profile of this run measures.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub fn distinct(spec: &ModelSpec, run: impl Into<Run>, levels: &[Level]) -> Result<Vec<Distinct>> {
    let run = run.into();
    let tree = TreeVisitor::new(spec.name(), run.size);
    let mut visitor = MeasuringVisitor::new(tree, levels, |to_measure: ToMeasure<'_>| Ok(to_measure.key));
    spec.follow(run, &mut visitor)?;
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
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl Profiler<'_> {
    /// Runs the model on a batch and measures its nodes in place: a round of each node in a pass, and passes until every node is
    /// known as well as the protocol asks. So an interval holds what drifts over minutes. The tree has latency, utilisations and
    /// energy filled in, each with what it rests on.
    ///
    /// `known` has what was measured of nodes before, by their keys; `keep` is told of every round.
    ///
    /// # Errors
    /// [`ProfileError::Stopped`] if it was told to stop; what the model says.
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

    /// Whether a node is known well enough, or was measured as often as the protocol does at most.
    pub fn is_done(&self, measured: &Measurement) -> bool {
        self.protocol.is_enough(measured) || measured.rounds.len() >= self.protocol.most_rounds
    }

    /// One pass; whether all nodes are known well enough, or were measured as often as the protocol does at most.
    #[allow(clippy::type_complexity)] // it is written once
    fn pass(
        &self,
        pass: usize,
        spec: &ModelSpec,
        model: &dyn Model,
        batch: &Batch,
        known: &mut HashMap<u64, Measurement>,
        keep: &mut impl FnMut(u64, &Measurement),
    ) -> std::result::Result<(Tree, Vec<Option<MeasuredNode<Figures>>>, bool), ProfileError> {
        let (mut stopped, mut all_done) = (false, true);
        let measure = |to_measure: ToMeasure<'_>| {
            let ToMeasure { key, label, rerun } = to_measure;
            let earlier = known.get(&key);
            // A node that was measured before this run may be ahead of the pass.
            if let Some(earlier) = earlier.filter(|earlier| self.is_done(earlier) || earlier.rounds.len() >= pass) {
                all_done &= self.is_done(earlier);
                return Ok(Figures::of(earlier));
            }
            match self.protocol.try_round(self.sampler, self.stop, earlier.cloned(), &mut *rerun) {
                Ok(measured) => {
                    keep(key, &measured);
                    all_done &= self.is_done(&measured);
                    let figures = Figures::of(&measured);
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
        let tree = TreeVisitor::new(spec.name(), batch.size()).followed_in(self.precision, Kernels::Eager);
        let mut visitor = MeasuringVisitor::new(tree, self.levels, measure);
        let run = model.run(&mut Cx::visited(&mut visitor), batch).and_then(|_| visitor.finish());
        match run {
            Err(_) if stopped => Err(ProfileError::Stopped),
            Err(error) => Err(error.into()),
            Ok((tree, found)) => Ok((tree, found, all_done)),
        }
    }
}

fn filled_in(mut tree: Tree, found: &[Option<MeasuredNode<Figures>>]) -> Tree {
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
