//! `irene predict`: one tree or one forecast in full, or a row for each of several settings.

mod answered;
mod compared;
mod forecasts;
mod one;
mod rows;
mod service;
mod sheet;
mod subjects;
mod training;

use anyhow::Result;
use irene_advice::Grid;
use irene_regress::{PRICE_PER_KWH, kwh_per_million};
use irene_tree::{Parallel, Quantity, Tree, render};
use serde_json::{Value, json};

pub(super) use self::service::ServiceArgs;
use self::subjects::{Subject, Subjects, are_trees};
#[cfg(feature = "text")]
use super::text::TextArgs;
use super::{
    TreeFormat, TreeOutputArgs, following, not_one_tree,
    numbers::{not_negative, size_or_zero},
    refuse,
    setting::SettingArgs,
    training::TrainingArgs,
    trees,
};
use crate::{
    output, parquet, settings,
    sheet::{Format, Sheet},
};

/// Predicts energy and time: of a model, requests or training
///
/// A device with a measured profile predicts every node of a model at a size, or of trees with measured features. A
/// device that is known by its data sheet predicts requests (--prompt, --generate, and --sequences, --concurrency or
/// --rate) and training (--train): a step, or a whole run. Several models, devices or sizes give a row each; --depth
/// shows their trees.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene predict bert-base-uncased --batch-size 8 --seq-len 128
  irene predict gpt2 -b 1 -s 1024 --depth 2 --top 5 --grid-intensity France
  irene predict gpt2 --sequences 1 --prompt 128 --generate 100 --depth 2
  irene predict Llama-3.1-8B --device h100-sxm --prompt 512 --generate 256 --concurrency 64
  irene predict Llama-3.1-8B --device h100-sxm,l4,rtx-4090 --prompt 512 --generate 256 --rate 0.5
  irene predict DeepSeek-V3 -b 64 -s 128 --head lm --kernels fused --data-parallel 8 --expert-parallel 8 --depth 3
  irene predict bert-base-uncased -b 1,8,32 -s 128,512
  irene predict bert-base-uncased roberta-base distilbert-base-uncased -b 8 -s 128 --format csv
  irene predict ./my-model -b 16 -s 64 --format csv > my-model.csv
  irene predict ./my-bert --text 'The cat sat on the mat.'
  irene predict bert-base-uncased --train -b 32 -s 128 --device l4 --steps 1e5
  irene predict Llama-3.1-8B --train --lora-rank 16 -b 1 -s 512 --device h100-sxm
  irene predict requests.csv --device h100-sxm -o predicted.csv
  irene predict measured.jsonl
  irene predict measured.jsonl --predictor mine.safetensors -o predicted.jsonl
  irene predict - -b 8 -s 128 < my-bert/config.json")]
pub(crate) struct Args {
    /// Models, each a built-in name or a path to a config.json, its directory or a GGUF file; or .jsonl files of
    /// measured trees; or .csv sheets of requests; - reads a config or trees from the standard input
    #[arg(required = true, value_name = "MODEL_OR_TREES")]
    subjects: Vec<String>,
    #[cfg(feature = "text")]
    #[command(flatten)]
    text: TextArgs,
    /// The tokenizer for texts, if the model has none beside its config: a directory, or an id in the cache
    #[cfg(feature = "text")]
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<String>,
    #[command(flatten)]
    setting: SettingArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    length: training::LengthArgs,
    /// Price of a kWh, USD [default: 0.1319]
    #[arg(long, value_name = "USD", value_parser = not_negative, allow_negative_numbers = true)]
    price_per_kwh: Option<f64>,
    /// Carbon intensity of the grid: g CO2e per kWh, or a country by its name, or `world`; emissions are shown where it is given
    #[arg(long, value_name = "GRAMS_OR_COUNTRY", value_parser = intensity, allow_negative_numbers = true)]
    grid_intensity: Option<Intensity>,
    #[command(flatten)]
    output: TreeOutputArgs,
    /// Show this many instance types in the table of bottlenecks (text) [default: 10]
    #[arg(long, value_name = "N", value_parser = size_or_zero)]
    top: Option<usize>,
}

/// g CO2e per kWh, by a number or by the name of a grid.
#[derive(Clone, Copy)]
struct Intensity {
    grams: f64,
    grid: Option<&'static Grid>,
}

