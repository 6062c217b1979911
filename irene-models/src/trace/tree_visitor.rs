use irene_tree::{Kernels, Level, Node, Operation, Parallel, Precision, Size, Training, Tree, TreeBuilder};

use super::{Done, Label, Visitor};
use crate::{Result, Tensor};

/// Builds the model tree of a forward pass, with the operation of every leaf.
#[derive(Debug)]
pub struct TreeVisitor {
    builder: TreeBuilder,
}

impl TreeVisitor {
    /// A visitor for the tree of this model at this size.
    pub fn new(model_name: &str, size: Size) -> Self {
        Self { builder: TreeBuilder::new(model_name, size) }
    }

    /// The same for a pass in these formats and kernels.
    pub fn followed_in(self, precision: Precision, kernels: Kernels) -> Self {
        Self { builder: self.builder.followed_in(precision, kernels) }
    }

    /// The same for one GPU of a run that is spread over several.
    pub fn spread_over(self, parallel: Parallel) -> Self {
        Self { builder: self.builder.spread_over(parallel) }
    }

    /// The same for a step of training.
    pub(crate) fn training(self, training: Option<Training>) -> Self {
        Self { builder: self.builder.training(training) }
    }

    /// Opens a node that is no module of the model, or a module under another name.
    pub(crate) fn open(&mut self, name: &str, instance_type: &'static str, level: Level) -> &mut Node {
        self.builder.enter(name, instance_type, level)
    }

    /// The same for a module whose class is made up.
    pub(crate) fn open_module(&mut self, name: &str, class: String) -> &mut Node {
        self.builder.enter(name, class, Level::Module)
    }

    /// Adds an operation, whose class is its own name.
    pub(crate) fn leaf(&mut self, name: &str, level: Level, operation: Operation) -> &mut Node {
        self.builder.leaf(name, operation.name(), level, Some(operation))
    }

    /// Adds an operation under the label of the node that it stands for.
    pub(crate) fn labelled_leaf(&mut self, label: &Label, operation: Operation) -> &mut Node {
        self.builder.leaf(&label.name, label.instance_type, label.level, Some(operation))
    }

    /// Makes room for so many nodes more.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        self.builder.reserve(nodes);
    }

    /// Closes it.
    pub(crate) fn close(&mut self) {
        self.builder.leave();
    }

    /// The tree with its counts, once the forward pass has ended.
    ///
    /// # Errors
    /// [`irene_tree::Error::Build`] if it has not.
    pub fn finish(self) -> Result<Tree> {
        let mut tree = self.builder.finish()?;
        irene_features::annotate(&mut tree);
        Ok(tree)
    }
}

impl Visitor for TreeVisitor {
    fn enter(&mut self, label: &Label, _inputs: &[&Tensor]) -> Result<()> {
        // A leaf is added when its operation is known.
        if !label.level.is_leaf() {
            self.builder.enter(&label.name, label.instance_type, label.level);
        }
        Ok(())
    }

    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
        if label.level.is_leaf() {
            self.builder.leaf(&label.name, label.instance_type, label.level, done.operation);
        } else {
            self.builder.leave();
        }
        Ok(())
    }

    fn place(&self) -> Option<usize> {
        Some(self.builder.place())
    }

    fn repeat(&mut self, place: usize, label: &Label, later: u32, of: usize) {
        let begun = self.builder.place();
        self.builder.repeat(place, &label.name, later);
        self.builder.reserve((self.builder.place() - begun) * of.saturating_sub(1));
    }
}
