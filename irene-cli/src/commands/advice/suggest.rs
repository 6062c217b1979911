use anyhow::Result;
use irene_advice::{Accuracy, By, Kind, Suggestion, Suggestions};
use irene_tree::render::{self, Grid, Heading};

use super::{BoundsArgs, Selected, SelectionArgs, change, json, name_in_files};
use crate::{
    commands::FormatArgs,
    output,
    sheet::{Field, Format, Sheet},
};

/// Suggests what would save energy, and what each costs
///
/// Each with its saving and 90% interval, its effect on time, memory and accuracy, and the reason; the largest saving
/// comes first. Only what can be computed is suggested: load, padding, kernels, formats, prefix caching, devices, power
/// limits, numbers of GPUs, smaller models, fewer layers, speculative decoding. `irene whatif` with --set shows each in
/// full.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene suggest Llama-3.1-8B --device h100-sxm --prompt 512 --generate 256 --concurrency 32
  irene suggest Llama-3.1-8B --prompt 512 --generate 64 --concurrency 8 --max-itl 0.02
  irene suggest bert-base-uncased -b 8 -s 128
  irene suggest gpt2 --device l4 --format csv")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Selected { lookup, selection } = args.selection.selected(&[])?;
    let found = lookup.suggest(&selection, args.bounds.bounds(selection.generated())?)?;
    match args.format.format() {
        Format::Text => output::print_text(&text(&found)),
        Format::Json => output::print(&json(&found)?),
        Format::Csv => output::print(&csv(&found)),
    }
}

fn text(found: &Suggestions) -> String {
    let baseline = &found.baseline;
    let energy = match found.measure {
        By::Token => baseline.figures.energy_per_token_j.map(|joules| (joules, "token")),
        By::Request => baseline.figures.energy_per_request_j.map(|joules| (joules, "request")),
    };
    let energy = energy.map_or_else(String::new, |(joules, of)| format!(", {} a {of}", render::si(joules, "J")));
    let mut out = format!("{}{energy}: {}\n\n", baseline.title, baseline.provenance);
    let mut grid = Grid::new([
        Heading::left("what to do"),
        Heading::right("saves"),
        Heading::right("90% interval"),
        Heading::right("time"),
        Heading::right("memory"),
        Heading::left("--set").rank(1),
    ]);
    for one in &found.suggestions {
        grid.row(row(one));
    }
    out += &grid.text(output::width());
    let because = found.suggestions.iter().map(|one| {
        let assumed = one.assumed.as_ref().map_or_else(String::new, |assumed| format!("; assumed: {assumed}"));
        format!("{}: {}{assumed}", one.title, one.why)
    });
    for (title, lines) in [
        ("why", because.collect::<Vec<_>>()),
        ("left out", found.left_out.iter().map(|one| output::reason_in_flags(&one.reason)).collect()),
    ] {
        if !lines.is_empty() {
            out += &format!(
                "\n{title}\n{}\n",
                lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
            );
        }
    }
    out
}

fn row(one: &Suggestion) -> [String; 6] {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, change);
    let interval = one.saved_share_low.zip(one.saved_share_high);
    let percent = |share: f64| format!("{:.0}", 100.0 * share).replace('-', "−");
    let of_answers = match one.kind {
        Kind::SmallerModel | Kind::FewerLayers => " (another model)",
        _ if one.price.accuracy == Accuracy::Unknown => " (accuracy unknown)",
        _ => "",
    };
    [
        format!("{}{of_answers}", one.title),
        format!("{:.1}%", 100.0 * one.saved_share),
        interval.map_or_else(String::new, |(low, high)| format!("{} to {}%", percent(low), percent(high))),
        ratio(one.price.latency_ratio.or(one.price.ttft_ratio)),
        ratio(one.price.memory_ratio),
        one.set.clone().unwrap_or_default(),
    ]
}

fn csv(found: &Suggestions) -> String {
    let sheet = Sheet::of(
        &found.suggestions,
        [
            (Field::word("kind", "kind"), |one| name_in_files(&one.kind).into()),
            (Field::word("title", "title"), |one| one.title.as_str().into()),
            (Field::word("set", "set"), |one| one.set.clone().into()),
            (Field::figure("saved_share", "saved", ""), |one| one.saved_share.into()),
            (Field::figure("saved_share_low", "at least", ""), |one| one.saved_share_low.into()),
            (Field::figure("saved_share_high", "at most", ""), |one| one.saved_share_high.into()),
            (Field::figure("energy_a_j", "now", ""), |one| one.energy_a_j.into()),
            (Field::figure("energy_b_j", "then", ""), |one| one.energy_b_j.into()),
            (Field::figure("latency_ratio", "time", ""), |one| one.price.latency_ratio.into()),
            (Field::figure("ttft_ratio", "first token", ""), |one| one.price.ttft_ratio.into()),
            (Field::figure("memory_ratio", "memory", ""), |one| one.price.memory_ratio.into()),
            (Field::word("accuracy", "accuracy"), |one| name_in_files(&one.price.accuracy).into()),
            (Field::word("assumed", "assumed"), |one| one.assumed.clone().into()),
        ],
    );
    sheet.csv()
}
