use std::{borrow::Cow, sync::Arc};

use serde_json::Map;

use crate::{Error, Kernels, Level, Node, Operation, Parallel, Precision, Result, Role, Size, Training, Tree};

/// Builds a [`Tree`] in pre-order: [`enter`](Self::enter) a module, add its children, [`leave`](Self::leave) it.
///
/// ```
/// use irene_tree::{Format, Level, OpKind, Operand, Operation, Size, TreeBuilder};
/// # fn main() -> irene_tree::Result<()> {
/// let mut builder = TreeBuilder::new("my-model", Size::new(4, 16));
/// builder.enter("root", "MyModel", Level::Model);
/// builder.enter("mlp", "Mlp", Level::Module);
/// let (x, y) = (Operand::activation([4, 16, 64], Format::F32), Operand::activation([4, 16, 256], Format::F32));
/// let (weight, bias) = (Operand::parameter([256, 64], Format::F32), Operand::parameter([256], Format::F32));
/// builder.leaf("up", "Linear", Level::Ml, Some(Operation::new(OpKind::Linear, &[x, weight, bias], y)));
/// builder.leave();
/// builder.leave();
/// let tree = builder.finish()?;
/// assert_eq!(tree.nodes()[2].scope(), "root.mlp.up");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TreeBuilder {
    tree: Tree,
    open: Vec<u32>,
    misuse: Option<&'static str>,
}

impl TreeBuilder {
    /// An empty tree of this model at this size.
    pub fn new(model_name: impl Into<String>, size: Size) -> Self {
        let tree = Tree {
            model_name: model_name.into(),
            size,
            generated: 0,
            precision: Precision::default(),
            kernels: Kernels::default(),
            parallel: Parallel::default(),
            training: None,
            extra: Map::new(),
            nodes: Vec::new(),
        };
        Self { tree, open: Vec::new(), misuse: None }
    }

    /// Sets the number formats and kernels; the default is 32-bit floats and eager kernels.
    pub fn followed_in(mut self, precision: Precision, kernels: Kernels) -> Self {
        (self.tree.precision, self.tree.kernels) = (precision, kernels);
        self
    }

    /// Sets how the run is spread over GPUs; the default is one.
    pub fn spread_over(mut self, parallel: Parallel) -> Self {
        self.tree.parallel = parallel;
        self
    }

    /// Sets how a step of training runs; the default is inference.
    pub fn training(mut self, training: Option<Training>) -> Self {
        self.tree.training = training;
        self
    }

    /// Opens a node below the open one. The first node is the root; its name begins every scope.
    ///
    /// Returns the node, so that numbers already known can be set on it.
    pub fn enter(&mut self, name: &str, instance_type: impl Into<Cow<'static, str>>, level: Level) -> &mut Node {
        let index = self.push(name, instance_type.into(), level, None);
        self.open.push(index);
        &mut self.tree.nodes[index as usize]
    }

    /// Adds a childless node below the open one.
    pub fn leaf(
        &mut self,
        name: &str,
        instance_type: impl Into<Cow<'static, str>>,
        level: Level,
        operation: Option<Operation>,
    ) -> &mut Node {
        let index = self.push(name, instance_type.into(), level, operation);
        &mut self.tree.nodes[index as usize]
    }

    /// The place that the next node gets, by which [`repeat`](Self::repeat) finds it.
    pub fn place(&self) -> usize {
        self.tree.nodes.len()
    }

    /// Makes room for so many nodes more, so that they need not move while the tree grows.
    pub fn reserve(&mut self, nodes: usize) {
        self.tree.nodes.reserve(nodes);
    }

    /// Adds a copy of the node at `place`, a child of the open node, with everything below it, under this name. The ids of its parameters
    /// are `later` than those of the other.
    pub fn repeat(&mut self, place: usize, name: &str, later: u32) {
        let open = self.open.last().map(|&open| open as usize);
        let known = self.tree.nodes.get(place).filter(|first| place > 0 && Some(first.parent as usize) == open);
        let (Some(open), Some(first)) = (open, known) else {
            self.misuse = Some("repeat() of a node that is not below the open one");
            return;
        };
        let (len, old) = (first.subtree_len as usize, first.scope.len());
        let above = format!("{}.{name}", self.tree.nodes[open].scope);
        let moved = self.tree.nodes.len() - place;
        self.tree.nodes.reserve(len);
        for index in place..place + len {
            let node = &self.tree.nodes[index];
            let mut scope = String::with_capacity(above.len() + node.scope.len() - old);
            scope.extend([&above, &node.scope[old..]]);
            let parent = if index == place { open as u32 } else { node.parent + moved as u32 };
            let operation = node.operation.as_ref().map(|operation| repeated(operation, later));
            let node = Node {
                scope: scope.into_boxed_str(),
                instance_type: node.instance_type.clone(),
                parent,
                operation,
                id: None,
                extra: None,
                ..*node
            };
            self.tree.nodes.push(node);
        }
    }

    /// Closes the node entered last.
    pub fn leave(&mut self) {
        match self.open.pop() {
            Some(index) => {
                let len = self.tree.nodes.len() as u32 - index;
                self.tree.nodes[index as usize].subtree_len = len;
            }
            None => self.misuse = Some("leave() without a matching enter()"),
        }
    }

    /// The tree.
    ///
    /// # Errors
    /// [`Error::Build`] if nothing was entered, a node is still open, or there is more than one root.
    pub fn finish(mut self) -> Result<Tree> {
        let reason = match self.misuse {
            Some(reason) => reason,
            None if self.tree.nodes.is_empty() => "no node was entered",
            None if !self.open.is_empty() => "a node was entered and not left",
            None => {
                self.tree.place_on_gpus();
                return Ok(self.tree);
            }
        };
        Err(Error::Build { model: self.tree.model_name, reason })
    }

    fn push(
        &mut self,
        name: &str,
        instance_type: Cow<'static, str>,
        level: Level,
        operation: Option<Operation>,
    ) -> u32 {
        let index = self.tree.nodes.len() as u32;
        let (parent, scope) = match self.open.last() {
            Some(&parent) => {
                let above = &self.tree.nodes[parent as usize].scope;
                let mut scope = String::with_capacity(above.len() + 1 + name.len());
                scope.extend([above, ".", name]);
                (parent, scope.into_boxed_str())
            }
            None => {
                if index > 0 {
                    self.misuse = Some("a tree has one root");
                }
                (0, name.into())
            }
        };
        self.tree.nodes.push(Node {
            depth: self.open.len() as u16,
            parent,
            operation: operation.map(Arc::new),
            ..Node::new(scope, instance_type, level)
        });
        index
    }
}

/// The operation with its parameters so many places later; without any it is the same one.
fn repeated(operation: &Arc<Operation>, later: u32) -> Arc<Operation> {
    if operation.parameters().all(|(id, _)| id.is_none()) {
        return Arc::clone(operation);
    }
    let mut own = Operation::clone(operation);
    for operand in &mut own.inputs {
        if let Role::Parameter(Some(id)) = &mut operand.role {
            *id = id.later(later);
        }
    }
    Arc::new(own)
}
