use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use irene_baselines::{learner, learners};
use irene_explore::{
    Dataset, Describer, Measure,
    learning::{InCampaign, Learner, Protocol, SurrogateErrors, crossvalidate, crossvalidate_in_campaign},
};
use irene_tree::render::{Grid, Heading};
use serde_json::json;

use super::{RecordsArgs, in_words, read_records};
use crate::{
    commands::{FormatArgs, numbers::size, refuse, trees::count},
    output,
    sheet::{Cell, Field, Format, Sheet},
};

/// Tells how well surrogates do on records that they were not trained on, ours beside the papers', by the same folds
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore evaluate gpu_a100.json cpu_rpi.json --learner law,adaboost,gp-rbf
  irene explore evaluate gpu_a100.json --learner law --protocol later
  irene explore evaluate gpu_a100.json --learner law --in-campaign
  irene explore evaluate mine.jsonl --learner law --folds 10 --format csv -o scores.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    /// Which: law (ours), ridge, gp-rbf, gp-matern, decision-tree, adaboost, boshnas [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    learner: Vec<String>,
    /// Which records are predicted, and from which: parts of the records at random from the others; the later fifths of
    /// the campaign, each from what was before; the designs of each hidden size, or depth, from the others; or all from
    /// eight
    #[arg(long, value_name = "PROTOCOL", default_value = "random", value_parser = protocol)]
    protocol: Protocol,
    /// Parts that `random` splits the records into, each left out in turn [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    folds: Option<u16>,
    /// How often `random` splits and `few` draws, each time otherwise [default: 5]
    #[arg(long, value_name = "N", value_parser = size)]
    repeats: Option<usize>,
    /// Predict also what the device's clock shows, and at the record's place in the campaign, where training records show a clock
    /// and drift
    #[arg(long, conflicts_with = "protocol")]
    in_campaign: bool,
    /// Seed of the splits, and of learners that draw
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    #[command(flatten)]
    format: FormatArgs,
    /// Write the figures here
    #[arg(short, long, value_name = "FILE", value_parser = output::file_or_stdout())]
    output: Option<PathBuf>,
}

impl Args {
    fn folds(&self) -> usize {
        self.folds.map_or(5, usize::from)
    }

    fn repeats(&self) -> usize {
        self.repeats.unwrap_or(5)
    }

    /// Refuses what the protocol would leave unused.
    fn check(&self) -> Result<()> {
        let (splits, draws) = (self.protocol == Protocol::Random, self.protocol == Protocol::Few);
        refuse(!splits, "--protocol random", &[("--folds", self.folds.is_some())])?;
        refuse(!splits && !draws, "--protocol random or few", &[("--repeats", self.repeats.is_some())])
    }
}

/// The scores on one device.
struct Device {
    name: String,
    records: usize,
    scores: Vec<Score>,
}

/// The errors of one learner on one measure of one device.
struct Score {
    learner: &'static str,
    measure: Measure,
    /// Over all repeats.
    errors: SurrogateErrors,
    /// The same as the device's clock shows figures; None where nobody asked.
    shown: Option<SurrogateErrors>,
    /// The same at the records' places in the campaign; None where nobody asked.
    placed: Option<SurrogateErrors>,
}

/// The name of our learner.
const OURS: &str = "law";

pub(crate) fn run(args: &Args) -> Result<()> {
    args.check()?;
    let data: Vec<Dataset> = args.records.data.iter().map(|path| read_records(path)).collect::<Result<_>>()?;
    let space = args.records.space.of(&data)?;
    let learners = match &args.learner[..] {
        [] => learners(&space),
        names => names.iter().map(|name| learner(name, &space)).collect::<Result<_, _>>()?,
    };
    let describer = Describer::new(space);
    let steps: usize =
        data.iter().map(|data| Ok(args.records.measures.of(data)?.len() * learners.len())).sum::<Result<_>>()?;
    let bar = output::progress(steps as u64, "learners");
    let mut devices = Vec::new();
    for data in &data {
        devices.push(evaluate(args, &learners, &describer, data, &|| bar.inc(1))?);
    }
    bar.finish_and_clear();
    let format = args.format.format();
    let out = match format {
        Format::Text => text(args, &devices)?,
        Format::Json => json(&devices),
        Format::Csv => sheet(&devices).csv(),
    };
    output::write_result(args.output.as_deref(), &out, format == Format::Text)
}

