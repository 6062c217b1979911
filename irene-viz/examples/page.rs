//! The page of a model as a file: `cargo run -p irene-viz --example page -- gpt2 gpt2.html`, which a browser shows without a server.
#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;

use irene_advice::{Lookup, LookupOptions, Selection};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "distilgpt2".to_owned());
    let lookup = Lookup::new(LookupOptions { finds_files: true, ..LookupOptions::default() });
    let page = irene_viz::report(lookup, &Selection::batch(model, 1, 128))?;
    match arguments.next() {
        Some(path) => std::fs::write(path, page)?,
        None => println!("a page of {} bytes; name a file to have it written", page.len()),
    }
    Ok(())
}
