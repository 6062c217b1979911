use std::path::PathBuf;

use anyhow::Result;
use irene_explore::{
    Measure,
    learning::{PredictedValue, Surrogates},
    parse_designs,
    space::ModelHash,
};
use irene_models::flexibert::Design;
use irene_tree::render::{Grid, Heading, range, si};
use serde_json::json;

use super::{in_words, read_surrogates};
use crate::{
    commands::{FormatArgs, trees::count},
    input, output,
    sheet::{Cell, Field, Format, Sheet},
};

/// Predicts designs by a device's surrogates: figures of a sequence or of a step of training, with 90% intervals
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore sample 8 | tee designs.jsonl
  irene explore predict mine.surrogates.json designs.jsonl
  irene explore predict mine.surrogates.json config.json --same-campaign --format json")]
pub(crate) struct Args {
    /// A file of `irene explore fit`
    surrogates: PathBuf,
    /// Designs: `model_dict`s, objects that have one (config.json, lines of `irene explore sample`), or measured records
    designs: PathBuf,
    /// Intervals for measurements in the campaign that was learned from, not after it: devices change in steps between sessions
    #[arg(long)]
    same_campaign: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// The predictions of a design.
struct Row {
    design: Design,
    predictions: Vec<(Measure, PredictedValue)>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let surrogates = read_surrogates(&args.surrogates)?;
    let describer = surrogates.describer();
    let mut rows = Vec::new();
    let (origin, designs) = input::text(&args.designs)?;
    for design in parse_designs(&origin, &designs)? {
        let candidate = describer.describe(design)?;
        let of = |measure| {
            let prediction = surrogates.predict(measure, &candidate)?;
            Some((measure, if args.same_campaign { prediction } else { prediction.later(measure) }))
        };
        rows.push(Row { predictions: Measure::ALL.into_iter().filter_map(of).collect(), design: candidate.design });
    }
    match args.format.format() {
        Format::Text => output::print_text(&text(&surrogates, args.same_campaign, &rows)),
        Format::Json => output::print(&json_lines(surrogates.basis(), &rows)),
        Format::Csv => output::print(&sheet(&surrogates, &rows).csv()),
    }
}

fn text(surrogates: &Surrogates, same_campaign: bool, rows: &[Row]) -> String {
    let Surrogates { device, records, .. } = surrogates;
    let records = count(*records, "record");
    let mut headings = vec![Heading::left("design"), Heading::right("layers").rank(4)];
    for (place, measure) in surrogates.measures.keys().enumerate() {
        let words = in_words(measure.name());
        headings.extend([Heading::right(words), Heading::right("90% interval").rank(1 + place as u8)]);
    }
    let mut grid = Grid::new(headings);
    for Row { design, predictions } in rows {
        let mut cells = vec![ModelHash::of(design).to_string(), design.layers().len().to_string()];
        for (measure, prediction) in predictions {
            let (low, high) = prediction.interval();
            cells.extend([si(prediction.value, measure.unit()), range(low, high, measure.unit())]);
        }
        grid.row(cells);
    }
    let when = if same_campaign { " for the same campaign" } else { " for later measurements" };
    format!(
        "{device}, learned from {records}; {}, with 90% intervals{when} ({})\n\n{}",
        Measure::whose(surrogates.measures.keys().copied()),
        surrogates.basis(),
        grid.text(output::width())
    )
}

fn sheet(surrogates: &Surrogates, rows: &[Row]) -> Sheet {
    let mut fields = vec![Field::word("hash", ""), Field::figure("layers", "", "")];
    for measure in surrogates.measures.keys() {
        let name = measure.name();
        let ends = [name.to_owned(), format!("{name}_at_least"), format!("{name}_at_most")];
        fields.extend(ends.map(|key| Field::figure(&key, "", measure.unit())));
    }
    let mut sheet = Sheet::new(fields);
    for Row { design, predictions } in rows {
        let mut cells: Vec<Cell> = vec![ModelHash::of(design).to_string().into(), design.layers().len().into()];
        for (_, prediction) in predictions {
            let (low, high) = prediction.interval();
            cells.extend([prediction.value, low, high].map(Cell::from));
        }
        sheet.row(cells);
    }
    sheet
}

fn json_lines(basis: &str, rows: &[Row]) -> String {
    let line = |row: &Row| {
        let mut line = json!({
            (output::SCHEMA_FIELD): output::SCHEMA_VERSION,
            "hash": ModelHash::of(&row.design).to_string(),
            "model_dict": row.design,
            "provenance": basis,
        });
        for (measure, prediction) in &row.predictions {
            let (low, high) = prediction.interval();
            line[measure.name()] = json!({
                "unit": measure.unit(),
                "value": prediction.value,
                "at_least": low,
                "at_most": high,
            });
        }
        line.to_string() + "\n"
    };
    rows.iter().map(line).collect()
}
