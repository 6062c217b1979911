use std::path::PathBuf;

use anyhow::{Result, bail};
use irene_regress::{DeviceProfile, Provenance};
use irene_tree::Quantity;

use super::{
    UNNAMED,
    method::{self, MethodArgs},
    trees::TreeFile,
};
use crate::output;

/// Trains a predictor on measured trees
///
/// The file may be larger than memory: it is read several times, tree by tree.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene train device_1.jsonl -o mine.safetensors --method specs --name my-gpu
  irene train device_1.jsonl -o paper.safetensors --method irene --strategy end2end --features all")]
pub(crate) struct Args {
    /// Trees with ground truth
    data: PathBuf,
    #[command(flatten)]
    method: MethodArgs,
    /// The machine that the data was measured on, for the file's provenance
    #[arg(long, value_name = "NAME", default_value = UNNAMED)]
    name: String,
    /// The machine's device memory, GiB: models that need more get a warning
    #[arg(long, value_name = "GIB", value_parser = super::numbers::gib)]
    memory_gib: Option<f64>,
    /// The predictor file to write
    #[arg(short, long, value_name = "FILE", value_parser = output::text_file())]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    output::check_apart(&[Some(args.output.as_path())], &[Some(args.data.as_path())])?;
    let chosen = args.method.chosen()?;
    let file = TreeFile::open(&args.data)?;
    if file.has_partly_measured_steps_alone
        && let Some(method) = chosen.needs_latencies()
    {
        bail!(
            "{}: steps of training have nodes that are never measured alone, whose latencies --method {method} would need for \
             every prediction; use --method specs",
            args.data.display()
        );
    }
    let (trainer, _) = chosen.trainer(&file)?;
    let predictor = trainer.train_on(&file);
    let predictor = file.completion.explained(&args.data, predictor.map_err(method::needs))?;
    let profile = DeviceProfile {
        predictor,
        provenance: Provenance { memory_gib: args.memory_gib, ..Provenance::of(&args.name, &file)? },
    };
    let bytes = profile.to_bytes()?;
    output::write_bytes(&args.output, &bytes)?;
    output::tell(&format!(
        "{}, trained on {}, written to {}",
        profile.predictor.summary(),
        profile.provenance.training_data,
        args.output.display()
    ));
    super::tell_of_training(&profile.provenance);
    tell_of_few_trees(&profile, file);
    Ok(())
}

/// Says what few trees do not tell.
fn tell_of_few_trees(profile: &DeviceProfile, file: TreeFile) {
    /// With fewer models at a size, a profile that is carried over has smaller errors and narrower intervals (docs/calibrating.md).
    const FEW: usize = 10;
    if file.is_of_one_model {
        output::tell(
            "all trees are of one model; to predict others, `irene calibrate` carries a shipped profile over by these trees",
        );
    }
    let Some(mut tree) = file.first.filter(|_| file.settings < FEW) else { return };
    if profile.predict(&mut tree).is_err() {
        return;
    }
    if let Some(reason) = profile.without_interval(&tree) {
        output::tell(reason);
    } else if tree.root().get(Quantity::PredictedLow).is_some() && !file.is_of_one_model {
        output::tell(&format!(
            "{} models at a size are few: intervals are wide, and a shipped profile carried over by these trees is mostly \
             nearer (irene calibrate)",
            file.settings
        ));
    }
}
