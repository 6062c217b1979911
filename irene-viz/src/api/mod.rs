//! The API, version 1.

mod answers;
pub(crate) mod queries;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use irene_models::{Config, ModelSpec};
use irene_regress::{Bottleneck, Track, bottlenecks};
use irene_tree::{Mark, NodeId, Quantity, Tree, jsonl::TreeReader};
use utoipa::OpenApi;

use crate::{
    app::{App, Device, Size, compute},
    problem::Problem,
};
use answers::{
    Cell, Comparison, DeviceEntry, Devices, Entry, Figures, Leaderboard, Model, Models, NodePair, Point, Prediction,
    Predictions, Sweep, Trace, Tradeoff, TypePair, Whole, energy, per_token,
};
use queries::{CompareQuery, ConfigQuery, Method, ModelQuery, Params, SizeQuery, SweepQuery, TreesQuery};

type Shared = State<Arc<App>>;

/// Every route of the API.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/models", get(models))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/trace", get(trace))
        .route("/api/v1/predict", get(predict).post(predict_config))
        .route("/api/v1/predict/trees", post(predict_trees))
        .route("/api/v1/compare", get(compare))
        .route("/api/v1/sweep", get(sweep))
        .route("/api/v1/leaderboard", get(leaderboard))
        .route("/api/v1/tradeoff", post(tradeoff))
        .route("/api/v1/openapi.json", get(openapi))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "irene", description = "The energy of Transformer models, node by node."),
    paths(models, devices, trace, predict, predict_config, predict_trees, compare, sweep, leaderboard, tradeoff,)
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
        let tree = app.trace(&spec, Size { batch_size: 1, seq_len: 1 }, false)?;
        let first = |fields: [&'static str; 3]| fields.into_iter().find_map(|field| spec.config().size(field).ok());
        Ok(Model {
            name: spec.name().to_owned(),
            architecture: spec.model_type().to_owned(),
            num_parameters: tree.root().get(Quantity::NumParameters),
            layers: first(["num_hidden_layers", "n_layer", "n_layers"]),
            hidden_size: first(["hidden_size", "n_embd", "dim"]),
            max_seq_len: first(["max_position_embeddings", "n_positions", "n_ctx"]),
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
    let entry = |Device { name, profile }: &Device| DeviceEntry {
        name: name.clone(),
        description: profile.provenance.device.clone(),
        method: profile.predictor.method().to_owned(),
        training_data: profile.provenance.training_data.clone(),
    };
    Devices { devices: devices.into_iter().map(entry).collect() }
}

/// An answer as a value.
pub(crate) fn value(answer: &impl serde::Serialize) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(answer).map_err(|error| Problem::refused(&error))
}

pub(crate) fn prediction(
    app: &App,
    device: &Device,
    spec: &ModelSpec,
    size: Size,
    math: bool,
) -> Result<Prediction, Problem> {
    Prediction::on(&app.predict(device, spec, size, math)?, device)
}

/// A model's tree by its shapes alone: parameters, FLOPs, bytes, kernels
#[utoipa::path(get, path = "/api/v1/trace", params(ModelQuery),
    responses((status = 200, body = Trace), (status = "4XX", body = Problem)))]
async fn trace(State(app): Shared, Params(query): Params<ModelQuery>) -> Result<Json<Trace>, Problem> {
    let traced = move |app: &App| Trace::of(&app.trace(&app.model(&query.model)?, query.size(), query.math)?);
    Ok(Json(compute(&app, traced).await?))
}

/// The energy of every node of a built-in model
#[utoipa::path(get, path = "/api/v1/predict", params(ModelQuery),
    responses((status = 200, body = Prediction), (status = "4XX", body = Problem)))]
async fn predict(State(app): Shared, Params(query): Params<ModelQuery>) -> Result<Response, Problem> {
    if let Some(answer) = app.cached(&query) {
        return Ok(json(answer));
    }
    let answer = compute(&app, move |app| {
        let device = app.device(query.device.as_deref())?;
        let prediction = prediction(app, device, &app.model(&query.model)?, query.size(), query.math)?;
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
async fn predict_config(
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
        let size = Size { batch_size: query.batch_size, seq_len: query.seq_len };
        prediction(app, device, &spec, size, query.math)
    };
    Ok(Json(compute(&app, predicted).await?))
}

/// The energy of every node of trees with measured features, in the interchange format, one a line
#[utoipa::path(post, path = "/api/v1/predict/trees", params(TreesQuery), request_body = String,
    responses((status = 200, body = Predictions), (status = "4XX", body = Problem)))]
async fn predict_trees(
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

fn bytes(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
}

/// Two models or sizes, node by node
#[utoipa::path(get, path = "/api/v1/compare", params(CompareQuery),
    responses((status = 200, body = Comparison), (status = "4XX", body = Problem)))]
