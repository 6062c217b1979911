//! Joules of a request to a model on a device that is known by its data sheet, before anything is deployed:
//! `cargo run -p irene-predict --example request -- Llama-3.1-8B h100-sxm`. A model is a built-in name, or the path of a config.json or of a
//! GGUF file.

#![allow(clippy::print_stdout)] // an example may print

use irene_predict::{Catalogue, Error, Law, Load, ModelSpec, Request, forecast, usual_engine};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let model = ModelSpec::find(&arguments.next().unwrap_or_else(|| "Llama-3.1-8B".into()))?;
    let device = Catalogue::find(&arguments.next().unwrap_or_else(|| "h100-sxm".into()))?;
    let engine = usual_engine(&model, &device)?;
    // Prompts of 512 tokens, 128 generated for each, 8 requests at once.
    let request = Request::new(&model, &device, engine, Load::Concurrency(8.0), 512, 128)?;
    let found = forecast(&model, &device, engine, &request, Law::shipped())?;
    let [low, high] = found.interval.map(|end| end.energy_per_request_j);
    println!("{:.1} J a request ({low:.1} to {high:.1}), {}", found.figures.energy_per_request_j, found.provenance);
    if let Some(token) = found.token {
        println!("{:.2} J its prompt, {:.0} mJ each further token", found.prompt.joules, 1e3 * token.joules);
    }
    found.notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}
