use std::io::Write;

use serde::Serialize;

use super::{
    columns,
    table::{Cell, Kind, Writer},
};
use crate::{NodeId, Quantity, Result, Tree};

/// Writes trees as rows of nodes, in groups of some thousand rows.
pub struct TreeWriter<W: Write + Send> {
    table: Writer<W>,
    trees: usize,
}

impl<W: Write + Send> std::fmt::Debug for TreeWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeWriter").field("trees", &self.trees).finish_non_exhaustive()
    }
}

impl<W: Write + Send> TreeWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) from the writer.
    pub fn new(writer: W) -> Result<Self> {
        let columns = columns::all();
        let table = Writer::new(writer, columns.iter().map(|(name, kind): &(String, Kind)| (name.as_str(), *kind)))?;
        Ok(Self { table, trees: 0 })
    }

    /// Writes a tree.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) from the writer.
    pub fn write(&mut self, tree: &Tree) -> Result<()> {
        let of_tree = of_tree(tree, self.trees);
        self.trees += 1;
        tree.ids().try_for_each(|id| self.table.row(of_tree.iter().cloned().chain(of_node(tree, id))))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) from the writer.
    pub fn finish(self) -> Result<W> {
        self.table.finish()
    }
}

/// The cells that the nodes of a tree have in common.
fn of_tree(tree: &Tree, place: usize) -> Vec<Option<Cell>> {
    let (size, precision, parallel) = (tree.size, tree.precision, tree.parallel);
    let degrees = [parallel.tensor, parallel.pipeline, parallel.expert, parallel.data];
    let run: [Cell; 10] = [
        place.into(),
        tree.model_name.as_str().into(),
        size.sequences.into(),
        size.new.into(),
        size.past.into(),
        tree.generated.into(),
        precision.weights.name().into(),
        precision.activations.name().into(),
        precision.cache.name().into(),
        tree.kernels.name().into(),
    ];
    let run = run.into_iter().chain(degrees.map(Cell::from)).map(Some);
    run.chain([tree.training.as_ref().and_then(json)]).collect()
}

fn of_node(tree: &Tree, id: NodeId) -> impl Iterator<Item = Option<Cell>> + '_ {
    let node = tree.node(id);
    let extra = (id == NodeId::ROOT && !tree.extra.is_empty()).then(|| json(&tree.extra)).flatten();
    let marks: Vec<&str> = node.marks.iter().map(crate::Mark::name).collect();
    let size = node.size.map(|size| [size.sequences, size.new, size.past].map(Cell::from));
    let before = [
        extra,
        Some(id.index().into()),
        tree.parent(id).map(|parent| parent.index().into()),
        node.id.as_deref().map(Cell::from),
        Some(node.scope().into()),
        Some(node.instance_type().into()),
        Some(node.level().name().into()),
        Some(node.depth().into()),
        Some(Cell::Number(node.times())),
        Some((node.gpus as usize).into()),
    ];
    let quantities = Quantity::all().map(move |quantity| node.get(quantity).map(Cell::Number));
    let size = size.map_or([None, None, None], |size| size.map(Some));
    let after = [
        (!marks.is_empty()).then(|| Cell::Text(marks.join(","))),
        node.operation.as_deref().and_then(json),
        node.extra.as_deref().and_then(json),
    ];
    before.into_iter().chain(quantities).chain(size).chain(after)
}

/// The fields that serde writes of ours are JSON whatever they hold.
fn json(value: &impl Serialize) -> Option<Cell> {
    serde_json::to_string(value).ok().map(Cell::Text)
}
