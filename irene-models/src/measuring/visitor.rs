use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use irene_tree::{Level, Operation, Tree};

use crate::{Done, Label, Result, Tensor, TreeVisitor, Visitor};

/// A node to be measured, and how to run it again on the tensors it has just seen.
pub(crate) struct ToMeasure<'a> {
    /// Equal for nodes that do the same: same kind, shapes, strides, types and parameters, also of the nodes below.
    pub(crate) key: u64,
    /// Runs it again.
    pub(crate) rerun: &'a mut dyn FnMut() -> Result<()>,
}

/// The measured figures of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MeasuredNode<T> {
    /// The figures.
    pub(crate) figures: T,
    /// Whether they are those of an earlier node that does the same.
    pub(crate) is_shared: bool,
}

/// Builds the tree of a forward pass and has each node measured in place, before the pass moves on: nothing has to be kept. Nodes
/// that do the same are measured once.
pub(crate) struct MeasuringVisitor<'m, T> {
    tree: TreeVisitor,
    levels: Vec<Level>,
    #[allow(clippy::type_complexity)] // it is written once
    measure: Box<dyn FnMut(ToMeasure<'_>) -> Result<T> + 'm>,
    known: HashMap<u64, T>,
    /// In the order of the tree's nodes.
    measured: Vec<Option<MeasuredNode<T>>>,
    /// The place of each open node, and what has gone into its key so far.
    open: Vec<(usize, DefaultHasher)>,
}

impl<'m, T: Clone> MeasuringVisitor<'m, T> {
    /// Has nodes of these levels measured by a function.
    pub(crate) fn new(
        tree: TreeVisitor,
        levels: &[Level],
        measure: impl FnMut(ToMeasure<'_>) -> Result<T> + 'm,
    ) -> Self {
        Self {
            tree,
            levels: levels.to_vec(),
            measure: Box::new(measure),
            known: HashMap::new(),
            measured: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The tree, and for each of its nodes the measured figures, if its level was asked for.
    ///
    /// # Errors
    /// [`irene_tree::Error::Build`] if the forward pass has not ended.
    pub(crate) fn finish(self) -> Result<(Tree, Vec<Option<MeasuredNode<T>>>)> {
        Ok((self.tree.finish()?, self.measured))
    }
}

fn hash_tensors(hasher: &mut DefaultHasher, tensors: &[&Tensor]) {
    tensors.len().hash(hasher);
    for tensor in tensors {
        let layout = tensor.layout();
        // A dimension of 1 may have any stride.
        let strides =
            layout.strides.dims().iter().zip(layout.shape.dims()).map(|(&step, &dim)| if dim > 1 { step } else { 0 });
        layout.shape.hash(hasher);
        strides.for_each(|step| step.hash(hasher));
        tensor.format().hash(hasher);
    }
}

impl<T: Clone> Visitor for MeasuringVisitor<'_, T> {
    fn enter(&mut self, label: &Label, inputs: &[&Tensor]) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        (label.instance_type, label.level).hash(&mut hasher);
        hash_tensors(&mut hasher, inputs);
        self.open.push((self.measured.len(), hasher));
        self.measured.push(None);
        self.tree.enter(label, inputs)
    }

    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
        let Done { inputs, outputs, operation, rerun } = done;
        let (place, mut hasher) = self.open.pop().unwrap_or_default();
        hash_tensors(&mut hasher, outputs);
        operation.clone().map(Operation::without_identities).hash(&mut hasher);
        let key = hasher.finish();
        if let Some((_, parent)) = self.open.last_mut() {
            key.hash(parent);
        }
        // Arithmetic on the host has nothing to run again.
        if self.levels.contains(&label.level) && !outputs.is_empty() {
            let known = self.known.get(&key).cloned();
            let is_shared = known.is_some();
            let figures = match known {
                Some(figures) => figures,
                None => (self.measure)(ToMeasure { key, rerun: &mut *rerun })?,
            };
            self.known.entry(key).or_insert_with(|| figures.clone());
            if let Some(measured) = self.measured.get_mut(place) {
                *measured = Some(MeasuredNode { figures, is_shared });
            }
        }
        self.tree.exit(label, Done { inputs, outputs, operation, rerun })
    }
}
