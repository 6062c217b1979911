//! `irene reproduce`: the papers' tables and figures from their public data, one file a paper.

mod irene;
mod language_models;
mod markdown;
mod overview;
mod protran;

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use anyhow::{Context, Result, ensure};
use irene_explore::Dataset;
use irene_predict::PublicFile;
use irene_tree::Tree;

use self::markdown::Section;
use super::{
    explore::read_records,
    import,
    numbers::size,
    trees::{self, count},
};
use crate::{input, interrupt, output};

/// Computes the papers' tables and figures from their public data
///
/// Beside what was published, as Markdown with pictures.
///
/// From IrEne's data: errors by model, training strategy, feature set, primitive and module, the noise floor, transfer
/// between machines, and where the energy goes. From ProTran's: how good surrogates are, how many measurements they
/// need, what searches find. From public measurements of language models (ML.ENERGY, LLM-Inference-Bench, Splitwise,
/// EcoCompute, Vidur, NeuSight, MLPerf, WattGPU): how far off data sheets are by device, model and engine, with each
/// left out of the fit. Writes DIR/reproduction.md and the pictures in DIR/reproduction/.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene reproduce datasets/device_1 datasets/device_2 -o report
  irene reproduce device_1.jsonl gpu_a100.json cpu_rpi.json --repeats 1 --seeds 2 -o report
  irene reproduce mlenergy.csv -o report")]
pub(crate) struct Args {
    /// A folder of IrEne's CSV files, of ProTran's records or of public measurements of language models; a file of
    /// trees, a device's records (of designs in the published space), or one file of those measurements (CSV, known by
    /// its columns)
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Seed of the initial weights
    #[arg(long, value_name = "N", default_value_t = 13370)]
    seed: u64,
    #[command(flatten)]
    effort: Effort,
    /// Where to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// How much of ProTran's and of the calibrations is repeated; less is quicker, and says less.
#[derive(clap::Args, Clone, Copy)]
struct Effort {
    /// Repeats of the five folds that surrogates are judged by
    #[arg(long, value_name = "N", default_value = "5", value_parser = size)]
    repeats: usize,
    /// Draws of the records that active learning begins with, and searches
    #[arg(long, value_name = "N", default_value = "10", value_parser = size)]
    seeds: usize,
    /// Most records that a replay measures, which begins with four
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u16).range(5..))]
    limit: u16,
    /// Random choices of the requests that a device is calibrated on
    #[arg(long, value_name = "N", default_value = "20", value_parser = size)]
    choices: usize,
}

/// The data to reproduce from.
#[derive(Default)]
struct Data {
    /// By where they were read.
    trees: Vec<(String, Vec<Tree>)>,
    devices: Vec<Dataset>,
    /// Measurements of language models, by where they were read.
    public: Vec<(String, PublicFile)>,
}

const FILE: &str = "reproduction.md";
const FOLDER: &str = "reproduction";

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut data = Data::default();
    args.data.iter().try_for_each(|path| data.read(path))?;
    data.public.sort_by_key(|(_, file)| language_models::ABOUT.iter().position(|about| about.name == file.name));
    let folder = args.output.join(FOLDER);
    output::make_folder(&folder)?;
    let mut sections = vec![overview::section(&data)];
    let parts = [
        ("IrEne", irene::sections(&data.trees, args.seed)?),
        ("IrEne-viz", overview::irene_viz(&data)),
        ("ProTran and EdgeTran", protran::sections(&data.devices, args.effort)?),
        ("Language models", language_models::sections(&data.public, args.effort)?),
    ];
    for (title, of_part) in parts.into_iter().filter(|(_, of_part)| !of_part.is_empty()) {
        sections.push(Section::new(title));
        sections.extend(of_part.into_iter().map(Section::below));
    }
    let title = "# Reproduction: the papers' results and public measurements beside ours\n";
    let texts = sections.iter().map(|section| section.to_markdown(FOLDER));
    let text: Vec<String> = [format!("{title}\n{}", introduction(args, &data))].into_iter().chain(texts).collect();
    for picture in sections.iter().flat_map(Section::pictures) {
        output::write_text(&folder.join(&picture.file), &picture.svg)?;
    }
    let file = args.output.join(FILE);
    output::write_text(&file, &text.join("\n"))?;
    output::tell(&format!("written to {}", file.display()));
    Ok(())
}

