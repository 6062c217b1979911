use std::{fmt::Write, path::Path};

use anyhow::{Result, ensure};
use clap::Arg;
use irene_advice::{Answer, Explained};
use irene_predict::Load;
use irene_regress::{CONFIDENCE, Explanation, Term};
use irene_tree::{
    Mark, Node, NodeId, Quantity, Tree, first_of_folded,
    render::{self, Grid, Heading},
};

use super::{
    FormatArgs,
    advice::{Selected, SelectionArgs},
    refuse,
    trees::{self, Completion},
};
use crate::{
    input, output, settings,
    sheet::{Field, Format, Sheet},
};

/// Shows what makes up the prediction of one node
///
/// The predicted energy and latency, term by term: those of a measured profile, or by a data sheet launches, FLOPs,
/// bytes and the power that is always drawn.
#[derive(clap::Args)]
#[command(mut_args = also_of_trees, after_help = "Examples:
  irene explain bert-base-uncased root.encoder.0.attention.self -b 8 -s 128
  irene explain gpt2 root.0.mlp.c_fc -b 1 -s 1024
  irene explain bert-base-uncased root.encoder.0.attention.self.query -b 8 -s 128 --device l4
  irene explain device_1.jsonl root.encoder.0 -b 8 -s 128 --method measured")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// The node, as `irene predict` with --depth shows it, or its id in JSON; of folded layers the first is explained
    scope: String,
    #[command(flatten)]
    format: FormatArgs,
}

fn also_of_trees(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "model" => arg.value_name("MODEL_OR_TREES").help(
            "A built-in model's name, a path to a config.json, its directory or a GGUF file, or a .jsonl file of trees, of which the \
             first with the node (of the size, if one is given) is taken; - reads either from standard input",
        ),
        "method" => arg.hide(false).help("What was measured of the trees [default: specs]"),
        _ => arg,
    }
}

