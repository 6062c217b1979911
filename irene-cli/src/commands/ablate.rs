use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use irene_regress::{Ablation, LeaveOut, PRIMITIVES, PublicMachine, Skipped, Track, Tried};
use irene_tree::render::{Grid, Heading};

use super::{
    evaluate::LEVELS,
    method,
    trees::{self, Trees},
};
use crate::{input, output};

/// Repeats the paper's ablations beside the published figures
///
/// By training strategy and by feature set.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene ablate device_1.jsonl")]
pub(crate) struct Args {
    /// Trees with ground truth
    data: PathBuf,
    /// Seed of the initial weights
    #[arg(long, value_name = "N", default_value_t = 13370)]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Trees { trees, completion } = trees::read_to_learn(&args.data)?;
    let folds = LeaveOut::Model.splits(&trees).with_context(|| input::name(&args.data))?.len();
    let bar = output::progress((Ablation::ALL.len() * folds) as u64, "folds");
    let (tried, mut skipped) = Ablation::try_all(&trees, args.seed, &|| bar.inc(1))?;
    bar.finish_and_clear();
    if tried.is_empty() {
        let error = skipped.swap_remove(0).1;
        return completion.explained(&args.data, Err(method::needs(error)));
    }
    output::print_text(&report(&tried, &skipped, PublicMachine::of(&trees))?)
}

/// The figures, with the published ones where the trees are those of one of the paper's machines.
fn report(tried: &[Tried], skipped: &[Skipped], machine: Option<&PublicMachine>) -> Result<String> {
    let figure = |error: Option<f64>| error.map_or_else(|| "-".into(), |error| format!("{error:.2}"));
    let published = machine.map_or_else(
        || "these trees are not of the paper's machines".to_owned(),
        |machine| format!("published: {}, which is {}", machine.paper, machine.data),
    );
    let mut out = format!("percentage error, leaving one model out, mean of the models ({published})\n\n");
    let headings = LEVELS.iter().flat_map(|level| [Heading::right(level.name()), Heading::right("published").rank(1)]);
    let mut grid = Grid::new([Heading::left("")].into_iter().chain(headings));
    for Tried { ablation, errors, .. } in tried {
        let reported = machine.map(|machine| machine.reported(*ablation).published).unwrap_or_default();
        let cells = LEVELS.iter().flat_map(|&level| [figure(errors.mean(level)), figure(reported.at(level))]);
        grid.row([ablation.name().to_owned()].into_iter().chain(cells));
    }
    out += &grid.text(output::width());
    for (ablation, error) in skipped {
        writeln!(out, "{} was not tried: {error}", ablation.name())?;
    }
    if let Some(most) = tried.iter().max_by_key(|tried| tried.missing.len()).filter(|most| !most.missing.is_empty()) {
        writeln!(out, "\nwithout features that not every node has: {}", method::names(&most.missing))?;
    }
    let errors_of = |ablation| tried.iter().find(|tried| tried.ablation == ablation).map(|tried| &tried.errors);
    let (paper, ours) = (errors_of(Ablation::End2End), errors_of(Ablation::Ours(Track::Specs)));
    let (Some(paper), Some(ours)) = (paper, ours) else { return Ok(out) };
    out.push_str("\nml level by primitive\n");
    let mut grid = Grid::new([Heading::left("")].into_iter().chain(["irene", "published", "ours"].map(Heading::right)));
    for primitive in PRIMITIVES {
        let published = figure(machine.and_then(|machine| machine.primitive(primitive)));
        let [paper, ours] = [paper, ours].map(|errors| figure(errors.of_instance_type(primitive)));
        grid.row([primitive.to_owned(), paper, published, ours]);
    }
    out += &grid.text(output::width());
    out.push_str("\nby left-out model, ml / module / model\n");
    let mut grid = Grid::new([Heading::left(""), Heading::right("End2End"), Heading::right("ours")]);
    for (paper, ours) in paper.folds.iter().zip(&ours.folds) {
        let levels = |fold: &irene_regress::Fold| LEVELS.map(|level| figure(fold.evaluation.mean(level))).join(" / ");
        grid.row([paper.left_out.clone(), levels(paper), levels(ours)]);
    }
    out += &grid.text(output::width());
    Ok(out)
}
