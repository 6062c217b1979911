use std::fmt::Write;

use crate::{Quantity, Tree};

/// The tree as folded stacks (`root;encoder;0;attention 1234`), which flame graph tools read.
///
/// A line's number is the node's own part (its value less its children's) in one run of the whole, rounded to nJ, ns, FLOPs, bytes or
/// the quantity's unit. A node has no line if its value is unknown, or its own part is zero or, by measuring error, negative.
pub fn folded(tree: &Tree, shown: Quantity) -> String {
    let scale = match shown.unit() {
        "J" | "s" => 1e9,
        "MFLOP" => 1e6,
        "MiB" => 1024.0 * 1024.0,
        _ => 1.0,
    };
    let mut out = String::new();
    for id in tree.ids() {
        let known = tree.children(id).map(|child| tree.node(child));
        let children: f64 = known.filter_map(|child| Some(tree.weight(shown, child.times()) * child.get(shown)?)).sum();
        if let Some(value) = tree.node(id).get(shown) {
            let own = ((value - children) * tree.weight(shown, tree.runs(id)) * scale).round();
            if own >= 1.0 {
                let stack = tree.node(id).scope().replace(';', ":").replace('.', ";");
                let _ = writeln!(out, "{stack} {own:.0}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, Size, TreeBuilder};

    #[test]
    fn flops_and_bytes_are_counted_one_by_one() {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        let root = builder.leaf("root", "Linear", Level::Ml, None);
        for (quantity, value) in [(Quantity::Flops, 1.5), (Quantity::MovedBytes, 1.5), (Quantity::Kernels, 3.0)] {
            root.set(quantity, value);
        }
        let tree = builder.finish().unwrap();
        assert_eq!(folded(&tree, Quantity::Flops), "root 1500000\n");
        assert_eq!(folded(&tree, Quantity::MovedBytes), "root 1572864\n");
        assert_eq!(folded(&tree, Quantity::Kernels), "root 3\n");
    }
}
