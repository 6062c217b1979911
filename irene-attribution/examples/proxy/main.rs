//! A proxy before a server with OpenAI's API (vLLM, llama.cpp, TGI ...) that tells each request's energy:
//! `cargo run --release --example proxy -- http://127.0.0.1:8000 127.0.0.1:8080 65 0.01 0.2`. The numbers are the
//! processor's thermal design power in watts, for an estimate on a machine without a meter, and the joules that are
//! expected of a token of a prompt and of one that is generated, as `irene bench` measures them.
//!
//! An answer in one piece has the energy in its headers. In a stream the headers are gone when the energy becomes known: it is in a
//! comment of the stream after its last event, which clients pass over, and in the trailers if a client accepts these (`TE: trailers`).
//! Requests that reach the server by another way are not seen, and their energy counts as that of those that are.
#![allow(clippy::print_stdout)] // the example tells where it listens

mod forward;
#[path = "../serving/mod.rs"]
mod serving;
mod stream;

use std::error::Error;

use irene_attribution::Options;
use irene_sampler::sensors::Places;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("the address of a server is missing, such as http://127.0.0.1:8000")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into()).parse()?;
    let numbers = arguments.map(|text| text.parse()).collect::<Result<Vec<f64>, _>>()?;
    let weights = forward::weights(&numbers)?.ok_or("after the address come no number, one or three")?;
    let places = Places { tdp_watts: numbers.first().copied(), ..Places::here() };
    let meter = serving::meter(&places, Options { weights, ..Options::default() })?;
    println!("http://{address} for {server}");
    serving::serve(forward::router(meter, &server), address)
}
