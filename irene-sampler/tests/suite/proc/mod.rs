//! Readings of /proc, and the estimates from them.

use crate::machine::Machine;

mod impact_tracker;
mod tdp;
mod utilisation;

/// Ticks: busy in user and system, idle and waiting.
fn ticks(machine: &Machine, busy: u64, idle: u64) {
    let (user, system) = (busy - busy / 3, busy / 3);
    let (waiting, idle) = (idle / 4, idle - idle / 4);
    machine.write("proc/stat", format!("cpu  {user} 0 {system} {idle} {waiting} 0 0 0 9 9\ncpu0 1 2 3 4\nintr 5\n"));
}

fn memory(machine: &Machine, total: u64, available: u64) {
    let text = format!("MemTotal:   {total} kB\nMemFree:    1 kB\nMemAvailable:   {available} kB\nBuffers:  3 kB\n");
    machine.write("proc/meminfo", text);
}
