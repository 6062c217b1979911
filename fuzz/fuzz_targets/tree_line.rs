//! A line of the interchange format: it comes back from a file, and every rendering takes it.
#![no_main]

use irene_tree::{Quantity, jsonl, render};

irene_fuzz::fuzz_text!(|json| {
    let Ok(tree) = jsonl::parse_tree(json, "line", 1) else { return };
    irene_fuzz::is_sound(&tree);
    render::csv(&tree);
    for quantity in [Quantity::Flops, Quantity::PredictedEnergy] {
        render::dot(&tree, quantity);
        render::folded(&tree, quantity);
    }
    irene_fuzz::is_sound(&tree.without_math());
});
