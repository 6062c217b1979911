use irene_tree::{Tree, TreeBuilder};

use super::{Done, Node, Visitor};
use crate::{Result, Tensor};

/// Builds the model tree of a forward pass, with the operation of every leaf.
#[derive(Debug)]
pub struct TreeVisitor {
    builder: TreeBuilder,
}

impl TreeVisitor {
    /// For the tree of this model at this size.
    pub fn new(model_name: &str, batch_size: usize, seq_len: usize) -> Self {
        Self { builder: TreeBuilder::new(model_name, batch_size, seq_len) }
    }

    /// The tree, once the forward pass has ended.
    ///
    /// # Errors
    /// [`irene_tree::Error::Build`] if it has not.
    pub fn finish(self) -> Result<Tree> {
        Ok(self.builder.finish()?)
    }
}

impl Visitor for TreeVisitor {
    fn enter(&mut self, node: &Node, _inputs: &[&Tensor]) -> Result<()> {
        // A leaf is added when its operation is known.
        if !node.level.is_leaf() {
            self.builder.enter(&node.name, node.instance_type, node.level);
        }
        Ok(())
    }

    fn exit(&mut self, node: &Node, done: Done<'_>) -> Result<()> {
        if node.level.is_leaf() {
            self.builder.leaf(&node.name, node.instance_type, node.level, done.operation);
        } else {
            self.builder.leave();
        }
        Ok(())
    }
}
