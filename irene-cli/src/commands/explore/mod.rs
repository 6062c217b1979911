//! `irene explore`: one file a subcommand. A new one is a file with `Args` and `run`, a variant below and a line in [`run`].

mod diagnose;
mod evaluate;
mod fit;
mod predict;
#[cfg(feature = "candle")]
mod profile;
mod replay;
mod sample;
mod search;
mod space;
mod transfer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use irene_explore::{Dataset, Measure, learning::Surrogates, space::DesignSpace};

use crate::{input, output, parquet};

/// Searches design spaces of Transformers: measure, learn, search
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Space(space::Args),
    Sample(sample::Args),
    #[cfg(feature = "candle")]
    Profile(Box<profile::Args>),
    Fit(fit::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    Diagnose(diagnose::Args),
    Replay(replay::Args),
    Transfer(transfer::Args),
    Search(search::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Space(args) => space::run(args),
        Command::Sample(args) => sample::run(args),
        #[cfg(feature = "candle")]
        Command::Profile(args) => profile::run(args),
        Command::Fit(args) => fit::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Transfer(args) => transfer::run(args),
        Command::Search(args) => search::run(args),
    }
}

/// Which design space.
#[derive(clap::Args)]
struct SpaceArgs {
    /// The design space: flexibert (the published one), small, or a YAML file [default: that of the records, otherwise flexibert]
    #[arg(long, value_name = "SPACE")]
    space: Option<String>,
}

impl SpaceArgs {
    fn find(&self) -> Result<DesignSpace> {
        Ok(self.space.as_deref().map_or_else(|| Ok(DesignSpace::published()), DesignSpace::find)?)
    }

    /// The space that is asked for, or that the records state.
    fn of<'a>(&self, data: impl IntoIterator<Item = &'a Dataset>) -> Result<DesignSpace> {
        let stated = data.into_iter().find_map(|data| Some((&data.device, data.space_digest()?)));
        match stated.filter(|_| self.space.is_none()) {
            None => self.find(),
            Some((device, digest)) => DesignSpace::with_digest(&digest).with_context(|| {
                format!(
                    "{device}: the records are of a space that does not come along: give its file, --space FILE.yaml"
                )
            }),
        }
    }
}

/// The measures that are asked for.
#[derive(clap::Args)]
struct MeasureArgs {
    /// The measures to learn: latency, energy, peak_power, training_latency, training_energy, training_peak_power [default: those of
    /// the records]
    #[arg(long, value_name = "MEASURE", value_delimiter = ',', value_parser = measure)]
    measure: Vec<Measure>,
}

impl MeasureArgs {
    /// Those that are asked for, or that some record has: one at least, none twice.
    fn of(&self, data: &Dataset) -> Result<Vec<Measure>> {
        let found = data.measures();
        ensure!(
            !found.is_empty(),
            "{}: no record has a latency, an energy or a peak power, nor a training's",
            data.device
        );
        let asked = Measure::ALL.into_iter().filter(|measure| self.measure.contains(measure));
        Ok(if self.measure.is_empty() { found } else { asked.collect() })
    }
}

/// Records of devices, and what is made of them.
#[derive(clap::Args)]
struct RecordsArgs {
    /// Records, a file a device
    #[arg(required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    measures: MeasureArgs,
    #[command(flatten)]
    space: SpaceArgs,
}

/// A measure or another quantity in words.
fn in_words(name: &str) -> String {
    name.replace('_', " ")
}

fn measure(text: &str) -> Result<Measure, String> {
    Measure::find(text).ok_or_else(|| format!("expected one of {}", Measure::names()))
}

/// The records of a file, or of standard input. Says it where their meters differ.
pub(super) fn read_records(path: &Path) -> Result<Dataset> {
    let data = records_of(path)?;
    if let Some(mixed) = data.mixed_meters() {
        output::tell(&format!("warning: {mixed}"));
    }
    Ok(data)
}

fn records_of(path: &Path) -> Result<Dataset> {
    if !input::is_standard(path) && !parquet::is_named(path) {
        return Ok(Dataset::read(path)?);
    }
    let (origin, text) = input::text(path)?;
    let device = path.file_stem().filter(|_| !input::is_standard(path)).unwrap_or("stdin".as_ref());
    Ok(Dataset::parse(&origin, &device.to_string_lossy(), &text)?)
}

/// A file of surrogates, by whichever learner of ours or of the papers.
fn read_surrogates(path: &Path) -> Result<Surrogates> {
    Ok(Surrogates::read_with(path, irene_baselines::READERS)?)
}
