use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use irene_baselines::{Judged, ReplayOptions, Way, replay};
use irene_explore::{Dataset, Describer};

use super::{RecordsArgs, read_records};
use crate::{
    commands::{
        learning_curves::learning_curves,
        numbers::{part, size, whole},
    },
    interrupt, output,
};

/// Replays recorded data: how many measurements active learning would have needed, ours and the papers'
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore replay gpu_a100.json --way ours
  irene explore replay gpu_a100.json cpu_rpi.json --seeds 10 -o curves")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    /// The ways to compare: ours, or all (with the papers' trees, and designs chosen at random)
    #[arg(long, value_enum, default_value = "all")]
    way: Ways,
    /// Draws of the first records that are averaged over
    #[arg(long, value_name = "N", default_value = "10", value_parser = whole::<1, 10_000>)]
    seeds: usize,
    /// Records to start with
    #[arg(long, value_name = "N", default_value = "4", value_parser = size)]
    start: usize,
    /// Most records that are measured
    #[arg(long, value_name = "N", value_parser = size)]
    limit: Option<usize>,
    /// Judge by this share of the records, never measured [default: by all that are not measured yet]
    #[arg(long, value_name = "SHARE", value_parser = part)]
    held_out: Option<f64>,
    /// Write a device's curves here, as CSV and SVG
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Ways {
    Ours,
    All,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let all: Vec<Dataset> = args.records.data.iter().map(|path| read_records(path)).collect::<Result<_>>()?;
    if let Some(folder) = &args.output {
        check_apart(folder, &args.records.data, &all)?;
        output::make_folder(folder)?;
    }
    for data in all {
        let describer = Describer::new(args.records.space.of([&data])?);
        let options = ReplayOptions {
            ways: if args.way == Ways::Ours { vec![Way::ours()] } else { Way::compared() },
            measures: args.records.measures.of(&data)?,
            seeds: args.seeds,
            start: args.start,
            limit: args.limit,
            judged: args.held_out.map_or(ReplayOptions::default().judged, Judged::HeldOut),
            ..ReplayOptions::default()
        };
        let bar = output::progress((options.ways.len() * options.seeds) as u64, "campaigns");
        let found = replay(&data, &describer, &options, &|_, _| bar.inc(1), interrupt::flag()?);
        bar.finish_and_clear();
        let found = found?;
        output::print_text(&(found.summary() + "\n"))?;
        if let Some(folder) = &args.output {
            let write = |ending: &str, text: &str| output::write_text(&file(folder, &data.device, ending), text);
            write("csv", &found.to_csv())?;
            write("samples.csv", &found.samples_csv())?;
            write("svg", &learning_curves(&found))?;
        }
    }
    Ok(())
}

/// Refuses two files of records whose curves would have one name.
fn check_apart(folder: &Path, paths: &[PathBuf], all: &[Dataset]) -> Result<()> {
    let mut known = HashMap::new();
    for (path, data) in paths.iter().zip(all) {
        let curves = file(folder, &data.device, "csv");
        let (shown, name) = (path.display(), curves.display());
        if let Some(other) = known.insert(curves.clone(), path) {
            let other = other.display();
            bail!(
                "the curves of {other} and {shown} would both go to {name}; name their devices apart, or leave one out"
            );
        }
    }
    Ok(())
}

/// A device's name may hold what a file's may not.
fn file(folder: &Path, device: &str, ending: &str) -> PathBuf {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let name: String = device.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    folder.join(format!("{name}.{ending}"))
}
