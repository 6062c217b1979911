//! A control group (cgroup) of Linux, version 2 or 1.

use std::path::{Component, Path, PathBuf};

use crate::sensors::{Places, Unavailable, shares::Usage};

/// The file that tells a group's processor time, its field if it has several, and its units in a tick of 10 ms.
struct Times {
    file: PathBuf,
    field: Option<&'static str>,
    a_tick: f64,
}

/// A group and those inside it.
pub(super) struct Group {
    times: Times,
    /// Where the memory is told.
    memory: PathBuf,
    /// Where the processes are listed.
    dir: PathBuf,
    /// The processes, since they were asked for.
    pids: Option<Vec<u32>>,
}

/// The controllers' directories of version 1.
const TIMES_1: [&str; 2] = ["cpuacct", "cpu,cpuacct"];
const MEMORY_1: &str = "memory";

impl Group {
    pub(super) fn open(places: &Places, path: &Path) -> Result<Self, Unavailable> {
        let root = places.sys.join("fs/cgroup");
        let path = below_root(&root, path);
        let is_2 = root.join("cgroup.controllers").exists();
        let group = if is_2 {
            let dir = root.join(&path);
            let times = Times { file: dir.join("cpu.stat"), field: Some("usage_usec"), a_tick: 1e4 };
            Self { times, memory: dir.clone(), dir, pids: None }
        } else {
            let controller = TIMES_1.into_iter().find(|name| root.join(name).is_dir()).unwrap_or(TIMES_1[0]);
            let dir = root.join(controller).join(&path);
            let times = Times { file: dir.join("cpuacct.usage"), field: None, a_tick: 1e7 };
            Self { times, memory: root.join(MEMORY_1).join(&path), dir, pids: None }
        };
        match group.times.read() {
            Ok(_) => Ok(group),
            Err(error) => Err(Unavailable::new(format!(
                "the control group {} cannot be read: {}: {error}",
                Path::new("/").join(&path).display(),
                group.times.file.display()
            ))
            .fixed_by("`cat /proc/PID/cgroup` shows that of a process")),
        }
    }
}

/// The path of a group below the root of the control groups, whether it was given with that root and a controller of version 1 or not.
fn below_root(root: &Path, path: &Path) -> PathBuf {
    let usual = Path::new("/sys/fs/cgroup");
    let path = path.strip_prefix(root).or_else(|_| path.strip_prefix(usual)).unwrap_or(path);
    let is_controller = |name: &Path| {
        let name = name.to_str().unwrap_or_default();
        !root.join("cgroup.controllers").exists() && (TIMES_1.contains(&name) || name == MEMORY_1)
    };
    // No `..` leads out of the control groups.
    let mut names = path.components().filter(|name| matches!(name, Component::Normal(_))).peekable();
    names.next_if(|name| is_controller(name.as_ref()));
    names.collect()
}

impl Times {
    fn read(&self) -> std::io::Result<f64> {
        let text = std::fs::read_to_string(&self.file)?;
        let number = match self.field {
            Some(name) => field(&text, name),
            None => text.trim().parse().ok(),
        };
        let what = self.field.unwrap_or("number");
        number.map(|units: f64| units / self.a_tick).ok_or_else(|| std::io::Error::other(format!("it has no {what}")))
    }
}

fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Bytes of memory that a control group of either version holds; pages of files that were not used lately go when memory is needed, and
/// do not count.
pub(crate) fn held_memory(group: &Path) -> Option<u64> {
    let number = |file: &str| std::fs::read_to_string(group.join(file)).ok()?.trim().parse::<f64>().ok();
    let (held, inactive) = match number("memory.current") {
        Some(held) => (held, "inactive_file"),
        None => (number("memory.usage_in_bytes")?, "total_inactive_file"),
    };
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    Some((held - field(&stat, inactive).unwrap_or(0.0)).max(0.0) as u64)
}

/// The processes of a group and of those inside it.
fn processes(dir: &Path, pids: &mut Vec<u32>) {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        // A link could lead round in a circle; control groups have none.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes(&entry.path(), pids);
        }
    }
}

impl Usage for Group {
    fn ticks(&mut self, _time: f64) -> Option<f64> {
        self.pids = None;
        self.times.read().ok()
    }

    fn kilobytes(&mut self) -> Option<f64> {
        Some(held_memory(&self.memory)? as f64 / 1024.0)
    }

    fn has(&mut self, pid: u32) -> bool {
        let pids = self.pids.get_or_insert_with(|| {
            let mut pids = Vec::new();
            processes(&self.dir, &mut pids);
            pids
        });
        pids.contains(&pid)
    }

    fn is_over(&self) -> Option<String> {
        (!self.times.file.exists()).then(|| "is gone".into())
    }
}
