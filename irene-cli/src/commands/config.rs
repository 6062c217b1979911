use std::fmt::Write;

use anyhow::Result;

use crate::{output, settings};

/// Says which configuration file is read, and what it may hold
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene config")]
pub(crate) struct Args {}

/// The keys, each with an example.
const KEYS: &str = "\
device = \"gtx-1070\"         # a shipped device profile
predictor = \"lab.safetensors\" # a predictor file, in place of a device
price_per_kwh = 0.1319      # USD
grid_intensity = 400        # g CO2e per kWh
format = \"text\"             # text, json or csv
color = \"auto\"              # auto, always or never
unfold = false              # equal layers one by one
top = 10                    # instance types in the table of bottlenecks
";

pub(crate) fn run(_args: &Args) -> Result<()> {
    let mut out = String::new();
    match settings::path() {
        None => out += "no configuration file: IRENE_CONFIG is empty, or there is no home\n",
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => {
                settings::load()?;
                writeln!(out, "{}\n\n{}", path.display(), text.trim_end())?;
            }
            Err(error) => writeln!(out, "{}: {error}", path.display())?,
        },
    }
    writeln!(out, "\nIt may hold, each as on the command line, which wins:\n\n{KEYS}")?;
    out += "IRENE_CONFIG names another file.\n";
    output::print(&out)
}
