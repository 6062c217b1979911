mod sheets;

use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use irene_regress::{Errors, Evaluation};
use irene_tree::{
    Level, Node,
    render::{Grid, Heading},
};
use serde_json::{Value, json};

use super::{FormatArgs, refuse};
use crate::{
    input, output,
    sheet::{Cell, Field, Format, Sheet},
};

/// Compares predictions with measurements: percentage errors
///
/// Errors of trees are given by level and instance type, those of sheets by device, model and engine. Two files of
/// trees are compared node by node. Two sheets, of requests or of operations, are compared row by row: rows are matched
/// by their order if their settings are the same, otherwise by the settings. Every figure that both have is compared;
/// units follow from the titles.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene evaluate device_1.jsonl predicted.jsonl
  irene evaluate requests.csv predicted.csv
  irene evaluate operations.csv predicted-operations.csv --by op,device")]
pub(crate) struct Args {
    /// Trees with ground truth, or a sheet with measured figures
    truth: PathBuf,
    /// The same trees with predicted energies, or the sheet with predicted figures
    predicted: PathBuf,
    /// Columns of a sheet, separated by commas: the errors are also given for the rows of each of their values [default: op, device,
    /// model, engine, as far as the sheet has them]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    by: Option<Vec<String>>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Percent errors at which the distribution is shown.
const STEPS: [f64; 9] = [0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0];

pub(crate) fn run(args: &Args) -> Result<()> {
    match (input::holds_trees(&args.truth)?, input::holds_trees(&args.predicted)?) {
        (false, false) => return sheets::run(args),
        (true, true) => {}
        (of_truth, _) => {
            let [trees, sheet] = if of_truth { [&args.truth, &args.predicted] } else { [&args.predicted, &args.truth] };
            anyhow::bail!(
                "{} holds trees and {} does not: give two files of trees or two sheets",
                trees.display(),
                sheet.display()
            );
        }
    }
    refuse(args.by.is_some(), "sheets", &[("--by", true)])?;
    let truth = super::trees::read(&args.truth)?;
    let predicted = super::trees::read(&args.predicted)?;
    if truth.iter().any(|tree| tree.nodes().iter().any(Node::is_energy_estimated)) {
        output::tell(&format!("{}: energies that are estimated, not measured", args.truth.display()));
    }
    let evaluation = irene_regress::evaluate(&truth, &predicted)
        .with_context(|| format!("{} beside {}", input::name(&args.predicted), input::name(&args.truth)))?;
    match args.format.format() {
        Format::Text => output::print_text(&text(&evaluation)?),
        Format::Json => output::print(&output::json(json(&evaluation))),
        Format::Csv => output::print(&rows(&evaluation).csv()),
    }
}

fn text(evaluation: &Evaluation) -> Result<String> {
    let figures = ["nodes", "mean", "median", "90%"].map(Heading::right);
    let mut grid = Grid::new([Heading::left("percentage error")].into_iter().chain(figures));
    for (name, _, errors) in groups(evaluation) {
        let [mean, median, most] = [errors.mean(), errors.quantile(0.5), errors.quantile(0.9)].map(output::percent);
        grid.row([name, errors.count().to_string(), mean, median, most]);
    }
    let mut out = grid.text(output::width());
    for level in evaluation.by_level.keys() {
        if let Some(share) = evaluation.coverage(*level) {
            let confidence = 100.0 * irene_regress::CONFIDENCE;
            writeln!(out, "{} nodes in their {confidence}% interval: {:.1}%", level.name(), 100.0 * share)?;
        }
    }
    out += "\nshare of nodes with at most this error\n";
    let steps = STEPS.map(|step| Heading::right(format!("{step}%")));
    let mut grid = Grid::new([Heading::left("")].into_iter().chain(steps));
    for (level, errors) in &evaluation.by_level {
        let share = |step| errors.share_within(step).map_or_else(String::new, |share| format!("{:.1}%", 100.0 * share));
        grid.row([level.name().to_owned()].into_iter().chain(STEPS.map(share)));
    }
    Ok(out + &grid.text(output::width()))
}

/// The errors by level and by instance type: the name in text, the kind of group.
fn groups(evaluation: &Evaluation) -> Vec<(String, &'static str, &Errors)> {
    let levels = evaluation.by_level.iter().map(|(level, errors)| (level.name().to_owned(), "level", errors));
    let types = evaluation.by_instance_type.iter().map(|(name, errors)| (format!("  {name}"), "instance_type", errors));
    levels.chain(types).collect()
}

fn rows(evaluation: &Evaluation) -> Sheet {
    let percent = ["mean", "median", "p90"].map(|name| Field::figure(name, "", "%"));
    let names = [Field::word("group", ""), Field::word("name", ""), Field::figure("nodes", "", "")];
    let mut sheet = Sheet::new(names.into_iter().chain(percent));
    for (name, group, errors) in groups(evaluation) {
        let figures = [errors.mean(), errors.quantile(0.5), errors.quantile(0.9)].map(Cell::from);
        let names: [Cell; 3] = [group.into(), name.trim_start().into(), errors.count().into()];
        sheet.row(names.into_iter().chain(figures));
    }
    sheet
}

fn json(evaluation: &Evaluation) -> [(&'static str, Value); 3] {
    let errors = |errors: &Errors| {
        let cdf: Vec<_> =
            STEPS.iter().map(|&step| json!({"percent": step, "share": errors.share_within(step)})).collect();
        json!({
            "nodes": errors.count(),
            "mean": errors.mean(),
            "median": errors.quantile(0.5),
            "p90": errors.quantile(0.9),
            "cdf": cdf,
        })
    };
    let by_level = evaluation.by_level.iter().map(|(level, found)| (level.name(), errors(found)));
    let by_type = evaluation.by_instance_type.iter().map(|(name, found)| (name.clone(), errors(found)));
    let coverage = LEVELS.iter().map(|&level| (level.name(), json!(evaluation.coverage(level))));
    [("by_level", by_level.collect()), ("by_instance_type", by_type.collect()), ("coverage", coverage.collect())]
}

/// The three levels of the paper, in its order.
pub(super) const LEVELS: [Level; 3] = [Level::Ml, Level::Module, Level::Model];
