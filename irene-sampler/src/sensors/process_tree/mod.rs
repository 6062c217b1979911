//! The part of one process tree, or of one control group, in the meter's energy.

mod cgroup;
mod tree;

use std::{fmt, path::PathBuf};

pub(crate) use self::cgroup::held_memory;
pub(super) use self::tree::{UTIME, stat_fields};
use self::{cgroup::Group, tree::Tree};
use super::{
    Idle, Places, Sensor, ShareMethod, Unavailable, kind,
    shares::{Sharing, Usage},
    utilisation::LEAST_PERIOD,
};
use crate::{Channel, ChannelId, Readings, Resource, Stamp, Total};

/// Which processes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessRoot {
    /// A process and its descendants, those to come too.
    Pid(u32),
    /// The descendants of a process without itself, those to come too.
    ChildrenOf(u32),
    /// A control group (cgroup) and those inside it, by its path below the file system of control groups, as `/proc/PID/cgroup` has it,
    /// or by its directory.
    Cgroup(PathBuf),
}

/// The name in messages: `process 7`, `the children of process 7`, `the control group /a/b`.
impl fmt::Display for ProcessRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::ChildrenOf(pid) => write!(f, "the children of process {pid}"),
            Self::Cgroup(path) => write!(f, "the control group {}", path.display()),
        }
    }
}

/// A sensor of the energy that one process tree has used, by its share of the meter's sensors: an estimate.
///
/// It has a channel for each [method](ShareMethod) that the meter's sensors allow. Processes that come and go count from their start to
/// their end, as far as Linux tells: see docs/scraping.md. Unlike other sensors it allocates, for the list of processes changes.
pub struct ProcessTree {
    channels: Vec<Channel>,
    parts: Vec<SharedPart>,
    not_shared: Vec<(ChannelId, String)>,
    sharing: Sharing,
    usage: Box<dyn Usage>,
    root: ProcessRoot,
    joules: Vec<f64>,
    last_time: f64,
    over: Option<String>,
}

/// The sensors whose energy is shared out by one method.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedPart {
    /// The method.
    pub method: ShareMethod,
    /// The sensors.
    pub sensors: Vec<ChannelId>,
}

impl ProcessTree {
    /// The share of these processes in the sensors of a total.
    ///
    /// # Errors
    /// [`Unavailable`] if there are no such processes, or no sensor of the total can be shared out.
    pub fn open(places: &Places, root: ProcessRoot, total: &Total, idle: Idle) -> Result<Self, Unavailable> {
        let usage: Box<dyn Usage> = match &root {
            ProcessRoot::Pid(pid) => Box::new(Tree::open(&places.proc, *pid, true)?),
            ProcessRoot::ChildrenOf(pid) => Box::new(Tree::open(&places.proc, *pid, false)?),
            ProcessRoot::Cgroup(path) => Box::new(Group::open(places, path)?),
        };
        let taken: Vec<ChannelId> =
            total.sensors().filter(|(_, left_out)| left_out.is_none()).map(|(id, _)| id.clone()).collect();
        let Sources { sensors, mut parts, mut not_shared } = Sources::of(places, &taken)?;
        let ids = |parts: &[SharedPart]| parts.iter().flat_map(|part| part.sensors.clone()).collect::<Vec<_>>();
        let mut sharing = Sharing::open(places, sensors, &ids(&parts), idle);
        // Processors and memory can be shared out where GPUs cannot.
        if let Err(why) = &sharing
            && let Some(at) = parts.iter().position(|part| part.method == ShareMethod::SmTime)
            && parts.len() > 1
        {
            let gpus = parts.remove(at);
            not_shared.extend(gpus.sensors.into_iter().map(|id| (id, why.to_string())));
            let shared = ids(&parts);
            sharing = Sharing::open(places, Sources::of(places, &shared)?.sensors, &shared, idle);
        }
        let channels: Vec<Channel> =
            parts.iter().map(|part| Channel::estimate(Resource::ProcessTree(part.method))).collect();
        Ok(Self {
            joules: vec![0.0; channels.len()],
            sharing: sharing?,
            channels,
            parts,
            not_shared,
            usage,
            root,
            last_time: f64::NEG_INFINITY,
            over: None,
        })
    }

    /// The sensors that are shared out, by method, in the order of the channels.
    pub fn parts(&self) -> &[SharedPart] {
        &self.parts
    }

    /// The sensors of the total that are not, each with the reason.
    pub fn not_shared(&self) -> &[(ChannelId, String)] {
        &self.not_shared
    }
}

impl fmt::Debug for ProcessTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessTree").field("root", &self.root).field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// Sensors whose energy may be shared out.
struct Sources {
    sensors: Vec<Box<dyn Sensor>>,
    parts: Vec<SharedPart>,
    not_shared: Vec<(ChannelId, String)>,
}

impl Sources {
    /// Opens the kinds that have these channels.
    fn of(places: &Places, taken: &[ChannelId]) -> Result<Self, Unavailable> {
        let mut names: Vec<&str> = taken.iter().map(|id| id.resource.source()).collect();
        names.sort_unstable();
        names.dedup();
        let kinds = names.into_iter().filter_map(kind);
        let sensors = kinds.map(|kind| (kind.open)(places)).collect::<Result<Vec<_>, _>>()?;
        let channels: Vec<&Channel> = sensors.iter().flat_map(|sensor| sensor.channels()).collect();
        let method = |id: &ChannelId| ShareMethod::of(channels.iter().find(|channel| channel.id == *id)?);
        let parts = ShareMethod::ALL.into_iter().map(|by| {
            let sensors = taken.iter().filter(|id| method(id) == Some(by)).cloned().collect();
            SharedPart { method: by, sensors }
        });
        let parts: Vec<SharedPart> = parts.filter(|part| !part.sensors.is_empty()).collect();
        let why = "nothing tells which process uses it".to_owned();
        let not_shared: Vec<_> =
            taken.iter().filter(|id| method(id).is_none()).map(|id| (id.clone(), why.clone())).collect();
        if parts.is_empty() {
            let reason = match not_shared.first() {
                Some((id, why)) => format!("{id} cannot be shared out: {why}"),
                None => "there is no meter whose energy could be shared out".into(),
            };
            return Err(Unavailable::new(reason)
                .fixed_by("rapl, nvml and Places::tdp_watts can be, as far as this machine has them"));
        }
        Ok(Self { sensors, parts, not_shared })
    }
}

impl Sensor for ProcessTree {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let stamp = readings.stamp();
        if stamp.time - self.last_time < LEAST_PERIOD || self.over.is_some() {
            return;
        }
        self.last_time = stamp.time;
        let used = self.sharing.advance(stamp, &mut *self.usage);
        self.over = self.usage.is_over().map(|why| format!("{} {why}", self.root));
        let Some(used) = used else { return };
        for (channel, part) in self.parts.iter().enumerate() {
            let used = used[part.method as usize];
            self.joules[channel] += used.unwrap_or(0.0);
            match used {
                Some(_) => readings.push(channel, self.joules[channel]),
                None => readings.push_after_break(channel, self.joules[channel]),
            }
        }
    }

    fn trouble(&self, _now: Stamp, _longest_gap: f64) -> Option<String> {
        self.over.clone()
    }
}
