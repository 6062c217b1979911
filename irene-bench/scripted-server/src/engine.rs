//! Continuous batching in one loop: prompts one after the other, then a step in which each sequence gets a token.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

use crate::{Script, counter::Counter};

/// The work and energy of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// Its place among the requests, from 0.
    pub number: usize,
    /// Tokens of its prompt.
    pub prompt: usize,
    /// Tokens that were generated.
    pub generated: usize,
    /// Its joules: its prompt, its tokens, and its share of each step. Idling is not among them.
    pub joules: f64,
    /// When its prompt was taken up and when it left, seconds since the server's start.
    pub began_s: f64,
    /// When it left, seconds since the server's start.
    pub ended_s: f64,
    /// Whether it got all its tokens.
    pub is_whole: bool,
}

/// A request to work on.
pub(crate) struct Job {
    pub(crate) number: usize,
    pub(crate) prompt: usize,
    pub(crate) generate: usize,
    /// Gets the number of each token; it is closed after the last.
    pub(crate) tokens: UnboundedSender<usize>,
}

struct Sequence {
    job: Job,
    served: Served,
}

pub(crate) struct Engine {
    pub(crate) script: Script,
    pub(crate) counter: Arc<Counter>,
    pub(crate) served: Arc<Mutex<Vec<Served>>>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// How long it waits for a request before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(5);

impl Engine {
    pub(crate) fn run(&self, jobs: &Receiver<Job>) {
        let mut running: Vec<Sequence> = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if running.is_empty() {
                match jobs.recv_timeout(PATIENCE) {
                    Ok(job) => running.extend(self.prefill(job)),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            while running.len() < self.script.most_sequences
                && let Ok(job) = jobs.try_recv()
            {
                running.extend(self.prefill(job));
            }
            if !running.is_empty() {
                self.step(&mut running);
            }
        }
    }

    /// Works on a prompt; the sequence, if it shall get tokens.
    fn prefill(&self, job: Job) -> Option<Sequence> {
        let mut served = Served { number: job.number, prompt: job.prompt, ..Served::default() };
        if job.tokens.is_closed() {
            // Nobody waits for it any more.
            return None;
        }
        served.began_s = self.counter.now();
        served.joules = job.prompt as f64 * self.script.joules_per_prompt_token;
        self.counter.work(job.prompt as f64 * self.script.seconds_per_prompt_token, served.joules);
        let sequence = Sequence { job, served };
        if sequence.job.generate > 0 {
            return Some(sequence);
        }
        self.leave(&sequence.served, true);
        None
    }

    fn step(&self, running: &mut Vec<Sequence>) {
        let Script { joules_per_step, joules_per_token, seconds_per_step, seconds_per_sequence, .. } = self.script;
        let count = running.len() as f64;
        self.counter.work(seconds_per_step + count * seconds_per_sequence, joules_per_step + count * joules_per_token);
        running.retain_mut(|Sequence { job, served }| {
            served.generated += 1;
            served.joules += joules_per_token + joules_per_step / count;
            let is_gone = job.tokens.send(served.generated).is_err();
            let is_whole = served.generated == job.generate;
            if is_gone || is_whole {
                self.leave(served, is_whole && !is_gone);
            }
            !(is_gone || is_whole)
        });
    }

    fn leave(&self, served: &Served, is_whole: bool) {
        let served = Served { ended_s: self.counter.now(), is_whole, ..*served };
        self.served.lock().unwrap_or_else(PoisonError::into_inner).push(served);
    }
}
