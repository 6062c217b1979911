use anyhow::Result;
use irene_advice::{By, Change, Comparison, Direction, Effect};
use irene_tree::render::{self, Grid, Heading};

use super::{Selected, SelectionArgs, change, difference, json};
use crate::{
    commands::{FormatArgs, usage},
    output,
    sheet::{Field, Format, Sheet},
};

/// Shows what changes would do to energy, time and memory
///
/// A change is a field of the model's config, or how and where it runs. Fields go by their names in a config.json, or
/// by the general ones (num_hidden_layers, hidden_size, hidden_act); the others are model, device, batch_size,
/// concurrency, rate, seq_len, generate, dtype, weights, cache, kernels, engine, tensor_parallel, pipeline_parallel,
/// expert_parallel, data_parallel and power_limit_w. Each change is also tried by itself, with the reason where it does
/// nothing.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene whatif bert-base-uncased --set num_hidden_layers=6
  irene whatif bert-base-uncased -b 8 -s 128 --set num_hidden_layers=6 --set hidden_act=relu
  irene whatif Llama-3.1-8B --prompt 512 --generate 256 --concurrency 32 --set weights=int4
  irene whatif Llama-3.1-8B --set device=l4 --set concurrency=8
  irene whatif gpt2 -b 1 -s 128 --set batch_size=32 --format csv")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// A changed setting; give it again for more
    #[arg(long, value_name = "NAME=VALUE", required = true)]
    set: Vec<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let lists = args.set.iter().map(|text| Change::list(text)).collect::<Result<Vec<_>, _>>()?;
    let changes = lists.concat();
    if changes.is_empty() {
        return usage("--set is empty: write NAME=VALUE, as in num_hidden_layers=6 or batch_size=32");
    }
    let Selected { lookup, selection } = args.selection.selected(&changes)?;
    let comparison = lookup.what_if(&selection, &changes)?;
    match args.format.format() {
        Format::Text => output::print_text(&text(&comparison)),
        Format::Json => output::print(&json(&comparison)?),
        Format::Csv => output::print(&csv(&comparison)),
    }
}

fn text(comparison: &Comparison) -> String {
    let changes: Vec<String> =
        comparison.changes.iter().map(|effect| format!("{}={}", effect.name, effect.to)).collect();
    let mut out = format!("{}: {}\nwith {}\n\n", comparison.a.title, comparison.a.provenance, changes.join(", "));
    out += &figures(comparison);
    out += &certainty(comparison);
    for note in comparison.b.notes.iter().filter(|note| !comparison.a.notes.contains(note)) {
        out += &format!("{note}\n");
    }
    out += "\neach change by itself\n";
    out += &effects(&comparison.changes);
    out += "\nby part of the model\n";
    out + &parts(comparison)
}

fn grid(titles: [&str; 5]) -> Grid {
    let [first, rest @ ..] = titles;
    Grid::new(std::iter::once(Heading::left(first)).chain(rest.into_iter().map(Heading::right)))
}

fn figures(comparison: &Comparison) -> String {
    let mut grid = grid(["", "now", "then", "difference", ""]);
    let energy = &comparison.energy;
    let of = if energy.by == By::Token { "energy of a token" } else { "energy of a request" };
    let mut row = |title: &str, unit: &str, a: f64, b: f64| {
        grid.row([
            title.to_owned(),
            render::in_unit(a, unit),
            render::in_unit(b, unit),
            difference(a, b, |value| render::si(value, unit)),
            change(b / a),
        ]);
    };
    row(of, "J", energy.a_j, energy.b_j);
    if let Some(latency) = &comparison.latency {
        row("time", "s", latency.a_s, latency.b_s);
    }
    let figures = [&comparison.a, &comparison.b].map(|whole| &whole.figures);
    for (title, [a, b]) in [
        ("time to the first token", figures.map(|of| of.ttft_s)),
        ("time between tokens (median)", figures.map(|of| of.itl_s)),
    ] {
        if let Some((a, b)) = a.zip(b) {
            row(title, "s", a, b);
        }
    }
    if let Some(memory) = &comparison.memory {
        let (a, b) = (memory.a_bytes, memory.b_bytes);
        let difference = difference(a, b, render::bytes);
        grid.row(["memory of each GPU".to_owned(), render::bytes(a), render::bytes(b), difference, change(b / a)]);
    }
    grid.text(output::width())
}

/// Whether the two can be told apart.
fn certainty(comparison: &Comparison) -> String {
    let energy = &comparison.energy;
    let Some((low, high)) = energy.ratio_low.zip(energy.ratio_high) else { return String::new() };
    let told = if energy.is_within_intervals { "the two cannot be told apart" } else { "the two can be told apart" };
    format!("\nthe energy then is {low:.2} to {high:.2} times that of now (90% interval): {told}\n")
}

fn effects(effects: &[Effect]) -> String {
    let mut grid = Grid::new([Heading::left("change"), Heading::right("energy"), Heading::left("why")]);
    for effect in effects {
        let from = effect.from.as_ref().map_or_else(String::new, |from| format!("{from} → "));
        let energy = match effect.effect {
            Direction::Other => "unknown".to_owned(),
            _ => effect.energy_ratio.map_or_else(String::new, change),
        };
        grid.row([format!("{} {from}{}", effect.name, effect.to), energy, effect.reason.clone().unwrap_or_default()]);
    }
    grid.text(output::width())
}

fn parts(comparison: &Comparison) -> String {
    let mut grid = grid(["", "now", "then", "difference", ""]);
    for part in &comparison.components {
        let ratio = if part.a_j > 0.0 { change(part.b_j / part.a_j) } else { String::new() };
        let joules = |joules: f64| render::in_unit(joules, "J");
        grid.row([
            part.component.replace('_', "-"),
            joules(part.a_j),
            joules(part.b_j),
            difference(part.a_j, part.b_j, joules),
            ratio,
        ]);
    }
    grid.text(output::width())
}

/// A line for the whole, and one for each part.
fn csv(comparison: &Comparison) -> String {
    let energy = &comparison.energy;
    let by = if energy.by == By::Token { "token" } else { "request" };
    let mut sheet = Sheet::new([
        Field::word("part", "part"),
        Field::word("by", "by"),
        Field::figure("a_j", "now", ""),
        Field::figure("b_j", "then", ""),
        Field::figure("difference_j", "difference", ""),
    ]);
    sheet.row(["whole".into(), by.into(), energy.a_j.into(), energy.b_j.into(), energy.difference_j.into()]);
    for part in &comparison.components {
        sheet.row([part.component.into(), by.into(), part.a_j.into(), part.b_j.into(), part.difference_j.into()]);
    }
    sheet.csv()
}
