use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use irene_explore::{
    Candidate, Describer, Measure,
    learning::{CostLawLearner, Learner, PredictedValue, Surrogate, Surrogates},
    search::{
        Climb, Constraints, Criterion, Evolution, Objective, Outcome, PartDifference, Predicted, Problem, Search,
        SearchLimits, SearchProgress, Solution, differences, energy_tree,
    },
    space::{DesignSpace, ModelHash, Sampling},
};
use irene_models::flexibert::Design;
use irene_regress::DeviceProfile;
use irene_tree::render::{Grid, Heading, range, si};
use irene_viz::SearchPage;
use serde_json::json;

use super::{read_records, read_surrogates};
use crate::{
    commands::{
        numbers::{number, size},
        predictor,
        trees::count,
    },
    interrupt, output,
};

/// Searches a design space by a device's surrogates, under constraints
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore search mine.surrogates.json --objective 'pareto(latency, energy)' \\
    -o front.json --html front.html
  irene explore search mine.surrogates.json --objective energy \\
    --constraint 'latency<=8 ms, peak_power<=120 W'
  irene explore search mine.surrogates.json --accuracy glue.jsonl --objective protran \\
    --budget 100000")]
pub(crate) struct Args {
    /// A file of `irene explore fit`
    surrogates: PathBuf,
    /// The objective: latency, energy, peak_power, the same of a step of training (training_energy), or accuracy alone;
    /// pareto(...) of several; protran (the published weights); weights(accuracy=0.5, latency=0.2/1000 s, ...)
    #[arg(long, default_value = "pareto(latency, energy)")]
    objective: Objective,
    /// Bounds to keep, such as 'latency<=20 ms, training_energy<=3 J'
    #[arg(long, default_value = "")]
    constraint: Constraints,
    /// Keep bounds by so many standard deviations
    #[arg(long, value_name = "DEVIATIONS", default_value = "0", value_parser = caution)]
    caution: f64,
    /// Records of designs with their accuracy (a share of 1), which a surrogate is fitted to
    #[arg(long, value_name = "DATA")]
    accuracy: Option<PathBuf>,
    /// How the space is searched
    #[arg(id = "searching", long = "method", value_enum, default_value = "evolution")]
    method: Method,
    /// Designs that are predicted
    #[arg(long, value_name = "N", default_value = "20000", value_parser = size)]
    budget: usize,
    /// Seed of the search
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Tokens in the sequence of the winner's energy tree [default: those that were measured]
    #[arg(long, value_name = "S", value_parser = size)]
    seq_len: Option<usize>,
    /// Device profile of the winner's energy tree [default: gtx-1080-ti]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Write all that was found, as JSON
    #[arg(short, long, value_name = "FILE", value_parser = output::text_file())]
    output: Option<PathBuf>,
    /// Write a page with the front, the winner and the parts that make the difference
    #[arg(long, value_name = "FILE", value_parser = output::text_file())]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Method {
    /// NSGA-II
    Evolution,
    /// Hill climbing with restarts, for one figure
    Climb,
}

fn caution(text: &str) -> Result<f64, String> {
    number(text, 0.0..=10.0, "a number from 0 to 10")
}

