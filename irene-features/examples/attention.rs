//! When attention costs more than the linear layers: `cargo run -p irene-features --example attention -- HIDDEN_SIZE HEADS` counts the
//! operations of an encoder layer at growing sequence lengths, and how many FLOPs there are to each byte that is moved.
#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;

use irene_features::cost::{Cost, physical};
use irene_tree::{Format, OpKind, Operand, Operation, Shape};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1);
    let hidden = numbers.next().map_or(Ok(768), |text| text.parse())?;
    let heads: usize = numbers.next().map_or(Ok(12), |text| text.parse())?;
    if heads == 0 || hidden % heads != 0 {
        return Err(format!("{heads} heads do not divide a hidden size of {hidden}").into());
    }
    println!("{:>8}  {:>24}  {:>24}  {:>10}", "sequence", "linear layers", "attention", "attention");
    for seq_len in [128, 256, 512, 1024, 2048, 4096, 8192] {
        let (linear, attention) = (linear(seq_len, hidden), attention(seq_len, hidden, heads));
        let share = attention.flops as f64 / (attention.flops + linear.flops) as f64;
        println!("{seq_len:>8}  {}  {}  {:>8.1} %", show(linear), show(attention), 100.0 * share);
    }
    Ok(())
}

/// Query, key, value and output, and the two of the feed-forward part.
fn linear(seq_len: usize, hidden: usize) -> Cost {
    let layer = |from: usize, to: usize| {
        let parameter = |shape: Shape| Operand::parameter(shape, Format::F32);
        let inputs = [activation([1, seq_len, from]), parameter([to, from].into()), parameter([to].into())];
        Operation::new(OpKind::Linear, &inputs, activation([1, seq_len, to]))
    };
    let attention = std::iter::repeat_n(layer(hidden, hidden), 4);
    sum(attention.chain([layer(hidden, 4 * hidden), layer(4 * hidden, hidden)]))
}

fn activation(shape: impl Into<Shape>) -> Operand {
    Operand::activation(shape, Format::F32)
}

/// Scores, softmax and context.
fn attention(seq_len: usize, hidden: usize, heads: usize) -> Cost {
    let size = hidden / heads;
    let (rows, columns) = (activation([1, heads, seq_len, size]), activation([1, heads, size, seq_len]));
    let scores = activation([1, heads, seq_len, seq_len]);
    sum([
        Operation::new(OpKind::MatMul, &[rows, columns], scores),
        Operation::new(OpKind::Softmax, &[scores], scores),
        Operation::new(OpKind::MatMul, &[scores, rows], rows),
    ])
}

fn sum(operations: impl IntoIterator<Item = Operation>) -> Cost {
    operations.into_iter().map(|operation| physical(&operation)).sum()
}

fn show(cost: Cost) -> String {
    format!("{:>9.2} GFLOP {:>4.0} a byte", cost.flops as f64 / 1e9, cost.flops as f64 / cost.bytes as f64)
}
