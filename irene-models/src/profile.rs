//! Measuring every node of a model that runs on this machine.

use std::sync::atomic::AtomicBool;

use irene_sampler::{Estimate, MeasureError, Measurement, Protocol, Provenance, Sampler, Unit};
use irene_tree::{Level, Quantity, Tree};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Batch, Cx, Error, Found, MeasuringVisitor, Model, ModelSpec, Result, ShapesOnly, ToMeasure, TreeVisitor};

/// How nodes are measured.
pub struct Profiler<'a> {
    /// Reads the probes, and the meter if there is one.
    pub sampler: &'a Sampler,
    /// How each node is measured.
    pub protocol: &'a Protocol,
    /// The levels whose nodes are measured.
    pub levels: &'a [Level],
    /// Ends the profile when it becomes true.
    pub stop: &'a AtomicBool,
}

/// What one node was found to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What goes into the node's fields, by their names in the interchange format.
    pub quantities: Vec<(String, f64)>,
    /// What they rest on.
    pub basis: Basis,
}

/// What the figures of a node rest on: its [`MEASUREMENT_FIELD`](irene_tree::Node::MEASUREMENT_FIELD) in the interchange format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// Half the 95% confidence interval of the latency, s.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_half_width: Option<f64>,
    /// Half the 95% confidence interval of the energy, J.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_half_width: Option<f64>,
    /// Where the energy comes from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_provenance: Option<Provenance>,
    /// Why there is no energy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub no_energy: Option<String>,
    /// Idle power before, W.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub idle_watts: Option<f64>,
    /// Rounds.
    pub rounds: usize,
    /// Runs in a round.
    pub repeats: u32,
    /// Whether the intervals are as narrow as was asked.
    pub reached_target: bool,
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
            let is_it = |channel: &str| channel == name || channel.starts_with("gpu") && channel.ends_with(name);
            let means: Vec<f64> =
                measurement.channels.iter().filter(|figure| is_it(&figure.name)).map(|figure| figure.mean).collect();
            quantities.extend(Estimate::of(&means).map(|mean| (quantity, mean.mean)));
        }
        quantities.extend(gpu_energy(measurement).map(|joules| (Quantity::GpuEnergy, joules)));
        let energy = measurement.energy;
        Self {
            quantities: quantities.into_iter().map(|(quantity, value)| (quantity.name().to_owned(), value)).collect(),
            basis: Basis {
                latency_half_width: measurement.latency.half_width,
                energy_half_width: energy.and_then(|energy| energy.half_width),
                energy_provenance: measurement.provenance.filter(|_| energy.is_some()),
                no_energy: measurement.no_energy.clone(),
                idle_watts: measurement.idle_watts,
                rounds: measurement.rounds.len(),
                repeats: measurement.repeats,
                reached_target: measurement.reached_target,
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
    (!energies.is_empty()).then(|| energies.iter().sum())
}

/// Distinct nodes of these levels that a profile of the model at this size measures.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub fn count(spec: &ModelSpec, batch: &Batch, levels: &[Level]) -> Result<usize> {
    let mut keys = 0;
    let tree = TreeVisitor::new(spec.name(), batch.batch_size(), batch.seq_len());
    let mut visitor = MeasuringVisitor::new(tree, levels, |_| {
        keys += 1;
        Ok(())
    });
    spec.build(&ShapesOnly)?.run(&mut Cx::visited(&mut visitor), &batch.shape_alone())?;
    drop(visitor);
    Ok(keys)
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The model did not run, or the caller's function failed.
    #[error(transparent)]
    Model(#[from] Error),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl Profiler<'_> {
    /// Runs the model on a batch and measures its nodes in place. The tree has latency, utilisations and energy filled in, each with
    /// what it rests on.
    ///
    /// `known` may give the figures of a node that was measured before, by its key; `keep` is told of every new one.
    ///
    /// # Errors
    /// [`ProfileError::Stopped`] if it was told to stop; what the model says.
    pub fn profile(
        &self,
        spec: &ModelSpec,
        model: &dyn Model,
        batch: &Batch,
        mut known: impl FnMut(u64) -> Option<Figures>,
        mut keep: impl FnMut(u64, &Figures),
    ) -> std::result::Result<Tree, ProfileError> {
        let mut stopped = false;
        let measure = |to_measure: ToMeasure<'_>| {
            let ToMeasure { key, node, rerun } = to_measure;
            if let Some(figures) = known(key) {
                return Ok(figures);
            }
            match self.protocol.try_measure(self.sampler, self.stop, &mut *rerun) {
                Ok(measurement) if !self.stop.load(std::sync::atomic::Ordering::Relaxed) => {
                    let figures = Figures::of(&measurement);
                    keep(key, &figures);
                    Ok(figures)
                }
                Err(MeasureError::Run(error)) => Err(error),
                // What was not measured as the protocol asks is measured anew.
                Ok(_) | Err(MeasureError::Stopped) => {
                    stopped = true;
                    Err(Error::Input { model: spec.name().to_owned(), reason: format!("stopped at {}", node.name) })
                }
            }
        };
        let tree = TreeVisitor::new(spec.name(), batch.batch_size(), batch.seq_len());
        let mut visitor = MeasuringVisitor::new(tree, self.levels, measure);
        let run = model.run(&mut Cx::visited(&mut visitor), batch).and_then(|_| visitor.finish());
        match run {
            Err(_) if stopped => Err(ProfileError::Stopped),
            Err(error) => Err(error.into()),
            Ok((mut tree, found)) => {
                fill_in(&mut tree, &found);
                Ok(tree)
            }
        }
    }
}

fn fill_in(tree: &mut Tree, found: &[Option<Found<Figures>>]) {
    for (node, found) in tree.nodes_mut().iter_mut().zip(found) {
        let Some(Found { figures, is_shared }) = found else { continue };
        for (name, value) in &figures.quantities {
            if let Some(quantity) = Quantity::from_name(name) {
                node.set(quantity, *value);
            }
        }
        let extra = node.extra.get_or_insert_default();
        if let Ok(mut basis) = serde_json::to_value(&figures.basis) {
            basis[SHARED_FIELD] = Value::Bool(*is_shared);
            extra.insert(irene_tree::Node::MEASUREMENT_FIELD.to_owned(), basis);
        }
    }
}
