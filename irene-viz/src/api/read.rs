//! A model's file, read from its first bytes: `POST read`.

use axum::{body::Bytes, extract::State, response::Response};
use irene_models::FileHead;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Shared, answer, fields::Params, kinds::LONGEST_NAME, queries::Nothing};
use crate::{
    answer::Asked,
    app::{App, Effort},
    problem::Problem,
};

/// The path of this operation, whose body may be larger than others'.
pub(crate) const READ: &str = "/api/v1/read";

/// A model as the first bytes of its file tell it.
#[derive(Serialize, ToSchema)]
pub(super) struct FileContents {
    /// `config`, `safetensors` or `gguf`.
    kind: &'static str,
    /// The name that the file gives the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The model's config.json, for the body of `POST predict` and the like.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Map<String, Value>>,
    /// The format that most of its numbers are stored in.
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<String>,
    /// Numbers in its tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<usize>,
    /// A remark beside that.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<FileHead> for FileContents {
    fn from(head: FileHead) -> Self {
        let FileHead { kind, name, config, dtype, parameters, tensors, note, .. } = head;
        let name = name.map(|name| name.chars().take(LONGEST_NAME).collect());
        Self { kind: kind.name(), name, config, dtype, parameters, tensors, note }
    }
}

pub(super) async fn read(
    State(app): Shared,
    asked: Asked,
    Params(Nothing): Params<Nothing>,
    body: Bytes,
) -> Result<Response, Problem> {
    let read = move |_: &App| {
        let head = FileHead::read("the file", &body).map_err(|error| Problem::refused(&error))?;
        Ok(FileContents::from(head))
    };
    answer(&app, asked, Effort::Short, read).await
}
