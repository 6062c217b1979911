//! Many models at one selection: `GET leaderboard`, `POST tradeoff`.

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use irene_advice::{By, RankFilter, Ranked, Ranking, Score, Selection, rank};
use irene_models::{BuiltinModel, ModelTask};
use irene_numerics::dominates;

use super::{
    Shared, answer,
    answers::{Entry, Figures, Leaderboard, ModelLeftOut, Point, Tradeoff},
    fields::{Fields, FromFields, Params},
    kinds::{Known, Word},
    numbers::Whole,
    sweep::rests_on_estimates,
};
use crate::{
    answer::Asked,
    app::{App, Effort},
    kept::{self, Key},
    problem::{Problem, in_parameters},
};

/// A selection of any built-in model, and which of them are ranked.
pub(crate) struct RankQuery {
    selection: Selection,
    filter: RankFilter,
    benchmark: Option<String>,
}

const TASKS: [(&str, ModelTask); 3] = [
    (ModelTask::ALL[0].name(), ModelTask::ALL[0]),
    (ModelTask::ALL[1].name(), ModelTask::ALL[1]),
    (ModelTask::ALL[2].name(), ModelTask::ALL[2]),
];

/// More parameters than any model has.
const MOST_PARAMETERS: usize = 1 << 50;

fn families(_: &App) -> Vec<String> {
    let mut families: Vec<String> = BuiltinModel::all().iter().map(|model| model.family().to_owned()).collect();
    families.sort_unstable();
    families.dedup();
    families
}

fn benchmarks(_: &App) -> Vec<String> {
    Score::benchmarks().into_iter().map(str::to_owned).collect()
}

impl FromFields for RankQuery {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let selection = fields.selection(None)?;
        let family =
            fields.optional("family", "Models of this family alone: the config's model_type.", Known(families))?;
        let task = fields.optional("task", "Only models that are made for this task.", Word(&TASKS))?;
        let most = "Only models of up to so many parameters.";
        let most = fields.optional("max_parameters", most, Whole(1..=MOST_PARAMETERS))?;
        let benchmark = "The benchmark of the entries' scores; by default the first in which a model has one.";
        let benchmark = fields.optional("benchmark", benchmark, Known(benchmarks))?;
        check_known("family", family.as_deref(), &families(fields.app))?;
        check_known("benchmark", benchmark.as_deref(), &benchmarks(fields.app))?;
        let filter = RankFilter { family, task, max_parameters: most.map(|most| most as u64) };
        Ok(Self { selection, filter, benchmark })
    }
}

fn check_known(parameter: &'static str, asked: Option<&str>, known: &[String]) -> Result<(), Problem> {
    match asked.filter(|asked| !known.iter().any(|name| name == asked)) {
        None => Ok(()),
        Some(asked) => Err(Problem::none_of(parameter, asked, known)),
    }
}

pub(super) async fn leaderboard(
    State(app): Shared,
    key: Key,
    asked: Asked,
    Params(query): Params<RankQuery>,
) -> Result<Response, Problem> {
    kept::answer(&app, key, asked, Effort::Long, move |app| leaderboard_of(app, &query)).await
}

/// All built-in models at a selection.
pub(crate) fn whole_leaderboard(app: &App, selection: Selection) -> Result<Leaderboard, Problem> {
    leaderboard_of(app, &RankQuery { selection, filter: RankFilter::default(), benchmark: None })
}

fn leaderboard_of(app: &App, query: &RankQuery) -> Result<Leaderboard, Problem> {
    let Ranking { ranked, left_out } = rank(&app.lookup, &query.selection, &query.filter);
    if ranked.is_empty() && left_out.iter().any(|(_, error)| !is_of_model(error)) {
        // No model is at fault: the selection is.
        let fault = left_out.into_iter().map(|(_, error)| error).find(|error| !is_of_model(error));
        return Err(fault.map_or_else(|| Problem::malformed("no model can run so"), Problem::from));
    }
    let estimated = ranked.first().is_none_or(|first| rests_on_estimates(app, &first.estimate));
    let mut entries: Vec<Entry> = ranked
        .iter()
        .enumerate()
        .map(|(place, ranked)| entry(place + 1, ranked, query.benchmark.as_deref()))
        .collect::<Result<_, Problem>>()?;
    mark_front(&mut entries);
    let reason = |(model, error): (&BuiltinModel, irene_advice::Error)| ModelLeftOut {
        model: model.name().to_owned(),
        reason: in_parameters(&error),
    };
    Ok(Leaderboard {
        estimated,
        entries,
        left_out: left_out.into_iter().map(reason).collect(),
        benchmarks: benchmarks(app),
        families: families(app),
    })
}

