use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use irene_regress::{Ablation, LeaveOut, PRIMITIVES, PublicMachine, Track, Tried};

use super::{
    evaluate::LEVELS,
    trees::{self, Trees},
};
use crate::output;

/// Repeats the paper's ablations by training strategy and feature set, beside the published figures
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene ablate device_1.jsonl")]
pub(crate) struct Args {
    /// Trees with ground truth
    data: PathBuf,
    /// Decides the initial weights
    #[arg(long, value_name = "N", default_value_t = 13370)]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Trees { trees, completion } = trees::read_completed(&args.data)?;
    let folds = LeaveOut::Model.splits(&trees)?.len();
    let bar = output::progress((Ablation::ALL.len() * folds) as u64, "folds");
    let tried = Ablation::ALL.into_iter().map(|ablation| Tried::new(ablation, &trees, args.seed, &|| bar.inc(1)));
    let tried: Vec<Tried> = completion.explained(tried.collect::<Result<_, _>>().map_err(Into::into))?;
    bar.finish_and_clear();
    output::print_text(&report(&tried, PublicMachine::of(&trees))?)
}

/// The figures, with the published ones where the trees are those of one of the paper's machines.
fn report(tried: &[Tried], machine: Option<&PublicMachine>) -> Result<String> {
    let figure = |error: Option<f64>| error.map_or_else(|| "-".into(), |error| format!("{error:.2}"));
    let published = machine.map_or_else(
        || "these trees are not of the paper's machines".to_owned(),
        |machine| format!("published: {}, which is {}", machine.paper, machine.data),
    );
    let mut out = format!("percentage error, leaving one model out, mean of the models ({published})\n\n");
    let titles = ["ml", "published", "module", "published", "model", "published"].map(|title| format!("{title:>10}"));
    writeln!(out, "{:26}{}", "", titles.concat())?;
    for Tried { ablation, errors, .. } in tried {
        write!(out, "{:26}", ablation.name())?;
        let reported = machine.map(|machine| machine.reported(*ablation).published).unwrap_or_default();
        for level in LEVELS {
            write!(out, "{:>10}{:>10}", figure(errors.mean(level)), figure(reported.at(level)))?;
        }
        out.push('\n');
    }
    let errors_of = |ablation| tried.iter().find(|tried| tried.ablation == ablation).map(|tried| &tried.errors);
    let (paper, ours) = (errors_of(Ablation::End2End), errors_of(Ablation::Ours(Track::Specs)));
    let (Some(paper), Some(ours)) = (paper, ours) else { return Ok(out) };
    out.push_str("\nml level by primitive\n");
    writeln!(out, "{:26}{:>10}{:>10}{:>10}", "", "irene", "published", "ours")?;
    for primitive in PRIMITIVES {
        let published = figure(machine.and_then(|machine| machine.primitive(primitive)));
        let [paper, ours] = [paper, ours].map(|errors| figure(errors.of_instance_type(primitive)));
        writeln!(out, "{primitive:26}{paper:>10}{published:>10}{ours:>10}")?;
    }
    out.push_str("\nby left-out model, End2End and ours (ml / module / model)\n");
    for (paper, ours) in paper.folds.iter().zip(&ours.folds) {
        let levels = |fold: &irene_regress::Fold| LEVELS.map(|level| figure(fold.evaluation.mean(level))).join(" / ");
        writeln!(out, "{:26}{:>24}{:>24}", paper.left_out, levels(paper), levels(ours))?;
    }
    Ok(out)
}
