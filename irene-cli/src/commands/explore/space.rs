use std::fmt::Display;

use anyhow::Result;
use irene_explore::space::DesignSpace;
use serde_json::{Map, Value, json};

use crate::{
    commands::FormatArgs,
    output,
    sheet::{Field, Format, Sheet},
};

/// Shows a design space and how many designs it has
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore space
  irene explore space small --format json")]
pub(crate) struct Args {
    /// flexibert (the published one), small, or a YAML file
    #[arg(default_value = "flexibert")]
    space: String,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let space = DesignSpace::find(&args.space)?;
    match args.format.format() {
        Format::Json => output::print(&output::json(json(space))),
        format => output::print(&sheet(&space).printed(format, "space")),
    }
}

fn sheet(space: &DesignSpace) -> Sheet {
    let count = space.count();
    // A longer number is for json.
    let designs = if count.as_u64().is_some() { count.to_string() } else { format!("10^{:.3}", count.log10()) };
    let mut sheet = Sheet::new([Field::word("dimension", ""), Field::word("choices", "")]);
    for (what, choices) in [
        ("layers", listed(&space.layers)),
        ("hidden sizes", listed(&space.hidden)),
        ("numbers of heads", listed(&space.heads)),
        ("heads", listed(&space.operations)),
        ("feed-forward widths", listed(&space.feed_forward)),
        ("stacked feed-forwards", listed(&space.stacks)),
        ("numbers in embedding", space.embedding_len().to_string()),
        ("designs", designs),
    ] {
        sheet.row([what.into(), choices.into()]);
    }
    sheet
}

fn listed<T: Display>(choices: &[T]) -> String {
    choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn json(space: DesignSpace) -> Map<String, Value> {
    let (count, log10) = (space.count().to_string(), space.count().log10());
    let mut value = Value::from(space);
    value["designs"] = json!(count);
    value["designs_log10"] = json!(log10);
    if let Value::Object(fields) = value { fields } else { Map::new() }
}
