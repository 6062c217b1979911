//! The process tree whose part of the energy is told.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use irene_sampler::{
    ChannelId, Recording, Resource, Sampler, Sensors, ShareMethod,
    sensors::{Idle, Places, ProcessRoot, ProcessTree},
};
use irene_tree::render::si;

use super::Span;
use crate::{commands::refuse, output};

#[derive(clap::Args)]
pub(super) struct ProcessArgs {
    /// Tell the part of this process and its descendants
    #[arg(long, value_name = "PID", conflicts_with = "cgroup")]
    pid: Option<u32>,
    /// Tell the part of a control group (of a container, of a service) and those inside it, as /proc/PID/cgroup names it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Whose the energy of idle processors, free memory and idle GPUs is: shared among those that are busy, or kept apart
    #[arg(long, value_name = "WHOSE", value_enum, default_value = "shared")]
    idle: IdleArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum IdleArg {
    Shared,
    Apart,
}

/// The channels of a process tree among those of a recording.
#[derive(Debug)]
pub(super) struct Part {
    /// The name in texts: a command, `process 7`.
    name: String,
    is_command: bool,
    /// The name in labels: `command:sleep`, `pid:7`.
    pub(super) label: String,
    pub(super) methods: Vec<Method>,
    pub(super) idle: &'static str,
    /// The channels' values at the start, if they were read.
    start: Vec<Option<Shown>>,
}

/// A way in which energy is shared out.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) method: ShareMethod,
    /// The kinds of the sensors.
    pub(super) source: String,
}

/// Joules and gaps of a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    joules: f64,
    gaps: u64,
}

impl ProcessArgs {
    fn root(&self) -> Option<(ProcessRoot, String)> {
        let by_pid = self.pid.map(|pid| (ProcessRoot::Pid(pid), format!("pid:{pid}")));
        let group = |path: &PathBuf| (ProcessRoot::Cgroup(path.clone()), format!("cgroup:{}", path.display()));
        by_pid.or_else(|| self.cgroup.as_ref().map(group))
    }

    /// Refuses what would have no effect.
    pub(super) fn check(&self, command: &[String]) -> Result<()> {
        let has_tree = self.root().is_some() || !command.is_empty();
        refuse(!has_tree, "--pid, --cgroup or a command", &[("--idle apart", self.idle == IdleArg::Apart)])
    }

    /// Adds the sensor of the tree that was asked for, or of the command's. Sensors that cannot be shared out are named.
    ///
    /// # Errors
    /// The reason, if a tree was asked for and cannot be read.
    pub(super) fn add(&self, sensors: &mut Sensors, places: &Places, command: &[String]) -> Result<Option<Part>> {
        let asked_for = self.root();
        let (root, label, name) = match (&asked_for, command.first()) {
            (Some((root, label)), _) => (root.clone(), label.clone(), root.to_string()),
            (None, Some(program)) => {
                (ProcessRoot::ChildrenOf(std::process::id()), format!("command:{program}"), command.join(" "))
            }
            (None, None) => return Ok(None),
        };
        let idle = if self.idle == IdleArg::Apart { Idle::Apart } else { Idle::Shared };
        let tree = match ProcessTree::open(places, root, &sensors.total(), idle) {
            Ok(tree) => tree,
            Err(why) if asked_for.is_some() => return Err(why.into()),
            Err(why) => {
                // The total's own line says that there is no meter.
                if !sensors.meters.is_empty() {
                    output::tell(&format!("the command's part of the energy is not told: {why}"));
                }
                return Ok(None);
            }
        };
        for (id, why) in tree.not_shared() {
            output::tell(&format!("{id} is not shared out: {why}"));
        }
        let methods = tree.parts().iter().map(|part| {
            let mut sources: Vec<&str> = part.sensors.iter().map(|id| id.resource.source()).collect();
            sources.dedup();
            Method { method: part.method, source: sources.join("+") }
        });
        let idle = if idle == Idle::Apart { "apart" } else { "shared" };
        let part =
            Part { name, is_command: asked_for.is_none(), label, methods: methods.collect(), idle, start: Vec::new() };
        sensors.probes.push(Box::new(tree));
        Ok(Some(part))
    }
}

/// Whether a channel is one of a process tree.
pub(super) fn is_part(id: &ChannelId) -> bool {
    matches!(id.resource, Resource::ProcessTree(_))
}

