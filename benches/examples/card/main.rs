//! Measures one accelerator in ten minutes: whether models compute on it what they should, its idle power, what nodes of models take, and the
//! constants of its products. It changes no setting of the card unless `--power-limit` asks for that.
//!
//! ```sh
//! cargo build --release --features cuda -p irene-cli -p irene-benches --bin irene --example card
//! target/release/examples/card OUT --device cuda --meter nvml --seconds 540
//! target/release/examples/card OUT --device cpu --meter auto --seconds 60 # tries the program itself
//! ```
//!
//! | file in OUT | what it holds |
//! |---|---|
//! | `card.json` | device, driver, date, idle power, what went wrong |
//! | `parity.csv` | each checkpoint of irene-models/tests/fixtures against what transformers computed, in f32 and bf16 |
//! | `profile.jsonl` files | BERT-base and a model with Llama-3.2-1B's shape: every node, prompt and step, eager and fused |
//! | `operations.csv` | products by size and format: time, energy, power; `irene operations` predicts them beside |
//! | `constants.json` | peak, bandwidth, launch, static power, energy a FLOP and a byte that fit these products |
//! | `capped.csv` | the products again below the power limit that was asked for |
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what it is for; what cannot be set up should stop, and say so

mod constants;
mod parity;
mod products;
mod setup;

use std::process::ExitCode;

use serde_json::{Value, json};

use setup::{Setup, write};

fn main() -> ExitCode {
    let setup = Setup::from_arguments();
    let mut card = setup.describe();
    let sampler = setup.sampler();
    card["idle_w"] = setup.idle_watts(&sampler).map_or(Value::Null, Value::from);
    let mut troubles = Vec::new();

    let parity = parity::check(&setup);
    troubles.extend(parity.iter().filter(|row| !row.is_within()).map(parity::Row::to_string));
    write(&setup.out.join("parity.csv"), &parity::table(&parity));

    let products = products::sweep(&setup, &sampler, 0.4);
    write(&setup.out.join("operations.csv"), &products::table(&setup, &products));
    write(&setup.out.join("constants.json"), &format!("{:#}\n", json!(constants::of(&products))));

    if let Some(watts) = setup.power_limit {
        match setup.with_power_limit(watts, || products::sweep(&setup, &sampler, 0.1)) {
            Ok(capped) => write(&setup.out.join("capped.csv"), &products::table(&setup, &capped)),
            Err(trouble) => troubles.push(trouble),
        }
    }
    drop(sampler);
    troubles.extend(setup.profile_models());

    troubles.iter().for_each(|trouble| println!("{trouble}"));
    card["troubles"] = json!(troubles);
    write(&setup.out.join("card.json"), &format!("{card:#}\n"));
    println!("{} troubles; all is in {}", troubles.len(), setup.out.display());
    if parity.iter().all(parity::Row::is_within) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
