//! One model at one size: `GET` and `POST predict`, `POST predict/trees`.

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use irene_models::{Config, ModelSpec, Run};
use irene_regress::Track;
use irene_tree::{Tree, jsonl::TreeReader};

use super::{
    Shared, answer,
    answers::{Prediction, Predictions},
    fields::{Params, shown},
    kinds::LONGEST_NAME,
    queries::{ConfigQuery, ModelQuery, TreesQuery},
};
use crate::{
    answer::Asked,
    app::{App, Device, Effort},
    kept::{self, Key},
    problem::Problem,
};

pub(crate) fn prediction(app: &App, device: &Device, spec: &ModelSpec, run: Run) -> Result<Prediction, Problem> {
    Prediction::on(&app.predict(device, spec, run)?, device)
}

pub(super) async fn predict(
    State(app): Shared,
    key: Key,
    asked: Asked,
    Params(query): Params<ModelQuery>,
) -> Result<Response, Problem> {
    let predicted = move |app: &App| {
        let device = app.device(query.device.as_deref())?;
        let spec = app.model(&query.model)?;
        prediction(app, device, &spec, query.run.run(&spec)?)
    };
    kept::answer(&app, key, asked, Effort::Short, predicted).await
}

pub(super) async fn predict_config(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<ConfigQuery>,
    body: Bytes,
) -> Result<Response, Problem> {
    let predicted = move |app: &App| {
        let config = Config::from_json("config.json", &body).map_err(|error| Problem::refused(&error))?;
        let name = query.name.as_deref().unwrap_or("config.json");
        let spec = ModelSpec::from_config(name, config).map_err(|error| Problem::refused(&error))?;
        let device = app.device(query.device.as_deref())?;
        prediction(app, device, &spec, query.run.run(&spec)?)
    };
    answer(&app, asked, predicted).await
}

pub(super) async fn predict_trees(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<TreesQuery>,
    body: Bytes,
) -> Result<Response, Problem> {
    let predicted = move |app: &App| {
        let refuse = |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
        let device = app.device(query.device.as_deref())?;
        let bundled = match query.method {
            Track::Specs => None,
            track => Some(app.profile_for(query.device.as_deref(), track)?),
        };
        let profile = bundled.as_ref().unwrap_or(&device.profile);
        let mut predictions = Vec::new();
        for tree in TreeReader::new("body", &body[..]) {
            let mut tree = app.check_nodes(tree.map_err(|error| Problem::refused(&error))?)?;
            check_names(&tree)?;
            if predictions.len() == app.limits.trees {
                return Err(refuse(format!("at most {} trees are predicted here", app.limits.trees)));
            }
            profile.predict(&mut tree).map_err(|error| Problem::refused(&error))?;
            predictions.push(Prediction::of(&tree, &device.name, profile)?);
        }
        if predictions.is_empty() {
            return Err(refuse("the body has no trees; it takes one a line".to_owned()));
        }
        Ok(Predictions { predictions })
    };
    answer(&app, asked, predicted).await
}

/// Refuses names so long that the answer, which repeats them in every node below, is many times the body.
fn check_names(tree: &Tree) -> Result<(), Problem> {
    const LONGEST_SCOPE: usize = 1000;
    let name = (tree.model_name.as_str(), "model_name", LONGEST_NAME);
    let scopes = tree.nodes().iter().map(|node| (node.scope(), "scope", LONGEST_SCOPE));
    match std::iter::once(name).chain(scopes).find(|(name, _, most)| name.chars().count() > *most) {
        None => Ok(()),
        Some((name, field, most)) => {
            let detail = format!("{field} `{}` has more than {most} characters", shown(name));
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}
