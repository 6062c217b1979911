//! One predicted tree, for people.

use std::fmt::Write;

use anyhow::Result;
use irene_regress::{CONFIDENCE, bottlenecks, kwh_per_million};
use irene_tree::{
    Level, Mark, Quantity, Tree,
    render::{self, Column, Grid, Heading, Table, TableOptions},
};

use super::{Args, request_energy, run_energy};
use crate::{
    commands::predictor::NamedProfile,
    output::{self, width},
    settings,
};

const DEFAULT_TOP: usize = 10;

pub(super) fn text(args: &Args, predictor: &NamedProfile, tree: &Tree) -> Result<String> {
    let joules = |energy: f64| render::si(energy, "J");
    let energy = run_energy(tree);
    let provenance = &predictor.profile.provenance;
    let mut out = format!("{}, on {} ({})\n", output::what_runs(tree), predictor.name, provenance.basis());
    let measured = tree.root().get(Quantity::GroundTruthEnergy);
    let is_estimated = tree.root().is_energy_estimated();
    let word = if is_estimated { "estimated" } else { "measured" };
    let run = if tree.training.is_some() { "step" } else { "run" };
    writeln!(
        out,
        "{} a {run}, {}{} a {}token{}",
        joules(energy),
        request_energy(tree).map_or_else(String::new, |energy| format!("{} a request, ", joules(energy))),
        joules(energy / tree.tokens() as f64),
        if tree.generated > 0 { "generated " } else { "" },
        measured.map_or_else(String::new, |truth| format!("; {word} {} a {run}", joules(truth))),
    )?;
    let more = figures(tree);
    if !more.is_empty() {
        writeln!(out, "{}", more.join(", "))?;
    }
    for note in predictor.profile.notes(tree) {
        writeln!(out, "{note}")?;
    }
    out.push('\n');
    out += &nodes(args, tree);
    if !tree.root().marks.is_empty() {
        out += &legend(predictor, tree);
    }
    out += &bottleneck_table(args, tree);
    let requests = request_energy(tree).map(|energy| ("requests", energy));
    let runs = if tree.training.is_some() { "steps" } else { "runs" };
    out += &cost(args, &requests.into_iter().chain([(runs, energy)]).collect::<Vec<_>>());
    Ok(out)
}

/// The table of nodes.
pub(super) fn nodes(args: &Args, tree: &Tree) -> String {
    let folded = args.output.folded(tree);
    let table = output::styled(&folded, &table(args, &folded).fitted(width()));
    table + output::legend_of_folding(&folded, tree, args.output.depth)
}

/// The interval, latency and power of the whole.
fn figures(tree: &Tree) -> Vec<String> {
    let root = |quantity| tree.root().get(quantity);
    let mut figures = Vec::new();
    if let (Some(low), Some(high)) = (root(Quantity::PredictedLow), root(Quantity::PredictedHigh)) {
        let share = 100.0 * CONFIDENCE;
        figures.push(format!("{share}% interval {} to {}", render::si(low, "J"), render::si(high, "J")));
    }
    figures.extend(root(Quantity::PredictedLatency).map(|seconds| format!("latency {}", render::si(seconds, "s"))));
    figures.extend(root(Quantity::PredictedPower).map(|watts| format!("mean power {}", render::si(watts, "W"))));
    figures
}

fn table(args: &Args, tree: &Tree) -> Table {
    let energy = Quantity::PredictedEnergy;
    // The interval of the whole stands above the table.
    let is_known = |quantity| {
        let first = usize::from(quantity == Quantity::PredictedLow);
        tree.nodes().iter().skip(first).any(|node| node.get(quantity).is_some())
    };
    let more = [
        (Quantity::OwnEnergy, Column::Value(Quantity::OwnEnergy)),
        (Quantity::PredictedLow, Column::Interval),
        (Quantity::PredictedLatency, Column::Value(Quantity::PredictedLatency)),
        (Quantity::GroundTruthEnergy, Column::Value(Quantity::GroundTruthEnergy)),
    ];
    let mut columns = vec![Column::Value(energy), Column::Share(energy), Column::Bar(energy)];
    columns.extend(more.into_iter().filter(|(quantity, _)| is_known(*quantity)).map(|(_, column)| column));
    if !tree.root().marks.is_empty() {
        columns.push(Column::Marks);
    }
    Table::new(tree, &TableOptions { columns, max_depth: args.output.depth.unwrap_or(usize::MAX) })
}

/// The meaning of each mark in the table.
fn legend(predictor: &NamedProfile, tree: &Tree) -> String {
    let mut out = String::from("\n");
    for mark in tree.root().marks.iter() {
        let meaning = match mark {
            Mark::Extrapolated => {
                format!("outside the range of the training data ({})", predictor.profile.provenance.training_data)
            }
            Mark::UnseenOperation => "an operation the predictor never saw, costed from its FLOPs and bytes".into(),
            Mark::OtherPrecision => format!(
                "in {}, which the training data has none of: predicted as its operations cost there, by their bytes",
                tree.precision
            ),
            Mark::Implausible => "below zero: the predictor does not hold this far from its training data".into(),
            other => other.name().into(),
        };
        out += &format!("{}: {meaning}\n", mark.name());
    }
    out
}

pub(super) fn bottleneck_table(args: &Args, tree: &Tree) -> String {
    let headings =
        [Heading::left("where it goes"), Heading::right("nodes"), Heading::right("energy"), Heading::right("share")];
    let mut grid = Grid::new(headings);
    let top = args.top.or(settings::get().top).unwrap_or(DEFAULT_TOP);
    for row in bottlenecks(tree, Quantity::PredictedEnergy).into_iter().take(top) {
        let name = match row.level {
            Level::Model | Level::Module => format!("{} (own part)", row.instance_type),
            _ => row.instance_type,
        };
        grid.row([name, row.count.to_string(), render::si(row.energy_j, "J"), format!("{:.1}%", 100.0 * row.share)]);
    }
    format!("\n{}", grid.text(width()))
}

/// With three decimals, or as many as three digits that count need.
pub(super) fn decimals(value: f64) -> String {
    let first = value.abs().log10().floor();
    let places = if first.is_finite() { (2.0 - first).clamp(3.0, 15.0) as usize } else { 3 };
    format!("{value:.places$}")
}

/// The energy and cost of a million of each, by the joules of one.
pub(super) fn cost(args: &Args, each: &[(&str, f64)]) -> String {
    let price = args.price_per_kwh();
    let line = |(what, joules): &(&str, f64)| {
        let kwh = kwh_per_million(*joules);
        let emissions = args.grid_intensity().map(|grams| format!(", {} kg CO2e", decimals(kwh * grams / 1000.0)));
        let emissions = emissions.unwrap_or_default();
        format!("a million {what}: {} kWh, {} USD{emissions}\n", decimals(kwh), decimals(kwh * price))
    };
    let lines: String = each.iter().map(line).collect();
    format!("\n{lines}{}\n", args.rates())
}

#[cfg(test)]
mod tests {
    use super::decimals;

    #[test]
    fn small_costs_keep_three_digits() {
        let table =
            [(3.0954, "3.095"), (0.079, "0.0790"), (0.000_123_46, "0.000123"), (0.0, "0.000"), (250.0, "250.000")];
        for (value, text) in table {
            assert_eq!(decimals(value), text);
        }
    }
}
