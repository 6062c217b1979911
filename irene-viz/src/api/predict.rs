//! One model at one size: `GET` and `POST predict`, `POST predict/trees`.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::header,
    response::{IntoResponse, Response},
};
use irene_models::{Config, ModelSpec, Run};
use irene_regress::Track;
use irene_tree::jsonl::TreeReader;

use super::{
    Shared,
    answers::{Prediction, Predictions},
    bytes,
    queries::{ConfigQuery, Method, ModelQuery, Params, TreesQuery},
};
use crate::{
    app::{App, Device, compute},
    problem::Problem,
};

pub(crate) fn prediction(app: &App, device: &Device, spec: &ModelSpec, run: Run) -> Result<Prediction, Problem> {
    Prediction::on(&app.predict(device, spec, run)?, device)
}

/// The energy of every node of a built-in model
#[utoipa::path(get, path = "/api/v1/predict", params(ModelQuery),
    responses((status = 200, body = Prediction), (status = "4XX", body = Problem)))]
pub(super) async fn predict(State(app): Shared, Params(query): Params<ModelQuery>) -> Result<Response, Problem> {
    if let Some(answer) = app.cached(&query) {
        return Ok(json(answer));
    }
    let answer = compute(&app, move |app| {
        let device = app.device(query.device.as_deref())?;
        let spec = app.model(&query.model)?;
        let prediction = prediction(app, device, &spec, query.run(&spec)?)?;
        let answer = serde_json::to_vec(&prediction).map_err(|error| Problem::refused(&error))?;
        let answer = Bytes::from(answer);
        app.keep(query, answer.clone());
        Ok(answer)
    });
    Ok(json(answer.await?))
}

fn json(answer: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The energy of every node of the model whose config.json is the body
#[utoipa::path(post, path = "/api/v1/predict", params(ConfigQuery), request_body = serde_json::Value,
    responses((status = 200, body = Prediction), (status = "4XX", body = Problem)))]
pub(super) async fn predict_config(
    State(app): Shared,
    Params(query): Params<ConfigQuery>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Prediction>, Problem> {
    let body = bytes(body)?;
    let predicted = move |app: &App| {
        let config = Config::from_json("config.json", &body).map_err(|error| Problem::refused(&error))?;
        let name = query.name.as_deref().unwrap_or("config.json");
        let spec = ModelSpec::from_config(name, config).map_err(|error| Problem::refused(&error))?;
        let device = app.device(query.device.as_deref())?;
        prediction(app, device, &spec, query.run(&spec)?)
    };
    Ok(Json(compute(&app, predicted).await?))
}

/// The energy of every node of trees with measured features, in the interchange format, one a line
#[utoipa::path(post, path = "/api/v1/predict/trees", params(TreesQuery), request_body = String,
    responses((status = 200, body = Predictions), (status = "4XX", body = Problem)))]
pub(super) async fn predict_trees(
    State(app): Shared,
    Params(query): Params<TreesQuery>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Predictions>, Problem> {
    let body = bytes(body)?;
    let predicted = move |app: &App| {
        let device = app.device(query.device.as_deref())?;
        let bundled = match query.method {
            Method::Measured => Some(app.profile_for(query.device.as_deref(), Track::Measured)?),
            Method::Primitives => Some(app.profile_for(query.device.as_deref(), Track::Primitives)?),
            Method::Specs => None,
        };
        let profile = bundled.as_ref().unwrap_or(&device.profile);
        let mut predictions = Vec::new();
        for tree in TreeReader::new("body", &body[..]) {
            let mut tree = tree.map_err(|error| Problem::refused(&error))?;
            if predictions.len() == app.limits.trees {
                return Err(Problem::malformed(format!("at most {} trees are predicted here", app.limits.trees)));
            }
            profile.predict(&mut tree).map_err(|error| Problem::refused(&error))?;
            predictions.push(Prediction::of(&tree, &device.name, profile)?);
        }
        if predictions.is_empty() {
            return Err(Problem::malformed("the body has no trees; it takes one a line"));
        }
        Ok(Predictions { predictions })
    };
    Ok(Json(compute(&app, predicted).await?))
}
