//! Many predictions: one model at many sizes (`GET sweep`), many models at one size (`GET leaderboard`, `POST tradeoff`).

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};
use irene_models::ModelSpec;
use irene_tree::{Mark, Quantity, Size};

use super::{
    Shared,
    answers::{Cell, Entry, Figures, Leaderboard, Point, Sweep, Tradeoff, energy},
    bytes,
    queries::{Params, SizeQuery, SweepQuery, whole},
};
use crate::{
    app::{App, Device, compute},
    problem::Problem,
};

/// The default sizes of a sweep; those that a model cannot take are left out.
const BATCH_SIZES: [usize; 6] = [1, 4, 8, 16, 32, 64];
const SEQ_LENS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// A model at several batch sizes and sequence lengths
#[utoipa::path(get, path = "/api/v1/sweep", params(SweepQuery),
    responses((status = 200, body = Sweep), (status = "4XX", body = Problem)))]
pub(super) async fn sweep(State(app): Shared, Params(query): Params<SweepQuery>) -> Result<Json<Sweep>, Problem> {
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
            let tree = match app.predict(device, spec, whole(Size::new(batch_size, seq_len))) {
                Ok(tree) => tree,
                // Some default lengths exceed the positions of some models.
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
pub(super) async fn leaderboard(
    State(app): Shared,
    Params(query): Params<SizeQuery>,
) -> Result<Json<Leaderboard>, Problem> {
    let ranked = move |app: &App| leaderboard_of(app, app.device(query.device.as_deref())?, query.size());
    Ok(Json(compute(&app, ranked).await?))
}

pub(crate) fn leaderboard_of(app: &App, device: &Device, size: Size) -> Result<Leaderboard, Problem> {
    let mut problem = None;
    let mut entries = Vec::new();
    for model in ModelSpec::builtin_names() {
        // A size may be too long for one model and not for another.
        match app.predict(device, &app.model(&model)?, whole(size)) {
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
pub(super) async fn tradeoff(
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
            let energy_j = energy(&app.predict(device, &spec, whole(query.size()))?)?;
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
