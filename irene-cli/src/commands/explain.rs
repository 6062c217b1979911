use std::{fmt::Write, path::Path};

use anyhow::{Context, Result};
use irene_regress::{CONFIDENCE, Explanation, Term};
use irene_tree::{
    Mark, Node, Quantity, Size, Tree, first_of_folded,
    render::{self, Grid, Heading},
};

use super::{
    FormatArgs, Usage,
    following::{self, RunArgs},
    numbers::size,
    predictor::{NamedProfile, PredictorArgs, measured_alone},
    trees::{self, Completion},
};
use crate::{
    input, output,
    sheet::{Cell, Field, Format, Sheet},
};

/// Shows what makes up the prediction of one node
///
/// The predicted energy and latency, term by term, on a device with a measured profile. `irene predict` with --depth 4
/// shows the tree of a device that is known by its data sheet.
#[derive(clap::Args)]
#[command(mut_args = measured_alone, after_help = "Examples:
  irene explain bert-base-uncased root.encoder.0.attention.self -b 8 -s 128
  irene explain gpt2 root.0.mlp.c_fc -b 1 -s 1024
  irene explain device_1.jsonl root.encoder.0 -b 8 -s 128 --method measured")]
pub(crate) struct Args {
    /// A built-in model's name, a path to a config.json, its directory or a GGUF file, or a .jsonl file of trees, of which the first
    /// (of the size, if one is given) is taken; - reads either from standard input
    model_or_trees: String,
    /// The node, as `irene trace` has it; of folded layers the first is explained
    scope: String,
    /// Sequences in the batch
    #[arg(short, long, visible_alias = "sequences", value_name = "B", value_parser = size)]
    batch_size: Option<usize>,
    /// Tokens in a sequence
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_parser = size)]
    seq_len: Option<usize>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    predictor: PredictorArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let predictor = args.predictor.load()?;
    let (mut tree, completion) = tree(args)?;
    let explained = predictor.explained(predictor.profile.explain(&mut tree, &first_of_folded(&args.scope)));
    let (id, explanation) = completion.explained(Path::new(&args.model_or_trees), explained)?;
    let node = tree.node(id);
    match args.format.format() {
        Format::Text => output::print_text(&text(&tree, node, &explanation, &predictor)?),
        Format::Csv => output::print(&terms(&explanation).csv()),
        Format::Json => output::print(&output::json([
            ("model_name", tree.model_name.as_str().into()),
            ("scope", node.scope().into()),
            ("instance_type", node.instance_type().into()),
            (Quantity::PredictedEnergy.name(), node.get(Quantity::PredictedEnergy).into()),
            (Quantity::PredictedLow.name(), node.get(Quantity::PredictedLow).into()),
            (Quantity::PredictedHigh.name(), node.get(Quantity::PredictedHigh).into()),
            ("marks", node.marks.iter().map(Mark::name).collect::<Vec<_>>().into()),
            ("predictor", predictor.name.as_str().into()),
            ("terms", terms(&explanation).rows()),
        ])),
    }
}

/// The terms of energy and latency, a row each.
fn terms(explanation: &Explanation) -> Sheet {
    let mut sheet = Sheet::new([
        Field::word("quantity", ""),
        Field::word("term", ""),
        Field::figure("amount", "", ""),
        Field::word("amount_unit", ""),
        Field::figure("coefficient", "", ""),
        Field::figure("value", "", ""),
        Field::word("unit", ""),
    ]);
    for (quantity, unit, terms) in [("energy", "J", &explanation.energy), ("latency", "s", &explanation.latency)] {
        for term in terms {
            let cells: [Cell; 7] = [
                quantity.into(),
                term.name.clone().into(),
                term.amount.into(),
                term.unit.into(),
                term.coefficient.into(),
                term.value().into(),
                unit.into(),
            ];
            sheet.row(cells);
        }
    }
    sheet
}