impl Part {
    /// The places of its channels.
    pub(super) fn places(&self, recording: &Recording) -> impl Iterator<Item = (usize, &Method)> {
        let place = |method: &ShareMethod| {
            recording.channels().iter().position(|channel| channel.id.resource == Resource::ProcessTree(*method))
        };
        let places: Vec<_> = self.methods.iter().map(|method| place(&method.method)).collect();
        places.into_iter().zip(&self.methods).filter_map(|(place, method)| Some((place?, method)))
    }

    fn shown(&self, recording: &Recording) -> Vec<Option<Shown>> {
        let series = self.places(recording).map(|(place, _)| recording.series(place));
        series.map(|series| Some(Shown { joules: series.joules()?, gaps: series.gaps() })).collect()
    }

    /// The count begins here.
    pub(super) fn begin(&mut self, recording: &Recording) {
        self.start = self.shown(recording);
    }

    /// Waits until its readings reach this time, or clearly will not.
    pub(super) fn wait_until_covered(&self, sampler: &Sampler, end: f64) {
        /// A share is read every 100 ms, and a machine that does nothing ticks seldom.
        const PATIENCE: f64 = 1.0;
        let is_late = |recording: &Recording| {
            let newest = |place: usize| recording.series(place).points().next_back().map(|(time, _)| time);
            self.places(recording).any(|(place, _)| newest(place).is_none_or(|time| time < end))
        };
        while sampler.look(is_late) && sampler.clock().now() < end + PATIENCE {
            sampler.wait_past(sampler.clock().now(), Duration::from_secs_f64(PATIENCE));
        }
    }

    /// Joules by each method since the beginning, with whether a share was unknown for a time, which is left out.
    fn counted(&self, recording: &Recording) -> Vec<Option<(f64, bool)>> {
        let used = |start: &Option<Shown>, now: Option<Shown>| {
            let (start, now) = (start.unwrap_or_default(), now?);
            Some((now.joules - start.joules, now.gaps > start.gaps))
        };
        self.start.iter().zip(self.shown(recording)).map(|(start, now)| used(start, now)).collect()
    }

    /// Joules by each method in this span; None if unknown. A command's tree has nothing before and after it, so that all that was
    /// counted is in it, even if the command was short. Where old readings were dropped it is what was counted.
    pub(super) fn joules(&self, recording: &Recording, span: &Span) -> Vec<(ShareMethod, Option<f64>)> {
        let is_long = span.from > span.start;
        let places = self.places(recording).zip(self.counted(recording));
        let joules = places.map(|((place, method), counted)| {
            let counted = counted.filter(|(_, is_partial)| is_long || !is_partial).map(|(joules, _)| joules);
            let window = recording.window(place, span.start, span.end).ok().filter(|_| !self.is_command && !is_long);
            (method.method, counted.map(|counted| window.and_then(|window| window.energy).unwrap_or(counted)))
        });
        joules.collect()
    }

    /// The sum of all methods until now, as far as it is known; None if one was never read.
    pub(super) fn total_now(&self, recording: &Recording) -> Option<f64> {
        sum(self.counted(recording).into_iter().map(|counted| counted.map(|(joules, _)| joules)))
    }

    /// The same in this span.
    pub(super) fn total(&self, recording: &Recording, span: &Span) -> Option<f64> {
        sum(self.joules(recording, span).into_iter().map(|(_, joules)| joules))
    }

    pub(super) fn text(&self, recording: &Recording, span: &Span) -> String {
        let joules = self.joules(recording, span);
        let idle = if self.idle == "apart" { "what is idle kept apart" } else { "with its share of what is idle" };
        let shown = |joules: Option<f64>| joules.map_or("no figure".into(), |joules| si(joules, "J"));
        let by = match joules.as_slice() {
            [(method, _)] => method.name().to_owned(),
            all => {
                let by = all.iter().map(|(method, joules)| format!("{} by {}", shown(*joules), method.name()));
                by.collect::<Vec<_>>().join(", ")
            }
        };
        format!("of which {}: {} ({by}; estimated, {idle})\n", self.name, shown(self.total(recording, span)))
    }
}

/// The sum; None of none, or if one is unknown.
pub(super) fn sum(joules: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let mut joules = joules.into_iter();
    let first = joules.next()??;
    joules.try_fold(first, |sum, joules| Some(sum + joules?))
}
