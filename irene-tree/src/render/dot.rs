use std::fmt::Write;

use super::number;
use crate::{Quantity, Tree};

/// The tree in Graphviz's language, each node with the value of all its runs and shaded by its share of the root's.
///
/// `dot -Tsvg` draws it.
pub fn dot(tree: &Tree, shown: Quantity) -> String {
    let mut out =
        String::from("digraph tree {\n  rankdir=LR;\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n");
    for id in tree.ids() {
        let node = tree.node(id);
        let mut label = format!("{}\\n{}", escaped(node.name()), escaped(node.instance_type()));
        if node.times() != 1.0 {
            let _ = write!(label, " x{}", number::digits(node.times()));
        }
        if let Some(value) = tree.total(id, shown) {
            let _ = write!(label, "\\n{}", number::quantity(shown, value));
        }
        // White to red by saturation.
        let saturation = tree.share(id, shown).unwrap_or(0.0).clamp(0.0, 1.0);
        let _ = writeln!(out, "  n{} [label=\"{label}\", fillcolor=\"0.05 {saturation:.3} 1.0\"];", id.index());
        if let Some(parent) = tree.parent(id) {
            let _ = writeln!(out, "  n{} -> n{};", parent.index(), id.index());
        }
    }
    out.push_str("}\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
