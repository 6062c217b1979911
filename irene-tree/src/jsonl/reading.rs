use super::fields::Key;
use crate::Node;

/// The arena being filled, and where the parser is, for errors.
pub(super) struct Reading {
    pub(super) nodes: Vec<Node>,
    field: Key,
    at: Option<usize>,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), field: Key::Known("{"), at: None }
    }

    /// The scope and the field that are read.
    pub(super) fn place(&self) -> String {
        let scope = self.at.and_then(|index| self.nodes.get(index)).map_or("", |node| &node.scope);
        let dot = if scope.is_empty() { "" } else { ": " };
        format!("{scope}{dot}{}", self.field.name())
    }

    /// Notes the field that is read next.
    pub(super) fn enter(&mut self, at: Option<usize>, key: &Key) {
        self.at = at;
        self.field = key.clone();
    }
}
