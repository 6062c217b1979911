//! Trees in IrEne's own CSV files.

use std::{collections::HashMap, fmt::Write};

use irene_tree::{Level, Node, Quantity, Tree};

pub(crate) const HEADER: &str = "batch_size,seq_len,flops,mem_bytes,cpu,mem,gpu,gpu_mem,gpu_clk,gpu_mem_clk,times_mean,gpu_energy_mean,energy_mean,level_name,model_name";

/// Whether code runs it, and no module.
pub(crate) fn is_operation(node: &Node) -> bool {
    ["MatMul", "Softmax"].contains(&node.instance_type())
}

/// The parts of a node's path below the model, with the lists that it is in.
pub(crate) fn as_pytorch_has_it<'a>(tree: &Tree, node: &'a Node) -> Vec<&'a str> {
    let list = if tree.root().instance_type().contains("GPT") { "h" } else { "layer" };
    let mut scope: Vec<&str> = node.scope().split('.').skip(1).collect();
    let is_index = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(at) = scope.iter().position(is_index) {
        scope.insert(at, list);
    }
    scope
}

/// The rows of a tree, in IrEne's four files.
pub(crate) fn write_csv(tree: &Tree, files: &mut HashMap<&'static str, String>) {
    for node in tree.nodes() {
        let file = match node.level() {
            Level::Model => "model",
            Level::Module => "module",
            _ if is_operation(node) => "ml2",
            _ => "ml1",
        };
        let mut scope = as_pytorch_has_it(tree, node);
        if is_operation(node) {
            scope.pop();
        }
        let name = match node.level() {
            Level::Model => tree.model_name.clone(),
            _ => format!("{}:{}", scope.join("."), node.instance_type()),
        };
        let rows = files.entry(file).or_default();
        let _ = write!(rows, "{}.0,{}.0", tree.size.sequences, tree.size.new);
        for quantity in QUANTITIES {
            let _ = write!(rows, ",{}", node.get(quantity).unwrap());
        }
        let _ = writeln!(rows, ",{name},{}", tree.model_name);
    }
}

const QUANTITIES: [Quantity; 11] = [
    Quantity::Flops,
    Quantity::MemBytes,
    Quantity::Cpu,
    Quantity::Mem,
    Quantity::Gpu,
    Quantity::GpuMem,
    Quantity::GpuClk,
    Quantity::GpuMemClk,
    Quantity::Latency,
    Quantity::GpuEnergy,
    Quantity::GroundTruthEnergy,
];
