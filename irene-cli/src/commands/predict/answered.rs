//! How forecasts are printed, be they of requests or of training.

use anyhow::Result;
use irene_tree::{Quantity, Tree, jsonl};
use serde_json::Value;

use super::{Args, TreeFormat, not_one_tree};
use crate::{commands::Exit, output};

/// A setting with its forecast.
pub(super) trait Answered: Sized {
    /// For people, in full.
    fn text(&self, args: &Args) -> Result<String>;

    /// Where its energy goes.
    fn tree(&self, args: &Args) -> Result<Tree>;

    /// Its fields, for programs.
    fn object(&self, args: &Args) -> Value;

    /// Several for people, a row each.
    fn table(args: &Args, several: &[Self]) -> String;

    /// A row each, for programs.
    fn csv(args: &Args, several: &[Self]) -> Result<String>;
}

/// Prints the forecasts, and fails if some are lacking.
pub(super) fn show<A: Answered>(args: &Args, format: TreeFormat, (answers, lacking): (Vec<A>, usize)) -> Result<()> {
    if answers.is_empty() {
        return Err(Exit::with(1));
    }
    output::write_result(args.output.output(), &text(args, &answers, format)?, format == TreeFormat::Text)?;
    if lacking > 0 { Err(Exit::with(1)) } else { Ok(()) }
}

fn text<A: Answered>(args: &Args, answers: &[A], format: TreeFormat) -> Result<String> {
    Ok(match (answers, format) {
        ([one], TreeFormat::Text) => one.text(args)?,
        (several, TreeFormat::Text) if args.shows_each() => {
            several.iter().map(|one| one.text(args)).collect::<Result<Vec<_>>>()?.join("\n")
        }
        (several, TreeFormat::Text) => A::table(args, several),
        ([one], TreeFormat::Json) => jsonl::to_json(&tree(args, one)?) + "\n",
        (several, TreeFormat::Json) => {
            output::json([("settings", several.iter().map(|answer| answer.object(args)).collect())])
        }
        (several, TreeFormat::Csv) => A::csv(args, several)?,
        ([one], TreeFormat::Dot | TreeFormat::Folded) => {
            args.output.drawn(&tree(args, one)?, format, Quantity::PredictedEnergy)
        }
        (_, TreeFormat::Dot | TreeFormat::Folded) => return not_one_tree(),
    })
}

/// The tree of one forecast, with the forecast in it.
fn tree(args: &Args, answer: &impl Answered) -> Result<Tree> {
    let mut tree = answer.tree(args)?;
    tree.extra.insert("forecast".into(), answer.object(args));
    tree.extra.insert(output::SCHEMA_FIELD.into(), output::SCHEMA_VERSION.into());
    Ok(tree)
}