fn evaluate(
    args: &Args,
    learners: &[Box<dyn Learner>],
    describer: &Describer,
    data: &Dataset,
    step: &dyn Fn(),
) -> Result<Device> {
    let candidates = describer.describe_all(data).with_context(|| data.device.clone())?;
    let mut scores = Vec::new();
    for measure in args.records.measures.of(data)? {
        let figures = data.figures(measure)?;
        for learner in learners {
            let (folds, repeats) = (args.folds(), args.repeats());
            let held_out = if args.in_campaign {
                let orders: Vec<_> = data.records.iter().map(|record| record.order).collect();
                crossvalidate_in_campaign(learner.as_ref(), &candidates, &figures, &orders, folds, repeats, args.seed)
            } else {
                let learner = learner.as_ref();
                let design = match args.protocol {
                    Protocol::Random => crossvalidate(learner, &candidates, &figures, folds, repeats, args.seed),
                    protocol => protocol.hold_out(learner, (&candidates, &figures), measure, repeats, args.seed),
                };
                design.map(|design| InCampaign { design, ..InCampaign::default() })
            };
            let InCampaign { design, shown, placed } =
                held_out.with_context(|| format!("{}, {}, {}", data.device, learner.name(), measure.name()))?;
            let [errors, shown, placed] = [design, shown, placed].map(|held_out| SurrogateErrors::of(held_out.iter()));
            let errors = errors.with_context(|| {
                let protocol = args.protocol.name();
                format!("{}: too few records, or all of one group, for --protocol {protocol}", data.device)
            })?;
            scores.push(Score { learner: learner.name(), measure, errors, shown, placed });
            step();
        }
    }
    Ok(Device { name: data.device.clone(), records: data.records.len(), scores })
}

/// A protocol by its name.
fn protocol(text: &str) -> Result<Protocol, String> {
    let found = Protocol::ALL.into_iter().find(|protocol| protocol.name() == text);
    found.ok_or_else(|| format!("expected one of {}", Protocol::ALL.map(Protocol::name).join(", ")))
}

fn text(args: &Args, devices: &[Device]) -> Result<String> {
    let times = if args.repeats() == 1 { "once".to_owned() } else { format!("{} times", args.repeats()) };
    let how = match args.protocol {
        Protocol::Random => format!("{} folds, {times}", args.folds()),
        Protocol::Later => "each later fifth of the campaign from what was before it".to_owned(),
        Protocol::HiddenSize => "each hidden size from the others".to_owned(),
        Protocol::Depth => "each depth from the others".to_owned(),
        Protocol::Few => format!("all others from {}, {times}", Protocol::FEW),
    };
    let mut out = format!("{how}; errors, figures in their 90% interval and half its width in %\n");
    for device in devices {
        writeln!(out, "\n{}, {}", device.name, count(device.records, "record"))?;
        let figures = ["mean", "median", "covered", "half width"].map(Heading::right);
        let of_campaign = if args.in_campaign { &["shown", "placed"][..] } else { &[] };
        let headings = ["measure", "learner"].map(Heading::left).into_iter().chain(figures);
        let mut grid = Grid::new(headings.chain(of_campaign.iter().map(|title| Heading::right(*title).rank(1))));
        for Score { learner, measure, errors, shown, placed } in &device.scores {
            let whose = if *learner == OURS { format!("{learner} (ours)") } else { (*learner).to_owned() };
            let SurrogateErrors { mean, median, covered, half_width } = errors;
            let (errors, interval) = ([mean, median], [covered, half_width]);
            let figures = errors.map(|error| percent(*error, 2)).into_iter().chain(interval.map(|of| percent(*of, 1)));
            let more = shown.iter().chain(placed).map(|errors| percent(errors.mean, 2));
            grid.row([in_words(measure.name()), whose].into_iter().chain(figures).chain(more));
        }
        out += &grid.text(output::width());
    }
    Ok(out)
}

/// A percentage; one that is out of all bounds, as of a learner that knows nothing, by its power of ten.
fn percent(value: f64, decimals: usize) -> String {
    const LONGEST: f64 = 1e5;
    if value.abs() < LONGEST { format!("{value:.decimals$}") } else { format!("{value:.0e}") }
}

fn sheet(devices: &[Device]) -> Sheet {
    let figures = ["mean", "median", "covered", "half_width", "shown_mean", "placed_mean"];
    let figures = figures.map(|name| Field::figure(&format!("{name}_percent"), "", ""));
    let words = ["device", "records", "measure", "learner", "is_ours"].map(|name| Field::word(name, ""));
    let mut sheet = Sheet::new(words.into_iter().chain(figures));
    for device in devices {
        for Score { learner, measure, errors, shown, placed } in &device.scores {
            let is_ours = (*learner == OURS).to_string();
            let words: [Cell; 5] = [
                device.name.as_str().into(),
                device.records.into(),
                measure.name().into(),
                (*learner).into(),
                is_ours.into(),
            ];
            let figures = [errors.mean, errors.median, errors.covered, errors.half_width].map(Cell::from);
            let of_campaign = [shown, placed].map(|errors| Cell::from(errors.map(|errors| errors.mean)));
            sheet.row(words.into_iter().chain(figures).chain(of_campaign));
        }
    }
    sheet
}

fn json(devices: &[Device]) -> String {
    let score = |score: &Score| {
        json!({
            "measure": score.measure.name(),
            "learner": score.learner,
            "is_ours": score.learner == OURS,
            "mean_percent": score.errors.mean,
            "median_percent": score.errors.median,
            "covered_percent": score.errors.covered,
            "half_width_percent": score.errors.half_width,
            "shown_mean_percent": score.shown.map(|errors| errors.mean),
            "placed_mean_percent": score.placed.map(|errors| errors.mean),
        })
    };
    let device = |device: &Device| {
        let scores: Vec<_> = device.scores.iter().map(score).collect();
        json!({ "device": device.name, "records": device.records, "scores": scores })
    };
    let devices = json!(devices.iter().map(device).collect::<Vec<_>>());
    output::json([("devices", devices)])
}
