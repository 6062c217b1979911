use std::fmt::Write;

use anyhow::Result;
use irene_tree::render::Grid;

use crate::{output, settings};

/// Shows which configuration file is read, and what it may hold
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene config")]
pub(crate) struct Args {}

/// The keys, each with an example.
const KEYS: [(&str, &str); 8] = [
    ("device = \"gtx-1070\"", "a device of `irene devices`"),
    ("predictor = \"lab.safetensors\"", "a predictor file beside this one, in place of a device"),
    ("price_per_kwh = 0.1319", "USD"),
    ("grid_intensity = 400", "g CO2e per kWh"),
    ("format = \"text\"", "text, json or csv"),
    ("color = \"auto\"", "auto, always or never"),
    ("unfold = false", "equal layers one by one"),
    ("top = 10", "instance types in the table of bottlenecks"),
];

pub(crate) fn run(_args: &Args) -> Result<()> {
    let mut out = String::new();
    match settings::path() {
        None => out += "no configuration file: IRENE_CONFIG is empty, or there is no home\n",
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => {
                settings::load()?;
                writeln!(out, "{}\n\n{}", path.display(), text.trim_end())?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                writeln!(out, "{}, which is not there", path.display())?;
            }
            Err(error) => writeln!(out, "{}, which cannot be read: {error}", path.display())?,
        },
    }
    out += "\nIt may hold these keys; an option on the command line wins. IRENE_CONFIG names another file.\n\n";
    let mut keys = Grid::pairs();
    KEYS.iter().for_each(|(key, meaning)| keys.row([(*key).to_owned(), format!("# {meaning}")]));
    output::print_text(&(out + &keys.text(output::width())))
}
