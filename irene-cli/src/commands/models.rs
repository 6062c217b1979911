use anyhow::Result;
use irene_models::{ModelSpec, architectures};
use irene_tree::{Quantity, Size};

use super::FormatArgs;
use crate::{
    output,
    sheet::{Field, Format, Sheet},
};

/// Lists the built-in models
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene models
  irene models --format csv > models.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut sheet = Sheet::new([
        Field::word("model_name", "model"),
        Field::of(Quantity::NumParameters),
        Field::word("model_type", "type").rank(1),
        Field::word("class", "class").rank(2),
    ]);
    for spec in ModelSpec::builtin_names().filter_map(|name| ModelSpec::builtin(&name)) {
        let parameters = spec.trace(Size::new(1, 1))?.root().get(Quantity::NumParameters);
        let class = spec.instance_type()?;
        sheet.row([spec.name().into(), parameters.into(), spec.model_type().into(), class.into()]);
    }
    let mut out = sheet.printed(args.format.format(), "models");
    if args.format.format() == Format::Text {
        let types: Vec<_> = architectures().map(|architecture| architecture.model_type()).collect();
        out += &format!(
            "\nA directory or file with a config.json works too; its model_type may be {}.\n",
            types.join(", ")
        );
        return output::print_text(&out);
    }
    output::print(&out)
}
