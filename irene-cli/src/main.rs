//! The `irene` command: argument parsing, progress and printing over the irene crates.

mod commands;
mod interrupt;
#[cfg(feature = "candle")]
mod journal;
mod output;

use std::process::ExitCode;

/// Keeps the pages of freed activations for the next forward pass; glibc's gives them back and has them zeroed again.
#[cfg(feature = "candle")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::{Parser, Subcommand};

use crate::commands::{
    ablate, calibrate, completions, crossvalidate, devices, doctor, evaluate, explain, explore, import, models,
    predict, report, reproduce, sample, serve, trace, train,
};

/// What a Transformer's inference costs in energy, and which part of the model spends it.
#[derive(Parser)]
#[command(name = "irene", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Models(models::Args),
    Devices(devices::Args),
    Trace(trace::Args),
    Predict(predict::Args),
    Explain(explain::Args),
    #[cfg(feature = "candle")]
    Run(commands::run::Args),
    Doctor(doctor::Args),
    Sample(sample::Args),
    #[cfg(feature = "candle")]
    Profile(commands::profile::Args),
    Import(import::Args),
    Train(train::Args),
    Calibrate(calibrate::Args),
    Evaluate(evaluate::Args),
    Crossvalidate(crossvalidate::Args),
    Ablate(ablate::Args),
    Explore(explore::Args),
    Reproduce(reproduce::Args),
    Serve(serve::Args),
    Report(report::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Models(args) => models::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Predict(args) => predict::run(&args),
        #[cfg(feature = "candle")]
        Command::Run(args) => commands::run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Sample(args) => sample::run(&args),
        #[cfg(feature = "candle")]
        Command::Profile(args) => commands::profile::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Crossvalidate(args) => crossvalidate::run(&args),
        Command::Ablate(args) => ablate::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Completions(args) => completions::run::<Cli>(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`irene trace ... | head`) is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => commands::complain(&error),
    }
}
