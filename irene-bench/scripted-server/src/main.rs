//! A scripted server at an address, until it is stopped.
#![allow(clippy::print_stdout)] // what it prints is its output

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use irene_scripted_server::{Fault, Misdeed, Script, ScriptedServer};

/// A server of language models whose energy is known
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// Where the counter of energy is, in place of /sys
    #[arg(long)]
    sys: PathBuf,
    /// J for each token of a prompt
    #[arg(long, default_value = "0.001")]
    joules_per_prompt_token: f64,
    /// J for each generated token
    #[arg(long, default_value = "0.02")]
    joules_per_token: f64,
    /// J for each step, shared by those that run
    #[arg(long, default_value = "0")]
    joules_per_step: f64,
    /// W at all times
    #[arg(long, default_value = "2")]
    idle_watts: f64,
    /// s for each token of a prompt
    #[arg(long, default_value = "0.00002")]
    seconds_per_prompt_token: f64,
    /// s for each step
    #[arg(long, default_value = "0.002")]
    seconds_per_step: f64,
    /// s that each running sequence adds to a step
    #[arg(long, default_value = "0.00002")]
    seconds_per_sequence: f64,
    /// Each so-manieth request fails with status 500
    #[arg(long)]
    fail_every: Option<usize>,
    /// Each so-manieth request is cut off after two tokens
    #[arg(long)]
    disconnect_every: Option<usize>,
    /// Each so-manieth request comes in pieces
    #[arg(long)]
    slow_every: Option<usize>,
    /// The name of its model
    #[arg(long, default_value = "scripted")]
    model: String,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let faults = [
        (args.fail_every, Misdeed::Status(500)),
        (args.disconnect_every, Misdeed::Disconnect(2)),
        (args.slow_every, Misdeed::Slow(Duration::from_micros(100))),
    ];
    // The first few requests are a client's questions about the server.
    let faults = faults.into_iter().filter_map(|(every, misdeed)| Some(Fault::every(every?, 10, misdeed)));
    let script = Script {
        joules_per_prompt_token: args.joules_per_prompt_token,
        joules_per_token: args.joules_per_token,
        joules_per_step: args.joules_per_step,
        idle_watts: args.idle_watts,
        seconds_per_prompt_token: args.seconds_per_prompt_token,
        seconds_per_step: args.seconds_per_step,
        seconds_per_sequence: args.seconds_per_sequence,
        model: args.model,
        faults: faults.collect(),
        ..Script::default()
    };
    let server = ScriptedServer::start_at(script, &args.sys, args.address)?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}
