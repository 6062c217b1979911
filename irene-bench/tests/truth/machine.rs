//! A scripted server with the sampler of its energy.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use irene_bench::{Bench, Error, FindOptions, Limits, Measured, Prompts, Server, Setting, Target};
use irene_sampler::{
    Sampler, SamplerOptions,
    sensors::{Places, Selection},
};
use irene_scripted_server::{Script, ScriptedServer};
use tempfile::TempDir;

/// Tests run one after the other: the counter's own thread has to come to its turn each millisecond.
static TURN: Mutex<()> = Mutex::new(());

/// A server, and a sampler that reads its energy.
pub(crate) struct Machine {
    _turn: MutexGuard<'static, ()>,
    pub(crate) sys: TempDir,
    pub(crate) scripted: ScriptedServer,
    pub(crate) sampler: Sampler,
}

impl Machine {
    pub(crate) fn new(script: Script) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let sys = tempfile::tempdir().unwrap();
        let scripted = ScriptedServer::start(script, sys.path()).unwrap();
        let places = Places { sys: sys.path().to_owned(), ..Places::here() };
        let selection = Selection::of(&["rapl"], &places).unwrap();
        let options = SamplerOptions { period: Duration::from_millis(2), capacity: 1 << 16 };
        let sampler = Sampler::start(selection.sensors, options).unwrap();
        Self { _turn: turn, sys, scripted, sampler }
    }

    pub(crate) fn find(&self, options: &FindOptions) -> Result<Server, Error> {
        Server::find(Target::parse(&self.scripted.url()).unwrap(), options)
    }

    pub(crate) fn server(&self) -> Server {
        self.find(&options()).unwrap()
    }

    /// Without idle power.
    pub(crate) fn bench<'a>(&'a self, server: &'a Server, limits: Limits, stop: &'a AtomicBool) -> Bench<'a> {
        Bench { server, sampler: &self.sampler, limits, idle_w: None, subtracts_idle: false, stop }
    }

    pub(crate) fn measure(&self, server: &Server, limits: Limits, settings: &[Setting]) -> Vec<Measured> {
        let stop = AtomicBool::new(false);
        let idle_w = Bench::idle_power(&self.sampler, Duration::from_millis(1000), &stop).unwrap();
        let bench = Bench { idle_w, ..self.bench(server, limits, &stop) };
        let measure = |setting: &Setting| {
            let prompts = Prompts::of_tokens(server, setting.prompt, false, limits.timeout).unwrap();
            bench.measure(*setting, &prompts).unwrap()
        };
        settings.iter().map(measure).collect()
    }
}

pub(crate) fn options() -> FindOptions {
    FindOptions { timeout: Duration::from_secs(20), ..FindOptions::default() }
}

pub(crate) fn short() -> Limits {
    Limits {
        warm_up: Duration::ZERO,
        least: Duration::from_millis(800),
        most: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
        most_failures: 0.3,
        ..Limits::default()
    }
}

/// Windows of so many milliseconds at least.
pub(crate) fn lasting(milliseconds: u64) -> Limits {
    Limits { least: Duration::from_millis(milliseconds), ..short() }
}

pub(crate) fn within(share: f64, found: f64, truth: f64, what: &str) {
    assert!((found / truth - 1.0).abs() < share, "{what}: {found} in place of {truth}");
}
