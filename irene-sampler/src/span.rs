//! The energy between two moments of a program, without waiting for the meters.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Clock, NoEnergy, Pending, Promise, Provenance, Recording, Sampler};

/// A time that has begun: [`end`](Self::end) gives its energy. Dropping it discards it.
///
/// It holds no lock and may move to other threads and tasks.
#[derive(Clone, Debug)]
#[must_use = "a span that is dropped is discarded"]
pub struct Span {
    clock: Clock,
    spans: Arc<Spans>,
    from: f64,
}

/// The energy of a span.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spent {
    /// Duration, s.
    pub seconds: f64,
    /// Energy of the meter, J.
    pub joules: f64,
    /// Mean power, W.
    pub watts: f64,
    /// The number of readings that it rests on: those of the meter's sensor that has the fewest.
    pub readings: usize,
    /// Where the energy comes from: it is estimated if any part of it is.
    pub provenance: Provenance,
}

/// Why a span has no energy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpanError {
    /// No sensor of the sampler counts.
    #[error("the sampler has no meter")]
    NoMeter,
    /// The readings tell no energy, for this reason.
    #[error(transparent)]
    NoEnergy(#[from] NoEnergy),
    /// So many seconds after its end the readings had not reached it.
    #[error("{error}, {waited:.1} s after its end")]
    Late {
        /// The sensor.
        error: NoEnergy,
        /// Seconds since the end of the span.
        waited: f64,
    },
    /// The sampler stopped, or one of its sensors panicked, before the readings reached the end of the span.
    #[error("the sampler stopped before its readings reached the end of the span")]
    Stopped,
}

/// The outcome of a span.
type Outcome = Result<Spent, SpanError>;

impl Span {
    /// Ends it now. The energy comes when the meter's readings reach this moment, or clearly will not. This never waits.
    pub fn end(self) -> Pending<Result<Spent, SpanError>> {
        let to = self.clock.now();
        self.spans.add(self.from, to)
    }

    /// Seconds since its begin.
    pub fn seconds(&self) -> f64 {
        self.clock.now() - self.from
    }
}

impl Sampler {
    /// Begins a span. It takes no lock.
    pub fn span(&self) -> Span {
        Span { clock: self.clock(), spans: self.spans(), from: self.clock().now() }
    }

    /// Runs a closure in a span. This never waits for the meter; the energy comes later.
    pub fn measure<T>(&self, work: impl FnOnce() -> T) -> (T, Pending<Result<Spent, SpanError>>) {
        let span = self.span();
        let made = work();
        (made, span.end())
    }
}

/// The spans that have ended and wait for readings. The lock is held to add to the list or to take it, and for nothing else.
#[derive(Debug)]
pub(crate) struct Spans {
    /// None once the sampler has stopped.
    open: Mutex<Option<Vec<Open>>>,
    /// How long a span waits for readings, s.
    patience: f64,
}

/// A span that has ended.
#[derive(Debug)]
struct Open {
    from: f64,
    to: f64,
    /// None once the outcome is known.
    promise: Option<Promise<Outcome>>,
}

impl Spans {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { open: Mutex::new(Some(Vec::new())), patience: patience.as_secs_f64() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, from: f64, to: f64) -> Pending<Outcome> {
        let (promise, pending) = Promise::new();
        let span = Open { from, to, promise: Some(promise) };
        match &mut *self.lock() {
            Some(open) => open.push(span),
            // It is dropped, which tells that the sampler has stopped.
            None => drop(span),
        }
        pending
    }

    /// Gives their energy to the spans that the readings reach, and the reason to those whose time is over.
    pub(crate) fn settle<G: Deref<Target = Recording>>(&self, now: f64, recording: impl FnOnce() -> G) {
        let mut open = self.lock().as_mut().map(std::mem::take).unwrap_or_default();
        if open.is_empty() {
            return;
        }
        let recording = recording();
        let patience = self.patience + recording.line_period();
        let outcomes: Vec<Option<Outcome>> =
            open.iter().map(|span| span.outcome(&recording, now - span.to >= patience, now)).collect();
        // Whoever is woken may look at the recording.
        drop(recording);
        for (span, outcome) in open.iter_mut().zip(outcomes) {
            if let Some(outcome) = outcome {
                span.keep(outcome);
            }
        }
        open.retain(|span| span.promise.is_some());
        if let Some(newer) = &mut *self.lock() {
            newer.append(&mut open);
        }
    }

    /// Ends them all: no reading will come any more.
    pub(crate) fn close(&self) {
        let open = self.lock().take();
        drop(open);
    }
}

impl Open {
    /// None if more readings may tell.
    fn outcome(&self, recording: &Recording, is_over: bool, now: f64) -> Option<Outcome> {
        let lags = recording.lags(self.from, self.to);
        if lags && !is_over {
            return None;
        }
        Some(match recording.total().window(recording, self.from, self.to) {
            Ok(None) => Err(SpanError::NoMeter),
            Ok(Some(total)) => Ok(Spent {
                seconds: self.to - self.from,
                joules: total.joules,
                watts: total.watts,
                readings: total.readings,
                provenance: total.provenance,
            }),
            Err(error) if lags => Err(SpanError::Late { error, waited: now - self.to }),
            Err(error) => Err(SpanError::NoEnergy(error)),
        })
    }

    fn keep(&mut self, outcome: Outcome) {
        if let Some(promise) = self.promise.take() {
            promise.keep(outcome);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.keep(Err(SpanError::Stopped));
    }
}
