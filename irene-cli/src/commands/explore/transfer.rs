use std::{collections::HashSet, path::PathBuf};

use anyhow::{Result, ensure};
use irene_explore::{
    Candidate, Dataset, Describer, Measure,
    learning::{Transfer, leave_one_device_out},
};
use irene_tree::render::{Grid, Heading};
use serde_json::json;

use super::{MeasureArgs, RecordsArgs, in_words, read_records};
use crate::{
    commands::FormatArgs,
    output,
    sheet::{Field, Format, Sheet},
};

/// Tells how much the records of other devices say of one with few of its own: each device is left out in turn
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore transfer gpu_a100.json cpu_m1-pro.json cpu_rpi.json
  irene explore transfer gpu_*.json cpu_*.json --measure energy --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.records.data.len() > 1, "transfer needs the records of two devices at least, found one file");
    let read = |path: &PathBuf| -> Result<(Dataset, Vec<Candidate>)> {
        let data = read_records(path)?;
        let describer = Describer::new(args.records.space.of([&data])?);
        let candidates = describer.describe_all(&data)?;
        Ok((data, candidates))
    };
    let devices: Vec<(Dataset, Vec<Candidate>)> = args.records.data.iter().map(read).collect::<Result<_>>()?;
    let measures = measures(&args.records.measures, &devices)?;
    let bar = output::progress(measures.len() as u64, "measures");
    let mut found = Vec::new();
    for measure in measures {
        let of = |(data, candidates): &(Dataset, Vec<Candidate>)| -> Result<_> {
            Ok((data.device.clone(), candidates.clone(), data.figures(measure)?))
        };
        let records: Vec<_> = devices.iter().map(of).collect::<Result<_>>()?;
        found.push((measure, leave_one_device_out(&records)?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    match args.format.format() {
        Format::Text => output::print_text(&text(&found)),
        Format::Json => {
            let one =
                |(measure, transfers): &(Measure, Vec<Transfer>)| json!({ "measure": measure, "devices": transfers });
            let measures = json!(found.iter().map(one).collect::<Vec<_>>());
            output::print(&output::json([("measures", measures)]))
        }
        Format::Csv => output::print(&sheet(&found).csv()),
    }
}

/// The measures asked for that all devices have.
fn measures(args: &MeasureArgs, devices: &[(Dataset, Vec<Candidate>)]) -> Result<Vec<Measure>> {
    let mut names = HashSet::new();
    let mut common = Measure::ALL.to_vec();
    for (data, _) in devices {
        let name = &data.device;
        ensure!(names.insert(name), "two files have records of {name}; name their devices apart, or leave one out");
        let has = args.of(data)?;
        common.retain(|measure| has.contains(measure));
    }
    ensure!(!common.is_empty(), "the devices have no measure in common");
    Ok(common)
}

fn text(found: &[(Measure, Vec<Transfer>)]) -> String {
    let mut out = "Mean error in % with so many own records: beside the other devices' records, and alone\n".to_owned();
    for (measure, transfers) in found {
        let figures = ["ranks", "own records", "with others", "alone"].map(Heading::right);
        let mut grid = Grid::new([Heading::left(in_words(measure.name()))].into_iter().chain(figures));
        for Transfer { device, rank_correlation, points } in transfers {
            let ranks = rank_correlation.map_or_else(|| "-".to_owned(), |correlation| format!("{correlation:.2}"));
            for (place, point) in points.iter().enumerate() {
                // A device is named once.
                let [device, ranks] = if place == 0 { [device.as_str(), &ranks] } else { ["", ""] };
                let alone = point.alone.map_or_else(|| "-".to_owned(), |error| format!("{error:.1}"));
                let with_others = format!("{:.1}", point.with_others);
                grid.row([device, ranks, &point.records.to_string(), &with_others, &alone]);
            }
        }
        out += &format!("\n{}", grid.text(output::width()));
    }
    out
}

fn sheet(found: &[(Measure, Vec<Transfer>)]) -> Sheet {
    let words = ["measure", "device"].map(|key| Field::word(key, ""));
    let figures = ["rank_correlation", "own_records", "with_others_percent", "alone_percent"];
    let mut sheet = Sheet::new(words.into_iter().chain(figures.map(|key| Field::figure(key, "", ""))));
    for (measure, transfers) in found {
        for Transfer { device, rank_correlation, points } in transfers {
            for point in points {
                sheet.row([
                    measure.name().into(),
                    device.as_str().into(),
                    (*rank_correlation).into(),
                    point.records.into(),
                    point.with_others.into(),
                    point.alone.into(),
                ]);
            }
        }
    }
    sheet
}
