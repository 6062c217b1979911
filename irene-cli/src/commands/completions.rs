use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::{help, output};

/// Prints a shell's completion script
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene completions bash > ~/.local/share/bash-completion/completions/irene")]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command::<C>(), "irene", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
