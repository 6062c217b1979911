use irene_tree::{Node, NodeId, Quantity, Tree};

use crate::{Error, Result};

/// The terms of one node's predicted energy and latency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Terms whose sum is the predicted energy, J.
    pub energy: Vec<Term>,
    /// Terms whose sum is the predicted latency, s; empty if the latency is not predicted from terms.
    pub latency: Vec<Term>,
}

/// An amount times a coefficient.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The name of the amount.
    pub name: String,
    /// The amount.
    pub amount: f64,
    /// The amount's unit.
    pub unit: &'static str,
    /// J or s a unit of the amount.
    pub coefficient: f64,
}

impl Term {
    /// An amount in a unit, with a coefficient in J or s a unit.
    pub fn new(name: impl Into<String>, amount: f64, unit: &'static str, coefficient: f64) -> Self {
        Self { name: name.into(), amount, unit, coefficient }
    }

    /// The product, J or s.
    pub fn value(&self) -> f64 {
        self.amount * self.coefficient
    }
}

impl Explanation {
    /// The children of a predicted node, each as a whole and as often as it runs.
    pub fn of_children(tree: &Tree, id: NodeId) -> Self {
        let terms = |quantity: Quantity| {
            let children = tree.children(id).map(|child| tree.node(child));
            let term = |child: &Node| {
                Some(Term::new(name_of_child(tree, id, child), child.times(), "node", child.get(quantity)?))
            };
            children.filter_map(term).collect()
        };
        Self { energy: terms(Quantity::PredictedEnergy), latency: terms(Quantity::PredictedLatency) }
    }
}

/// The name of a child; where others of its parent share it, with the shape of the output: the scores and the context of an
/// attention are both `matmul`.
pub(crate) fn name_of_child(tree: &Tree, parent: NodeId, child: &Node) -> String {
    let name = child.name();
    let is_shared = tree.children(parent).filter(|&other| tree.node(other).name() == name).count() > 1;
    match &child.operation {
        Some(operation) if is_shared => format!("{name} {}", operation.output.shape),
        _ => name.to_owned(),
    }
}

/// The first node of this scope, or the one of this identifier.
///
/// # Errors
/// [`Error::Unmatched`] for a name that the tree does not have.
pub fn find_node(tree: &Tree, scope: &str) -> Result<NodeId> {
    tree.find_named(scope).ok_or_else(|| {
        let near = irene_tree::suggestion(scope, tree.nodes().iter().map(Node::scope));
        let shown = "`irene predict` with --depth shows them, single operations with --math";
        Error::Unmatched(format!("{tree} has no node `{scope}`{near}; {shown}"))
    })
}
