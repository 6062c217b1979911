//! Measuring models on this machine, one at a time so that they do not disturb one another.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use irene_models::ModelSpec;
use irene_tree::{Node, Quantity, Size, Tree, jsonl};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::{Limits, Profiling, ProfilingError, ProfilingRequest, Progress, job_state::JobState, metrics::JobCounts};

/// The jobs of a server, and the thread that does them while there are any.
pub(crate) struct Jobs {
    profiler: Arc<dyn Profiling>,
    limits: Limits,
    counts: JobCounts,
    all: Mutex<All>,
    /// Whether the thread is at work.
    is_at_work: watch::Sender<bool>,
}

/// Every change of a job's state is made while this is locked.
#[derive(Default)]
struct All {
    last_id: u64,
    jobs: BTreeMap<u64, Arc<Job>>,
    waiting: VecDeque<(Arc<Job>, ModelSpec)>,
    /// In the order in which they ended.
    ended: VecDeque<u64>,
    is_closed: bool,
}

/// One measurement.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) model: String,
    pub(crate) size: Size,
    stop: AtomicBool,
    status: watch::Sender<Status>,
}

/// The state of a job.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) state: JobState,
    pub(crate) queued: f64,
    pub(crate) started: Option<f64>,
    pub(crate) ended: Option<f64>,
    pub(crate) progress: Progress,
    /// Why it failed.
    pub(crate) detail: Option<String>,
    pub(crate) measured: Option<Measured>,
}

/// The result of a job that is done.
#[derive(Clone)]
pub(crate) struct Measured {
    /// A line of the interchange format.
    pub(crate) tree: Arc<RawValue>,
    /// None without energies.
    pub(crate) energy_provenance: Option<&'static str>,
    /// Energy of a run of the whole, J.
    pub(crate) energy_j: Option<f64>,
    /// Time of a run of the whole, s.
    pub(crate) latency_s: Option<f64>,
}

/// Why a job is not taken.
pub(crate) enum Refusal {
    /// The queue is full.
    Full,
    /// The server is ending.
    Closed,
    /// No thread could start.
    NoThread(std::io::Error),
}

