//! The page of a model as a file: `cargo run -p irene-viz --example page -- gpt2 gpt2.html`, which a browser shows without a server.
#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;

use irene_models::ModelSpec;
use irene_regress::DeviceProfile;

const DEVICE: &str = "gtx-1080-ti";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "distilgpt2".to_owned());
    let page = irene_viz::report(
        DEVICE,
        DeviceProfile::bundled(DEVICE)?,
        &ModelSpec::find(&model)?,
        irene_tree::Size::new(1, 128),
    )?;
    match arguments.next() {
        Some(path) => std::fs::write(path, page)?,
        None => println!("a page of {} bytes; name a file to have it written", page.len()),
    }
    Ok(())
}
