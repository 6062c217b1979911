//! Measuring models on the server's machine: `jobs`, where they are allowed.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use irene_models::{Config, ModelSpec};
use irene_tree::{Quantity, Size, Tree};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    Shared, answer,
    answers::TreeLine,
    fields::{Fields, FromFields, Params, from_json},
    kinds::{Members, OwnName},
    queries::Nothing,
};
use crate::{
    answer::Asked,
    app::{App, Effort, compute},
    host,
    job_state::JobState,
    jobs::{Job, Jobs, Refusal, Status},
    problem::Problem,
    profiling::Progress,
};

/// The model to measure: a built-in one, or one by its config.
pub(super) struct JobRequest {
    model: Option<String>,
    config: Option<Map<String, Value>>,
    name: Option<String>,
    size: Size,
}

impl FromFields for JobRequest {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            model: fields.model_if_any()?,
            config: fields.optional("config", "A config.json, instead of a model's name.", Members)?,
            name: fields.optional("name", "The name of a config's model; config.json by default.", OwnName)?,
            size: fields.size()?,
        })
    }
}

/// A measurement on the server's machine.
#[derive(Serialize, ToSchema)]
#[schema(title = "Job")]
pub(super) struct JobEntry {
    id: u64,
    state: JobState,
    /// Whether it was told to end.
    is_stopping: bool,
    model: String,
    batch_size: usize,
    seq_len: usize,
    /// Seconds since 1970 by the server's clock.
    queued_unix_time_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_unix_time_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_unix_time_s: Option<f64>,
    progress: Progress,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When the job is done: `measured`, or `estimated` if any part of the energies is; absent without energies.
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_provenance: Option<&'static str>,
    /// When the job is done: the energy of a run, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_j: Option<f64>,
    /// When the job is done: the time of a run, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_s: Option<f64>,
    /// When the job is done and asked for alone: a line of IrEne's interchange form, for `POST predict/trees`.
    #[schema(value_type = Option<TreeLine>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Box<RawValue>>,
}

/// The jobs that wait and run, and the last that ended; the oldest first, without their trees.
#[derive(Serialize, ToSchema)]
#[schema(title = "Jobs")]
pub(super) struct JobList {
    jobs: Vec<JobEntry>,
}

impl JobEntry {
    fn whole(job: &Job, status: Status) -> Self {
        let tree = status.measured.as_ref().map(|measured| (*measured.tree).to_owned());
        Self { tree, ..Self::brief(job, status) }
    }

    /// Without the tree.
    pub(super) fn brief(job: &Job, status: Status) -> Self {
        Self {
            id: job.id,
            state: status.state,
            is_stopping: job.is_stopping() && !status.state.is_final(),
            model: job.model.clone(),
            batch_size: job.size.sequences,
            seq_len: job.size.new,
            queued_unix_time_s: status.queued,
            started_unix_time_s: status.started,
            ended_unix_time_s: status.ended,
            progress: status.progress,
            detail: status.detail,
            energy_provenance: status.measured.as_ref().and_then(|measured| measured.energy_provenance),
            energy_j: status.measured.as_ref().and_then(|measured| measured.energy_j),
            latency_s: status.measured.as_ref().and_then(|measured| measured.latency_s),
            tree: None,
        }
    }
}

/// The jobs of a server, for a client that may ask for them.
pub(super) struct Allowed(Arc<Jobs>);

impl FromRequestParts<Arc<App>> for Allowed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let off = "nothing is measured on this server's machine; `irene serve --allow-profiling` allows it";
        let jobs = app.jobs.clone().ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, off))?;
        // DNS rebinding gives a page this server's origin, but its host is no name of this machine.
        if app.is_local && !host::names_this_machine(&parts.headers) {
            let detail = "a server on this machine alone has jobs for localhost or an address, not for another name";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        Ok(Self(jobs))
    }
}

/// The job that the path names.
pub(super) struct Named {
    jobs: Arc<Jobs>,
    pub(super) job: Arc<Job>,
}

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Allowed(jobs) = Allowed::from_request_parts(parts, app).await?;
        let id: Option<Path<u64>> = Path::from_request_parts(parts, app).await.ok();
        let found = id.and_then(|Path(id)| jobs.find(id));
        let job = found.ok_or_else(|| {
            Problem::unknown("there is no such job, or it ended long ago; GET /api/v1/jobs lists those there are")
        })?;
        Ok(Self { jobs, job })
    }
}

