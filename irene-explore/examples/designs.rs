//! Designs spread over a space, and what their shapes tell: `cargo run -p irene-explore --example designs -- SPACE COUNT`.
#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;

use irene_explore::{
    Describer,
    space::{DesignSpace, ModelHash, Sampling},
};
use irene_models::ModelSpec;
use irene_tree::{Quantity, Size};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let space = DesignSpace::find(&arguments.next().unwrap_or_else(|| "small".to_owned()))?;
    let count = arguments.next().map_or(Ok(6), |text| text.parse())?;
    println!("{} designs, of which", space.count());
    let designs = space.sample_balanced(Sampling::Sobol, count, 0)?;
    let describer = Describer::new(space);
    for design in designs {
        let hash = ModelHash::of(&design).to_string();
        let tree = ModelSpec::from_design(&*hash, &design)?.trace(Size::new(1, 128))?;
        let known = |quantity: Quantity| tree.root().get(quantity).ok_or_else(|| format!("{hash}: no {quantity}"));
        println!(
            "{hash}: {:>6.2} M parameters, {:>7.3} GFLOP at 1x128, embedded as {:?}",
            known(Quantity::NumParameters)? / 1e6,
            known(Quantity::Flops)? / 1e3,
            describer.describe(design)?.coordinates()
        );
    }
    Ok(())
}
