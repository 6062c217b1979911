//! The API, version 1.

mod answers;
mod compare;
mod jobs;
mod many;
mod predict;
pub(crate) mod queries;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use irene_models::ModelSpec;
use irene_tree::{Quantity, Size};
use utoipa::OpenApi;

use crate::{
    app::{App, Device, compute},
    problem::Problem,
};
use answers::{DeviceEntry, Devices, Model, Models, Trace};
pub(crate) use many::{default_sweep, leaderboard_of};
pub(crate) use predict::prediction;
use queries::{ModelQuery, Params};

type Shared = State<Arc<App>>;

/// Every route of the API.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/models", get(models))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/trace", get(trace))
        .route("/api/v1/predict", get(predict::predict).post(predict::predict_config))
        .route("/api/v1/predict/trees", post(predict::predict_trees))
        .route("/api/v1/compare", get(compare::compare))
        .route("/api/v1/sweep", get(many::sweep))
        .route("/api/v1/leaderboard", get(many::leaderboard))
        .route("/api/v1/tradeoff", post(many::tradeoff))
        .route("/api/v1/jobs", get(jobs::list).post(jobs::submit))
        .route("/api/v1/jobs/{id}", get(jobs::get).delete(jobs::cancel))
        .route("/api/v1/jobs/{id}/events", get(jobs::events))
        .route("/api/v1/openapi.json", get(openapi))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "irene", description = "The energy of Transformer models, node by node."),
    paths(
        models,
        devices,
        trace,
        predict::predict,
        predict::predict_config,
        predict::predict_trees,
        compare::compare,
        many::sweep,
        many::leaderboard,
        many::tradeoff,
        jobs::submit,
        jobs::list,
        jobs::get,
        jobs::cancel,
        jobs::events,
    )
)]
struct Document;

async fn openapi() -> Response {
    Json(Document::openapi()).into_response()
}

/// Built-in models
#[utoipa::path(get, path = "/api/v1/models", responses((status = 200, body = Models)))]
async fn models(State(app): Shared) -> Result<Json<Models>, Problem> {
    let list = |app: &App| {
        let specs = ModelSpec::builtin_names().map(|name| app.model(&name)).collect::<Result<Vec<_>, Problem>>()?;
        models_of(specs, app)
    };
    Ok(Json(compute(&app, list).await?))
}

pub(crate) fn models_of(specs: impl IntoIterator<Item = ModelSpec>, app: &App) -> Result<Models, Problem> {
    let entry = |spec: ModelSpec| {
        let tree = app.trace(&spec, Size::new(1, 1))?;
        let first = |fields: [&'static str; 3]| fields.into_iter().find_map(|field| spec.config().size(field).ok());
        Ok(Model {
            name: spec.name().to_owned(),
            architecture: spec.model_type().to_owned(),
            num_parameters: tree.root().get(Quantity::NumParameters),
            layers: first(["num_hidden_layers", "n_layer", "n_layers"]),
            hidden_size: first(["hidden_size", "n_embd", "dim"]),
            max_seq_len: spec.longest_sequence().ok(),
        })
    };
    Ok(Models { models: specs.into_iter().map(entry).collect::<Result<_, Problem>>()? })
}

/// Machines that can be predicted for
#[utoipa::path(get, path = "/api/v1/devices", responses((status = 200, body = Devices)))]
async fn devices(State(app): Shared) -> Json<Devices> {
    Json(devices_of(&app.devices))
}

pub(crate) fn devices_of<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Devices {
    let entry = |Device { name, profile }: &Device| {
        let provenance = &profile.provenance;
        DeviceEntry {
            name: name.clone(),
            description: provenance.device.clone(),
            method: profile.predictor.method().to_owned(),
            training_data: provenance.training_data.clone(),
            batch_sizes: provenance.sizes.map(|sizes| sizes.sequences),
            seq_lens: provenance.sizes.map(|sizes| sizes.new),
        }
    };
    Devices { devices: devices.into_iter().map(entry).collect() }
}

/// An answer as a value.
pub(crate) fn value(answer: &impl serde::Serialize) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(answer).map_err(|error| Problem::refused(&error))
}

/// A model's tree by its shapes alone: parameters, FLOPs, bytes, kernels
#[utoipa::path(get, path = "/api/v1/trace", params(ModelQuery),
    responses((status = 200, body = Trace), (status = "4XX", body = Problem)))]
async fn trace(State(app): Shared, Params(query): Params<ModelQuery>) -> Result<Json<Trace>, Problem> {
    let traced = move |app: &App| {
        let spec = app.model(&query.model)?;
        Trace::of(&app.trace(&spec, query.run(&spec)?)?)
    };
    Ok(Json(compute(&app, traced).await?))
}

fn bytes(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
}