impl Data {
    fn read(&mut self, path: &Path) -> Result<()> {
        let mut origin = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if self.trees.iter().any(|(known, _)| *known == origin) {
            origin = path.display().to_string();
            let is_new = self.trees.iter().all(|(known, _)| *known != origin);
            ensure!(is_new, "{origin} is given twice; leave one out");
        }
        if path.is_dir() {
            let is_irene = path.join("model_level_features.csv").exists();
            return if is_irene {
                self.trees.push((origin, import::read_irene_csv(path)?.0));
                Ok(())
            } else {
                self.read_folder(path)
            };
        }
        if has_extension(path, &["csv"]) {
            let is_known = self.read_public(path)?;
            ensure!(is_known, "{}: {UNKNOWN_CSV}", path.display());
            return Ok(());
        }
        if input::begins_with_tree(path)? {
            self.trees.push((origin, trees::read_to_learn(path)?.trees));
        } else {
            self.push(read_records(path)?)?;
        }
        Ok(())
    }

    /// The records in a folder, but for ProTran's list of them, and the public measurements; other tables may lie beside them.
    fn read_folder(&mut self, dir: &Path) -> Result<()> {
        const LIST: &str = "manifest.json";
        let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        let mut is_any = false;
        for path in paths {
            if has_extension(&path, &["json", "jsonl"]) && path.file_name().is_some_and(|name| name != LIST) {
                self.push(read_records(&path)?)?;
                is_any = true;
            } else if has_extension(&path, &["csv"]) {
                is_any |= self.read_public(&path)?;
            }
        }
        ensure!(
            is_any,
            "{}: neither IrEne's model_level_features.csv nor a file of records (.json, .jsonl) nor public measurements of language models (.csv)",
            dir.display()
        );
        Ok(())
    }

    /// Whether the file is one of public measurements of language models.
    fn read_public(&mut self, path: &Path) -> Result<bool> {
        let Some(file) = PublicFile::read(path)? else { return Ok(false) };
        let is_new = self.public.iter().all(|(_, known)| known.name != file.name);
        ensure!(is_new, "{}: two files have {}; leave one out", path.display(), file.name);
        let origin = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.public.push((origin, file));
        Ok(true)
    }

    fn push(&mut self, device: Dataset) -> Result<()> {
        let name = &device.device;
        let is_new = self.devices.iter().all(|known| known.device != *name);
        ensure!(is_new, "two files have records of {name}; name their devices apart, or leave one out");
        ensure!(!device.measures().is_empty(), "{name}: no record has a latency, an energy or a peak power");
        self.devices.push(device);
        Ok(())
    }
}

const UNKNOWN_CSV: &str = "no public measurements of language models that are known (ML.ENERGY, LLM-Inference-Bench, Splitwise, EcoCompute, Vidur, \
                           NeuSight, MLPerf with power, WattGPU's data sheets); IrEne's CSV files are given by their folder";

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|extension| known.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Ctrl-C ends a report, which is written whole or not at all.
fn go_on() -> Result<()> {
    ensure!(!interrupt::flag()?.load(Ordering::Relaxed), "stopped before the report was complete; nothing was written");
    Ok(())
}

/// A name as it can stand in that of a picture.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn introduction(args: &Args, data: &Data) -> String {
    let trees = data.trees.iter().map(|(origin, trees)| format!("{origin} ({})", count(trees.len(), "tree")));
    let devices = data.devices.iter().map(|data| format!("{} ({})", data.device, count(data.records.len(), "record")));
    let public = data.public.iter().map(|(origin, file)| format!("{origin} ({})", count(file.rows, "row")));
    let read: Vec<String> = trees.chain(devices).chain(public).collect();
    let Effort { repeats, seeds, limit, choices } = args.effort;
    let (repeats, seeds, choices) = (count(repeats, "repeat"), count(seeds, "seed"), count(choices, "choice"));
    format!(
        "Made by `irene reproduce` from {}, with seed {}, {repeats}, {seeds}, at most {limit} records of a replay and {choices} of requests. Figures \
         without a source are computed here; *published* is what the papers print, *authors' code* a run of their published code on the \
         public measurements of the same machine. Errors are mean absolute percentage errors, or median / mean where it says so. A number in brackets stands for a figure that is \
         missing; its reason is below the table.\n",
        read.join(", "),
        args.seed,
    )
}
