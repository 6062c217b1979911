use std::{collections::HashSet, fmt::Write, path::PathBuf};

use anyhow::{Result, ensure};
use irene_explore::{
    Candidate, Dataset, Describer, Measure,
    learning::{Transfer, leave_one_device_out},
};
use serde_json::json;

use super::{Format, MeasureArgs, RecordsArgs, in_words};
use crate::output;

/// Tells how much the records of other devices say of one with few of its own: each device is left out in turn
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore transfer gpu_a100.json cpu_m1-pro.json cpu_rpi.json
  irene explore transfer gpu_*.json cpu_*.json --measure energy --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.records.data.len() > 1, "transfer needs the records of two devices at least, found one file");
    let describer = Describer::new(args.records.space.find()?);
    let read = |path: &PathBuf| -> Result<(Dataset, Vec<Candidate>)> {
        let data = Dataset::read(path)?;
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
    output::print(&match args.format {
        Format::Text => text(&found)?,
        Format::Json => {
            let one =
                |(measure, transfers): &(Measure, Vec<Transfer>)| json!({ "measure": measure, "devices": transfers });
            json!(found.iter().map(one).collect::<Vec<_>>()).to_string() + "\n"
        }
    })
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

fn text(found: &[(Measure, Vec<Transfer>)]) -> Result<String> {
    let mut out = "Mean error in % with so many own records: beside the other devices' records, and alone\n".to_owned();
    for (measure, transfers) in found {
        writeln!(out, "\n{:28} {:>6}  own records", in_words(measure.name()), "ranks")?;
        for Transfer { device, rank_correlation, points } in transfers {
            let ranks = rank_correlation.map_or_else(|| "-".to_owned(), |correlation| format!("{correlation:.2}"));
            write!(out, "{device:28} {ranks:>6}")?;
            for point in points {
                let alone = point.alone.map_or_else(|| "-".to_owned(), |error| format!("{error:.1}"));
                write!(out, "  {}: {:.1} / {alone}", point.records, point.with_others)?;
            }
            out.push('\n');
        }
    }
    Ok(out)
}
