use std::fmt::Write;

use anyhow::Result;
use irene_models::{ARCHITECTURES, ModelSpec};
use irene_tree::{Quantity, Size, render};

use crate::output;

/// Lists the built-in models
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene models")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let names: Vec<String> = ModelSpec::builtin_names().collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut out = format!("{:width$}  {:>10}  {:<10}  class\n", "model", "parameters", "type");
    for name in &names {
        let spec = ModelSpec::find(name)?;
        let tree = spec.trace(Size::new(1, 1))?;
        let parameters = tree.root().get(Quantity::NumParameters).map(|n| render::quantity(Quantity::NumParameters, n));
        let class = spec.instance_type()?;
        writeln!(out, "{name:width$}  {:>10}  {:<10}  {class}", parameters.unwrap_or_default(), spec.model_type())?;
    }
    let types: Vec<_> = ARCHITECTURES.iter().map(|architecture| architecture.model_type()).collect();
    writeln!(out, "\nA directory or file with a config.json works too; its model_type may be {}.", types.join(", "))?;
    output::print(&out)
}
