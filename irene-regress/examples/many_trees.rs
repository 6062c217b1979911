//! Measured trees as many as asked for: BERTs and GPT-2s of random widths and depths at random sizes, with the figures that a bundled
//! profile predicts and noise on them. `cargo run -p irene-regress --example many_trees -- 1000000 > trees.jsonl` writes a million nodes.
#![allow(clippy::print_stderr)] // how to use it

use std::io::{BufWriter, Write};

use irene_models::ModelSpec;
use irene_regress::DeviceProfile;
use irene_tree::{Node, Quantity, Size, Tree, jsonl};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The spread of a measurement, as a share.
const NOISE: f64 = 0.01;

fn main() -> Result<()> {
    let Some(nodes) = std::env::args().nth(1).and_then(|nodes| nodes.parse::<usize>().ok()) else {
        eprintln!("usage: many_trees NODES > trees.jsonl");
        std::process::exit(2);
    };
    let profile = DeviceProfile::bundled(DeviceProfile::DEFAULT_DEVICE)?;
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut writer = BufWriter::new(std::io::stdout().lock());
    let (mut written, mut trees) = (0, 0);
    while written < nodes {
        let spec = model(trees, &mut random)?;
        // Each model is measured at a few sizes, of different batches.
        let first = below(7, &mut random);
        for step in 0..4 {
            let size = Size::new(1 << ((first + step) % 7), 16 * (1 + below(32, &mut random)));
            let mut tree = spec.trace(size)?.without_math();
            profile.predict(&mut tree)?;
            measure(&mut tree, &mut random);
            jsonl::write_trees(&mut writer, [&tree])?;
            written += tree.nodes().len();
            trees += 1;
        }
    }
    writer.flush()?;
    eprintln!("{written} nodes of {trees} trees");
    Ok(())
}

fn below(count: u64, random: &mut Pcg64Mcg) -> usize {
    (random.next_u64() % count) as usize
}

/// A model with a name of its own.
fn model(place: usize, random: &mut Pcg64Mcg) -> Result<ModelSpec> {
    let (heads, layers) = (1 + below(16, random), 1 + below(24, random));
    let width = 64 * heads;
    let config = if below(2, random) == 0 {
        format!(
            r#"{{"model_type": "bert", "hidden_size": {width}, "num_hidden_layers": {layers}, "num_attention_heads": {heads},
                "intermediate_size": {}, "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}}"#,
            4 * width
        )
    } else {
        format!(
            r#"{{"model_type": "gpt2", "n_embd": {width}, "n_layer": {layers}, "n_head": {heads}, "vocab_size": 50257,
                "n_positions": 1024}}"#
        )
    };
    Ok(ModelSpec::from_reader(&format!("made-up-{place}"), config.as_bytes())?)
}

/// Turns predictions into measurements.
fn measure(tree: &mut Tree, random: &mut Pcg64Mcg) {
    let mut noisy = |figure: Option<f64>| Some(figure? * (NOISE * normal(random)).exp());
    let measured: Vec<[Option<f64>; 3]> = tree
        .nodes()
        .iter()
        .map(|node: &Node| {
            [Quantity::PredictedLatency, Quantity::PredictedGpuEnergy, Quantity::PredictedEnergy]
                .map(|quantity| noisy(node.get(quantity)))
        })
        .collect();
    tree.clear_predictions();
    tree.extra.shift_remove("predictor");
    for (node, figures) in tree.nodes_mut().iter_mut().zip(measured) {
        for (quantity, figure) in
            [Quantity::Latency, Quantity::GpuEnergy, Quantity::GroundTruthEnergy].into_iter().zip(figures)
        {
            figure.into_iter().for_each(|figure| node.set(quantity, figure));
        }
    }
}

/// Nearly normal: the sum of twelve uniform numbers, less its mean.
fn normal(random: &mut Pcg64Mcg) -> f64 {
    (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
}
