use irene_tree::{Level, OpKind, Operation};

use super::tape::Event;
use crate::{Label, TreeVisitor, trace::label_of};

/// Opens modules in a tree once something is in them: those without operations of their own are left out.
pub(super) struct Nest<'t> {
    tree: &'t mut TreeVisitor,
    /// The name and the class of each module that is entered.
    modules: Vec<(String, String)>,
    /// How many of them are in the tree.
    opened: usize,
}

impl<'t> Nest<'t> {
    pub(super) fn new(tree: &'t mut TreeVisitor) -> Self {
        Self { tree, modules: Vec::new(), opened: 0 }
    }

    pub(super) fn enter(&mut self, name: &str, class: String) {
        self.modules.push((name.to_owned(), class));
    }

    pub(super) fn leave(&mut self) {
        if self.opened == self.modules.len() && self.modules.pop().is_some() {
            self.tree.close();
            self.opened -= 1;
        } else {
            self.modules.pop();
        }
    }

    /// Adds an operation that runs `times` times in each run of its module.
    pub(super) fn leaf(&mut self, name: &str, operation: Operation, times: f64) {
        self.open();
        let level = level_of(&operation);
        self.tree.leaf(name, level, operation).set_times(times);
    }

    fn open(&mut self) {
        while let Some((name, class)) = self.modules.get(self.opened) {
            self.tree.open_module(name, class.clone());
            self.opened += 1;
        }
    }

    /// Adds the part of a module's forward pass that runs again.
    pub(super) fn recomputed(&mut self, label: &Label, events: &[Event]) {
        self.open();
        self.tree.open_module("recompute", label.instance_type.to_owned());
        let depth = replay(self.tree, events);
        (0..=depth).for_each(|_| self.tree.close());
    }

    /// Adds the operations of one node: the only one under the node's own name, several below it. A single operation has none below it:
    /// then several have its name.
    pub(super) fn node(&mut self, label: &Label, class: String, operations: Vec<(&'static str, Operation, f64)>) {
        let mut operations = operations.into_iter();
        match (operations.next(), operations.len()) {
            (None, _) => {}
            (Some((_, operation, times)), 0) => self.leaf(&label.name, operation, times),
            (Some(first), _) if label.level == Level::Math => {
                let all = std::iter::once(first).chain(operations);
                all.for_each(|(_, operation, times)| self.leaf(&label.name, operation, times));
            }
            (Some(first), _) => {
                self.enter(&label.name, class);
                for (name, operation, times) in std::iter::once(first).chain(operations) {
                    self.leaf(name, operation, times);
                }
                self.leave();
            }
        }
    }
}

/// Primitives with parameters are no single operations, and neither are their gradients and updates.
fn level_of(operation: &Operation) -> Level {
    match operation.kind {
        OpKind::LayerNorm | OpKind::RmsNorm | OpKind::Embedding | OpKind::Conv1D | OpKind::Convolution => Level::Ml,
        OpKind::Sgd | OpKind::AdamW | OpKind::Adafactor => Level::Ml,
        kind => label_of(kind).level,
    }
}

/// Adds events to a tree. Gives how many modules are still open.
pub(super) fn replay(tree: &mut TreeVisitor, events: &[Event]) -> usize {
    let mut depth = 0;
    for event in events {
        match event {
            Event::Enter(label) => {
                tree.open(&label.name, label.instance_type, label.level);
                depth += 1;
            }
            Event::Leaf(leaf) => {
                tree.labelled_leaf(&leaf.label, leaf.operation.clone());
            }
            Event::Exit(_) => {
                tree.close();
                depth -= 1;
            }
        }
    }
    depth
}
