//! Every operation of the API: its route, and what the OpenAPI document says of it.

use std::{borrow::Cow, sync::Arc};

use axum::routing::{MethodRouter, delete, get, post};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    advice::{Plans, Suggest},
    answers::{Devices, Engines, Grids, Leaderboard, Models, Predictions, Trace, Tradeoff},
    fields::{Description, describe},
    follow::events,
    generation::Course,
    jobs::{self, JobEntry, JobList, JobRequest},
    lists::{all_engines, all_grids, devices, listed, models},
    many::{RankQuery, TradeoffQuery, leaderboard, tradeoff},
    predict::{Predict, predict_trees},
    queries::{Nothing, TraceQuery, TreesQuery},
    question::{OfConfig, OfName, Question, of_config, of_name},
    read::{FileContents, READ, read},
    sweep::Sizes,
    trace,
    whatif::WhatIf,
};
use crate::app::App;

/// Describes the fields that a request may have.
pub(super) type Describe = fn(&App) -> Vec<Description>;

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) route: MethodRouter<Arc<App>>,
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// More than the summary says.
    pub(super) about: Option<&'static str>,
    pub(super) query: Describe,
    pub(super) body: Option<Body>,
    pub(super) status: u16,
    /// The meaning of a success.
    pub(super) success: &'static str,
    pub(super) form: Form,
    /// Statuses of problems, beside those of every operation.
    pub(super) problems: &'static [u16],
}