/// Whether a model is the reason: another may do.
fn is_of_model(error: &irene_advice::Error) -> bool {
    error.is_too_large() || matches!(error, irene_advice::Error::Model(_) | irene_advice::Error::Predict { .. })
}

fn entry(rank: usize, ranked: &Ranked, benchmark: Option<&str>) -> Result<Entry, Problem> {
    let Ranked { builtin, task, estimate } = ranked;
    Ok(Entry {
        rank,
        model: builtin.name().to_owned(),
        family: builtin.family().to_owned(),
        series: builtin.series().to_owned(),
        task: task.name(),
        parameters: builtin.parameters(),
        active_parameters: builtin.active_parameters(),
        figure_set: estimate.figures.into(),
        low: estimate.low.into(),
        high: estimate.high.into(),
        figures: Figures::of(estimate)?,
        marks: estimate.marks.clone(),
        score: Score::of(builtin.name(), benchmark).cloned(),
        is_on_front: None,
    })
}

/// Marks, for each benchmark, the models that no other beats in both energy and score.
fn mark_front(entries: &mut [Entry]) {
    for benchmark in Score::benchmarks() {
        let scored =
            |entry: &Entry| entry.score.as_ref().filter(|score| score.benchmark == benchmark).map(|score| score.value);
        let places: Vec<(usize, [f64; 2])> = entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| Some((place, [entry.figures.energy_j, scored(entry)?])))
            .collect();
        let points: Vec<[f64; 2]> = places.iter().map(|(_, point)| *point).collect();
        for ((place, _), is_on_front) in places.iter().zip(on_front(&points)) {
            entries[*place].is_on_front = Some(is_on_front);
        }
    }
}

/// Whether no other point costs at most as much for at least as much merit, and is better in one of them.
fn on_front(points: &[[f64; 2]]) -> Vec<bool> {
    let costs: Vec<[f64; 2]> = points.iter().map(|[cost, merit]| [*cost, -merit]).collect();
    costs.iter().map(|own| !costs.iter().any(|other| dominates(other, own))).collect()
}

/// A selection of the models that the body names.
pub(crate) struct TradeoffQuery(Selection);

impl FromFields for TradeoffQuery {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        fields.selection(None).map(Self)
    }
}

pub(super) async fn tradeoff(
    State(app): Shared,
    asked: Asked,
    Params(TradeoffQuery(selection)): Params<TradeoffQuery>,
    body: Bytes,
) -> Result<Response, Problem> {
    answer(&app, asked, Effort::Long, move |app| tradeoff_of(app, &selection, &body)).await
}

fn tradeoff_of(app: &App, selection: &Selection, body: &[u8]) -> Result<Tradeoff, Problem> {
    let refuse = |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body);
    let (mut points, mut estimated) = (Vec::new(), false);
    for (row, record) in reader.deserialize().enumerate() {
        let line = row + 2;
        let Accuracy { model, accuracy } = record.map_err(|error| refuse(format!("the CSV, {error}")))?;
        if !accuracy.is_finite() {
            return Err(refuse(format!("the CSV, line {line}: accuracy must be a number")));
        }
        if points.len() == app.limits.trees {
            return Err(refuse(format!("at most {} models are compared here", app.limits.trees)));
        }
        let mut of_model = selection.clone();
        of_model.row.model = Some(model.clone());
        let in_line = |problem: Problem| refuse(format!("the CSV, line {line}: {}", problem.detail()));
        let estimate = app.lookup.estimate(&of_model).map_err(|error| in_line(error.into()))?;
        estimated = rests_on_estimates(app, &estimate);
        let energy_j = Figures::of(&estimate)?.energy_j;
        let energy_per_request_j = estimate.energy_j(By::Request).unwrap_or(energy_j);
        points.push(Point { model, accuracy, energy_j, energy_per_request_j, is_on_front: false });
    }
    if points.is_empty() {
        return Err(refuse("the CSV has no models; it takes the columns model and accuracy".to_owned()));
    }
    let costs: Vec<[f64; 2]> = points.iter().map(|point| [point.energy_j, point.accuracy]).collect();
    points.iter_mut().zip(on_front(&costs)).for_each(|(point, is_on_front)| point.is_on_front = is_on_front);
    Ok(Tradeoff { estimated, points })
}

/// A line of the user's CSV.
#[derive(serde::Deserialize)]
struct Accuracy {
    model: String,
    accuracy: f64,
}
