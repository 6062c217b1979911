//! So many requests at once, each followed by the next: a closed loop.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use irene_sampler::Clock;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    Exchange, Failure, Limits, Prompts, Result, Server, Setting,
    exchange::Meant,
    http::Client,
    request::{Reply, ask, runtime},
};

/// Requests that run, from a thread of their own.
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: Server,
    prompts: Prompts,
    setting: Setting,
    timeout: Duration,
    clock: Clock,
    /// Requests that may still be sent.
    left: AtomicU64,
    /// No request is sent any more.
    is_ending: AtomicBool,
    /// When the first request ended that none followed, s.
    ebbs_from: OnceLock<f64>,
    /// Breaks off the requests that run.
    abort: Notify,
    exchanges: Mutex<Vec<Exchange>>,
}

/// After so many failures in a row the pause grows no more.
const MOST_DOUBLINGS: u32 = 5;

/// The pause after a failure: a server that refuses all must not be flooded.
const PAUSE: Duration = Duration::from_millis(20);

impl Load {
    pub(crate) fn start(
        server: &Server,
        prompts: &Prompts,
        setting: Setting,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self> {
        let runtime = runtime()?;
        let shared = Arc::new(Shared {
            server: server.clone(),
            prompts: prompts.clone(),
            setting,
            timeout: limits.timeout,
            clock,
            left: AtomicU64::new(limits.most_requests),
            is_ending: AtomicBool::new(false),
            ebbs_from: OnceLock::new(),
            abort: Notify::new(),
            exchanges: Mutex::new(Vec::new()),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("irene-bench".into()).spawn(move || {
            runtime.block_on(run(&theirs));
            // A lookup of a name that hangs must not keep the caller.
            runtime.shutdown_background();
        });
        Ok(Self { shared, thread: Some(thread.map_err(crate::Error::io("cannot start a thread"))?) })
    }

    /// The requests that are over, in the order of their ends.
    pub(crate) fn exchanges(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.shared.lock()
    }

    /// The time up to which each request was followed by the next, s; infinite while all are.
    pub(crate) fn ebbs_from(&self) -> f64 {
        self.shared.ebbs_from.get().copied().unwrap_or(f64::INFINITY)
    }

    /// Whether all requests that may be sent are over.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Sends no more requests, and waits for the ends of those that run until `stop`: then they are broken off.
    pub(crate) fn finish(mut self, stop: impl Fn() -> bool) -> Vec<Exchange> {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        while !self.is_over() && !stop() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end();
        std::mem::take(&mut *self.shared.lock())
    }

    fn end(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.shared.abort.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more request may be sent. The first answer "no" is when the load begins to end.
    fn claim(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        let may = !self.is_ending.load(Ordering::Relaxed)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if !may {
            self.ebbs_from.get_or_init(|| self.clock.now());
        }
        may
    }
}

async fn run(shared: &Arc<Shared>) {
    let mut workers = JoinSet::new();
    for place in 0..shared.setting.concurrency {
        workers.spawn(work(Arc::clone(shared), place));
    }
    let all = async { while workers.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = shared.abort.notified() => {}
    }
}

/// Sends one request after the other.
async fn work(shared: Arc<Shared>, place: usize) {
    let server = &shared.server;
    let mut client = Client::new(Arc::clone(&server.target), Arc::clone(&server.addresses));
    let Setting { generate, concurrency, .. } = shared.setting;
    let (mut is_first, mut failures) = (true, 0);
    while shared.claim() {
        // The first ones end one after the other, as those of a server in use do.
        let generate = if is_first { (generate * (place + 1)).div_ceil(concurrency) } else { generate };
        let exchange = exchange(&shared, &mut client, generate, is_first).await;
        failures = if exchange.failure.is_some() { failures + 1 } else { 0 };
        shared.lock().push(exchange);
        is_first = false;
        if failures > 0 {
            tokio::time::sleep(PAUSE * 2_u32.pow(MOST_DOUBLINGS.min(failures - 1))).await;
        }
    }
}

async fn exchange(shared: &Shared, client: &mut Client, generate: usize, is_first: bool) -> Exchange {
    let Shared { server, prompts, clock, .. } = shared;
    let prompt = prompts.next();
    let asked = server.ask_for(&prompt, generate, server.streams, prompts.shares_prefix());
    let mut reply = Reply::default();
    let started = clock.now();
    let asking = ask(client, server, asked, *clock, &mut reply);
    let asked = tokio::time::timeout(shared.timeout, asking).await.unwrap_or(Err(Failure::Timeout));
    let ended = clock.now();
    let meant = Meant { prompt: prompts.tokens(), generate };
    let counts = asked.and_then(|()| Exchange::counts(&reply, meant));
    let (first, last) = (reply.first, reply.last);
    let broken = (meant.prompt, reply.texts as f64);
    let (failure, (prompt, generated)) = match counts {
        Ok(counts) => (None, counts),
        Err(failure) => (Some(failure), broken),
    };
    Exchange { started, first, last, ended, prompt, generated, failure, is_first }
}