/// The fields of a tree in json that tell its cost.
const COST_OF_RUNS: &str = "cost_per_million_runs";
const COST_OF_REQUESTS: &str = "cost_per_million_requests";

impl Args {
    fn price_per_kwh(&self) -> f64 {
        self.own_price().unwrap_or(PRICE_PER_KWH)
    }

    fn own_price(&self) -> Option<f64> {
        self.price_per_kwh.or(settings::get().price_per_kwh)
    }

    fn grid_intensity(&self) -> Option<f64> {
        self.grid_intensity.map(|intensity| intensity.grams).or(settings::get().grid_intensity)
    }

    /// The price and the emissions of a kWh, with where they are from.
    fn rates(&self) -> String {
        let source = if self.own_price().is_some() { "" } else { " (US average in IrEne's paper)" };
        let of_grid = self.grid_intensity.and_then(|intensity| intensity.grid);
        let of_grid =
            of_grid.map_or_else(String::new, |Grid { name, year, source, .. }| format!(" ({name}, {year}: {source})"));
        let grid = self.grid_intensity().map(|grams| format!(" and {grams} g CO2e/kWh{of_grid}"));
        format!("at {} USD/kWh{source}{}", self.price_per_kwh(), grid.unwrap_or_default())
    }

    /// Whether each of several trees is shown in full.
    fn shows_each(&self) -> bool {
        self.top.is_some() || self.output.shows_each()
    }

    fn has_text(&self) -> bool {
        #[cfg(feature = "text")]
        return self.text.is_given();
        #[cfg(not(feature = "text"))]
        false
    }

