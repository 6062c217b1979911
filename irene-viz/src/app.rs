use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::http::StatusCode;
use irene_models::{ModelSpec, Run};
use irene_regress::{DeviceProfile, Track};
use irene_tree::{Tree, did_you_mean, similar};
use lru::LruCache;
use tokio::sync::Semaphore;

use crate::{
    Limits, Options,
    answer::Answer,
    api::{queries::ModelQuery, shown},
    jobs::Jobs,
    metrics::Metrics,
    problem::Problem,
    room::Room,
};

/// The state that all requests share.
pub(crate) struct App {
    pub(crate) devices: Vec<Device>,
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
    /// Of the bodies that are being read and answered.
    pub(crate) bodies: Room,
    /// Of the answers that are kept or being sent.
    pub(crate) answers: Room,
    cache: Mutex<Cache>,
    /// The OpenAPI document.
    pub(crate) document: OnceLock<Answer>,
}

/// Predictions by their query.
struct Cache {
    answers: LruCache<ModelQuery, Arc<Answer>>,
    bytes: usize,
}

/// A machine that can be predicted for.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) profile: DeviceProfile,
}

impl App {
    pub(crate) fn new(options: Options) -> Result<Self, irene_regress::Error> {
        let bundled = |name: &str| Ok(Device { name: name.to_owned(), profile: DeviceProfile::bundled(name)? });
        let mut devices =
            DeviceProfile::bundled_names().map(bundled).collect::<Result<Vec<Device>, irene_regress::Error>>()?;
        devices.extend(options.devices.into_iter().map(|(name, profile)| Device { name, profile }));
        let (limits, metrics) = (options.limits, Metrics::default());
        let jobs = options.profiler.map(|profiler| Arc::new(Jobs::new(profiler, limits, metrics.jobs.clone())));
        Ok(Self {
            devices,
            limits,
            metrics,
            allow_origin: options.allow_origin,
            is_local: options.address.ip().to_canonical().is_loopback(),
            jobs,
            followers: Arc::new(Semaphore::new(limits.followers)),
            processors: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
            bodies: Room::new(limits.bodies),
            answers: Room::new(limits.answers),
            cache: Mutex::new(Cache { answers: LruCache::unbounded(), bytes: 0 }),
            document: OnceLock::new(),
        })
    }

    /// The first device if none is named.
    pub(crate) fn device(&self, name: Option<&str>) -> Result<&Device, Problem> {
        let is_it = |device: &&Device| name.is_none_or(|name| device.name == name);
        self.devices.iter().find(is_it).ok_or_else(|| {
            let known = self.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ");
            let name = name.unwrap_or_default();
            let near = did_you_mean(&similar(name, self.devices.iter().map(|device| device.name.as_str())));
            Problem::unknown(format!("device `{}` is unknown{near}; there are {known}", shown(name)))
        })
    }

    /// The profile of a bundled device for trees measured to this extent.
    pub(crate) fn profile_for(&self, name: Option<&str>, track: Track) -> Result<DeviceProfile, Problem> {
        let device = self.device(name)?;
        DeviceProfile::bundled_for(&device.name, track).map_err(|error| Problem::refused(&error))
    }

    /// The built-in model with this name: no request reaches the file system.
    pub(crate) fn model(&self, name: &str) -> Result<ModelSpec, Problem> {
        ModelSpec::builtin(name).ok_or_else(|| {
            let names: Vec<String> = ModelSpec::builtin_names().collect();
            let near = did_you_mean(&similar(name, names.iter().map(String::as_str)));
            Problem::unknown(format!("model `{}` is unknown{near}; /api/v1/models lists those there are", shown(name)))
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

    /// The tree with its energies.
    pub(crate) fn predict(&self, device: &Device, spec: &ModelSpec, run: Run) -> Result<Tree, Problem> {
        let tree = irene_predict::predict(spec, run, &device.profile).map_err(|error| Problem::refused(&error))?;
        self.check_nodes(tree)
    }

    /// An answer that was given before.
    pub(crate) fn cached(&self, query: &ModelQuery) -> Option<Arc<Answer>> {
        let found = self.cache.lock().unwrap_or_else(PoisonError::into_inner).answers.get(query).cloned();
        self.metrics.cache(found.is_some());
        found
    }

    pub(crate) fn keep(&self, query: ModelQuery, answer: Arc<Answer>) {
        // Answers so large that a few fill the cache are not cached, and the cache leaves room for answers that are being sent.
        const LARGEST: usize = 1 << 20;
        let most = self.answers.most() / 2;
        if answer.len() > LARGEST.min(most) {
            return;
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += answer.len();
        if let Some(before) = cache.answers.put(query, answer) {
            cache.bytes -= before.len();
        }
        while cache.bytes > most || cache.answers.len() > self.limits.cached {
            let Some((_, oldest)) = cache.answers.pop_lru() else { break };
            cache.bytes -= oldest.len();
        }
    }
}

/// Runs slow work off the threads that answer. A panic there is this request's problem alone.
pub(crate) async fn compute<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    // The work holds it: where nobody waits for the answer any more, the processor is still at work.
    let permit = Arc::clone(&app.processors).acquire_owned().await;
    let shared = Arc::clone(app);
    let work = move || {
        let _permit = permit;
        work(&shared)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this request failed; the server goes on"))
    })
}
