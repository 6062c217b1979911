//! A service that runs a model on candle and tells each request's energy, in its answer's body and headers:
//! `cargo run --release --example candle_service -- 127.0.0.1:8080 65`, where 65 is the processor's thermal design power in watts, for an
//! estimate on a machine without a meter. Then
//!
//! ```sh
//! curl -i 127.0.0.1:8080/v1/completions -d '{"prompt": "Once upon a time", "max_tokens": 32}' -H 'content-type: application/json'
//! curl 127.0.0.1:8080/metrics
//! ```
#![allow(clippy::print_stdout)] // the example tells where it listens

mod service;
#[path = "../serving/mod.rs"]
mod serving;

use std::error::Error;

use irene_attribution::Options;
use irene_sampler::sensors::Places;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into()).parse()?;
    let tdp_watts = arguments.next().map(|text| text.parse()).transpose()?;
    let meter = serving::meter(&Places { tdp_watts, ..Places::here() }, Options::default())?;
    println!("http://{address}");
    serving::serve(service::router(meter)?, address)
}
