//! The API, version 1.

mod answers;
mod compare;
mod document;
mod fields;
mod jobs;
mod kinds;
mod many;
mod operations;
mod predict;
pub(crate) mod queries;

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use irene_models::{BuiltinModel, ModelSpec};
use irene_tree::{Quantity, Size};
use serde::Serialize;

use crate::{
    answer::{Answer, Asked},
    app::{App, Device, compute},
    problem::Problem,
};
use answers::{DeviceEntry, Devices, Model, Models, Trace};
use fields::Params;
pub(crate) use fields::shown;
pub(crate) use many::{default_sweep, leaderboard_of};
pub(crate) use predict::prediction;
use queries::{Nothing, TraceQuery};

type Shared = State<Arc<App>>;

/// Every route of the API.
pub(crate) fn routes() -> Router<Arc<App>> {
    let routes = Router::new().route("/api/v1/openapi.json", get(openapi));
    operations::operations().into_iter().fold(routes, |routes, operation| routes.route(operation.path, operation.route))
}

/// The answer that this work gives, in JSON; it is worked out and written off the threads that answer.
async fn answer<T: Serialize>(
    app: &Arc<App>,
    asked: Asked,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    compute(app, move |app| Answer::json(&app.answers, &work(app)?)?.response(&app.answers, &asked)).await
}

async fn openapi(State(app): Shared, asked: Asked, Params(Nothing): Params<Nothing>) -> Result<Response, Problem> {
    let made = move |app: &App| {
        let text = serde_json::to_vec(&document::document(app)?).map_err(|error| Problem::refused(&error))?;
        let document = app.document.get_or_init(|| Answer::new("application/json", text.into()));
        document.response(&app.answers, &asked)
    };
    compute(&app, made).await
}

async fn models(State(app): Shared, asked: Asked, Params(Nothing): Params<Nothing>) -> Result<Response, Problem> {
    let list = |app: &App| {
        let specs = ModelSpec::builtin_names().map(|name| app.model(&name)).collect::<Result<Vec<_>, Problem>>()?;
        models_of(specs, app)
    };
    answer(&app, asked, list).await
}

pub(crate) fn models_of(specs: impl IntoIterator<Item = ModelSpec>, app: &App) -> Result<Models, Problem> {
    let entry = |spec: ModelSpec| {
        let first = |fields: [&'static str; 3]| fields.into_iter().find_map(|field| spec.config().size(field).ok());
        let num_parameters = match BuiltinModel::find(spec.name()).filter(|_| spec.is_builtin()) {
            Some(model) => Some(model.parameters() as f64),
            None => app.trace(&spec, Size::new(1, 1))?.root().get(Quantity::NumParameters),
        };
        Ok(Model {
            name: spec.name().to_owned(),
            architecture: spec.model_type().to_owned(),
            num_parameters,
            layers: first(["num_hidden_layers", "n_layer", "n_layers"]),
            hidden_size: first(["hidden_size", "n_embd", "dim"]),
            max_seq_len: spec.longest_sequence().ok(),
        })
    };
    Ok(Models { models: specs.into_iter().map(entry).collect::<Result<_, Problem>>()? })
}

async fn devices(State(app): Shared, asked: Asked, Params(Nothing): Params<Nothing>) -> Result<Response, Problem> {
    answer(&app, asked, |app| Ok(devices_of(&app.devices))).await
}

pub(crate) fn devices_of<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Devices {
    let entry = |Device { name, profile }: &Device| {
        let provenance = &profile.provenance;
        DeviceEntry {
            name: name.clone(),
            description: provenance.device.clone(),
            method: profile.predictor.method().to_owned(),
            training_data: provenance.training_data.clone(),
            estimated: provenance.estimated,
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

async fn trace(State(app): Shared, asked: Asked, Params(query): Params<TraceQuery>) -> Result<Response, Problem> {
    let traced = move |app: &App| {
        let spec = app.model(&query.model)?;
        Trace::of(&app.trace(&spec, query.run.run(&spec)?)?)
    };
    answer(&app, asked, traced).await
}
