//! Memory of this machine and of this process, where Linux tells it.

use std::path::Path;

use crate::sensors::{Places, held_memory, kilobytes};

const KIBI: u64 = 1024;

/// Bytes of memory that this process can still take without swapping: what the machine has available, or what its control group leaves
/// if that is less. None where it is not known.
pub fn available_memory(places: &Places) -> Option<u64> {
    let machine = field(&places.proc.join("meminfo"), "MemAvailable")?;
    Some(group_memory(places).map_or(machine, |group| group.min(machine)))
}

/// The most bytes of memory that this process had at any time, its files' pages included. None where it is not known.
pub fn peak_memory(places: &Places) -> Option<u64> {
    field(&places.proc.join("self/status"), "VmHWM")
}

fn field(file: &Path, name: &str) -> Option<u64> {
    Some(kilobytes(&std::fs::read_to_string(file).ok()?, name)? as u64 * KIBI)
}

/// Bytes that the limit of this process's control group (version 2) leaves.
fn group_memory(places: &Places) -> Option<u64> {
    let groups = std::fs::read_to_string(places.proc.join("self/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = places.sys.join("fs/cgroup").join(path);
    let limit: u64 = std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok()?;
    Some(limit.saturating_sub(held_memory(&group)?))
}
