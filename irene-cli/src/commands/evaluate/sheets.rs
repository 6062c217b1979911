//! Two sheets, row by row.

use std::{fmt::Write, path::Path};

use anyhow::Result;
use irene_bench::Mark;
use irene_requests::{Comparison, Group, Table, compare};
use irene_tree::render::{Grid, Heading};
use serde_json::{Value, json};

use super::Args;
use crate::{
    commands::trees::count,
    input, output,
    sheet::{Cell, Field, Format, Sheet},
};

pub(super) fn run(args: &Args) -> Result<()> {
    let (truth, predicted) = (read(&args.truth)?, read(&args.predicted)?);
    let found = compare(&truth, &predicted, args.by.as_deref())?;
    if let Some((rows, line)) = found.unpredicted {
        let of = count(found.rows, "row");
        output::tell(&format!("{}: {rows} of {of} have no prediction; the first is line {line}", args.truth.display()));
    }
    tell_marks(&args.truth, &truth);
    match args.format.format() {
        Format::Text => output::print_text(&text(&found)?),
        Format::Json => output::print(&output::json(json(&found))),
        Format::Csv => output::print(&rows(&found).csv()),
    }
}

/// Says how many measured rows are not what a prediction is of.
fn tell_marks(path: &Path, truth: &Table) {
    let marks =
        [Mark::IdleSubtracted, Mark::SharedPrefix, Mark::NotSteady, Mark::EndedEarly, Mark::Failures].map(Mark::name);
    for (mark, rows) in marks.map(|mark| (mark, truth.rows_with("marks", mark))) {
        if rows > 0 {
            let all = count(truth.len(), "row");
            output::tell(&format!("{}: {rows} of {all} with the mark `{mark}`", path.display()));
        }
    }
}

fn read(path: &Path) -> Result<Table> {
    let (name, reader) = input::open(path)?;
    Ok(Table::read(name, reader)?)
}

fn text(found: &Comparison) -> Result<String> {
    let titles = ["rows", "median", "mean", "90%", "in interval"].map(Heading::right);
    let mut grid = Grid::new([Heading::left("absolute percentage error")].into_iter().chain(titles));
    for group in &found.groups {
        let errors = &group.errors;
        let name =
            group.by.as_ref().map_or_else(|| group.figure.clone(), |(column, value)| format!("  {column} {value}"));
        let [median, mean, most] = [errors.median(), errors.mean(), errors.p90()].map(output::percent);
        let inside = errors.coverage().map_or_else(String::new, |share| format!("{:.1}%", 100.0 * share));
        grid.row([name, errors.count().to_string(), median, mean, most, inside]);
    }
    let mut out = grid.text(output::width());
    if let Some(tau) = found.rank() {
        let models = count(found.ranks.len(), "model");
        writeln!(
            out,
            "\nKendall's rank correlation of energy_per_token_j over the configurations of a model: {tau:.3} (mean over {models})"
        )?;
    }
    Ok(out)
}

fn rows(found: &Comparison) -> Sheet {
    let words = ["figure", "by", "value"].map(|name| Field::word(name, ""));
    let percent = ["median", "mean", "p90", "inside"].map(|name| Field::figure(name, "", "%"));
    let mut sheet = Sheet::new(words.into_iter().chain([Field::figure("rows", "", "")]).chain(percent));
    for group in &found.groups {
        let errors = &group.errors;
        let (column, value) = group.by.clone().unzip();
        let figures = [errors.median(), errors.mean(), errors.p90(), errors.coverage().map(|share| 100.0 * share)];
        let names: [Cell; 4] = [group.figure.as_str().into(), column.into(), value.into(), errors.count().into()];
        sheet.row(names.into_iter().chain(figures.map(Cell::from)));
    }
    sheet
}

fn json(found: &Comparison) -> [(&'static str, Value); 4] {
    let group = |group: &Group| {
        let (by, value) = group.by.clone().unzip();
        let errors = &group.errors;
        json!({
            "figure": group.figure,
            "by": by,
            "value": value,
            "rows": errors.count(),
            "median": errors.median(),
            "mean": errors.mean(),
            "p90": errors.p90(),
            "coverage": errors.coverage(),
        })
    };
    let ranks: Vec<Value> =
        found.ranks.iter().map(|rank| json!({"model": rank.model, "rows": rank.count, "kendall": rank.tau})).collect();
    let unpredicted = found.unpredicted.map_or(0, |(rows, _)| rows);
    [
        ("rows", json!(found.rows)),
        ("unpredicted", json!(unpredicted)),
        ("errors", found.groups.iter().map(group).collect()),
        ("rank_correlation", json!({"mean": found.rank(), "by_model": ranks})),
    ]
}