    /// The flags of texts, and whether they are given.
    fn text_flags(&self) -> [(&'static str, bool); 2] {
        #[cfg(feature = "text")]
        let has_tokenizer = self.tokenizer.is_some();
        #[cfg(not(feature = "text"))]
        let has_tokenizer = false;
        [("--text", self.has_text()), ("--tokenizer", has_tokenizer)]
    }

    fn cost_flags(&self) -> [(&'static str, bool); 2] {
        [("--price-per-kwh", self.price_per_kwh.is_some()), ("--grid-intensity", self.grid_intensity.is_some())]
    }

    /// Refuses flags that would have no effect on what is printed; whether CSV has the cost depends on what its rows are.
    fn check(&self, format: TreeFormat, has_csv_cost: bool) -> Result<()> {
        self.output.check(format)?;
        refuse(format != TreeFormat::Text, "--format text", &[("--top", self.top.is_some())])?;
        let has_cost = match format {
            TreeFormat::Text | TreeFormat::Json => true,
            TreeFormat::Csv => has_csv_cost,
            TreeFormat::Dot | TreeFormat::Folded => false,
        };
        refuse(!has_cost, "--format text and json", &self.cost_flags())
    }

    /// Whether several settings are asked for, as far as the arguments tell.
    fn is_sweep(&self) -> bool {
        self.subjects.len() > 1
            || self.setting.sizes.sizes(self.setting.run.pass.past(), "").is_ok_and(|sizes| sizes.len() > 1)
    }
}

/// A number, or the name of a grid.
fn intensity(text: &str) -> Result<Intensity, String> {
    if text.parse::<f64>().is_ok() {
        return not_negative(text).map(|grams| Intensity { grams, grid: None });
    }
    let grid = Grid::find(text).map_err(|error| error.to_string())?;
    Ok(Intensity { grams: grid.g_co2e_per_kwh, grid: Some(grid) })
}

/// Whose energy a data sheet predicts, where no machine is added to it.
fn of_devices(parallel: Parallel) -> &'static str {
    match parallel.is_single() {
        true => "energy is that of the device alone; --meter wall adds the machine around it",
        false => "energy is that of the devices alone; --meter wall adds the machine around them",
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    following::refuse_numbers(&args.subjects)?;
    let training = args.training.training();
    if args.subjects.iter().any(|subject| sheet::is_sheet(subject)) {
        refuse(true, "a model; a sheet is of requests", &[("--train", training.is_some())])?;
        return sheet::run(args);
    }
    let are_trees = are_trees(args)?;
    if let Some(training) = training {
        refuse(are_trees, "a model; trees are predicted as they are", &[("--train", true)])?;
        return training::run(args, training);
    }
    if !are_trees && let Some(devices) = service::devices(args)? {
        return forecasts::run(args, service::rows(args, &devices)?);
    }
    let format = args.output.format(are_trees.then_some(TreeFormat::Json));
    args.check(format, are_trees || args.is_sweep())?;
    refuse(true, "a model on a device", &args.setting.service.flags())?;
    let predictor = args.setting.predictor.load()?;
    let subjects = if are_trees { Subjects::trees(args)? } else { Subjects::models(args)? };
    let subject = Subject { predictor: &predictor, subjects };
    let is_parquet = args.output.output().is_some_and(parquet::is_named);
    if format == TreeFormat::Json && (are_trees || is_parquet || !args.is_sweep()) {
        let mut count = 0;
        output::write_trees(args.output.output(), &mut |write| {
            subject.each(&mut |tree| {
                count += 1;
                write(&with_cost(args, tree))
            })
        })?;
        if are_trees {
            let basis = predictor.profile.provenance.basis();
            output::tell(&format!("{} {basis} by {}", trees::count(count, "tree"), predictor.name));
        }
        return Ok(());
    }
    output::write_result(args.output.output(), &text(args, &subject, format)?, format == TreeFormat::Text)
}

/// The output in any format but lines of trees.
fn text(args: &Args, subject: &Subject<'_>, format: TreeFormat) -> Result<String> {
    let predictor = subject.predictor;
    let (mut rows, mut first, mut count, mut each) = (Sheet::new(rows::fields()), None, 0, Vec::new());
    subject.each(&mut |tree| {
        count += 1;
        rows.row(rows::cells(args, &tree));
        if args.shows_each() && format == TreeFormat::Text {
            each.push(one::text(args, predictor, &tree)?);
        }
        first.get_or_insert(tree);
        Ok(())
    })?;
    let only = first.filter(|_| count == 1);
    // Rows have the cost, which nodes have not.
    let asks_for_cost = args.cost_flags().iter().any(|(_, is_given)| *is_given);
    Ok(match (format, only) {
        (TreeFormat::Text, _) if !each.is_empty() => each.join("\n"),
        (TreeFormat::Text, Some(tree)) => one::text(args, predictor, &tree)?,
        (TreeFormat::Text, None) => {
            let basis = predictor.profile.provenance.basis();
            let shared = rows.shared();
            let shared = if shared.is_empty() { shared } else { shared + ", " };
            format!("{shared}on {} ({basis})\n\n{}", predictor.name, rows.text())
        }
        (TreeFormat::Csv, Some(tree)) if !asks_for_cost => render::csv(&tree),
        (TreeFormat::Csv, _) => rows.csv(),
        (TreeFormat::Json, _) => rows.printed(Format::Json, "settings"),
        (TreeFormat::Dot | TreeFormat::Folded, Some(tree)) => {
            args.output.drawn(&tree, format, Quantity::PredictedEnergy)
        }
        (TreeFormat::Dot | TreeFormat::Folded, None) => return not_one_tree(),
    })
}

/// Joules of a run of the whole.
fn run_energy(tree: &Tree) -> f64 {
    tree.root().get(Quantity::PredictedEnergy).unwrap_or(f64::NAN)
}

/// Joules of a request, each of which is one sequence of the batch. A step of training answers none.
fn request_energy(tree: &Tree) -> Option<f64> {
    tree.training.is_none().then(|| run_energy(tree) / tree.size.sequences as f64)
}

/// The tree with its cost, for json. Earlier ones belong to an earlier prediction.
fn with_cost(args: &Args, mut tree: Tree) -> Tree {
    tree.extra.shift_remove(COST_OF_REQUESTS);
    if let Some(energy) = request_energy(&tree) {
        tree.extra.insert(COST_OF_REQUESTS.into(), cost(args, energy));
    }
    let of_runs = cost(args, run_energy(&tree));
    tree.extra.insert(COST_OF_RUNS.into(), of_runs);
    tree.extra.insert(output::SCHEMA_FIELD.into(), output::SCHEMA_VERSION.into());
    tree
}

/// The cost of a million times so many joules.
fn cost(args: &Args, joules: f64) -> Value {
    let kwh = kwh_per_million(joules);
    let mut cost = json!({
        "energy_kwh": kwh,
        "price_usd": kwh * args.price_per_kwh(),
        "price_per_kwh_usd": args.price_per_kwh(),
    });
    if let Some(grams) = args.grid_intensity() {
        cost["emissions_g_co2e"] = json!(kwh * grams);
        cost["grid_intensity_g_co2e_per_kwh"] = json!(grams);
    }
    cost
}