/// The tree of a model, with single operations if the node has them; or a measured tree.
fn tree(args: &Args) -> Result<(Tree, Completion)> {
    let path = Path::new(&args.model_or_trees);
    if input::holds_trees(path)? {
        if let Some((flag, _)) = args.run.flags().into_iter().find(|(_, given)| *given) {
            return Err(Usage(format!("{flag} works only with a model; trees say how they ran")).into());
        }
        let is_it = |tree: &Tree| {
            args.batch_size.is_none_or(|size| tree.size.sequences == size)
                && args.seq_len.is_none_or(|len| tree.size.new == len)
        };
        let found = trees::read(path)?.into_iter().find(is_it);
        let mut tree = found.with_context(|| format!("{}: no tree of this size", path.display()))?;
        let mut completion = Completion::default();
        completion.complete(&mut tree);
        completion.tell(path);
        return Ok((tree, completion));
    }
    match (args.batch_size, args.seq_len) {
        (Some(batch_size), Some(seq_len)) => {
            let spec = following::model(&args.model_or_trees)?;
            let tree = spec.trace(args.run.run(&spec, Size::new(batch_size, seq_len), true)?)?;
            Ok((tree, Completion::default()))
        }
        _ => Err(Usage("a model is explained at a size: give --batch-size and --seq-len".into()).into()),
    }
}

fn text(tree: &Tree, node: &Node, explanation: &Explanation, predictor: &NamedProfile) -> Result<String> {
    let energy = node.get(Quantity::PredictedEnergy).unwrap_or(f64::NAN);
    let mut out = format!(
        "{} ({})\nof {}, on {}: {} ({})\n",
        node.scope(),
        node.instance_type(),
        output::what_runs(tree),
        predictor.name,
        render::si(energy, "J"),
        predictor.profile.provenance.basis(),
    );
    for note in predictor.profile.notes(tree) {
        writeln!(out, "{note}")?;
    }
    if let (Some(low), Some(high)) = (node.get(Quantity::PredictedLow), node.get(Quantity::PredictedHigh)) {
        writeln!(out, "{}% interval {} to {}", 100.0 * CONFIDENCE, render::si(low, "J"), render::si(high, "J"))?;
    }
    if node.marks.contains(Mark::UnseenOperation) {
        let what = if node.level().is_leaf() { "an" } else { "contains an" };
        out += &format!("{what} operation the predictor never saw, costed from its FLOPs and bytes\n");
    }
    let beyond = node.extrapolated();
    if !beyond.is_empty() {
        let beyond = beyond.iter().map(|(feature, factor)| format!("{feature} by a factor of {factor:.2}"));
        writeln!(out, "outside the training data: {}", beyond.collect::<Vec<_>>().join(", "))?;
    }
    table(&mut out, "energy", "J", &explanation.energy)?;
    table(&mut out, "latency", "s", &explanation.latency)?;
    Ok(out)
}

fn table(out: &mut String, title: &str, unit: &str, terms: &[Term]) -> Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let total: f64 = terms.iter().map(Term::value).sum();
    let mut grid = Grid::new([
        Heading::left(title),
        Heading::right("amount"),
        Heading::right("each"),
        Heading::right(""),
        Heading::right("share"),
    ]);
    for term in terms {
        let amount = match term.unit {
            "s" | "J" => render::si(term.amount, term.unit),
            unit => in_words((1e4 * term.amount).round() / 1e4, unit),
        };
        let each = format!("{}/{}", render::si(term.coefficient, unit), term.unit);
        let share = if total > 0.0 { format!("{:.1}%", 100.0 * term.value() / total) } else { String::new() };
        grid.row([term.name.clone(), amount, each, render::si(term.value(), unit), share]);
    }
    grid.row(["sum".into(), String::new(), String::new(), render::si(total, unit), "100.0%".into()]);
    write!(out, "\n{}", grid.text(output::width()))?;
    Ok(())
}

/// `1 node`, `6 kernels`, `24 MiB`.
fn in_words(amount: f64, unit: &str) -> String {
    let plural = match unit {
        "launch" => "es",
        "node" | "kernel" | "standard deviation" => "s",
        _ => "",
    };
    format!("{amount} {unit}{}", if amount == 1.0 { "" } else { plural })
}
