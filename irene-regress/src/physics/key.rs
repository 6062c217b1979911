//! The key that tells one primitive from another.

use irene_tree::{Format, Node, NodeId, Quantity, Role, Tree};

/// The keys that a leaf is known by: by its instance type, and by its operation where another program calls the same one something
/// else (`candle_nn::Linear`). A key is the kind in lower case, what the same kernel does besides, and the formats of weights and
/// activations where they are not 32-bit floats: `linear`, `linear+add+gelu`, `linear@bf16`, `linear@q4_k,f16`.
pub(crate) fn keys(tree: &Tree, id: NodeId) -> impl Iterator<Item = String> {
    let node = tree.node(id);
    let fused = node.operation.iter().flat_map(|operation| &operation.fused);
    let fused: String = fused.map(|kind| format!("+{}", kind.name().to_ascii_lowercase())).collect();
    let formats = match formats(tree, node) {
        (Format::F32, Format::F32) => String::new(),
        (weights, activations) if weights == activations => format!("@{weights}"),
        (weights, activations) => format!("@{weights},{activations}"),
    };
    let operation = node.operation.as_ref().map(|operation| operation.kind.name());
    let names = [Some(node.instance_type()), operation].into_iter().flatten().map(str::to_ascii_lowercase);
    names.map(move |name| format!("{name}{fused}{formats}"))
}

/// The formats of weights and activations: the operation's if it is known, else the tree's.
fn formats(tree: &Tree, node: &Node) -> (Format, Format) {
    let computed = node.operation.as_ref().map(|operation| operation.output.format);
    let activations = computed.filter(|format| format.holds_activations()).unwrap_or(tree.precision.activations);
    let weights = match &node.operation {
        Some(operation) => {
            let parameter = operation.inputs.iter().find(|operand| matches!(operand.role, Role::Parameter(_)));
            parameter.map_or(activations, |operand| operand.format)
        }
        None if node.get(Quantity::NumParameters) == Some(0.0) => activations,
        None => tree.precision.weights,
    };
    (weights, activations)
}

/// A key without its formats.
pub(crate) fn without_formats(key: &str) -> &str {
    key.split('@').next().unwrap_or(key)
}

/// The kind of a key alone.
pub(crate) fn kind(key: &str) -> &str {
    key.split(['+', '@']).next().unwrap_or(key)
}