pub(super) async fn submit(
    State(app): Shared,
    Allowed(jobs): Allowed,
    asked: Asked,
    Params(Nothing): Params<Nothing>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin can send other types without a preflight.
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a job takes the content type application/json"));
    }
    let request: JobRequest = from_json(&app, &body)?;
    let submitted = move |app: &App| {
        let size = request.size;
        let spec = spec(app, request)?;
        check_cost(app, &app.trace(&spec, size)?)?;
        let most = app.limits.jobs_waiting;
        jobs.submit(spec, size).map_err(|refusal| match refusal {
            Refusal::Full => {
                let detail = format!("{most} jobs wait already, and no more may; try again when one of them has begun");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            }
            Refusal::Closed => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"),
            Refusal::NoThread(error) => {
                tracing::error!(%error, "no thread for a job");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "there is no thread for a job; try again later")
            }
        })
    };
    let job = compute(&app, Effort::Short, submitted).await?;
    let place = HeaderValue::from_str(&format!("/api/v1/jobs/{}", job.id));
    let mut response = accepted(&app, asked, job).await?;
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// A job that was submitted, or that ends.
async fn accepted(app: &Arc<App>, asked: Asked, job: Arc<Job>) -> Result<Response, Problem> {
    let response = answer(app, asked, Effort::Short, move |_| Ok(JobEntry::brief(&job, job.status()))).await?;
    Ok((StatusCode::ACCEPTED, response).into_response())
}

fn spec(app: &App, request: JobRequest) -> Result<ModelSpec, Problem> {
    let refuse = |reason: &str| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason));
    match (request.model, request.config, request.name) {
        (Some(model), None, None) => app.model(&model),
        (Some(_), None, Some(_)) => refuse("`name` belongs to a `config`; a built-in model has its own"),
        (None, Some(config), name) => {
            let config = Config::from_json("config", Value::Object(config).to_string().as_bytes());
            let spec =
                config.and_then(|config| ModelSpec::from_config(name.as_deref().unwrap_or("config.json"), config));
            spec.map_err(|error| Problem::refused(&error))
        }
        _ => refuse("a job takes either `model`, a built-in model's name, or `config`, a config.json"),
    }
}

/// Refuses a model that would take too long, or more memory than there is.
fn check_cost(app: &App, tree: &Tree) -> Result<(), Problem> {
    const BYTES_OF_A_NUMBER: f64 = 4.0;
    // An operation's inputs and outputs are in memory together, with those that its neighbours keep for later.
    const OPERATIONS_AT_A_TIME: f64 = 3.0;
    let of_root = |quantity: Quantity| tree.root().get(quantity).unwrap_or(f64::INFINITY);
    let parameters = of_root(Quantity::NumParameters);
    let leaves = tree.ids().filter(|&id| tree.is_leaf(id));
    let largest = leaves.filter_map(|id| tree.node(id).get(Quantity::MovedBytes)).fold(0.0, f64::max);
    let bytes = parameters * BYTES_OF_A_NUMBER + largest * f64::from(1 << 20) * OPERATIONS_AT_A_TIME;
    let limits = &app.limits;
    let amounts = [
        (parameters, limits.job_parameters, 1e6, ["the model has", "million parameters"]),
        (bytes, limits.job_bytes, f64::from(1 << 20), ["a run takes about", "MiB"]),
        (of_root(Quantity::Flops) * 1e6, limits.job_flops, 1e9, ["a run takes", "GFLOP"]),
    ];
    for (amount, most, unit, [it_has, name]) in amounts {
        if amount.is_nan() || amount > most as f64 {
            let (amount, most) = (amount / unit, most as f64 / unit);
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{it_has} {amount:.1} {name}; at most {most:.1} are measured here"),
            ));
        }
    }
    Ok(())
}

pub(super) async fn list(
    State(app): Shared,
    Allowed(jobs): Allowed,
    asked: Asked,
    Params(Nothing): Params<Nothing>,
) -> Result<Response, Problem> {
    let listed =
        move |_: &App| Ok(JobList { jobs: jobs.list().iter().map(|job| JobEntry::brief(job, job.status())).collect() });
    answer(&app, asked, Effort::Short, listed).await
}

pub(super) async fn get(
    State(app): Shared,
    Named { job, .. }: Named,
    asked: Asked,
    Params(Nothing): Params<Nothing>,
) -> Result<Response, Problem> {
    answer(&app, asked, Effort::Short, move |_| Ok(JobEntry::whole(&job, job.status()))).await
}

pub(super) async fn cancel(
    State(app): Shared,
    Named { jobs, job }: Named,
    asked: Asked,
    Params(Nothing): Params<Nothing>,
) -> Result<Response, Problem> {
    if !jobs.cancel(&job) {
        let state = job.status().state.name();
        return Err(Problem::new(StatusCode::CONFLICT, format!("the job has ended already; it is {state}")));
    }
    accepted(&app, asked, job).await
}
