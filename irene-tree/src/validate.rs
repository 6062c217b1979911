use std::{borrow::Cow, collections::HashSet};

use crate::{Error, Level, Node, NodeId, Quantity, Result, Tree};

fn node_error(tree: &Tree, node: &Node, reason: String) -> Error {
    Error::Node { tree: tree.to_string(), scope: node.scope().to_owned(), reason }
}

impl Tree {
    /// Checks the rules of a model tree: the root alone is a model; leaves are primitives or single operations and the others are
    /// not; a scope extends its parent's; ids are unique; quantities are finite and not negative; the depth is at most 60 nodes, the
    /// limit of the interchange format's readers.
    ///
    /// # Errors
    /// [`Error::Node`] names the first node that breaks one.
    pub fn check(&self) -> Result<()> {
        // Ids that follow from the place are unique among themselves.
        let has_ids = self.nodes().iter().any(|node| node.id.is_some());
        let mut ids = HashSet::new();
        for id in self.ids() {
            let node = self.node(id);
            self.check_place(id)
                .and_then(|()| check_quantities(node))
                .map_err(|reason| node_error(self, node, reason))?;
            let written = || node.id.as_deref().map_or_else(|| Cow::Owned(self.interchange_id(id)), Cow::Borrowed);
            if has_ids && !ids.insert(written()) {
                return Err(node_error(self, node, format!("id `{}` stands twice", written())));
            }
        }
        Ok(())
    }

    fn check_place(&self, id: NodeId) -> std::result::Result<(), String> {
        let node = self.node(id);
        let word = node.level().name();
        if node.depth() > DEEPEST {
            return Err(format!("a tree may be {DEEPEST} nodes deep"));
        }
        if node.scope().is_empty() || node.instance_type().is_empty() {
            return Err("scope and instance type must not be empty".into());
        }
        if self.is_leaf(id) && !node.level().is_leaf() {
            return Err(format!("a leaf must be a primitive (type ml or math), found type {word}"));
        }
        if !self.is_leaf(id) && node.level().is_leaf() {
            return Err(format!("a node of type {word} has no children, found some"));
        }
        if !(node.times().is_finite() && node.times() > 0.0) {
            return Err(format!("a node runs a number of times above 0, found {}", node.times()));
        }
        if node.size.is_some_and(|size| size.sequences == 0 || size.new == 0) {
            return Err("a size has at least one sequence of one token".into());
        }
        let Some(parent) = self.parent(id) else { return Ok(()) };
        if node.level() == Level::Model {
            return Err("only the root is of type model".into());
        }
        let above = self.node(parent).scope();
        match node.scope().strip_prefix(above).and_then(|rest| rest.strip_prefix('.')) {
            Some(name) if !name.is_empty() => Ok(()),
            _ => Err(format!("the scope must extend its parent's, `{above}.`")),
        }
    }
}

/// JSON readers, ours too, stop at 128 nested values, and a node takes two.
const DEEPEST: usize = 60;

fn check_quantities(node: &Node) -> std::result::Result<(), String> {
    for quantity in Quantity::all() {
        // The predictor checks its predictions, which may be negative.
        let derived = Quantity::PREDICTED.contains(&quantity);
        if let Some(value) = node.get(quantity)
            && (!value.is_finite() || (value < 0.0 && !derived))
        {
            return Err(format!("{quantity} must be finite and not negative, found {value}"));
        }
    }
    Ok(())
}
