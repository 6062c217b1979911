use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;
use irene_models::{ModelSpec, Run};
use irene_regress::{DeviceProfile, Track};
use irene_tree::Tree;
use lru::LruCache;
use tokio::sync::Semaphore;

use crate::{Limits, Options, api::queries::ModelQuery, jobs::Jobs, metrics::Metrics, problem::Problem};

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
    /// Permits of requests that are being answered.
    pub(crate) requests: Semaphore,
    /// Permits of requests that compute: more threads than processors would only take memory.
    processors: Semaphore,
    /// Predictions by their query.
    cache: Mutex<LruCache<ModelQuery, Bytes>>,
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
            requests: Semaphore::new(limits.requests),
            processors: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
            cache: Mutex::new(LruCache::new(NonZeroUsize::new(limits.cached).unwrap_or(NonZeroUsize::MIN))),
        })
    }

    /// The first device if none is named.
    pub(crate) fn device(&self, name: Option<&str>) -> Result<&Device, Problem> {
        let is_it = |device: &&Device| name.is_none_or(|name| device.name == name);
        self.devices.iter().find(is_it).ok_or_else(|| {
            let known = self.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ");
            Problem::unknown(format!("device `{}` is unknown; there are {known}", name.unwrap_or_default()))
        })
    }

    /// The profile of a bundled device for trees measured to this extent.
    pub(crate) fn profile_for(&self, name: Option<&str>, track: Track) -> Result<DeviceProfile, Problem> {
        let device = self.device(name)?;
        DeviceProfile::bundled_for(&device.name, track).map_err(|error| Problem::refused(&error))
    }

    /// The built-in model with this name: no request reaches the file system.
    pub(crate) fn model(&self, name: &str) -> Result<ModelSpec, Problem> {
        ModelSpec::builtin(name)
            .ok_or_else(|| Problem::unknown(format!("model `{name}` is unknown; /api/v1/models lists those there are")))
    }

    /// Refuses a run that is larger than this server follows.
    fn check(&self, Run { size, generate, .. }: Run) -> Result<(), Problem> {
        let Limits { batch_size, seq_len, .. } = self.limits;
        let sizes = [
            ("batch_size", size.sequences, 1, batch_size),
            ("seq_len", size.new, 1, seq_len),
            ("past_len", size.past, 0, seq_len),
            ("generate", generate, 0, seq_len),
        ];
        match sizes.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            None => Ok(()),
            Some((name, value, least, most)) => {
                Err(Problem::malformed(format!("{name} must be from {least} to {most}, found {value}")))
            }
        }
    }

    /// Refuses a tree that is larger than this server predicts.
    fn check_nodes(&self, tree: Tree) -> Result<Tree, Problem> {
        let (nodes, most) = (tree.nodes().len(), self.limits.nodes);
        if nodes > most {
            return Err(Problem::malformed(format!("the model has {nodes} nodes; at most {most} are predicted here")));
        }
        Ok(tree)
    }

    /// The tree of a model by its shapes alone.
    pub(crate) fn trace(&self, spec: &ModelSpec, run: impl Into<Run>) -> Result<Tree, Problem> {
        let run = run.into();
        self.check(run)?;
        self.check_nodes(spec.trace(run).map_err(|error| Problem::refused(&error))?)
    }

    /// The tree with its energies.
    pub(crate) fn predict(&self, device: &Device, spec: &ModelSpec, run: Run) -> Result<Tree, Problem> {
        self.check(run)?;
        let tree = irene_predict::predict(spec, run, &device.profile).map_err(|error| Problem::refused(&error))?;
        self.check_nodes(tree)
    }

    /// An answer that was given before.
    pub(crate) fn cached(&self, query: &ModelQuery) -> Option<Bytes> {
        let found = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(query).cloned();
        self.metrics.cache(found.is_some());
        found
    }

    pub(crate) fn keep(&self, query: ModelQuery, answer: Bytes) {
        // Answers so large that a few fill the cache are not cached.
        const LARGEST: usize = 1 << 20;
        if answer.len() <= LARGEST {
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(query, answer);
        }
    }
}

/// Runs slow work off the threads that answer. A panic there is this request's problem alone.
pub(crate) async fn compute<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let _permit = app.processors.acquire().await;
    let shared = Arc::clone(app);
    tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed");
        Err(Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "this request failed; the server goes on"))
    })
}
