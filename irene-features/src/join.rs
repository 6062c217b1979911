//! The counts that a measured tree lacks, from a trace of the same model.

use std::collections::HashMap;

use irene_tree::{Error, Level, Node, NodeId, Quantity, Result, Tree};

use crate::annotate::SUMMED;

/// The counts that predictors read at every node but single operations.
const NEEDED: [Quantity; 6] = [
    Quantity::NumParameters,
    Quantity::Flops,
    Quantity::MemBytes,
    Quantity::MovedBytes,
    Quantity::CopiedBytes,
    Quantity::Kernels,
];

/// The counts that predictors need and that some node of a tree lacks; single operations may lack them.
pub fn missing_counts(tree: &Tree) -> Vec<Quantity> {
    let lacks = |quantity: &Quantity| {
        tree.nodes().iter().any(|node| node.level() != Level::Math && node.get(*quantity).is_none())
    };
    NEEDED.into_iter().filter(lacks).collect()
}

/// Adds the parameters, FLOPs, bytes and kernels that a measured tree lacks, from an annotated trace of the same model at the same
/// size. Numbers that the measured tree has stay.
///
/// # Errors
/// [`Error::Node`] for a node that only one tree has; the measured tree is then as it was. Nodes match by scope, instance type and place
/// among equals. The measured tree may lack the math level.
pub fn join_specs(measured: &mut Tree, traced: &Tree) -> Result<()> {
    let twins = twins(measured, traced)?;
    for (id, twin) in measured.ids().zip(twins) {
        for quantity in SUMMED {
            let node = measured.node_mut(id);
            if let (None, Some(value)) = (node.get(quantity), traced.node(twin).get(quantity)) {
                node.set(quantity, value);
            }
        }
    }
    Ok(())
}

/// The node of the trace that each measured node is, in the order of the measured tree.
fn twins(measured: &Tree, traced: &Tree) -> Result<Vec<NodeId>> {
    let key = |node: &Node| format!("{}:{}", node.scope(), node.instance_type().to_ascii_lowercase());
    let refuse = |node: &Node, reason: String| {
        Err(Error::Node { tree: measured.to_string(), scope: node.scope().to_owned(), reason })
    };
    // In reverse pre-order, so that `pop` gives equals in order.
    let mut unmatched: HashMap<String, Vec<NodeId>> = HashMap::new();
    for id in traced.ids().rev() {
        unmatched.entry(key(traced.node(id))).or_default().push(id);
    }
    let mut twins = Vec::with_capacity(measured.nodes().len());
    for node in measured.nodes() {
        match unmatched.get_mut(&key(node)).and_then(Vec::pop) {
            Some(twin) => twins.push(twin),
            None => return refuse(node, format!("our {traced} has no such {} node", node.instance_type())),
        }
    }
    let left = unmatched.into_values().flatten();
    match left.filter(|&id| traced.node(id).level() != Level::Math).min() {
        Some(missing) => refuse(traced.node(missing), "was not measured".into()),
        None => Ok(twins),
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Format, OpKind, Operand, Operation, Size, TreeBuilder};

    use super::*;
    use crate::annotate;

    fn tree(operation: Option<Operation>) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.enter("root", "M", Level::Model);
        builder.enter("self", "Attention", Level::Module);
        builder.leaf("softmax", "Softmax", Level::Ml, operation);
        builder.leave();
        builder.leave();
        builder.finish().unwrap()
    }

    fn traced() -> Tree {
        let scores = Operand::activation([1, 2, 4, 4], Format::F32);
        let mut tree = tree(Some(Operation::new(OpKind::Softmax, &[scores], scores)));
        annotate(&mut tree);
        tree
    }

    #[test]
    fn a_measured_tree_gets_the_counts_that_it_lacks() {
        let mut measured = tree(None);
        measured.node_mut(NodeId::ROOT).set(Quantity::Flops, 7.0);
        assert_eq!(missing_counts(&measured), NEEDED);
        join_specs(&mut measured, &traced()).unwrap();
        assert_eq!(missing_counts(&measured), []);
        assert_eq!(
            (measured.root().get(Quantity::Kernels), measured.root().get(Quantity::Flops)),
            (Some(1.0), Some(7.0))
        );
    }

    #[test]
    fn a_measured_node_without_a_twin_is_an_error_and_changes_nothing() {
        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.enter("root", "M", Level::Model);
        builder.leaf("other", "Other", Level::Ml, None);
        builder.leave();
        let mut other = builder.finish().unwrap();
        let before = other.clone();
        let error = join_specs(&mut other, &traced()).unwrap_err();
        assert_eq!(error.to_string(), "m 1x4, node `root.other`: our m 1x4 has no such Other node");
        assert_eq!(other, before);

        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.leaf("root", "M", Level::Ml, None);
        let error = join_specs(&mut builder.finish().unwrap(), &traced()).unwrap_err();
        assert_eq!(error.to_string(), "m 1x4, node `root.self`: was not measured");
    }
}
