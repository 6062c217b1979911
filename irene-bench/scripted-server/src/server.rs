use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::serve::ListenerExt;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    Script, Served,
    counter::Counter,
    engine::{Engine, Job},
    routes,
};

/// A server that does as its script says, until it is dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    counter: Arc<Counter>,
    served: Arc<Mutex<Vec<Served>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    runtime: Option<Runtime>,
    threads: Vec<JoinHandle<()>>,
}

/// The state that the handlers of requests share.
pub(crate) struct Shared {
    pub(crate) script: Script,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// The number of the next request.
    pub(crate) next: AtomicUsize,
}

/// The time between two writes of the counter.
const TICK: Duration = Duration::from_millis(1);

impl ScriptedServer {
    /// Starts on a free port of this machine, with its energy in a counter below `sys`.
    ///
    /// # Errors
    /// The system's error if a file, the port or a thread cannot be had.
    pub fn start(script: Script, sys: &Path) -> std::io::Result<Self> {
        Self::start_at(script, sys, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts at this address.
    ///
    /// # Errors
    /// The system's error if a file, the port or a thread cannot be had.
    pub fn start_at(script: Script, sys: &Path, address: SocketAddr) -> std::io::Result<Self> {
        let counter = Arc::new(Counter::new(sys, &script)?);
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let connections = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (jobs, queue) = mpsc::channel();
        let count = Arc::clone(&connections);
        let listener = listener.tap_io(move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            // Each token is sent at once.
            let _ = stream.set_nodelay(true);
        });
        let shared = Arc::new(Shared { script: script.clone(), jobs, next: AtomicUsize::new(0) });
        runtime.spawn(async move { axum::serve(listener, routes::router(shared)).await });
        let engine =
            Engine { script, counter: Arc::clone(&counter), served: Arc::clone(&served), stop: Arc::clone(&stop) };
        let writing = (Arc::clone(&counter), Arc::clone(&stop));
        let threads = vec![
            std::thread::Builder::new().name("engine".into()).spawn(move || engine.run(&queue))?,
            std::thread::Builder::new().name("counter".into()).spawn(move || write(&writing.0, &writing.1))?,
        ];
        Ok(Self { address, counter, served, connections, stop, runtime: Some(runtime), threads })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that were worked on so far, in the order in which they left.
    pub fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A time of [`Served`] in seconds since 1970.
    pub fn unix_s(&self, seconds: f64) -> f64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        now - self.counter.now() + seconds
    }

    /// Connections that were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// J since the start, idling among them.
    pub fn joules(&self) -> f64 {
        self.counter.energy().0
    }

    /// J of work that is over, without idling.
    pub fn joules_of_work(&self) -> f64 {
        self.counter.energy().1
    }
}

fn write(counter: &Counter, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // A tree that a test has removed takes no more readings.
        if counter.write().is_err() {
            return;
        }
        std::thread::sleep(TICK);
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
