//! `irene reproduce`: the papers' tables and figures from their public data, one file a paper.

mod irene;
mod markdown;
mod protran;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use irene_explore::Dataset;
use irene_tree::Tree;

use self::markdown::{Cell, Section, Table};
use super::{
    import, size,
    trees::{self, count},
};
use crate::output;

/// Computes the papers' tables and figures from their public data
///
/// Beside what was published, as Markdown with pictures.
///
/// From IrEne's data: errors by model, training strategy, feature set, primitive and module, the noise floor, transfer between machines, and
/// where the energy goes. From ProTran's: how good surrogates are, how many measurements they need, what searches find. Writes
/// DIR/reproduction.md and the pictures in DIR/reproduction/.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene reproduce datasets/device_1 datasets/device_2 -o report
  irene reproduce device_1.jsonl gpu_a100.json cpu_rpi.json --repeats 1 --seeds 2 -o report")]
pub(crate) struct Args {
    /// A folder of IrEne's CSV files or of ProTran's records, a file of trees, or a device's records
    /// (of designs in the published space)
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

/// How much of ProTran is repeated; less is quicker, and says less.
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
}

/// What there is to reproduce from.
#[derive(Default)]
struct Data {
    /// By where they were read.
    trees: Vec<(String, Vec<Tree>)>,
    devices: Vec<Dataset>,
}

const FILE: &str = "reproduction.md";
const FOLDER: &str = "reproduction";

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut data = Data::default();
    args.data.iter().try_for_each(|path| data.read(path))?;
    let folder = args.output.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut sections = vec![overview(&data)];
    sections.extend(irene::sections(&data.trees, args.seed)?);
    sections.extend(protran::sections(&data.devices, args.effort)?);
    let title = "# Reproduction of IrEne's, IrEne-viz's and ProTran's results\n";
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
                self.read_devices(path)
            };
        }
        if is_file_of_trees(path)? {
            self.trees.push((origin, trees::read_to_learn(path)?.trees));
        } else {
            self.push(Dataset::read(path)?)?;
        }
        Ok(())
    }

    /// The records in a folder, but for ProTran's list of them.
    fn read_devices(&mut self, dir: &Path) -> Result<()> {
        const LIST: &str = "manifest.json";
        let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.retain(|path| {
            let is_records = path.extension().is_some_and(|extension| extension == "json" || extension == "jsonl");
            is_records && path.file_name().is_some_and(|name| name != LIST)
        });
        paths.sort();
        let shown = dir.display();
        ensure!(
            !paths.is_empty(),
            "{shown}: neither IrEne's model_level_features.csv nor a file of records (.json, .jsonl)"
        );
        paths.iter().try_for_each(|path| self.push(Dataset::read(path)?))
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

/// Whether a file's first line is of a tree; whoever reads it next says what is wrong with it.
fn is_file_of_trees(path: &Path) -> Result<bool> {
    use std::io::{BufRead, BufReader, Read};
    /// The name of the tree stands near the beginning of its line.
    const BEGINNING: u64 = 4096;
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut line = Vec::new();
    BufReader::new(file.take(BEGINNING)).read_until(b'\n', &mut line).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&line).contains("\"frontend_tree\""))
}

fn introduction(args: &Args, data: &Data) -> String {
    let trees = data.trees.iter().map(|(origin, trees)| format!("{origin} ({})", count(trees.len(), "tree")));
    let devices = data.devices.iter().map(|data| format!("{} ({})", data.device, count(data.records.len(), "record")));
    let read: Vec<String> = trees.chain(devices).collect();
    let Effort { repeats, seeds, limit } = args.effort;
    let (repeats, seeds) = (count(repeats, "repeat"), count(seeds, "seed"));
    format!(
        "Made by `irene reproduce` from {}, with seed {}, {repeats}, {seeds} and at most {limit} records of a replay. Figures \
         without a source are computed here; *published* is what the papers print, *authors' code* a run of their published code on the \
         public measurements of the same machine. Errors are mean absolute percentage errors. A number in brackets stands for a figure that is \
         missing; its reason is below the table.\n",
        read.join(", "),
        args.seed,
    )
}

/// Where each table and figure of the papers is found.
fn overview(data: &Data) -> Section {
    const NO_TREES: &str = "no measurements of IrEne's were given";
    const NO_RECORDS: &str = "no records of ProTran's were given";
    const IRENE: [(&str, &str, &str); 16] = [
        ("table 2", "the two machines", irene::MACHINES),
        ("table 4", "how many nodes the trees have", irene::NODES),
        ("tables 8 and 9", "ablations of features and of training strategies", irene::BY_METHOD),
        ("tables 5 and 6", "errors at the model and module level by model", irene::BY_MODEL),
        ("tables 5 and 11", "software measurements", irene::SOFTWARE),
        ("table 7", "ML-level errors by primitive", irene::BY_PRIMITIVE),
        ("", "module-level errors by class", irene::BY_CLASS),
        ("", "how far apart measurements of the same are", irene::FLOOR),
        ("", "a profile carried over to another machine", irene::TRANSFER),
        ("figure 3", "distribution of the errors", irene::DISTRIBUTION),
        ("", "predicted against measured energy", irene::AGAINST_MEASURED),
        ("tables 10 and 12", "shares of the modules above the primitives", irene::SHARES),
        ("figure 5", "a tree with each node's share", irene::ANNOTATED),
        ("", "where every joule goes", irene::BOTTLENECKS),
        ("table 3", "what using a model costs", irene::COST),
        ("figure 4", "energy of the BERT miniatures", irene::MINIATURES),
    ];
    const PROTRAN: [(&str, &str, &str); 5] = [
        ("ProTran", "accuracy of surrogates", protran::ACCURACY),
        ("not in the papers", "which intervals of surrogates hold", protran::INTERVALS),
        ("ProTran", "measurements until surrogates converge", protran::LEARNING),
        ("ProTran", "what one device says of another", protran::TRANSFER),
        ("ProTran, EdgeTran", "what searches find", protran::SEARCH),
    ];
    let mut table = Table::new(["paper", "what it shows", "here"]);
    let place = |title: &str, is_given: bool, reason: &str| {
        let link = format!("[{title}](#{})", title.to_lowercase().replace(' ', "-").replace('\'', ""));
        Cell::of(is_given.then_some(link), reason)
    };
    for (number, what, title) in IRENE {
        let paper = if number.is_empty() { "not in the paper".into() } else { format!("IrEne, {number}") };
        table.row([paper.into(), what.into(), place(title, !data.trees.is_empty(), NO_TREES)]);
    }
    table.row([
        "IrEne-viz".into(),
        "the page and the API".into(),
        Cell::missing("the paper shows pictures of its page and no figures; ours are `irene serve` and `irene report`"),
    ]);
    for (paper, what, title) in PROTRAN {
        table.row([paper.into(), what.into(), place(title, !data.devices.is_empty(), NO_RECORDS)]);
    }
    Section::new("Where to find what").table(table)
}
