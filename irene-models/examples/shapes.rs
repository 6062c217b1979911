//! Counts the built-in models by their shapes alone: `cargo run -p irene-models --example shapes -- BATCH_SIZE SEQ_LEN`
//! follows each by shape alone, without weights and without an ML framework.
#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;

use irene_models::ModelSpec;
use irene_tree::{Quantity, Size};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1);
    let batch_size = numbers.next().map_or(Ok(1), |text| text.parse())?;
    let seq_len = numbers.next().map_or(Ok(128), |text| text.parse())?;
    println!("{:36} {:>6} {:>12} {:>10} {:>8}", "model", "nodes", "parameters", "GFLOP", "kernels");
    for name in ModelSpec::builtin_names() {
        let tree = ModelSpec::find(&name)?.trace(Size::new(batch_size, seq_len))?;
        let known = |quantity: Quantity| tree.root().get(quantity).ok_or_else(|| format!("{name}: no {quantity}"));
        println!(
            "{name:36} {:>6} {:>12} {:>10.3} {:>8}",
            tree.nodes().len(),
            known(Quantity::NumParameters)?,
            known(Quantity::Flops)? / 1e3,
            known(Quantity::Kernels)?
        );
    }
    Ok(())
}
