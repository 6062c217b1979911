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

#[cfg(test)]
mod tests {
    use irene_tree::{Level, OpKind, Operand, Operation, Precision, Size, TreeBuilder};

    use super::*;

    fn keys_of(operation: Option<Operation>, precision: Precision, parameters: Option<f64>) -> Vec<String> {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1)).followed_in(precision, irene_tree::Kernels::Eager);
        let leaf = builder.leaf("root", "MyLinear", Level::Ml, operation);
        if let Some(parameters) = parameters {
            leaf.set(Quantity::NumParameters, parameters);
        }
        keys(&builder.finish().unwrap(), NodeId::ROOT).collect()
    }

    fn linear(weights: Format, activations: Format) -> Operation {
        let x = Operand::activation([4, 8], activations);
        Operation::new(OpKind::Linear, &[x, Operand::parameter([8, 8], weights)], x)
    }

    #[test]
    fn a_leaf_is_known_by_its_type_and_its_operation_with_what_is_fused_and_the_formats() {
        let of = |operation| keys_of(Some(operation), Precision::F32, None);
        assert_eq!(of(linear(Format::F32, Format::F32)), ["mylinear", "linear"]);
        let fused = linear(Format::BF16, Format::BF16).fused_with(&[OpKind::Add, OpKind::Gelu]);
        assert_eq!(of(fused), ["mylinear+add+gelu@bf16", "linear+add+gelu@bf16"]);
        assert_eq!(of(linear(Format::Q4K, Format::F16)), ["mylinear@q4_k,f16", "linear@q4_k,f16"]);
        assert_eq!(of(linear(Format::F16, Format::F32)), ["mylinear@f16,f32", "linear@f16,f32"]);
        // Without a parameter the activations decide; a result of ids is in the format of the tree.
        let x = Operand::activation([4], Format::F16);
        assert_eq!(of(Operation::new(OpKind::Tanh, &[x], x))[1], "tanh@f16");
        let places = Operation::new(OpKind::TopK, &[x], Operand::ids([4]));
        assert_eq!(keys_of(Some(places), Precision::of(Format::BF16), None)[1], "topk@bf16");
    }

    #[test]
    fn a_leaf_without_an_operation_has_the_formats_of_the_tree() {
        let precision = Precision { weights: Format::Q4K, ..Precision::of(Format::F16) };
        assert_eq!(keys_of(None, precision, None), ["mylinear@q4_k,f16"]);
        assert_eq!(keys_of(None, precision, Some(64.0)), ["mylinear@q4_k,f16"]);
        assert_eq!(keys_of(None, precision, Some(0.0)), ["mylinear@f16"]);
    }

    #[test]
    fn a_key_is_cut_before_its_formats_or_after_its_kind() {
        for (key, plain, of_kind) in [
            ("linear+add@q4_k,f16", "linear+add", "linear"),
            ("linear@bf16", "linear", "linear"),
            ("tanh", "tanh", "tanh"),
        ] {
            assert_eq!((without_formats(key), kind(key)), (plain, of_kind));
        }
    }
}
