use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Map;

use super::{
    fields::{self, Key},
    node_fields::{Given, count},
    reading::Reading,
};
use crate::{Error, Kernels, Level, Node, OpKind, Parallel, Precision, Result, Size, Tree};

/// The tree in one line of the format, checked by [`Tree::check`].
///
/// # Errors
/// [`Error::Line`] with `origin`, `line`, the column and the field; [`Error::Node`] if it is no valid model tree.
pub fn parse_tree(json: &[u8], origin: &str, line: usize) -> Result<Tree> {
    // Some editors begin a file with a byte order mark.
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    let mut reading = Reading::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let tree = TreeSeed(&mut reading).deserialize(&mut deserializer).and_then(|mut tree| {
        deserializer.end()?;
        tree.nodes = std::mem::take(&mut reading.nodes);
        Ok(tree)
    });
    let tree = tree.map_err(|error| Error::Line {
        origin: origin.to_owned(),
        line,
        column: error.column(),
        field: reading.place(),
        reason: without_position(&error),
    })?;
    tree.check().map_err(|error| in_line(error, origin, line))?;
    Ok(tree)
}

/// Adds the tree's line to the error.
fn in_line(error: Error, origin: &str, line: usize) -> Error {
    match error {
        Error::Node { tree, scope, reason } => {
            Error::Node { tree: format!("{origin}, line {line}, {tree}"), scope, reason }
        }
        other => other,
    }
}

/// The message of a JSON error without its "at line 1 column 7": our error gives the line.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

struct TreeSeed<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Tree, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tree: an object with model_name, batch_size, seq_len and frontend_tree")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Tree, A::Error> {
        let Self(reading) = self;
        let (mut model_name, mut sequences, mut new, mut past, mut generated) = (None, None, None, 0, 0);
        let (mut precision, mut kernels, mut extra) = (None, Kernels::default(), Map::new());
        let (mut parallel, mut training) = (Parallel::default(), None);
        let mut seen = Seen::default();
        while let Some(key) = map.next_key::<Key>()? {
            reading.enter(None, &key);
            seen.once(&key)?;
            match key.name() {
                fields::MODEL_NAME => model_name = Some(map.next_value::<String>()?),
                fields::BATCH_SIZE => sequences = Some(count(map.next_value()?, 1)?),
                fields::SEQ_LEN => new = Some(count(map.next_value()?, 1)?),
                fields::PAST_LEN => past = map.next_value::<Option<f64>>()?.map_or(Ok(0), |past| count(past, 0))?,
                fields::GENERATED => {
                    generated = map.next_value::<Option<f64>>()?.map_or(Ok(0), |tokens| count(tokens, 0))?;
                }
                fields::PRECISION => precision = map.next_value()?,
                fields::EXECUTION => kernels = map.next_value::<Option<_>>()?.unwrap_or_default(),
                fields::PARALLEL => parallel = map.next_value::<Option<_>>()?.unwrap_or_default(),
                fields::TRAINING => training = map.next_value()?,
                fields::FRONTEND_TREE => {
                    map.next_value_seed(NodeSeed { reading, parent: None })?;
                }
                _ => {
                    extra.insert(key.name().to_owned(), map.next_value()?);
                }
            }
        }
        let missing = |reading: &mut Reading, name: &'static str| {
            reading.enter(None, &Key::Known(name));
            A::Error::custom("is missing")
        };
        Ok(Tree {
            model_name: model_name.ok_or_else(|| missing(reading, fields::MODEL_NAME))?,
            size: Size {
                sequences: sequences.ok_or_else(|| missing(reading, fields::BATCH_SIZE))?,
                new: new.ok_or_else(|| missing(reading, fields::SEQ_LEN))?,
                past,
            },
            generated,
            precision: precision.unwrap_or_else(|| of_operations(&reading.nodes)),
            kernels,
            parallel,
            training,
            extra,
            nodes: if reading.nodes.is_empty() {
                return Err(missing(reading, fields::FRONTEND_TREE));
            } else {
                Vec::new()
            },
        })
    }
}

/// The formats of a tree that does not say: those of its first product, which older files have, or 32-bit floats.
fn of_operations(nodes: &[Node]) -> Precision {
    let products = nodes.iter().filter_map(|node| node.operation.as_ref());
    let mut products = products.filter(|operation| matches!(operation.kind, OpKind::Linear | OpKind::Conv1D));
    let format = products.next().map(|operation| operation.output.format).filter(|format| format.holds_activations());
    format.map_or(Precision::F32, Precision::of)
}

