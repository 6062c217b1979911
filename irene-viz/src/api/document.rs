//! The OpenAPI document, made from the operations, the fields that they read and the forms of their answers.

use irene_advice::{Comparison, Generation, Plan, Suggestions};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    answers::{Devices, Engines, Grids, Leaderboard, Models, Prediction, Predictions, Sweep, Trace, Tradeoff},
    fields::Description,
    jobs::{JobEntry, JobList},
    operations::{Body, Form, Operation, operations},
    read::FileContents,
};
use crate::{answer::SCHEMA_VERSION, app::App, problem::Problem};

/// The forms of the answers, and all that they refer to.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Models,
    Devices,
    Engines,
    Grids,
    FileContents,
    Trace,
    Prediction,
    Predictions,
    Comparison,
    Generation,
    Suggestions,
    Plan,
    Sweep,
    Leaderboard,
    Tradeoff,
    JobEntry,
    JobList,
    Problem
)))]
struct Forms;

/// The document of this server, with its own limits and devices.
pub(super) fn document(app: &App) -> Result<Value, Problem> {
    let mut forms = serde_json::to_value(Forms::openapi()).map_err(|error| Problem::refused(&error))?;
    leave_out_examples(&mut forms);
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(app, &operation);
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "irene",
            "description": "The energy of Transformer models, node by node.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": forms["components"]["schemas"]},
    }))
}

/// Leaves examples in Rust out of the descriptions: they are for readers of the crates.
fn leave_out_examples(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        for (name, value) in fields {
            match value.as_str().and_then(|text| text.split_once("```")) {
                Some((text, _)) if name == "description" => *value = text.trim_end().into(),
                _ => leave_out_examples(value),
            }
        }
    } else if let Some(values) = value.as_array_mut() {
        values.iter_mut().for_each(leave_out_examples);
    }
}

fn described(app: &App, operation: &Operation) -> Value {
    let query = (operation.query)(app);
    let mut parameters: Vec<Value> = query.into_iter().map(parameter).collect();
    if operation.path.contains("{id}") {
        let schema = json!({"type": "integer", "minimum": 1, "maximum": u64::MAX});
        parameters.push(
            json!({"name": "id", "in": "path", "required": true, "description": "The job's number.", "schema": schema}),
        );
    }
    let mut out = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation),
    });
    if let Some(about) = operation.about {
        out["description"] = about.into();
    }
    if let Some(body) = &operation.body {
        out["requestBody"] = request_body(app, body);
    }
    out
}

fn parameter(field: Description) -> Value {
    let Description { name, about, is_required, schema } = field;
    let mut out = json!({"name": name, "in": "query", "required": is_required, "description": about, "schema": schema});
    if out["schema"]["type"] == "array" {
        // With commas, in one parameter.
        out["style"] = "form".into();
        out["explode"] = false.into();
    }
    out
}

fn request_body(app: &App, body: &Body) -> Value {
    let most = if matches!(body, Body::Bytes(..)) { app.limits.file_head } else { app.limits.body };
    // A character has at least a byte.
    let text = json!({"type": "string", "minLength": 1, "maxLength": most});
    let (about, kind, schema, example) = match body {
        Body::Object(about, example) => (about, "application/json", json!({"type": "object"}), example()),
        Body::Fields(about, fields, example) => (about, "application/json", object(fields(app)), example()),
        Body::Text(about, example) => (about, "text/plain", text, Value::from(*example)),
        Body::Bytes(about, example) => (about, "application/octet-stream", text, Value::from(*example)),
    };
    let description = format!("{about} At most {most} bytes.");
    json!({"description": description, "required": true, "content": {kind: {"schema": schema, "example": example}}})
}

fn object(fields: Vec<Description>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let property = |field: Description| {
        let mut schema = field.schema;
        schema["description"] = field.about.into();
        (field.name.to_owned(), schema)
    };
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": fields.into_iter().map(property).collect::<Map<_, _>>(),
    })
}

/// One event of a stream.
fn event() -> Value {
    let job = json!({"$ref": "#/components/schemas/JobEntry"});
    let data = json!({"type": "string", "contentMediaType": "application/json", "contentSchema": job});
    let name = json!({"type": "string", "enum": ["progress", "end"]});
    json!({"type": "object", "required": ["event", "data"], "properties": {"event": name, "data": data}})
}

/// The meaning of each status of a problem.
const PROBLEMS: [(u16, &str); 12] = [
    (
        400,
        "The request is not as this document says: a parameter or field is unknown, missing or malformed, or there is no Host.",
    ),
    (403, "Nothing is measured on this server's machine."),
    (404, "There is no such model, device or job."),
    (408, "The body did not come in time."),
    (409, "The job has ended already."),
    (413, "The body is too large."),
    (415, "The body has another content type."),
    (421, "A server that only this machine reaches was asked for by another name."),
    (422, "The request is understood, and there is no answer to it: the reason is in the detail."),
    (429, "As many jobs wait as may."),
    (500, "The request failed; the server goes on."),
    (503, "The server has too much to do; the same request may succeed later."),
];

/// The statuses that every operation can end with.
const ALWAYS: [u16; 3] = [400, 500, 503];

fn responses(operation: &Operation) -> Map<String, Value> {
    let content = match &operation.form {
        Form::Json(name) => {
            let version = json!({"type": "object", "required": ["schema_version"], "properties": {"schema_version": {
                "type": "integer", "const": SCHEMA_VERSION, "description": "The version of the answers' form."}}});
            let form = json!({"$ref": format!("#/components/schemas/{name}")});
            json!({"application/json": {"schema": {"allOf": [version, form]}}})
        }
        Form::Events => json!({"text/event-stream": {"schema": event()}}),
    };
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let mut headers = Map::new();
    if matches!(operation.form, Form::Json(_)) {
        headers.insert("ETag".into(), text("Names this answer, for If-None-Match."));
    }
    if operation.status == 202 && operation.method == "post" {
        headers.insert("Location".into(), text("The job's address."));
    }
    let success = json!({"description": operation.success, "headers": headers, "content": content});
    let mut out = Map::from_iter([(operation.status.to_string(), success)]);
    if operation.method == "get" && matches!(operation.form, Form::Json(_)) {
        out.insert("304".into(), json!({"description": "The client has this answer: its ETag is in If-None-Match."}));
    }
    // The reader of requests says so, without a body.
    out.insert("431".into(), json!({"description": "The address or the headers are longer than the server reads."}));
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let can_end = |status: &u16| ALWAYS.contains(status) || operation.problems.contains(status);
    out.extend(
        PROBLEMS
            .iter()
            .filter(|(status, _)| can_end(status))
            .map(|(status, about)| (status.to_string(), json!({"description": about, "content": problem}))),
    );
    out
}
