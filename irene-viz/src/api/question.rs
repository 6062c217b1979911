//! A question about a selection: by `GET` of a built-in model, by `POST` of the model whose config.json is the body.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, response::Response};
use irene_advice::Selection;
use irene_models::{Config, ModelSpec};
use serde::Serialize;

use super::{
    Shared, answer,
    fields::{Fields, FromFields, Params},
    kinds::OwnName,
};
use crate::{
    answer::Asked,
    app::{App, Effort},
    kept::{self, Key},
    problem::Problem,
};

/// A question about a model, wherever the model comes from.
pub(crate) trait Question: Sized + Send + 'static {
    type Answer: Serialize;

    /// How long it takes to answer.
    const EFFORT: Effort = Effort::Short;

    /// Reads its fields beside the model, which is None where the body has it.
    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem>;

    /// The selection that it is about.
    fn selection(&mut self) -> &mut Selection;

    fn answer(self, app: &App) -> Result<Self::Answer, Problem>;
}

/// The question about a built-in model.
pub(super) struct OfName<Q>(Q);

impl<Q: Question> FromFields for OfName<Q> {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let model = fields.model()?;
        Q::read(fields, Some(model)).map(Self)
    }
}

/// The question about a config.json.
pub(super) struct OfConfig<Q> {
    question: Q,
    name: Option<String>,
}

impl<Q: Question> FromFields for OfConfig<Q> {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let name = fields.optional("name", "The model's name; config.json by default.", OwnName)?;
        Ok(Self { question: Q::read(fields, None)?, name })
    }
}

pub(super) async fn of_name<Q: Question>(
    State(app): Shared,
    key: Key,
    asked: Asked,
    Params(OfName(question)): Params<OfName<Q>>,
) -> Result<Response, Problem> {
    kept::answer(&app, key, asked, Q::EFFORT, move |app| question.answer(app)).await
}

pub(super) async fn of_config<Q: Question>(
    State(app): Shared,
    asked: Asked,
    Params(OfConfig { mut question, name }): Params<OfConfig<Q>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let answered = move |app: &App| {
        let config = Config::from_json("config.json", &body).map_err(|error| Problem::malformed(error.to_string()))?;
        let name = name.as_deref().unwrap_or("config.json");
        let own = ModelSpec::from_config(name, config).map_err(|error| Problem::refused(&error))?;
        let selection = question.selection();
        (selection.row.model, selection.own) = (Some(name.to_owned()), Some(Arc::new(own)));
        question.answer(app)
    };
    answer(&app, asked, Q::EFFORT, answered).await
}