/// A node with its terms, and where its figures are from.
struct Shown {
    tree: Tree,
    id: NodeId,
    explanation: Explanation,
    /// The device, or the predictor file.
    predictor: String,
    basis: String,
    notes: Vec<String>,
    /// The requests that the tree adds up.
    requests: f64,
    /// The engine and the load that is asked for, of a data sheet.
    served: Option<(&'static str, Load)>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let scope = first_of_folded(&args.scope);
    let path = Path::new(&args.selection.model);
    let shown = if input::holds_trees(path)? { of_trees(args, path, &scope)? } else { of_model(args, &scope)? };
    let (tree, node) = (&shown.tree, shown.tree.node(shown.id));
    let same = tree.nodes().iter().filter(|other| other.scope() == node.scope()).count();
    if same > 1 && scope == node.scope() {
        let by_id = "SCOPE may be the id that `irene predict` with --math and --format json has of another";
        output::tell(&format!("the first of {same} nodes of this name is explained; {by_id}"));
    }
    match args.format.format() {
        Format::Text => output::print_text(&text(&shown, node)?),
        Format::Csv => output::print(&terms(&shown.explanation).csv()),
        Format::Json => output::print(&output::json([
            ("model_name", tree.model_name.as_str().into()),
            ("scope", node.scope().into()),
            ("instance_type", node.instance_type().into()),
            (Quantity::PredictedEnergy.name(), node.get(Quantity::PredictedEnergy).into()),
            (Quantity::PredictedLow.name(), node.get(Quantity::PredictedLow).into()),
            (Quantity::PredictedHigh.name(), node.get(Quantity::PredictedHigh).into()),
            ("marks", node.marks.iter().map(Mark::name).collect::<Vec<_>>().into()),
            ("predictor", shown.predictor.as_str().into()),
            ("engine", shown.served.map(|(engine, _)| engine).into()),
            ("requests", shown.requests.into()),
            ("terms", terms(&shown.explanation).rows()),
        ])),
    }
}

/// The terms of energy and latency, a row each.
fn terms(explanation: &Explanation) -> Sheet {
    let of = [("energy", "J", &explanation.energy), ("latency", "s", &explanation.latency)];
    let rows: Vec<_> = of
        .into_iter()
        .flat_map(|(quantity, unit, terms)| terms.iter().map(move |term| (quantity, unit, term)))
        .collect();
    Sheet::of(
        &rows,
        [
            (Field::word("quantity", ""), |&(quantity, ..)| quantity.into()),
            (Field::word("term", ""), |(.., term)| term.name.as_str().into()),
            (Field::figure("amount", "", ""), |(.., term)| term.amount.into()),
            (Field::word("amount_unit", ""), |(.., term)| term.unit.into()),
            (Field::figure("coefficient", "", ""), |(.., term)| term.coefficient.into()),
            (Field::figure("value", "", ""), |(.., term)| term.value().into()),
            (Field::word("unit", ""), |&(_, unit, _)| unit.into()),
        ],
    )
}

/// A measured tree, of the size that is given.
fn of_trees(args: &Args, path: &Path, scope: &str) -> Result<Shown> {
    let setting = &args.selection.setting;
    let of_models = [&setting.run.flags()[..], &setting.service.flags(), &setting.parallel.flags()].concat();
    refuse(true, "a model; trees say how they ran", &of_models)?;
    let (batch_sizes, seq_lens) = (&setting.sizes.batch_size, &setting.sizes.seq_len);
    let is_it = |tree: &Tree| {
        (batch_sizes.is_empty() || batch_sizes.contains(&tree.size.sequences))
            && (seq_lens.is_empty() || seq_lens.contains(&tree.size.new))
    };
    let predictor = setting.predictor.load()?;
    let mut found: Vec<Tree> = trees::read(path)?.into_iter().filter(is_it).collect();
    ensure!(!found.is_empty(), "{}: no tree of this size", path.display());
    let has_node = |tree: &Tree| tree.find_named(scope).is_some();
    let count = found.iter().filter(|tree| has_node(tree)).count();
    let mut tree = found.swap_remove(found.iter().position(has_node).unwrap_or(0));
    let mut completion = Completion::default();
    completion.complete(&mut tree);
    completion.tell(path);
    let explained = predictor.explained(predictor.profile.explain(&mut tree, scope));
    let (id, explanation) = completion.explained(path, explained)?;
    if count > 1 {
        output::tell(&format!("{}: the first of {count} trees with this node is explained, {tree}", input::name(path)));
    }
    let (basis, notes) = (predictor.profile.provenance.basis().to_owned(), predictor.profile.notes(&tree));
    let requests = tree.size.sequences as f64;
    Ok(Shown { tree, id, explanation, predictor: predictor.name, basis, notes, requests, served: None })
}

/// A model on whatever answers for the device.
fn of_model(args: &Args, scope: &str) -> Result<Shown> {
    let of_trees = [("--method", args.selection.setting.predictor.asks_for_track())];
    refuse(true, "trees; of a model nothing was measured", &of_trees)?;
    let Selected { lookup, selection } = args.selection.selected(&[])?;
    let Explained { answer, node, explanation } = lookup.explain(&selection, scope)?;
    let Answer { estimate, tree, requests } = answer;
    // Those of the model were told when it was read.
    let is_new = |note: &&String| !estimate.model.notes().contains(*note);
    let notes = estimate.notes.iter().filter(is_new).cloned().collect();
    let served = estimate.engine.map(|engine| engine.name).zip(selection.row.load);
    let (predictor, basis) = (estimate.device, estimate.provenance);
    Ok(Shown { tree, id: node, explanation, predictor, basis, notes, requests, served })
}

fn text(shown: &Shown, node: &Node) -> Result<String> {
    let energy = node.get(Quantity::PredictedEnergy).unwrap_or(f64::NAN);
    let mut out = format!(
        "{} ({})\nof {}, on {}: {} ({})\n",
        node.scope(),
        node.instance_type(),
        output::what_runs(&shown.tree),
        shown.predictor,
        render::si(energy, "J"),
        shown.basis,
    );
    if let Some((engine, load)) = shown.served {
        // A mean number.
        let requests = in_words((10.0 * shown.requests).round() / 10.0, "request");
        let rate = if let Load::Rate(rate) = load { format!("; {rate} a second arrive") } else { String::new() };
        writeln!(out, "with {engine}; the tree is of {requests}{rate}")?;
    }
    for note in &shown.notes {
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
    table(&mut out, "energy", "J", &shown.explanation.energy)?;
    table(&mut out, "latency", "s", &shown.explanation.latency)?;
    Ok(out)
}

fn table(out: &mut String, title: &str, unit: &str, terms: &[Term]) -> Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let terms = if settings::get().unfold.unwrap_or(false) { terms.to_vec() } else { folded(terms) };
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
        let value = render::si(term.value(), unit);
        grid.row([term.name, amount, each, value, share]);
    }
    grid.row(["sum".into(), String::new(), String::new(), render::si(total, unit), "100.0%".into()]);
    write!(out, "\n{}", grid.text(output::width()))?;
    Ok(())
}

/// The terms with equal layers in one, as trees are shown.
fn folded(terms: &[Term]) -> Vec<Term> {
    let number = |term: &Term| term.name.parse::<usize>().ok().filter(|_| term.unit == "node");
    let goes_on = |one: &Term, next: &Term| {
        let is_next = number(one).zip(number(next)).is_some_and(|(one, next)| next.checked_sub(one) == Some(1));
        is_next && (next.coefficient - one.coefficient).abs() <= 1e-9 * one.coefficient.abs()
    };
    let run = |layers: &[Term]| {
        let (first, last) = (layers.first()?, layers.last()?);
        let name = if layers.len() == 1 { first.name.clone() } else { format!("{}-{}", first.name, last.name) };
        let amount = layers.iter().map(|layer| layer.amount).sum();
        Some(Term::new(name, amount, first.unit, first.coefficient))
    };
    terms.chunk_by(goes_on).filter_map(run).collect()
}

/// `1 node`, `6 kernels`, `24 MiB`.
fn in_words(amount: f64, unit: &str) -> String {
    let plural = match unit {
        "launch" => "es",
        "node" | "kernel" | "request" | "standard deviation" => "s",
        _ => "",
    };
    format!("{amount} {unit}{}", if amount == 1.0 { "" } else { plural })
}
