//! Shows trees as a table and as folded stacks: `cargo run -p irene-tree --example show -- TREES.jsonl`, or without a file a small
//! tree that is built here.
#![allow(clippy::print_stdout)] // what it is for

use std::path::Path;

use irene_tree::{
    Level, Quantity, Result, Size, Tree, TreeBuilder, jsonl,
    render::{Column, Table, TableOptions, folded},
};

/// The example shows the first of these that a tree has.
const SHOWN: [Quantity; 3] = [Quantity::GroundTruthEnergy, Quantity::PredictedEnergy, Quantity::Flops];

fn main() -> Result<()> {
    let trees = match std::env::args().nth(1) {
        Some(path) => jsonl::read_trees(Path::new(&path))?,
        None => vec![small()?],
    };
    for tree in &trees {
        tree.check()?;
        let Some(shown) = SHOWN.into_iter().find(|&quantity| tree.root().get(quantity).is_some()) else {
            println!("{tree}: none of {SHOWN:?} is known of it");
            continue;
        };
        let columns = vec![Column::Value(shown), Column::Share(shown), Column::Bar(shown)];
        let table = Table::new(tree, &TableOptions { columns, max_depth: usize::MAX });
        println!("{tree}\n\n{table}\n{}", folded(tree, shown));
    }
    Ok(())
}

/// A layer whose energies someone has read off a meter.
fn small() -> Result<Tree> {
    let mut builder = TreeBuilder::new("small", Size::new(1, 16));
    let energy = Quantity::GroundTruthEnergy;
    builder.enter("root", "Small", Level::Model).set(energy, 0.011);
    builder.enter("mlp", "Mlp", Level::Module).set(energy, 0.009);
    builder.leaf("up", "Linear", Level::Ml, None).set(energy, 0.004);
    builder.leaf("down", "Linear", Level::Ml, None).set(energy, 0.0045);
    builder.leave();
    builder.leaf("norm", "LayerNorm", Level::Ml, None).set(energy, 0.0015);
    builder.leave();
    builder.finish()
}