async fn compare(State(app): Shared, Params(query): Params<CompareQuery>) -> Result<Json<Comparison>, Problem> {
    let compared = move |app: &App| {
        let predict = |model: &str, size: Size, device: Option<&str>| {
            let device = app.device(device)?;
            let tree = app.predict(device, &app.model(model)?, size, false)?;
            let energy = energy(&tree)?;
            let whole = Whole {
                model: model.to_owned(),
                batch_size: size.batch_size,
                seq_len: size.seq_len,
                device: device.name.clone(),
                energy_j: energy,
                energy_per_token_j: per_token(&tree, energy),
            };
            Ok::<_, Problem>((tree, whole))
        };
        let size = Size { batch_size: query.batch_size, seq_len: query.seq_len };
        let other_size = Size {
            batch_size: query.other_batch_size.unwrap_or(size.batch_size),
            seq_len: query.other_seq_len.unwrap_or(size.seq_len),
        };
        let device = query.device.as_deref();
        let (a_tree, a) = predict(&query.model, size, device)?;
        let other_model = query.other_model.as_ref().unwrap_or(&query.model);
        let (b_tree, b) = predict(other_model, other_size, query.other_device.as_deref().or(device))?;
        let (difference_j, ratio) = (b.energy_j - a.energy_j, b.energy_j / a.energy_j);
        Ok(Comparison {
            a,
            b,
            difference_j,
            ratio,
            nodes: pairs(&a_tree, &b_tree),
            by_type: type_pairs(&a_tree, &b_tree),
        })
    };
    Ok(Json(compute(&app, compared).await?))
}

/// Nodes by scope, instance type and place among equals: a's in their order, then what only b has.
fn pairs(a: &Tree, b: &Tree) -> Vec<NodePair> {
    let joules = |tree: &Tree, id: NodeId| tree.node(id).get(Quantity::PredictedEnergy);
    let key = |tree: &Tree, id: NodeId| (tree.node(id).scope().to_owned(), tree.node(id).instance_type().to_owned());
    // Last first, so that equals are taken from the end in order.
    let mut others: BTreeMap<(String, String), Vec<NodeId>> = BTreeMap::new();
    for id in b.ids().rev() {
        others.entry(key(b, id)).or_default().push(id);
    }
    let pair = |tree: &Tree, id: NodeId, a_j: Option<f64>, b_j: Option<f64>| NodePair {
        scope: tree.node(id).scope().to_owned(),
        instance_type: tree.node(id).instance_type().to_owned(),
        level: tree.node(id).level().name(),
        a_j,
        b_j,
        difference_j: a_j.zip(b_j).map(|(a, b)| b - a),
    };
    let mut nodes: Vec<NodePair> = a
        .ids()
        .map(|id| {
            let other = others.get_mut(&key(a, id)).and_then(Vec::pop);
            pair(a, id, joules(a, id), other.and_then(|other| joules(b, other)))
        })
        .collect();
    let mut left: Vec<NodeId> = others.into_values().flatten().collect();
    left.sort_unstable();
    nodes.extend(left.into_iter().map(|id| pair(b, id, None, joules(b, id))));
    nodes
}

fn type_pairs(a: &Tree, b: &Tree) -> Vec<TypePair> {
    let mut types: BTreeMap<(String, &'static str), [f64; 2]> = BTreeMap::new();
    for (side, tree) in [a, b].into_iter().enumerate() {
        for Bottleneck { instance_type, level, energy_j, .. } in bottlenecks(tree) {
            types.entry((instance_type, level.name())).or_default()[side] += energy_j;
        }
    }
    let pair = |((instance_type, level), [a_j, b_j]): ((String, &'static str), [f64; 2])| TypePair {
        instance_type,
        level,
        a_j,
        b_j,
        difference_j: b_j - a_j,
    };
    let mut pairs: Vec<TypePair> = types.into_iter().map(pair).collect();
    pairs.sort_by(|x, y| y.difference_j.abs().total_cmp(&x.difference_j.abs()));
    pairs
}

/// Sizes that are swept where none are named; those that a model cannot take are left out.
const BATCH_SIZES: [usize; 6] = [1, 4, 8, 16, 32, 64];
const SEQ_LENS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// A model at several batch sizes and sequence lengths
#[utoipa::path(get, path = "/api/v1/sweep", params(SweepQuery),
    responses((status = 200, body = Sweep), (status = "4XX", body = Problem)))]
async fn sweep(State(app): Shared, Params(query): Params<SweepQuery>) -> Result<Json<Sweep>, Problem> {
    let swept = move |app: &App| {
        let sizes = |text: &Option<String>, name: &str, default: &[usize]| match text {
            None => Ok(default.to_vec()),
            Some(text) => text
                .split(',')
                .map(|part| part.trim().parse())
                .collect::<Result<Vec<usize>, _>>()
                .map_err(|_| Problem::malformed(format!("{name} takes whole numbers with commas between them"))),
        };
        let batch_sizes = sizes(&query.batch_sizes, "batch_sizes", &BATCH_SIZES)?;
        let seq_lens = sizes(&query.seq_lens, "seq_lens", &SEQ_LENS)?;
        let (count, most) = (batch_sizes.len().saturating_mul(seq_lens.len()), app.limits.cells);
        if count > most {
            return Err(Problem::malformed(format!("at most {most} sizes are swept here, found {count}")));
        }
        let (device, spec) = (app.device(query.device.as_deref())?, app.model(&query.model)?);
        sweep_of(app, device, &spec, &batch_sizes, &seq_lens, query.seq_lens.is_some())
    };
    Ok(Json(compute(&app, swept).await?))
}

