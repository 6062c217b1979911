//! A process and its descendants.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crate::sensors::{Unavailable, shares::Usage, utilisation::kilobytes};

/// The place of a process's own user time among the fields behind its name; its system time and the two times of its ended children
/// follow (proc(5)).
pub(in crate::sensors) const UTIME: usize = 11;

/// The places of other fields.
const STATE: usize = 0;
const PARENT: usize = 1;
const START: usize = 19;

/// Each process that the machine has makes the next search for new ones so much later, seconds: reading one takes some 10 µs.
const PAUSE: f64 = 0.5e-3;

/// Processes that have ended still count for a GPU's driver for so many seconds.
const REMEMBERED: f64 = 2.0;

/// The fields of a process's stat line behind its name, which may hold spaces and brackets.
pub(in crate::sensors) fn stat_fields(stat: &str) -> Option<impl Iterator<Item = &str> + Clone> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

/// A process as its stat line tells.
#[derive(Clone, Copy)]
struct Process {
    parent: u32,
    /// When it was started, in ticks. No two processes of one number share it.
    start: u64,
    /// Ticks of its own, and of its ended children that it has waited for.
    own: f64,
    children: f64,
    has_ended: bool,
}

impl Process {
    fn read(proc: &Path, pid: u32) -> Option<Self> {
        let stat = std::fs::read(proc.join(pid.to_string()).join("stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    fn parse(stat: &str) -> Option<Self> {
        let fields = stat_fields(stat)?;
        let field = |place: usize| fields.clone().nth(place);
        let ticks = |place: usize| field(place)?.parse::<f64>().ok();
        Some(Self {
            parent: field(PARENT)?.parse().ok()?,
            start: field(START)?.parse().ok()?,
            own: ticks(UTIME)? + ticks(UTIME + 1)?,
            children: ticks(UTIME + 2)? + ticks(UTIME + 3)?,
            has_ended: matches!(field(STATE)?, "Z" | "X"),
        })
    }
}

/// The numbers of all processes.
fn pids(proc: &Path) -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir(proc).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// A process, unless it is only the parent, and its descendants.
pub(super) struct Tree {
    proc: PathBuf,
    root: u32,
    counts_root: bool,
    members: HashMap<u32, Process>,
    /// Ended processes, and when that was seen.
    ended: Vec<(u32, f64)>,
    ticks: f64,
    next_search: f64,
}

impl Tree {
    pub(super) fn open(proc: &Path, root: u32, counts_root: bool) -> Result<Self, Unavailable> {
        let process = Process::read(proc, root).filter(|process| !process.has_ended).ok_or_else(|| {
            Unavailable::new(format!("there is no process {root} in {}", proc.display()))
                .fixed_by("`ps` lists the processes; in a container give it the host's: `docker run --pid host`")
        })?;
        let mut tree = Self {
            proc: proc.to_owned(),
            root,
            counts_root,
            members: HashMap::from([(root, process)]),
            ended: Vec::new(),
            ticks: 0.0,
            next_search: f64::NEG_INFINITY,
        };
        tree.search(f64::NEG_INFINITY);
        Ok(tree)
    }

    /// Finds new descendants.
    fn search(&mut self, time: f64) {
        let process = |pid| Some((pid, Process::read(&self.proc, pid)?));
        let mut others: Vec<(u32, Process)> = pids(&self.proc).filter_map(process).collect();
        self.next_search = time + PAUSE * others.len() as f64;
        loop {
            let before = others.len();
            others.retain(|&(pid, process)| {
                let is_new = !self.members.contains_key(&pid);
                if is_new && self.members.contains_key(&process.parent) {
                    self.members.insert(pid, process);
                    return false;
                }
                is_new
            });
            if others.len() == before {
                break;
            }
        }
    }

    /// The nearest ancestor that is left of a process that has ended: it, or one in between, may have waited for the process.
    fn heir(&self, before: &HashMap<u32, Process>, ended: &Process) -> Option<u32> {
        let mut parent = ended.parent;
        for _ in 0..before.len() {
            if self.members.contains_key(&parent) {
                return Some(parent);
            }
            parent = before.get(&parent)?.parent;
        }
        None
    }

    /// Ticks since the members were as before.
    fn used(&self, before: &HashMap<u32, Process>) -> f64 {
        // The time that ended processes had shown already, and that shows again in the time of who waited for them.
        let mut shown: HashMap<u32, f64> = HashMap::new();
        for (_, ended) in before.iter().filter(|(pid, _)| !self.members.contains_key(pid)) {
            if let Some(heir) = self.heir(before, ended) {
                *shown.entry(heir).or_default() += ended.own + ended.children;
            }
        }
        let of = |(pid, now): (&u32, &Process)| {
            let [own, children] = before.get(pid).map_or([0.0; 2], |last| [last.own, last.children]);
            let again = shown.get(pid).copied().unwrap_or(0.0);
            let own = if self.is_counted(*pid) { (now.own - own).max(0.0) } else { 0.0 };
            own + (now.children - children - again).max(0.0)
        };
        self.members.iter().map(of).sum()
    }

    fn is_counted(&self, pid: u32) -> bool {
        self.counts_root || pid != self.root
    }
}

impl Usage for Tree {
    fn ticks(&mut self, time: f64) -> Option<f64> {
        let mut before = std::mem::take(&mut self.members);
        for (pid, last) in &before {
            // Another process may have the number by now.
            if let Some(process) = Process::read(&self.proc, *pid).filter(|process| process.start == last.start) {
                self.members.insert(*pid, process);
            }
        }
        if time >= self.next_search {
            self.search(time);
        }
        self.ended.retain(|(_, seen)| time - seen <= REMEMBERED);
        self.ended.extend(before.keys().filter(|pid| !self.members.contains_key(pid)).map(|pid| (*pid, time)));
        // A number that was given to a new member is not that of the old one.
        before.retain(|pid, last| self.members.get(pid).is_none_or(|now| now.start == last.start));
        self.ticks += self.used(&before);
        Some(self.ticks)
    }

    fn kilobytes(&mut self) -> Option<f64> {
        let resident = |pid: &u32| {
            let status = std::fs::read(self.proc.join(pid.to_string()).join("status")).ok()?;
            kilobytes(&String::from_utf8_lossy(&status), "VmRSS")
        };
        // A process that ends holds none any more.
        Some(self.members.keys().filter(|pid| self.is_counted(**pid)).filter_map(resident).sum())
    }

    fn has(&mut self, pid: u32) -> bool {
        self.is_counted(pid) && (self.members.contains_key(&pid) || self.ended.iter().any(|(ended, _)| *ended == pid))
    }

    fn is_over(&self) -> Option<String> {
        let is_over = self.members.values().all(|process| process.has_ended);
        is_over.then(|| "has ended, and so have its descendants".into())
    }
}
