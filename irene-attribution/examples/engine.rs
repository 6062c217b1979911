//! An engine that steps many sequences in one thread, as servers with continuous batching do, and logs each request's energy as JSON:
//! `cargo run --release --example engine -- 65`, where 65 is the processor's thermal design power in watts, for an estimate on a machine
//! without a meter.
#![allow(clippy::print_stdout)] // what it is for

use std::{error::Error, sync::Arc, thread, time::Duration};

use irene_attribution::{Meter, Options, Request, Share, Weights};
use irene_sampler::{
    Pending, Sampler, SamplerOptions,
    sensors::{Places, Selection},
};

/// A request that runs.
struct Sequence {
    request: Request,
    /// Tokens that are still to come.
    left: usize,
    is_read: bool,
}

struct Engine {
    meter: Meter,
    running: Vec<Sequence>,
    ended: Vec<Pending<Share>>,
}

impl Engine {
    /// Takes a request with so many tokens in its prompt, of which the prefix cache has some.
    fn admit(&mut self, prompt: u64, cached: u64, generate: usize) {
        let request = self.meter.begin("my-llama");
        request.prompt(prompt);
        request.prompt_cached(cached);
        self.running.push(Sequence { request, left: generate, is_read: false });
    }

    /// One forward pass: the prompts of new sequences, and the next token of each.
    fn step(&mut self) {
        for sequence in &mut self.running {
            // It may have waited for a place since it was taken.
            if !std::mem::replace(&mut sequence.is_read, true) {
                sequence.request.prompt_started();
            }
        }
        thread::sleep(Duration::from_millis(20)); // where the model works
        for sequence in &mut self.running {
            sequence.request.tokens(1);
            sequence.left = sequence.left.saturating_sub(1);
        }
        let over = self.running.extract_if(.., |sequence| sequence.left == 0);
        self.ended.extend(over.map(|sequence| sequence.request.end()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let tdp_watts = std::env::args().nth(1).map(|text| text.parse()).transpose()?;
    let found = Selection::automatic(&Places { tdp_watts, ..Places::here() });
    let options = SamplerOptions { period: Duration::from_millis(10), ..SamplerOptions::default() };
    let sampler = Arc::new(Sampler::start(found.sensors, options)?);
    // Joules that are expected of a token of a prompt and of one that is generated; only their proportion matters.
    let weights = Weights::new(0.002, 0.3)?;
    let meter = Meter::new(sampler, Options { weights, ..Options::default() })?;
    let mut engine = Engine { meter, running: Vec::new(), ended: Vec::new() };
    for (prompt, cached) in [(600, 0), (40, 0), (8050, 8000)] {
        engine.admit(prompt, cached, 16);
    }
    while !engine.running.is_empty() {
        engine.step();
    }
    // A server leaves this to a thread or a task of its own.
    for pending in &engine.ended {
        if let Some(share) = pending.wait(Duration::from_secs(5)) {
            println!("{}", serde_json::to_string(&share)?);
        }
    }
    Ok(())
}