pub(crate) fn default_sweep(app: &App, device: &Device, spec: &ModelSpec) -> Result<Sweep, Problem> {
    sweep_of(app, device, spec, &BATCH_SIZES, &SEQ_LENS, false)
}

fn sweep_of(
    app: &App,
    device: &Device,
    spec: &ModelSpec,
    batch_sizes: &[usize],
    seq_lens: &[usize],
    is_asked: bool,
) -> Result<Sweep, Problem> {
    let mut cells = Vec::new();
    for &batch_size in batch_sizes {
        for &seq_len in seq_lens {
            let tree = match app.predict(device, spec, Size { batch_size, seq_len }, false) {
                Ok(tree) => tree,
                // The default lengths are more than some models have positions.
                Err(_) if !is_asked && !cells.is_empty() => continue,
                Err(problem) => return Err(problem),
            };
            let extrapolated = tree.root().marks.contains(Mark::Extrapolated);
            cells.push(Cell { batch_size, seq_len, figures: Figures::of(&tree)?, extrapolated });
        }
    }
    Ok(Sweep { model: spec.name().to_owned(), device: device.name.clone(), cells })
}

/// All built-in models at one size, least energy first
#[utoipa::path(get, path = "/api/v1/leaderboard", params(SizeQuery),
    responses((status = 200, body = Leaderboard), (status = "4XX", body = Problem)))]
async fn leaderboard(State(app): Shared, Params(query): Params<SizeQuery>) -> Result<Json<Leaderboard>, Problem> {
    let ranked = move |app: &App| leaderboard_of(app, app.device(query.device.as_deref())?, query.size());
    Ok(Json(compute(&app, ranked).await?))
}

pub(crate) fn leaderboard_of(app: &App, device: &Device, size: Size) -> Result<Leaderboard, Problem> {
    let mut problem = None;
    let mut entries = Vec::new();
    for model in ModelSpec::builtin_names() {
        // A size may be too long for one model and not for another.
        match app.predict(device, &app.model(&model)?, size, false) {
            Ok(tree) => entries.push(Entry {
                model,
                num_parameters: tree.root().get(Quantity::NumParameters),
                figures: Figures::of(&tree)?,
            }),
            Err(refused) => problem = Some(refused),
        }
    }
    match problem {
        Some(problem) if entries.is_empty() => return Err(problem),
        _ => entries.sort_by(|a: &Entry, b| a.figures.energy_j().total_cmp(&b.figures.energy_j())),
    }
    Ok(Leaderboard { entries })
}

/// Energy against the accuracies of a CSV with the columns model and accuracy, and who is on the Pareto front
#[utoipa::path(post, path = "/api/v1/tradeoff", params(SizeQuery), request_body = String,
    responses((status = 200, body = Tradeoff), (status = "4XX", body = Problem)))]
async fn tradeoff(
    State(app): Shared,
    Params(query): Params<SizeQuery>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Tradeoff>, Problem> {
    let body = bytes(body)?;
    let traded = move |app: &App| {
        let device = app.device(query.device.as_deref())?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&body[..]);
        let mut points = Vec::new();
        for (row, record) in reader.deserialize().enumerate() {
            let line = row + 2;
            let refuse = |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
            let Accuracy { model, accuracy } = record.map_err(|error| refuse(format!("the CSV, {error}")))?;
            if !accuracy.is_finite() {
                return Err(refuse(format!("the CSV, line {line}: accuracy must be a number")));
            }
            if points.len() == app.limits.trees {
                return Err(refuse(format!("at most {} models are compared here", app.limits.trees)));
            }
            let spec = app.model(&model)?;
            let energy_j = energy(&app.predict(device, &spec, query.size(), false)?)?;
            points.push(Point { model, accuracy, energy_j, is_on_front: false });
        }
        if points.is_empty() {
            return Err(Problem::malformed("the CSV has no models; it takes the columns model and accuracy"));
        }
        let beats = |x: &Point, y: &Point| {
            x.accuracy >= y.accuracy && x.energy_j <= y.energy_j && (x.accuracy > y.accuracy || x.energy_j < y.energy_j)
        };
        let fronts: Vec<bool> = points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect();
        points.iter_mut().zip(fronts).for_each(|(point, is_on_front)| point.is_on_front = is_on_front);
        Ok(Tradeoff { points })
    };
    Ok(Json(compute(&app, traded).await?))
}

/// A line of the user's CSV.
#[derive(serde::Deserialize)]
struct Accuracy {
    model: String,
    accuracy: f64,
}