impl Job {
    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Sees every change.
    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether it was told to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Jobs {
    pub(crate) fn new(profiler: Arc<dyn Profiling>, limits: Limits, counts: JobCounts) -> Self {
        Self { profiler, limits, counts, all: Mutex::default(), is_at_work: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs that wait and run, and the last that ended, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Job>> {
        self.lock().jobs.values().cloned().collect()
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<Job>> {
        self.lock().jobs.get(&id).cloned()
    }

    /// Takes a job, which runs as soon as those before it have ended.
    pub(crate) fn submit(self: &Arc<Self>, spec: ModelSpec, size: Size) -> Result<Arc<Job>, Refusal> {
        let mut all = self.lock();
        if all.is_closed {
            return Err(Refusal::Closed);
        }
        if all.waiting.len() >= self.limits.jobs_waiting {
            return Err(Refusal::Full);
        }
        if !*self.is_at_work.borrow() {
            // The thread cannot look for work before this lock is released.
            let jobs = Arc::clone(self);
            std::thread::Builder::new().name("jobs".into()).spawn(move || jobs.work()).map_err(Refusal::NoThread)?;
            self.is_at_work.send_replace(true);
        }
        all.last_id += 1;
        let status = Status {
            state: JobState::Queued,
            queued: now(),
            started: None,
            ended: None,
            progress: Progress::default(),
            detail: None,
            measured: None,
        };
        let job = Arc::new(Job {
            id: all.last_id,
            model: spec.name().to_owned(),
            size,
            stop: AtomicBool::new(false),
            status: watch::Sender::new(status),
        });
        self.counts.enter(JobState::Queued);
        all.jobs.insert(job.id, Arc::clone(&job));
        all.waiting.push_back((Arc::clone(&job), spec));
        Ok(job)
    }

    /// Cancels a job: a waiting one at once, a running one at its next check. False if it has already ended.
    pub(crate) fn cancel(&self, job: &Job) -> bool {
        let mut all = self.lock();
        let state = job.status.borrow().state;
        match state {
            JobState::Queued => {
                job.stop.store(true, Ordering::Relaxed);
                all.waiting.retain(|(waiting, _)| waiting.id != job.id);
                self.end(&mut all, job, Outcome::Cancelled);
            }
            JobState::Running => {
                job.stop.store(true, Ordering::Relaxed);
                // Wakes the watchers, which see that it is stopping.
                job.status.send_modify(|_| ());
            }
            JobState::Done | JobState::Failed | JobState::Cancelled => {}
        }
        !state.is_final()
    }

    /// Takes no more jobs, and ends those that wait and run.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        for job in self.list() {
            self.cancel(&job);
        }
    }

    /// Ready when nothing is measured.
    pub(crate) async fn idle(&self) {
        // This struct has the sender, so that it stays.
        let _ = self.is_at_work.subscribe().wait_for(|is_at_work| !is_at_work).await;
    }

    /// The thread: job after job, until none waits.
    fn work(&self) {
        while let Some((job, spec)) = self.begin() {
            let outcome = self.measure(&job, &spec);
            let mut all = self.lock();
            self.end(&mut all, &job, outcome);
        }
    }

    fn begin(&self) -> Option<(Arc<Job>, ModelSpec)> {
        let mut all = self.lock();
        let next = all.waiting.pop_front();
        match &next {
            Some((job, _)) => self.change(job, JobState::Running, |status| status.started = Some(now())),
            None => drop(self.is_at_work.send_replace(false)),
        }
        next
    }

    fn measure(&self, job: &Job, spec: &ModelSpec) -> Outcome {
        let mut progress = |progress: Progress| {
            job.status.send_if_modified(|status| {
                let is_new = status.progress != progress;
                status.progress = progress;
                is_new
            });
        };
        let request = ProfilingRequest { spec, size: job.size };
        let profile = AssertUnwindSafe(|| self.profiler.profile(&request, &mut progress, &job.stop));
        match catch_unwind(profile) {
            Ok(Ok(tree)) => Measured::of(&tree).map_or_else(Outcome::Failed, Outcome::Done),
            Ok(Err(_)) if job.is_stopping() => Outcome::Cancelled,
            Ok(Err(ProfilingError(line))) => Outcome::Failed(line),
            Err(_) => {
                tracing::error!(id = job.id, "a job panicked");
                Outcome::Failed("this job failed; the server goes on".into())
            }
        }
    }

    /// The last that ended are kept.
    fn end(&self, all: &mut All, job: &Job, outcome: Outcome) {
        let (state, measured, detail) = match outcome {
            Outcome::Done(measured) => (JobState::Done, Some(measured), None),
            Outcome::Failed(line) => (JobState::Failed, None, Some(line)),
            Outcome::Cancelled => (JobState::Cancelled, None, None),
        };
        tracing::info!(id = job.id, model = job.model, state = state.name(), detail, "job");
        self.change(job, state, |status| {
            status.ended = Some(now());
            status.measured = measured;
            status.detail = detail;
        });
        all.ended.push_back(job.id);
        while all.ended.len() > self.limits.jobs_kept {
            let oldest = all.ended.pop_front();
            oldest.and_then(|id| all.jobs.remove(&id));
        }
    }

    fn change(&self, job: &Job, to: JobState, more: impl FnOnce(&mut Status)) {
        job.status.send_modify(|status| {
            self.counts.leave(status.state);
            self.counts.enter(to);
            status.state = to;
            more(status);
        });
    }
}

/// How a job ended.
enum Outcome {
    Done(Measured),
    Failed(String),
    Cancelled,
}

impl Measured {
    fn of(tree: &Tree) -> Result<Self, String> {
        let has_energy = |node: &Node| node.get(Quantity::GroundTruthEnergy).is_some();
        let energy_provenance = match tree.nodes() {
            nodes if nodes.iter().any(Node::is_energy_estimated) => Some("estimated"),
            nodes if nodes.iter().any(has_energy) => Some("measured"),
            _ => None,
        };
        let [energy_j, latency_s] =
            [Quantity::GroundTruthEnergy, Quantity::Latency].map(|figure| tree.root().get(figure));
        let tree = RawValue::from_string(jsonl::to_json(tree)).map_err(|error| error.to_string())?;
        Ok(Self { tree: tree.into(), energy_provenance, energy_j, latency_s })
    }
}

/// Seconds since 1970 by the system's clock.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
