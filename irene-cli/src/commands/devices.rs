use std::fmt::Write;

use anyhow::Result;
use irene_regress::DeviceProfile;

use crate::output;

/// Lists the shipped device profiles and what they were made from
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene devices")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let mut out = String::new();
    for name in DeviceProfile::bundled_names() {
        let profile = DeviceProfile::bundled(name)?;
        let made_from = &profile.provenance;
        writeln!(out, "{name}")?;
        writeln!(out, "  device         {}", made_from.device)?;
        writeln!(out, "  predictor      {}", profile.predictor.summary())?;
        writeln!(out, "  training data  {}", made_from.training_data)?;
        let precisions: Vec<String> = made_from.precisions.iter().map(ToString::to_string).collect();
        writeln!(out, "  precision      {}", precisions.join("; "))?;
        writeln!(out, "  digest         sha256 {}", made_from.digest)?;
        writeln!(out, "  trained by     {}", made_from.trained_by)?;
    }
    output::print(&out)
}
