//! Many predictions: one model at many sizes (`GET sweep`), many models at one size (`GET leaderboard`, `POST tradeoff`).

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use irene_models::{BuiltinModel, ModelSpec};
use irene_tree::{Mark, Quantity, Size};

use super::{
    Shared, answer,
    answers::{Cell, Entry, Figures, Leaderboard, Point, Sweep, Tradeoff, energy},
    fields::Params,
    queries::{SizeQuery, SweepQuery, Way},
};
use crate::{
    answer::Asked,
    app::{App, Device},
    problem::Problem,
};

/// The default sizes of a sweep; those that a model cannot take are left out.
const BATCH_SIZES: [usize; 6] = [1, 4, 8, 16, 32, 64];
const SEQ_LENS: [usize; 6] = [16, 32, 64, 128, 256, 512];

pub(super) async fn sweep(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<SweepQuery>,
) -> Result<Response, Problem> {
    let swept = move |app: &App| {
        let batch_sizes = query.batch_sizes.as_deref().unwrap_or(&BATCH_SIZES);
        let seq_lens = query.seq_lens.as_deref().unwrap_or(&SEQ_LENS);
        let (count, most) = (batch_sizes.len().saturating_mul(seq_lens.len()), app.limits.cells);
        if count > most {
            let detail = format!("at most {most} sizes are swept here, found {count}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        let (device, spec) = (app.device(query.device.as_deref())?, app.model(&query.model)?);
        sweep_of(app, device, &spec, query.way, batch_sizes, (seq_lens, query.seq_lens.is_some()))
    };
    answer(&app, asked, swept).await
}

fn rests_on_estimates(device: &Device) -> bool {
    device.profile.provenance.estimated
}

pub(crate) fn default_sweep(app: &App, device: &Device, spec: &ModelSpec) -> Result<Sweep, Problem> {
    sweep_of(app, device, spec, Way::default(), &BATCH_SIZES, (&SEQ_LENS, false))
}

fn sweep_of(
    app: &App,
    device: &Device,
    spec: &ModelSpec,
    way: Way,
    batch_sizes: &[usize],
    (seq_lens, is_asked): (&[usize], bool),
) -> Result<Sweep, Problem> {
    let mut cells = Vec::new();
    for &batch_size in batch_sizes {
        for &seq_len in seq_lens {
            let tree = match app.predict(device, spec, way.run(spec, Size::new(batch_size, seq_len))?) {
                Ok(tree) => tree,
                // Some default lengths exceed the positions of some models.
                Err(_) if !is_asked && !cells.is_empty() => continue,
                Err(problem) => return Err(problem),
            };
            let extrapolated = tree.root().marks.contains(Mark::Extrapolated);
            cells.push(Cell { batch_size, seq_len, figures: Figures::of(&tree)?, extrapolated });
        }
    }
    Ok(Sweep {
        model: spec.name().to_owned(),
        device: device.name.clone(),
        estimated: rests_on_estimates(device),
        cells,
    })
}

pub(super) async fn leaderboard(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<SizeQuery>,
) -> Result<Response, Problem> {
    let ranked = move |app: &App| leaderboard_of(app, app.device(query.device.as_deref())?, query.size, query.way);
    answer(&app, asked, ranked).await
}

/// A person waits for the ranking, and no machine that was measured here holds the larger models.
const LARGEST_RANKED: u64 = 1_000_000_000;

pub(crate) fn leaderboard_of(app: &App, device: &Device, size: Size, way: Way) -> Result<Leaderboard, Problem> {
    let mut problem = None;
    let mut entries = Vec::new();
    let ranked = BuiltinModel::all().iter().filter(|model| model.parameters() <= LARGEST_RANKED);
    for model in ranked.map(|model| model.name().to_owned()) {
        let spec = app.model(&model)?;
        // A size may be too long for one model and not for another.
        match app.predict(device, &spec, way.run(&spec, size)?) {
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
    Ok(Leaderboard { estimated: rests_on_estimates(device), entries })
}

pub(super) async fn tradeoff(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<SizeQuery>,
    body: Bytes,
) -> Result<Response, Problem> {
    let traded = move |app: &App| {
        let refuse = |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
        let device = app.device(query.device.as_deref())?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&body[..]);
        let mut points = Vec::new();
        for (row, record) in reader.deserialize().enumerate() {
            let line = row + 2;
            let Accuracy { model, accuracy } = record.map_err(|error| refuse(format!("the CSV, {error}")))?;
            if !accuracy.is_finite() {
                return Err(refuse(format!("the CSV, line {line}: accuracy must be a number")));
            }
            if points.len() == app.limits.trees {
                return Err(refuse(format!("at most {} models are compared here", app.limits.trees)));
            }
            let spec =
                app.model(&model).map_err(|problem| refuse(format!("the CSV, line {line}: {}", problem.detail())))?;
            let energy_j = energy(&app.predict(device, &spec, query.way.run(&spec, query.size)?)?)?;
            points.push(Point { model, accuracy, energy_j, is_on_front: false });
        }
        if points.is_empty() {
            return Err(refuse("the CSV has no models; it takes the columns model and accuracy".to_owned()));
        }
        let beats = |x: &Point, y: &Point| {
            x.accuracy >= y.accuracy && x.energy_j <= y.energy_j && (x.accuracy > y.accuracy || x.energy_j < y.energy_j)
        };
        let fronts: Vec<bool> = points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect();
        points.iter_mut().zip(fronts).for_each(|(point, is_on_front)| point.is_on_front = is_on_front);
        Ok(Tradeoff { estimated: rests_on_estimates(device), points })
    };
    answer(&app, asked, traded).await
}

/// A line of the user's CSV.
#[derive(serde::Deserialize)]
struct Accuracy {
    model: String,
    accuracy: f64,
}