pub(crate) fn run(args: &Args) -> Result<()> {
    output::check_apart(
        &[args.output.as_deref(), args.html.as_deref()],
        &[Some(args.surrogates.as_path()), args.accuracy.as_deref()],
    )?;
    let constraints = args.constraint.clone().with_caution(args.caution)?;
    let surrogates = read_surrogates(&args.surrogates)?;
    check_known(args, &surrogates)?;
    let device = predictor::device(args.device.as_deref());
    let profile = DeviceProfile::bundled(device)?;
    let seq_len = args.seq_len.unwrap_or(surrogates.seq_len);
    let space = surrogates.space.clone();
    let describer = surrogates.describer();
    let accuracy = args.accuracy.as_ref().map(|path| accuracy(&describer, path)).transpose()?;
    let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: accuracy.as_deref() };
    // An error is told before the search.
    let (usual, of) = usual(&describer, &predicted, &args.objective)?;
    let other = energy_tree("usual", &usual.design, seq_len, &profile)?;
    let outcome = search(args, &space, &predicted, &constraints)?;
    // The compromise in the middle of the front stands for all.
    let winner = outcome.front.len() / 2;
    let found = outcome.front.get(winner).context("the search found nothing")?;
    let tree = energy_tree("winner", &found.design, seq_len, &profile)?;
    let differences = differences(&tree, &other);
    let beside = format!("the middle one of {} ({})", count(of, "random design"), ModelHash::of(&usual.design));
    if let Some(path) = &args.output {
        let all = json!({
            (output::SCHEMA_FIELD): output::SCHEMA_VERSION,
            "device": surrogates.device,
            "provenance": surrogates.basis(),
            "search": outcome,
            "winner": winner,
            "beside": usual.design,
            "differences": differences,
        });
        output::write_text(path, &(all.to_string() + "\n"))?;
    }
    if let Some(path) = &args.html {
        let page = SearchPage {
            device: &surrogates.device,
            basis: surrogates.basis(),
            outcome: &outcome,
            winner,
            tree: &tree,
            profile: device,
            beside: &beside,
            differences: &differences,
        };
        output::write_text(path, &page.to_html())?;
    }
    let mut out = text(&outcome, winner, surrogates.basis());
    writeln!(out, "\nParts of design {} beside {beside}; J by {}", winner + 1, device)?;
    output::print_text(&(out + &parts(&differences)))
}

fn parts(differences: &[PartDifference]) -> String {
    let mut grid = Grid::new([Heading::left("part"), Heading::right("design"), Heading::right("other")]);
    for part in differences.iter().filter(|part| part.difference() != 0.0).take(8) {
        let joules = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| si(value, "J"));
        grid.row([part.scope.clone(), joules(part.one), joules(part.other)]);
    }
    grid.text(output::width())
}

/// Refuses a criterion without a surrogate.
fn check_known(args: &Args, surrogates: &Surrogates) -> Result<()> {
    let bounded = args.constraint.bounds().iter().map(|bound| bound.criterion);
    for criterion in args.objective.criteria().into_iter().chain(bounded) {
        let Some(measure) = criterion.measure() else {
            ensure!(args.accuracy.is_some(), "{criterion} is asked for: give records that have it, --accuracy DATA");
            continue;
        };
        let (is_known, path) = (surrogates.measures.contains_key(&measure), args.surrogates.display());
        ensure!(
            is_known,
            "{criterion} is asked for, but {path} has no surrogate of it; `irene explore fit` learns one"
        );
    }
    Ok(())
}

/// Learned from a user's figures.
fn accuracy(describer: &Describer, path: &Path) -> Result<Box<dyn Surrogate>> {
    let data = read_records(path)?;
    // At the length that is searched, whichever these records have: an accuracy is the model's, whatever it is fed.
    let candidates: Vec<Candidate> =
        data.records.iter().map(|record| Ok(describer.describe(record.design.clone())?)).collect::<Result<_>>()?;
    let candidates: Vec<&Candidate> = candidates.iter().collect();
    Ok(CostLawLearner.fit(&candidates, &data.accuracies()?, 0)?)
}

fn search(
    args: &Args,
    space: &DesignSpace,
    predicted: &Predicted<'_>,
    constraints: &Constraints,
) -> Result<Outcome<Design>> {
    let objective = &args.objective;
    let evaluate = |designs: &[Design]| predicted.evaluate(designs);
    let problem = Problem { variation: space, objective, constraints, evaluate: &evaluate, starts: &[] };
    let bar = output::progress(args.budget as u64, "designs");
    let progress = |progress: &SearchProgress| bar.set_position(progress.evaluations as u64);
    let limits = SearchLimits {
        stop: Some(interrupt::flag()?),
        progress: Some(&progress),
        ..SearchLimits::new(args.budget, args.seed)
    };
    let outcome = match args.method {
        Method::Evolution => Evolution::default().run(&problem, &limits),
        Method::Climb => Climb::default().run(&problem, &limits),
    };
    bar.finish_and_clear();
    Ok(outcome?)
}