/// The content of a body.
pub(super) enum Body {
    /// An object of any members, in words, and an example.
    Object(&'static str, fn() -> Value),
    /// An object of these fields.
    Fields(&'static str, Describe, fn() -> Value),
    Text(&'static str, &'static str),
    /// The first bytes of a file.
    Bytes(&'static str, &'static str),
}

/// The form of an answer.
pub(super) enum Form {
    /// JSON of the schema of this name.
    Json(Cow<'static, str>),
    Events,
}

fn operation(method: &'static str, path: &'static str, route: MethodRouter<Arc<App>>, query: Describe) -> Operation {
    let (name, summary, about, body, success, form) = ("", "", None, None, "", Form::Events);
    Operation { method, path, route, name, summary, about, query, body, status: 200, success, form, problems: &[] }
}

impl Operation {
    fn is(self, name: &'static str, summary: &'static str) -> Self {
        Self { name, summary, ..self }
    }

    fn more(self, about: &'static str) -> Self {
        Self { about: Some(about), ..self }
    }

    fn takes(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    fn gives<T: ToSchema>(self, status: u16, success: &'static str) -> Self {
        Self { status, success, form: Form::Json(T::name()), ..self }
    }

    fn succeeds(self, success: &'static str) -> Self {
        Self { success, ..self }
    }

    fn or(self, problems: &'static [u16]) -> Self {
        Self { problems, ..self }
    }
}

/// All of them. Operations of one path stand together.
pub(super) fn operations() -> Vec<Operation> {
    let mut all: Vec<Operation> = lists().into();
    all.extend(of_nodes());
    all.extend(of_selections());
    all.extend(of_several());
    all.extend(of_jobs());
    all
}

fn lists() -> [Operation; 5] {
    [
        operation("get", "/api/v1/models", listed(models), describe::<Nothing>)
            .is("models", "Built-in models")
            .gives::<Models>(200, "The models."),
        operation("get", "/api/v1/devices", listed(|app| Ok(devices(app))), describe::<Nothing>)
            .is("devices", "Devices that can be predicted for: by measurements on them, or by their data sheets")
            .gives::<Devices>(200, "The measured machines, the default first, and then the data sheets."),
        operation("get", "/api/v1/engines", listed(|_| Ok(all_engines())), describe::<Nothing>)
            .is("engines", "Programs that serve models")
            .gives::<Engines>(200, "The engines, the newest generation of each program first."),
        operation("get", "/api/v1/grids", listed(|_| Ok(all_grids())), describe::<Nothing>)
            .is("grids", "Electricity grids with the emissions of a kilowatt-hour")
            .gives::<Grids>(200, "The grids, the world first."),
        operation("post", READ, post(read), describe::<Nothing>)
            .is("read", "The model that a config.json, a safetensors or a GGUF file describes, from its first bytes")
            .more("Nothing is kept. A safetensors or GGUF file may be cut off anywhere behind its header, so that no weights are sent.")
            .takes(Body::Bytes("The first bytes of the file.", CONFIG))
            .gives::<FileContents>(200, "The model and its formats.")
            .or(&[408, 413, 422]),
    ]
}

/// Trees of one model, node by node.
fn of_nodes() -> Vec<Operation> {
    let trace = operation("get", "/api/v1/trace", get(trace), describe::<TraceQuery>)
        .is("trace", "A model's tree by its shapes alone: parameters, FLOPs, bytes, kernels")
        .gives::<Trace>(200, "The tree.")
        .or(&[404, 422]);
    let predict = of_models::<Predict>(
        "/api/v1/predict",
        ["predict", "predict_config"],
        "The energy and time of a built-in model, node by node",
        "The figures, and the tree with its energies.",
    );
    let trees = operation("post", "/api/v1/predict/trees", post(predict_trees), describe::<TreesQuery>)
        .is("predict_trees", "The energy of every node of trees with measured features")
        .takes(Body::Text("Trees in IrEne's interchange format, one a line.", TREE))
        .gives::<Predictions>(200, "The trees with their energies, in their order.")
        .or(&[404, 408, 413, 422]);
    [trace].into_iter().chain(predict).chain([trees]).collect()
}

/// Questions about one selection.
fn of_selections() -> Vec<Operation> {
    let [by_name, by_config] = of_models::<WhatIf>(
        "/api/v1/whatif",
        ["whatif", "whatif_config"],
        "A built-in model beside the same after some changes, and the effect of each change by itself",
        "Both, and how they differ.",
    );
    let by_token = "Energies are compared by token where loads or lengths differ, otherwise by request.";
    let whatif = [by_name.more(by_token), by_config];
    let suggest = of_models::<Suggest>(
        "/api/v1/suggest",
        ["suggest", "suggest_config"],
        "Ways to save energy in a selection of a built-in model, within bounds on latency",
        "The ways that save, most first, and those that do not, with the reason.",
    );
    let plan = of_models::<Plans>(
        "/api/v1/plan",
        ["plan", "plan_config"],
        "Every way to serve a built-in model at a rate of requests: device, GPUs, parallelism, format of the weights",
        "The ways that keep up, those that none beats in everything first; at most 200.",
    );
    let generation = of_models::<Course>(
        "/api/v1/generation",
        ["generation", "generation_config"],
        "A built-in model's generation from the prompt to its last token, and a conversation's next turn",
        "The prompt and the tokens apart: joules of one request.",
    );
    let sweep = of_models::<Sizes>(
        "/api/v1/sweep",
        ["sweep", "sweep_config"],
        "A model at several batch sizes and sequence lengths",
        "The energy at each size.",
    );
    whatif.into_iter().chain(suggest).chain(plan).chain(generation).chain(sweep).collect()
}

fn of_several() -> [Operation; 2] {
    [
        operation("get", "/api/v1/leaderboard", get(leaderboard), describe::<RankQuery>)
            .is("leaderboard", "The built-in models at one selection, with published scores")
            .gives::<Leaderboard>(
                200,
                "The models that can run so, least energy of a request first, and the others with the reason.",
            )
            .or(&[404, 422]),
        operation("post", "/api/v1/tradeoff", post(tradeoff), describe::<TradeoffQuery>)
            .is("tradeoff", "Energy against accuracy, with the Pareto front")
            .takes(Body::Text(
                "A CSV with the columns model and accuracy.",
                "model,accuracy\ngpt2,0.7\ndistilgpt2,0.6\n",
            ))
            .gives::<Tradeoff>(200, "The models in the order of the CSV.")
            .or(&[404, 408, 413, 422]),
    ]
}

/// A question about a built-in model, by its name, and the same about the model whose config.json is the body.
fn of_models<Q: Question<Answer: ToSchema>>(
    path: &'static str,
    [by_name, by_config]: [&'static str; 2],
    summary: &'static str,
    success: &'static str,
) -> [Operation; 2] {
    [
        operation("get", path, get(of_name::<Q>), describe::<OfName<Q>>)
            .is(by_name, summary)
            .gives::<Q::Answer>(200, success)
            .or(&[404, 422]),
        operation("post", path, post(of_config::<Q>), describe::<OfConfig<Q>>)
            .is(by_config, summary)
            .more("The model is that of the config.json in the body.")
            .takes(Body::Object(A_CONFIG, config))
            .gives::<Q::Answer>(200, success)
            .or(&[404, 408, 413, 422]),
    ]
}

fn config() -> Value {
    json!({"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512,
           "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu"})
}

fn job() -> Value {
    json!({"config": config(), "name": "tiny", "batch_size": 1, "seq_len": 16})
}

const A_CONFIG: &str = "A config.json as on the Hugging Face hub.";

/// A config.json.
const CONFIG: &str = r#"{"model_type":"gpt2","n_layer":2,"n_embd":64,"n_head":2,"n_positions":128,"vocab_size":1000}"#;

/// Four tokens through one linear layer.
const TREE: &str = r#"{"model_name":"linear","batch_size":1,"seq_len":4,"frontend_tree":{"id":"0","scope":"root","parent_name":"","level":0,"instance_type":"Linear","type":"ml","num_parameters":65792,"flops":0.525312,"mem_bytes":0.26,"child_nodes_obj":[],"child_nodes":[]}}"#;

fn of_jobs() -> [Operation; 5] {
    const JOB: &str = "/api/v1/jobs/{id}";
    [
        operation("post", "/api/v1/jobs", post(jobs::submit), describe::<Nothing>)
            .is("submit", "Measure a model on the server's machine, as soon as the jobs before it have ended")
            .more("The energy and latency of every node, as `irene profile` does. The answer's `location` is the job's own address.")
            .takes(Body::Fields("Either a built-in `model`, or a `config` and perhaps a `name`.", describe::<JobRequest>, job))
            .gives::<JobEntry>(202, "The job, which waits.")
            .or(&[403, 404, 408, 413, 415, 421, 422, 429]),
        operation("get", "/api/v1/jobs", get(jobs::list), describe::<Nothing>)
            .is("list", "The jobs that wait and run, and the last that ended")
            .gives::<JobList>(200, "The jobs, the oldest first.")
            .or(&[403, 421]),
        operation("get", JOB, get(jobs::get), describe::<Nothing>)
            .is("get", "A job, with the measured tree when it is done")
            .gives::<JobEntry>(200, "The job.")
            .or(&[403, 404, 421]),
        operation("delete", JOB, delete(jobs::cancel), describe::<Nothing>)
            .is("cancel", "Cancel a job")
            .more("A waiting job ends at once; a running one ends after the current run of the model.")
            .gives::<JobEntry>(202, "The job, which ends.")
            .or(&[403, 404, 409, 421]),
        operation("get", "/api/v1/jobs/{id}/events", get(events), describe::<Nothing>)
            .is("events", "Follow a job: server-sent events")
            .more(
                "An event `progress` now and at every change, and an event `end` when the job has ended, which ends the stream. The \
                 data of each is the job, without its tree.",
            )
            .succeeds("The events.")
            .or(&[403, 404, 421]),
    ]
}
