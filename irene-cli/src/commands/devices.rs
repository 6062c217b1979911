use anyhow::Result;
use irene_regress::DeviceProfile;
use irene_tree::render::{Grid, Heading};

use super::FormatArgs;
use crate::{
    output,
    sheet::{Field, Format, Sheet},
};

/// Lists the shipped device profiles and what they were made from
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene devices
  irene devices --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

/// The fields of a profile: their names in the data, and their titles.
const FIELDS: [(&str, &str); 7] = [
    ("name", "name"),
    ("device", "device"),
    ("predictor", "predictor"),
    ("training_data", "training data"),
    ("precision", "precision"),
    ("digest", "sha256"),
    ("trained_by", "trained by"),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut sheet = Sheet::new(FIELDS.map(|(key, title)| Field::word(key, title)));
    let mut blocks = Vec::new();
    for name in DeviceProfile::bundled_names() {
        let profile = DeviceProfile::bundled(name)?;
        let made_from = &profile.provenance;
        let precisions: Vec<String> = made_from.precisions.iter().map(ToString::to_string).collect();
        let values = [
            name.to_owned(),
            made_from.device.clone(),
            profile.predictor.summary(),
            made_from.training_data.clone(),
            precisions.join("; "),
            made_from.digest.clone(),
            made_from.trained_by.clone(),
        ];
        let mut block = Grid::new([Heading::left(""), Heading::left("")]);
        for ((_, title), value) in FIELDS.iter().zip(&values) {
            block.row([*title, value]);
        }
        blocks.push(block.text(output::width()));
        sheet.row(values.map(Into::into));
    }
    output::print(&match args.format.format() {
        Format::Text => blocks.join("\n"),
        format => sheet.printed(format, "devices"),
    })
}
