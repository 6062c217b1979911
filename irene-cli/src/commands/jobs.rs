//! The jobs of `irene serve`.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::AtomicBool,
};

use anyhow::Result;
use clap::Arg;
use irene_models::{
    Batch,
    profile::{self, Distinct},
};
use irene_tree::{Kernels, Level, Tree};
use irene_viz::{Profiling, ProfilingError, ProfilingRequest, Progress};

use super::{
    measuring::{DEFAULT_SEED, Measuring, ProtocolArgs},
    meters::MeterArgs,
    running::PlaceArgs,
};
use crate::output;

const HEADING: &str = "Measuring models on this machine";

/// The other options of measuring have no effect where nothing is measured.
fn without_effect_alone(arg: Arg) -> Arg {
    const SWITCH: &str = "allow_profiling";
    let says_how = arg.get_help_heading() == Some(HEADING) && arg.get_id() != SWITCH;
    if says_how { arg.requires(SWITCH) } else { arg }
}

/// Whether and how clients may measure.
#[derive(clap::Args)]
#[command(next_help_heading = HEADING, mut_args = without_effect_alone)]
pub(crate) struct JobArgs {
    /// Let clients measure models on this machine, one at a time, with made-up weights (/api/v1/jobs)
    #[arg(long)]
    allow_profiling: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    meter: MeterArgs,
    #[command(flatten)]
    changes: ProtocolArgs,
}

impl JobArgs {
    /// The profiler; None if measuring is not allowed.
    pub(crate) fn profiler(&self) -> Result<Option<MachineProfiler>> {
        if !self.allow_profiling {
            return Ok(None);
        }
        let levels = vec![Level::Model, Level::Module, Level::Ml];
        // As `irene profile --quick`, for minutes: clients wait.
        let measuring = self.changes.measuring(true, &self.meter, &self.place, levels)?;
        // Finds an error of the meter before there is a job.
        measuring.tell(&measuring.meter.select()?);
        measuring.place.device()?;
        Ok(Some(MachineProfiler(measuring)))
    }
}

/// Measures on this machine.
pub(crate) struct MachineProfiler(Measuring);

impl Profiling for MachineProfiler {
    fn profile(
        &self,
        request: &ProfilingRequest<'_>,
        progress: &mut dyn FnMut(Progress),
        stop: &AtomicBool,
    ) -> Result<Tree, ProfilingError> {
        self.measure(request, progress, stop).map_err(|error| {
            // Some of candle's errors go on for lines.
            ProfilingError(output::in_flags(format!("{error:#}").lines().next().unwrap_or_default()))
        })
    }
}

impl MachineProfiler {
    fn measure(
        &self,
        request: &ProfilingRequest<'_>,
        progress: &mut dyn FnMut(Progress),
        stop: &AtomicBool,
    ) -> Result<Tree> {
        let Self(measuring) = self;
        let &ProfilingRequest { spec, size } = request;
        let selection = measuring.meter.select()?;
        let settings = measuring.settings(&selection);
        let device = measuring.place.device()?;
        let batch = Batch::made_up(spec, size, &device)?;
        let nodes = profile::distinct(spec, size, &measuring.levels)?;
        let mut so_far = Progress { nodes: nodes.len(), ..Progress::default() };
        progress(so_far.clone());
        let scopes: HashMap<u64, String> = nodes.into_iter().map(|Distinct { key, scope }| (key, scope)).collect();
        let model = spec.build(measuring.place.made_up(&device, DEFAULT_SEED).as_ref())?;
        let sampler = measuring.sampler(selection.sensors)?;
        let profiler = measuring.profiler(&sampler, Kernels::Eager, stop);
        let mut finished = HashSet::new();
        let tree = profiler.profile(spec, model.as_ref(), &batch, HashMap::new(), |key, measured| {
            if profiler.is_done(measured) {
                finished.insert(key);
            }
            so_far.measured = finished.len();
            so_far.rounds += 1;
            so_far.scope = scopes.get(&key).cloned();
            progress(so_far.clone());
        })?;
        Ok(measuring.finished(tree, &settings))
    }
}
