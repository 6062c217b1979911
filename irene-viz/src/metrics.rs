use std::{fmt::Write, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{job_state::JobState, room::Room};

/// The server's counts, in OpenMetrics' form.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Route, Histogram>,
    pub(crate) in_flight: Gauge,
    cache: Family<Outcome, Counter>,
    body_bytes: Gauge,
    answer_bytes: Gauge,
    pub(crate) jobs: JobCounts,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// How many jobs wait and run, and how those before ended.
#[derive(Clone, Default)]
pub(crate) struct JobCounts {
    about: Family<StateLabel, Gauge>,
    ended: Family<StateLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

impl JobCounts {
    /// A job comes to be in this state.
    pub(crate) fn enter(&self, state: JobState) {
        let label = StateLabel { state: state.name() };
        if state.is_final() {
            self.ended.get_or_create(&label).inc();
        } else {
            self.about.get_or_create(&label).inc();
        }
    }

    /// A job was in this state.
    pub(crate) fn leave(&self, state: JobState) {
        if !state.is_final() {
            self.about.get_or_create(&StateLabel { state: state.name() }).dec();
        }
    }
}

/// Upper ends of the histogram's buckets, seconds.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let new: fn() -> Histogram = || Histogram::new(BUCKETS);
        let seconds = Family::new_with_constructor(new);
        let (in_flight, cache) = (Gauge::default(), Family::default());
        registry.register("irene_http_requests", "Requests that were answered", requests.clone());
        registry.register("irene_http_request_seconds", "Time to answer", seconds.clone());
        registry.register("irene_http_requests_in_flight", "Requests being answered", in_flight.clone());
        registry.register("irene_cache_lookups", "Answers looked for in the cache", cache.clone());
        let (body_bytes, answer_bytes) = (Gauge::default(), Gauge::default());
        registry.register("irene_body_bytes", "Bytes of bodies in memory", body_bytes.clone());
        registry.register("irene_answer_bytes", "Bytes of answers in memory, kept or being sent", answer_bytes.clone());
        let jobs = JobCounts::default();
        registry.register("irene_jobs", "Jobs that wait or run", jobs.about.clone());
        registry.register("irene_jobs_ended", "Jobs that ended", jobs.ended.clone());
        Self { registry, requests, seconds, in_flight, cache, body_bytes, answer_bytes, jobs }
    }
}

impl Metrics {
    /// A request was answered. Routes are those of the server, so that clients cannot make up labels.
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.requests.get_or_create(&Labels { route: route.clone(), status }).inc();
        self.seconds.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn cache(&self, hit: bool) {
        self.cache.get_or_create(&Outcome { outcome: if hit { "hit" } else { "miss" } }).inc();
    }

    pub(crate) fn text(&self, bodies: [&Room; 2], answers: &Room) -> String {
        let held = bodies.into_iter().map(Room::held).sum::<usize>();
        self.body_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
        self.answer_bytes.set(i64::try_from(answers.held()).unwrap_or(i64::MAX));
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# the metrics cannot be written");
        }
        text
    }
}
