use std::fmt::{Display, Write};

use anyhow::Result;
use irene_explore::space::DesignSpace;
use serde_json::{Value, json};

use super::Format;
use crate::output;

/// Shows a design space and how many designs it has
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore space
  irene explore space small --format json")]
pub(crate) struct Args {
    /// flexibert (the published one), small, or a YAML file
    #[arg(default_value = "flexibert")]
    space: String,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let space = DesignSpace::find(&args.space)?;
    output::print(&match args.format {
        Format::Text => text(&space)?,
        Format::Json => json(space).to_string() + "\n",
    })
}

fn text(space: &DesignSpace) -> Result<String> {
    let mut out = String::new();
    let mut line = |what: &str, choices: String| writeln!(out, "{what:22} {choices}");
    line("layers", listed(&space.layers))?;
    line("hidden sizes", listed(&space.hidden))?;
    line("numbers of heads", listed(&space.heads))?;
    line("heads", listed(&space.operations))?;
    line("feed-forward widths", listed(&space.feed_forward))?;
    line("stacked feed-forwards", listed(&space.stacks))?;
    line("numbers in embedding", space.embedding_len().to_string())?;
    let count = space.count();
    let about = if count.as_u64().is_some() { String::new() } else { format!(" (10^{:.3})", count.log10()) };
    line("designs", format!("{count}{about}"))?;
    Ok(out)
}

fn listed<T: Display>(choices: &[T]) -> String {
    choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn json(space: DesignSpace) -> Value {
    let (count, log10) = (space.count().to_string(), space.count().log10());
    let mut value = Value::from(space);
    value["designs"] = json!(count);
    value["designs_log10"] = json!(log10);
    value
}
