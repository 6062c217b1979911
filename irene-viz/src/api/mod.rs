//! The API, version 1.

mod advice;
mod answers;
mod document;
mod fields;
mod follow;
mod generation;
mod jobs;
mod kinds;
mod lists;
mod many;
mod numbers;
mod operations;
mod predict;
pub(crate) mod queries;
mod question;
mod read;
mod selection;
mod sweep;
mod whatif;

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use serde::Serialize;

use crate::{
    answer::{Answer, Asked},
    app::{App, Effort, compute},
    problem::Problem,
};
use answers::Trace;
use fields::Params;
pub(crate) use fields::shown;
pub(crate) use lists::{all_engines, all_grids, devices_of, models_of};
pub(crate) use many::whole_leaderboard;
pub(crate) use predict::prediction;
use queries::{Nothing, TraceQuery};
pub(crate) use question::Question;
pub(crate) use read::READ;
pub(crate) use selection::check_bounds;
pub(crate) use sweep::Sizes;

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
    effort: Effort,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    compute(app, effort, move |app| Answer::json(&app.answers, &work(app)?)?.response(&app.answers, &asked)).await
}

async fn openapi(State(app): Shared, asked: Asked, Params(Nothing): Params<Nothing>) -> Result<Response, Problem> {
    let made = move |app: &App| {
        let text = serde_json::to_vec(&document::document(app)?).map_err(|error| Problem::refused(&error))?;
        let document = app.document.get_or_init(|| Answer::new("application/json", text.into()));
        document.response(&app.answers, &asked)
    };
    compute(&app, Effort::Short, made).await
}

/// An answer as a value.
pub(crate) fn value(answer: &impl serde::Serialize) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(answer).map_err(|error| Problem::refused(&error))
}

async fn trace(State(app): Shared, asked: Asked, Params(query): Params<TraceQuery>) -> Result<Response, Problem> {
    let traced = move |app: &App| {
        let spec = app.model(&query.model)?;
        Trace::of(&app.trace(&spec, query.run(&spec)?)?)
    };
    answer(&app, asked, Effort::Short, traced).await
}
