//! A profiler that does what a test tells it, step by step.
#![allow(dead_code)] // each test takes what it needs

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use irene_tree::{Node, Quantity, Tree};
use irene_viz::{Profiling, ProfilingError, ProfilingRequest, Progress};
use serde_json::json;

/// The next thing that the scripted profiler does.
pub(crate) enum Step {
    /// Tells that so many nodes of four are measured, the last one of this scope.
    Measured(usize, &'static str),
    Finish,
    Fail(&'static str),
    Panic,
}

pub(crate) struct Scripted(Mutex<Receiver<Step>>);

pub(crate) fn scripted() -> (Arc<Scripted>, Sender<Step>) {
    let (sender, steps) = channel();
    (Arc::new(Scripted(Mutex::new(steps))), sender)
}

impl Profiling for Scripted {
    fn profile(
        &self,
        request: &ProfilingRequest<'_>,
        progress: &mut dyn FnMut(Progress),
        stop: &AtomicBool,
    ) -> Result<Tree, ProfilingError> {
        // Another job's panic is no concern of this one.
        let steps = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            let step = steps.recv_timeout(Duration::from_millis(2));
            if stop.load(Ordering::Relaxed) {
                return Err(ProfilingError("stopped".into()));
            }
            match step {
                Ok(Step::Measured(measured, scope)) => {
                    progress(Progress { nodes: 4, measured, rounds: 3 * measured, scope: Some(scope.into()) });
                }
                Ok(Step::Finish) => return Ok(measured(request)),
                Ok(Step::Fail(line)) => return Err(ProfilingError(line.into())),
                #[allow(clippy::panic)] // what the server has to outlive
                Ok(Step::Panic) => panic!("as the test asked"),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ProfilingError("the test is over".into())),
            }
        }
    }
}

/// The tree with figures on every node, by a power model.
fn measured(request: &ProfilingRequest<'_>) -> Tree {
    let tree = request.spec.trace(request.size).unwrap();
    let mut tree = tree.without_math();
    for node in tree.nodes_mut() {
        for quantity in [Quantity::Cpu, Quantity::Mem, Quantity::Gpu, Quantity::GpuMem, Quantity::GpuClk] {
            node.set(quantity, 50.0);
        }
        node.set(Quantity::GpuMemClk, 3802.0);
        node.set(Quantity::Latency, 0.01);
        node.set(Quantity::GpuEnergy, 0.5);
        node.set(Quantity::GroundTruthEnergy, 0.75);
        let extra = node.extra.get_or_insert_default();
        extra.insert(Node::MEASUREMENT_FIELD.into(), json!({"rounds": 3, "energy_provenance": "estimated"}));
    }
    tree
}
