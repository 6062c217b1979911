//! A made-up machine with processes, on which a busy tick takes a joule, and a sensor of some of them.

use std::collections::BTreeMap;

use irene_sampler::{
    Recorder, Sensors,
    sensors::{Idle, ProcessRoot, ProcessTree, Unavailable},
};

use crate::machine::{Machine, at, series};

pub(crate) const PACKAGE: &str = "sys/class/powercap/intel-rapl:0";
pub(crate) const CPU: &str = "process.cpu-time";

/// The ticks of a second: all processors are busy.
pub(crate) const A_SECOND: u64 = 1000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) parent: u32,
    pub(crate) start: u64,
    pub(crate) own: u64,
    pub(crate) children: u64,
}

/// A machine with processes, and a sensor of some of them.
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) second: u64,
    pub(crate) recorder: Option<Recorder>,
}

impl World {
    /// Process 1, and its child 10.
    pub(crate) fn new() -> Self {
        let machine = Machine::new();
        machine.write(&format!("{PACKAGE}/name"), "package-0\n");
        machine.write("proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n");
        // Not all that is in /proc is a process.
        machine.write("proc/uptime", "1 1\n");
        let mut world = Self { machine, processes: BTreeMap::new(), second: 0, recorder: None };
        world.start(1, 0);
        world.start(10, 1);
        world.run(10, 70);
        world.write();
        world
    }

    pub(crate) fn start(&mut self, pid: u32, parent: u32) {
        self.processes.insert(pid, Process { parent, start: 5 + self.second, own: 0, children: 0 });
    }

    pub(crate) fn run(&mut self, pid: u32, ticks: u64) {
        self.processes.get_mut(&pid).unwrap().own += ticks;
    }

    /// A process ends. Its parent waits for it, or nobody does; its children have a new parent.
    pub(crate) fn end(&mut self, pid: u32, is_waited_for: bool) {
        let ended = self.processes.remove(&pid).unwrap();
        if let Some(parent) = self.processes.get_mut(&ended.parent).filter(|_| is_waited_for) {
            parent.children += ended.own + ended.children;
        }
        self.processes.values_mut().filter(|process| process.parent == pid).for_each(|orphan| orphan.parent = 1);
        std::fs::remove_dir_all(self.machine.path(&format!("proc/{pid}"))).unwrap_or_default();
    }

    pub(crate) fn write(&self) {
        let joules = self.second * A_SECOND;
        self.machine.write(&format!("{PACKAGE}/energy_uj"), format!("{}\n", 1_000_000 * joules));
        self.machine.write("proc/stat", format!("cpu  {joules} 0 0 {} 0 0 0 0 0 0\n", 3 * joules));
        for (pid, Process { parent, start, own, children }) in &self.processes {
            let (user, waited) = (own / 3, children / 2);
            let text = format!(
                "{pid} (a) (b c) S {parent} 1 1 0 -1 4194304 9 8 7 6 {user} {} {waited} {} 20 0 1 0 {start} 9 9\n",
                own - user,
                children - waited
            );
            self.machine.write(&format!("proc/{pid}/stat"), text);
            self.machine.write(&format!("proc/{pid}/status"), "Name: x\nVmRSS:\t 500 kB\n");
        }
    }

    pub(crate) fn tree(&self, root: ProcessRoot, idle: Idle) -> Result<ProcessTree, Unavailable> {
        let total = self.machine.open("rapl")?.recording().total().clone();
        ProcessTree::open(&self.machine.places(), root, &total, idle)
    }

    pub(crate) fn watch(&mut self, root: ProcessRoot, idle: Idle) {
        let tree = self.tree(root, idle).unwrap();
        let sensors = Sensors { probes: vec![Box::new(tree)], ..Sensors::default() };
        self.recorder = Some(Recorder::new(sensors, 1024));
        self.sample();
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().unwrap()
    }

    pub(crate) fn sample(&mut self) {
        self.write();
        self.recorder.as_mut().unwrap().sample_at(at(self.second as f64));
        self.second += 1;
    }

    /// Joules so far: a busy tick takes one.
    pub(crate) fn used(&self) -> f64 {
        series(self.recorder(), CPU).joules().unwrap()
    }
}

/// A package whose every tick takes a joule, and a memory with half a joule a tick.
pub(crate) fn with_memory() -> World {
    let world = World::new();
    world.machine.write(&format!("{PACKAGE}/intel-rapl:0:0/name"), "dram\n");
    memory(&world, 0);
    world
}

pub(crate) fn memory(world: &World, joules: u64) {
    world.machine.write(&format!("{PACKAGE}/intel-rapl:0:0/energy_uj"), format!("{}\n", 1_000_000 * joules));
}

/// Watches these processes for two seconds; joules by processor time and by memory.
pub(crate) fn two_seconds(
    world: &mut World,
    root: ProcessRoot,
    idle: Idle,
    mut between: impl FnMut(&mut World),
) -> [f64; 2] {
    world.watch(root, idle);
    for second in 1..3 {
        memory(world, 500 * second);
        between(world);
        world.sample();
    }
    [CPU, "process.resident-memory"].map(|name| series(world.recorder(), name).joules().unwrap())
}