/// Random designs, of which the middle one stands for what a design usually is.
const USUAL: usize = 101;

/// The design in the middle of random ones, and how many these are: a small space has fewer.
fn usual(describer: &Describer, predicted: &Predicted<'_>, objective: &Objective) -> Result<(Candidate, usize)> {
    let space = describer.space();
    let there_are = space.count().as_u64().map_or(USUAL, |count| USUAL.min(count as usize));
    let designs = space.sample_balanced(Sampling::Uniform, USUAL, 0);
    let designs = designs.or_else(|_| space.sample(Sampling::Uniform, there_are, 0))?;
    let mut scored = Vec::with_capacity(designs.len());
    for design in designs {
        let candidate = describer.describe(design)?;
        let costs = objective.costs(&predicted.of(&candidate))?;
        scored.push((costs.first().copied().unwrap_or_default(), candidate));
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let many = scored.len();
    let middle = scored.into_iter().nth(many / 2).context("the design space has no designs")?;
    Ok((middle.1, many))
}

/// The rows of a front that are shown: evenly from one end to the other, with the winner.
fn shown(front: usize, winner: usize) -> Vec<usize> {
    const ROWS: usize = 20;
    if front <= ROWS {
        return (0..front).collect();
    }
    let evenly = (0..ROWS).map(|row| row * (front - 1) / (ROWS - 1));
    let rows: BTreeSet<usize> = evenly.chain([winner]).collect();
    rows.into_iter().collect()
}

fn text(outcome: &Outcome<Design>, winner: usize, basis: &str) -> String {
    let Outcome { method, objective, constraints, evaluations, front, stopped, .. } = outcome;
    let found = count(front.len(), "design");
    let mut out = format!("{objective}, {method}: {found} of {evaluations} predicted");
    out += if *stopped { ", stopped early\n\n" } else { "\n\n" };
    let known: Vec<Criterion> = Criterion::ALL
        .into_iter()
        .filter(|&criterion| front.iter().any(|found| found.figures.get(criterion).is_some()))
        .collect();
    let mut headings = vec![Heading::right(""), Heading::left("design"), Heading::right("layers").rank(9)];
    for (place, criterion) in known.iter().enumerate() {
        headings.extend([Heading::right(criterion.to_string()), Heading::right("90% interval").rank(2 + place as u8)]);
    }
    headings.push(Heading::right("feasible").rank(1));
    let mut grid = Grid::new(headings);
    for place in shown(front.len(), winner) {
        let Solution { design, figures, feasibility, .. } = &front[place];
        let mark = if place == winner { "*" } else { " " };
        let mut cells =
            vec![format!("{}{mark}", place + 1), ModelHash::of(design).to_string(), design.layers().len().to_string()];
        for &criterion in &known {
            cells.extend(figures.get(criterion).map_or_else(Default::default, |found| figure(criterion, &found)));
        }
        cells.push(if constraints.is_empty() { String::new() } else { format!("{:.0}%", 100.0 * feasibility) });
        grid.row(cells);
    }
    let whose = Measure::whose(known.iter().filter_map(|criterion| criterion.measure()));
    out += &format!("figures of {whose} ({basis})\n");
    out + &grid.text(output::width())
}

/// A figure and its interval.
fn figure(criterion: Criterion, prediction: &PredictedValue) -> [String; 2] {
    let (low, high) = criterion.interval(prediction);
    match criterion {
        Criterion::Accuracy => {
            let percent = |share: f64| format!("{:.1}%", 100.0 * share);
            [percent(prediction.value), format!("{} to {}", percent(low), percent(high))]
        }
        _ => [si(prediction.value, criterion.unit()), range(low, high, criterion.unit())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_winner_is_among_the_rows_of_a_front_of_any_length() {
        for front in 1..200 {
            let rows = shown(front, front / 2);
            assert!(rows.is_sorted() && rows.len() <= 21, "{front}: {rows:?}");
            assert_eq!(rows.iter().filter(|row| **row == front / 2).count(), 1, "{front}: {rows:?}");
            assert_eq!((rows[0], rows[rows.len() - 1]), (0, front - 1));
        }
    }
}
