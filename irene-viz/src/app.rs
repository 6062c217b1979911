use std::{
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
};

use axum::http::StatusCode;
use irene_advice::{Basis, Estimate, Lookup, Selection};
use irene_models::{ModelSpec, Run};
use irene_regress::DeviceProfile;
use irene_tree::{Tree, similar};
use tokio::sync::Semaphore;

use crate::{Limits, Options, answer::Answer, jobs::Jobs, kept::Kept, metrics::Metrics, problem::Problem, room::Room};

/// The state that all requests share.
pub(crate) struct App {
    pub(crate) devices: Vec<Device>,
    /// Answers selections.
    pub(crate) lookup: Lookup,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) allow_origin: Option<String>,
    /// Whether it listens on an address that only this machine reaches.
    pub(crate) is_local: bool,
    /// None where nothing may be measured.
    pub(crate) jobs: Option<Arc<Jobs>>,
    /// Permits of those who follow jobs.
    pub(crate) followers: Arc<Semaphore>,
    /// Permits of requests that compute: more threads than processors would only take memory.
    processors: Arc<Semaphore>,
    /// Permits of those that compute for long: a processor is left for the others.
    long: Arc<Semaphore>,
    /// Room for bodies that are being read and answered.
    pub(crate) bodies: Room,
    /// Room for the first bytes of model files.
    pub(crate) heads: Room,
    /// Room for answers that are kept or being sent.
    pub(crate) answers: Room,
    pub(crate) kept: Kept,
    /// The OpenAPI document.
    pub(crate) document: OnceLock<Answer>,
}

/// A machine that can be predicted for.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) profile: Arc<DeviceProfile>,
}

impl App {
    pub(crate) fn new(options: Options) -> Result<Self, irene_regress::Error> {
        let (limits, metrics) = (options.limits, Metrics::default());
        // At least two, so that long computations never take all of them.
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).max(2);
        let jobs = options.profiler.map(|profiler| Arc::new(Jobs::new(profiler, limits, metrics.jobs.clone())));
        let mut app = Self {
            devices: Vec::new(),
            lookup: Lookup::bundled(),
            limits,
            metrics,
            allow_origin: options.allow_origin,
            is_local: options.address.ip().to_canonical().is_loopback(),
            jobs,
            followers: Arc::new(Semaphore::new(limits.followers)),
            processors: Arc::new(Semaphore::new(processors)),
            long: Arc::new(Semaphore::new(processors - 1)),
            bodies: Room::new(limits.bodies),
            heads: Room::new(limits.bodies),
            answers: Room::new(limits.answers),
            kept: Kept::new(),
            document: OnceLock::new(),
        };
        for name in DeviceProfile::bundled_names() {
            app.add_device(name.to_owned(), DeviceProfile::bundled(name)?);
        }
        options.devices.into_iter().for_each(|(name, profile)| app.add_device(name, profile));
        options.calibrations.into_iter().for_each(|calibration| app.lookup.add_calibration(calibration));
        Ok(app)
    }

    /// Adds a machine, in place of one of the same name.
    pub(crate) fn add_device(&mut self, name: String, profile: DeviceProfile) {
        let profile = Arc::new(profile);
        self.lookup.add_profile(name.as_str(), Arc::clone(&profile));
        self.devices.retain(|known| known.name != name);
        self.devices.push(Device { name, profile });
    }

    /// The first device if none is named.
    pub(crate) fn device(&self, name: Option<&str>) -> Result<&Device, Problem> {
        let is_it = |device: &&Device| name.is_none_or(|name| device.name == name);
        let unknown = || Problem::none_of("device", name.unwrap_or_default(), &self.device_names());
        self.devices.iter().find(is_it).ok_or_else(unknown)
    }

    pub(crate) fn device_names(&self) -> Vec<String> {
        self.devices.iter().map(|device| device.name.clone()).collect()
    }

    /// The machine whose profile gave an estimate; None for one by a data sheet.
    pub(crate) fn measured(&self, estimate: &Estimate) -> Option<&Device> {
        let is_it = |known: &&Device| estimate.basis == Basis::Profile && known.name == estimate.device;
        self.devices.iter().find(is_it)
    }

    /// The built-in model with this name: no request reaches the file system.
    pub(crate) fn model(&self, name: &str) -> Result<ModelSpec, Problem> {
        ModelSpec::builtin(name).ok_or_else(|| {
            let names: Vec<String> = ModelSpec::builtin_names().collect();
            Problem::unknown_of("model", name, &similar(name, names.iter().map(String::as_str))).about("model")
        })
    }

    /// Refuses a tree that is larger than this server predicts.
    pub(crate) fn check_nodes(&self, tree: Tree) -> Result<Tree, Problem> {
        let (nodes, most) = (tree.nodes().len(), self.limits.nodes);
        if nodes > most {
            let detail = format!("the model has {nodes} nodes; at most {most} are predicted here");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        Ok(tree)
    }

    /// The tree of a model by its shapes alone.
    pub(crate) fn trace(&self, spec: &ModelSpec, run: impl Into<Run>) -> Result<Tree, Problem> {
        self.check_nodes(spec.trace(run).map_err(|error| Problem::refused(&error))?)
    }

    /// The answer of a selection, node by node.
    pub(crate) fn answer(&self, selection: &Selection) -> Result<irene_advice::Answer, Problem> {
        let mut answer = self.lookup.answer(selection)?;
        answer.tree = self.check_nodes(answer.tree)?;
        Ok(answer)
    }
}

/// How long a request computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Milliseconds: one model at one size, or a few.
    Short,
    /// Longer: many models, sizes or devices.
    Long,
}

/// Runs slow work off the threads that answer. A panic there is this request's problem alone.
pub(crate) async fn compute<T: Send + 'static>(
    app: &Arc<App>,
    effort: Effort,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    // Short ones find a processor however many long ones wait.
    let among_long = match effort {
        Effort::Short => None,
        Effort::Long => Some(Arc::clone(&app.long).acquire_owned().await),
    };
    let permit = Arc::clone(&app.processors).acquire_owned().await;
    let shared = Arc::clone(app);
    let work = move || {
        // The work holds them: where nobody waits for the answer any more, the processor is still at work.
        let _permits = (among_long, permit);
        work(&shared)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this request failed; the server goes on"))
    })
}
