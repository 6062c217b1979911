//! The `irene` command: argument parsing, progress and printing over the irene crates.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod commands;
mod help;
mod input;
mod interrupt;
#[cfg(feature = "candle")]
mod journal;
mod output;
mod parquet;
mod settings;
mod sheet;

use std::{process::ExitCode, sync::LazyLock};

use anyhow::Result;

/// Keeps the pages of freed activations for the next forward pass; glibc's gives them back and has them zeroed again.
#[cfg(feature = "candle")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::{
    FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    commands::{
        advice, bench, calibrate, completions, config, crossvalidate, devices, doctor, evaluate, explain, explore,
        import, man, models, operations, predict, report, reproduce, sample, serve, trace, train,
    },
    settings::Color,
};

/// The version and the features of this build: `irene -V` prints the first alone.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let features = [
        (cfg!(feature = "candle"), "candle"),
        (cfg!(feature = "cuda"), "cuda"),
        (cfg!(feature = "hub"), "hub"),
        (cfg!(feature = "metal"), "metal"),
        (cfg!(feature = "nvml"), "nvml"),
        (cfg!(feature = "parquet"), "parquet"),
        (cfg!(feature = "text"), "text"),
    ];
    let built: Vec<&str> = features.iter().filter(|(is_built, _)| *is_built).map(|(_, name)| *name).collect();
    let built = if built.is_empty() { "no features".to_owned() } else { built.join(", ") };
    format!("{} ({built})", env!("CARGO_PKG_VERSION"))
});

/// What a Transformer's inference costs in energy, and which part of the model spends it.
#[derive(Parser)]
#[command(name = "irene", version, long_version = BUILD.as_str(), max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Defaults of options may stand in a configuration file; `irene config` says in which.")]
struct Cli {
    /// When output has colours [default: auto]
    #[arg(long, value_name = "WHEN", value_enum, global = true, hide_possible_values = true, display_order = 900)]
    color: Option<Color>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Models(models::Args),
    Devices(devices::Args),
    Trace(trace::Args),
    Predict(Box<predict::Args>),
    Whatif(Box<advice::whatif::Args>),
    Suggest(Box<advice::suggest::Args>),
    Plan(Box<advice::plan::Args>),
    Operations(operations::Args),
    Explain(explain::Args),
    #[cfg(feature = "candle")]
    Run(commands::run::Args),
    Doctor(doctor::Args),
    Sample(sample::Args),
    Bench(Box<bench::Args>),
    #[cfg(feature = "candle")]
    Profile(commands::profile::Args),
    Import(import::Args),
    Train(train::Args),
    Calibrate(calibrate::Args),
    Evaluate(evaluate::Args),
    Crossvalidate(crossvalidate::Args),
    Explore(explore::Args),
    Reproduce(reproduce::Args),
    Serve(serve::Args),
    Report(report::Args),
    Config(config::Args),
    Man(man::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let parsed = help::command::<Cli>().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| plain_tips(error).exit());
    let code = match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`irene trace ... | head`) is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => commands::complain(&error),
    };
    interrupt::exit_code().map_or(code, ExitCode::from)
}

/// Options with two names: that of their field, which clap's errors have, and the other.
const OTHER_NAMES: [(&str, &str); 2] = [("--seq-len", "--prompt"), ("--batch-size", "--sequences")];

/// The error with the names of options as they were typed.
fn as_typed(mut error: clap::Error) -> clap::Error {
    let typed: Vec<String> = std::env::args_os().filter_map(|arg| arg.into_string().ok()).collect();
    let is_typed = |name: &str| typed.iter().any(|arg| arg.split('=').next() == Some(name));
    for (own, other) in OTHER_NAMES.into_iter().filter(|&(own, other)| is_typed(other) && !is_typed(own)) {
        let renamed = |text: &str| text.replace(&format!("{own} "), &format!("{other} "));
        for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
            let value = match error.get(kind) {
                Some(ContextValue::String(text)) => ContextValue::String(renamed(text)),
                Some(ContextValue::Strings(texts)) => {
                    ContextValue::Strings(texts.iter().map(|text| renamed(text)).collect())
                }
                _ => continue,
            };
            error.insert(kind, value);
        }
    }
    error
}

/// The error without clap's tip to write `-- --flag`: no argument of ours begins with a dash. A long value is shown in short.
fn plain_tips(error: clap::Error) -> clap::Error {
    let mut error = as_typed(error);
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let value = output::readable(value);
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested)
    {
        tips.retain(|tip| !tip.to_string().contains("-- "));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}

fn run(cli: Cli) -> Result<()> {
    // A file with a fault keeps nobody from asking where it is.
    let needs_no_settings = matches!(cli.command, Command::Config(_) | Command::Man(_) | Command::Completions(_));
    let color = if needs_no_settings { None } else { settings::load()?.color };
    cli.color.or(color).unwrap_or(Color::Auto).apply();
    match cli.command {
        Command::Models(args) => models::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Whatif(args) => advice::whatif::run(&args),
        Command::Suggest(args) => advice::suggest::run(&args),
        Command::Plan(args) => advice::plan::run(&args),
        Command::Operations(args) => operations::run(&args),
        #[cfg(feature = "candle")]
        Command::Run(args) => commands::run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "candle")]
        Command::Profile(args) => commands::profile::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Crossvalidate(args) => crossvalidate::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Man(args) => man::run::<Cli>(&args),
        Command::Completions(args) => completions::run::<Cli>(&args),
    }
}
