use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use irene_regress::{Ablation, CrossValidation, LeaveOut, PUBLISHED_BY_PRIMITIVE, ablations, crossvalidate};

use super::evaluate::LEVELS;
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
    let trees = super::read_trees(&args.data)?;
    let ablations = ablations(args.seed);
    let folds = LeaveOut::Model.splits(&trees)?.len();
    let bar = output::progress((ablations.len() * folds) as u64, "folds");
    let mut rows = Vec::new();
    for ablation in ablations {
        let result = crossvalidate(&trees, ablation.trainer.as_ref(), LeaveOut::Model, &|| bar.inc(1))?;
        rows.push((ablation, result));
    }
    bar.finish_and_clear();
    output::print(&report(&rows)?)
}

fn report(rows: &[(Ablation, CrossValidation)]) -> Result<String> {
    let figure = |error: Option<f64>| error.map_or_else(|| "-".into(), |error| format!("{error:.2}"));
    let mut out = String::from("percentage error, leaving one model out, mean of the models (published: PC1)\n\n");
    let titles = ["ml", "published", "module", "published", "model", "published"].map(|title| format!("{title:>10}"));
    writeln!(out, "{:26}{}", "", titles.concat())?;
    for (ablation, result) in rows {
        write!(out, "{:26}", ablation.name)?;
        for level in LEVELS {
            write!(out, "{:>10}{:>10}", figure(result.mean(level)), figure(ablation.published.at(level)))?;
        }
        out.push('\n');
    }
    out.push_str("\nml level by primitive\n");
    writeln!(out, "{:26}{:>10}{:>10}{:>10}", "", "irene", "published", "ours")?;
    let (paper, ours) = (rows.first(), rows.last());
    for (primitive, published) in PUBLISHED_BY_PRIMITIVE {
        let of =
            |row: Option<&(Ablation, CrossValidation)>| figure(row.and_then(|(_, r)| r.of_instance_type(primitive)));
        writeln!(out, "{primitive:26}{:>10}{published:>10.2}{:>10}", of(paper), of(ours))?;
    }
    out.push_str("\nby left-out model, End2End and ours (ml / module / model)\n");
    if let (Some((_, paper)), Some((_, ours))) = (paper, ours) {
        for (paper_fold, our_fold) in paper.folds.iter().zip(&ours.folds) {
            let levels =
                |fold: &irene_regress::Fold| LEVELS.map(|level| figure(fold.evaluation.mean(level))).join(" / ");
            writeln!(out, "{:26}{:>24}{:>24}", paper_fold.left_out, levels(paper_fold), levels(our_fold))?;
        }
    }
    Ok(out)
}
