use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::{help, output};

/// Prints the manual page, or writes one for each command
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene man > irene.1
  irene man -o man1")]
pub(crate) struct Args {
    /// Write irene.1, irene-predict.1 ... here
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) -> Result<()> {
    let Some(folder) = &args.output else {
        let mut page = Vec::new();
        Man::new(help::command::<C>()).render(&mut page)?;
        return output::print(&String::from_utf8_lossy(&page));
    };
    output::make_folder(folder)?;
    clap_mangen::generate_to(help::command::<C>(), folder).with_context(|| folder.display().to_string())?;
    output::tell(&format!("written to {}", folder.display()));
    Ok(())
}