/// Reads one node object into the arena, children after it.
struct NodeSeed<'a> {
    reading: &'a mut Reading,
    parent: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl NodeSeed<'_> {
    /// Reserves the node's place before its fields are read: in pre-order a parent comes before its children.
    fn reserve(&mut self) -> usize {
        let index = self.reading.nodes.len();
        let node = Node::new("", "", Level::Module);
        self.reading.nodes.push(Node {
            depth: self.parent.map_or(0, |parent| self.reading.nodes[parent].depth + 1),
            parent: self.parent.unwrap_or(0) as u32,
            ..node
        });
        index
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        let index = self.reserve();
        let reading = self.reading;
        let mut given = Given::default();
        let mut seen = Seen::default();
        while let Some(key) = map.next_key::<Key>()? {
            reading.enter(Some(index), &key);
            seen.once(&key)?;
            match key {
                Key::Quantity(quantity) => {
                    if let Some(value) = map.next_value::<Option<f64>>()? {
                        reading.nodes[index].set(quantity, value);
                    }
                }
                Key::Known(fields::CHILD_NODES_OBJ) => {
                    map.next_value_seed(ChildrenSeed { reading, parent: index })?;
                }
                Key::Known(name) => given.read(name, &mut map, &mut reading.nodes[index])?,
                Key::Other(name) => {
                    let value = map.next_value()?;
                    reading.nodes[index].extra.get_or_insert_default().insert(name, value);
                }
            }
        }
        given.settle(reading, index)?;
        reading.nodes[index].subtree_len = (reading.nodes.len() - index) as u32;
        Ok(())
    }
}

/// The keys of one object so far, to refuse a key that stands twice.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn once<E: serde::de::Error>(&mut self, key: &Key) -> std::result::Result<(), E> {
        let Some(bit) = key.number().map(|number| 1 << number) else { return Ok(()) };
        if self.0 & bit != 0 {
            return Err(E::custom("stands twice"));
        }
        self.0 |= bit;
        Ok(())
    }
}

struct ChildrenSeed<'a> {
    reading: &'a mut Reading,
    parent: usize,
}

impl<'de> DeserializeSeed<'de> for ChildrenSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ChildrenSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of node objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while seq.next_element_seed(NodeSeed { reading: self.reading, parent: Some(self.parent) })?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quantity;

    fn error(json: &str) -> String {
        parse_tree(json.as_bytes(), "trees.jsonl", 7).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_value_is_reported_with_line_column_scope_and_field() {
        let json = r#"{"model_name":"m","batch_size":1,"seq_len":2,"frontend_tree":{"scope":"root","flops":"many"}}"#;
        let message = error(json);
        assert!(message.starts_with("trees.jsonl, line 7, column 91, field `root: flops`: invalid type"), "{message}");
    }

    #[test]
    fn a_truncated_line_is_reported_where_it_ends() {
        let message =
            error(r#"{"model_name":"m","batch_size":1,"seq_len":2,"frontend_tree":{"scope":"root","flops":1"#);
        assert!(message.contains("field `root: flops`: EOF"), "{message}");
    }

    #[test]
    fn missing_fields_are_named() {
        assert!(error(r#"{"model_name":"m"}"#).contains("field `batch_size`: is missing"));
        let json = r#"{"model_name":"m","batch_size":1,"seq_len":2,"frontend_tree":{"scope":"root","type":"ml"}}"#;
        assert!(error(json).contains("field `root: instance_type`: is missing"));
    }

    #[test]
    fn a_batch_of_zero_is_refused() {
        assert!(error(r#"{"model_name":"m","batch_size":0}"#).contains("at least 1, found 0"));
    }

    #[test]
    fn a_quantity_of_null_is_absent() {
        let json = r#"{"model_name":"m","batch_size":1,"seq_len":2,
            "frontend_tree":{"scope":"root","instance_type":"Linear","type":"ml","flops":null}}"#;
        let tree = parse_tree(json.as_bytes(), "t", 1).unwrap();
        assert_eq!(tree.root().get(Quantity::Flops), None);
    }
}
