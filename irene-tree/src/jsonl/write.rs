use std::io::Write;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::fields;
use crate::{Kernels, NodeId, Precision, Quantity, Tree};

/// Writes each tree as one line of the interchange format.
///
/// # Errors
/// The writer's error.
pub fn write_trees<'a>(mut writer: impl Write, trees: impl IntoIterator<Item = &'a Tree>) -> std::io::Result<()> {
    for tree in trees {
        serde_json::to_writer(&mut writer, &TreeLine(tree))?;
        writer.write_all(b"\n")?;
    }
    writer.flush()
}

/// The tree as one line of the interchange format, without the line's end.
pub fn to_json(tree: &Tree) -> String {
    let mut line = Vec::new();
    // Writing to memory does not fail, and the keys are strings.
    let written = write_trees(&mut line, [tree]);
    debug_assert!(written.is_ok());
    line.pop();
    String::from_utf8(line).unwrap_or_default()
}

struct TreeLine<'a>(&'a Tree);

impl Serialize for TreeLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tree) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(fields::MODEL_NAME, &tree.model_name)?;
        map.serialize_entry(fields::BATCH_SIZE, &tree.size.sequences)?;
        map.serialize_entry(fields::SEQ_LEN, &tree.size.new)?;
        // Fields that older readers do not know are written only if they differ from the default.
        if tree.size.past > 0 {
            map.serialize_entry(fields::PAST_LEN, &tree.size.past)?;
        }
        if tree.generated > 0 {
            map.serialize_entry(fields::GENERATED, &tree.generated)?;
        }
        if tree.precision != Precision::default() {
            map.serialize_entry(fields::PRECISION, &tree.precision)?;
        }
        if tree.kernels != Kernels::default() {
            map.serialize_entry(fields::EXECUTION, &tree.kernels)?;
        }
        if !tree.parallel.is_single() {
            map.serialize_entry(fields::PARALLEL, &tree.parallel)?;
        }
        if let Some(training) = &tree.training {
            map.serialize_entry(fields::TRAINING, training)?;
        }
        for (name, value) in tree.extra.iter().filter(|(name, _)| !fields::is_tree_field(name)) {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(fields::FRONTEND_TREE, &NodeObject { tree, id: NodeId::ROOT })?;
        map.end()
    }
}

struct NodeObject<'a> {
    tree: &'a Tree,
    id: NodeId,
}

impl Serialize for NodeObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tree, id } = *self;
        let node = tree.node(id);
        let parent_name = tree.parent(id).map_or("", |parent| tree.node(parent).scope());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(fields::ID, &tree.interchange_id(id))?;
        map.serialize_entry(fields::SCOPE, node.scope())?;
        map.serialize_entry(fields::PARENT_NAME, parent_name)?;
        map.serialize_entry(fields::LEVEL, &node.depth())?;
        map.serialize_entry(fields::INSTANCE_TYPE, node.instance_type())?;
        map.serialize_entry(fields::TYPE, node.level().name())?;
        if node.times() != 1.0 {
            map.serialize_entry(fields::TIMES, &node.times())?;
        }
        if node.gpus != 1 {
            map.serialize_entry(fields::GPUS, &node.gpus)?;
        }
        for quantity in Quantity::all() {
            match node.get(quantity) {
                // JSON has no infinity: a number that is not finite is left out.
                Some(value) if !value.is_finite() => {}
                Some(value) if quantity.is_count() && value.fract() == 0.0 && value.abs() < MOST_EXACT => {
                    map.serialize_entry(quantity.name(), &(value as u64))?;
                }
                Some(value) => map.serialize_entry(quantity.name(), &value)?,
                None => {}
            }
        }
        if let Some(size) = &node.size {
            map.serialize_entry(fields::SIZE, size)?;
        }
        if let Some(operation) = &node.operation {
            map.serialize_entry(fields::OPERATION, operation.as_ref())?;
        }
        if !node.marks.is_empty() {
            map.serialize_entry(fields::MARKS, &node.marks.iter().collect::<Vec<_>>())?;
        }
        let extra = node.extra.iter().flat_map(|extra| extra.iter());
        for (name, value) in extra.filter(|(name, _)| !fields::is_node_field(name)) {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(fields::CHILD_NODES_OBJ, &Children(self))?;
        let scopes: Vec<_> = tree.children(id).map(|child| tree.node(child).scope()).collect();
        map.serialize_entry(fields::CHILD_NODES, &scopes)?;
        map.end()
    }
}

/// Whole numbers below this are exact in a float.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

struct Children<'a>(&'a NodeObject<'a>);

impl Serialize for Children<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = self.0.tree;
        serializer.collect_seq(tree.children(self.0.id).map(|id| NodeObject { tree, id }))
    }
}
