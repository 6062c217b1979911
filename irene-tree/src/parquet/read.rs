use std::{collections::HashMap, path::Path, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Map;

use super::{
    columns, fault,
    table::{Cell, Reader},
};
use crate::{Format, Kernels, Level, Mark, Node, Parallel, Precision, Quantity, Result, Size, Tree};

/// Reads trees from rows of nodes, one tree at a time: memory holds a thousand rows and one tree.
pub struct TreeReader {
    table: Reader,
    places: Places,
    batch: Vec<Vec<Option<Cell>>>,
    /// The next row of the batch, and the number of rows before the batch.
    next: usize,
    before: usize,
    is_over: bool,
}

impl std::fmt::Debug for TreeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeReader").field("rows_before", &self.before).finish_non_exhaustive()
    }
}

/// Where each column stands.
struct Places {
    named: HashMap<String, usize>,
    quantities: Vec<(Quantity, String)>,
}

/// The least that a file must have.
const NEEDED: [&str; 7] = [
    columns::MODEL_NAME,
    columns::BATCH_SIZE,
    columns::SEQ_LEN,
    columns::SCOPE,
    columns::INSTANCE_TYPE,
    columns::TYPE,
    columns::LEVEL,
];

impl TreeReader {
    /// Opens the file at this path.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::File`](crate::Error::File) if it is no Parquet file, or has no trees.
    pub fn open(path: &Path) -> Result<Self> {
        let table = Reader::open(path)?;
        let named: HashMap<String, usize> =
            table.names().into_iter().enumerate().map(|(place, name)| (name, place)).collect();
        if let Some(missing) = NEEDED.iter().find(|name| !named.contains_key(**name)) {
            return Err(fault(path, format!("has no column `{missing}`, which trees have: {}", NEEDED.join(", "))));
        }
        let quantities = Quantity::all().map(|quantity| (quantity, columns::of_quantity(quantity)));
        let quantities = quantities.filter(|(_, name)| named.contains_key(name)).collect();
        let places = Places { named, quantities };
        Ok(Self { table, places, batch: Vec::new(), next: 0, before: 0, is_over: false })
    }

    /// Whether there is a next row, which is read if it has to be.
    fn has_row(&mut self) -> Result<bool> {
        while self.next == self.batch.first().map_or(0, Vec::len) {
            self.before += self.next;
            self.next = 0;
            match self.table.batch()? {
                Some(batch) => self.batch = batch,
                None => {
                    self.batch = Vec::new();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn row(&self) -> Row<'_> {
        Row { reader: self, row: self.next }
    }

    fn tree(&mut self) -> Result<Tree> {
        let mut tree = self.row().tree()?;
        let mut above: Vec<u32> = Vec::new();
        loop {
            let row = self.row();
            let depth = row.count(columns::LEVEL, 0)?.unwrap_or(0);
            if depth > above.len() {
                let reason = format!("stands {} levels below the node before it", depth + 1 - above.len());
                return Err(row.fault(columns::LEVEL, &reason));
            }
            above.truncate(depth);
            above.iter().for_each(|&place| tree.nodes[place as usize].subtree_len += 1);
            let (deep, parent) = (depth.min(u16::MAX.into()) as u16, above.last().copied().unwrap_or(0));
            let node = row.node()?;
            above.push(tree.nodes.len() as u32);
            tree.nodes.push(Node { depth: deep, parent, ..node });
            self.next += 1;
            if !self.has_row()? || self.row().count(columns::LEVEL, 0)?.unwrap_or(0) == 0 {
                break;
            }
        }
        tree.check()?;
        Ok(tree)
    }
}

impl Iterator for TreeReader {
    type Item = Result<Tree>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let tree = match self.has_row() {
            Ok(false) => return None,
            Ok(true) => self.tree(),
            Err(error) => Err(error),
        };
        // After a fault nobody knows where the next tree begins.
        self.is_over = tree.is_err();
        Some(tree)
    }
}

/// One row of the batch.
struct Row<'r> {
    reader: &'r TreeReader,
    row: usize,
}

impl Row<'_> {
    fn fault(&self, column: &str, reason: &str) -> crate::Error {
        let row = self.reader.before + self.row + 1;
        fault(self.reader.table.path(), format!("row {row}, column `{column}`: {reason}"))
    }

    fn cell(&self, column: &str) -> Option<&Cell> {
        let place = *self.reader.places.named.get(column)?;
        self.reader.batch[place][self.row].as_ref()
    }

    fn text(&self, column: &str) -> Result<Option<&str>> {
        match self.cell(column) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(_) => Err(self.fault(column, "expected text, found a number")),
        }
    }

    fn number(&self, column: &str) -> Result<Option<f64>> {
        match self.cell(column) {
            Some(Cell::Number(number)) => Ok(Some(*number)),
            Some(Cell::Whole(number)) => Ok(Some(*number as f64)),
            None => Ok(None),
            Some(Cell::Text(_)) => Err(self.fault(column, "expected a number, found text")),
        }
    }

    fn count(&self, column: &str, least: u32) -> Result<Option<usize>> {
        let Some(number) = self.number(column)? else { return Ok(None) };
        if number.fract() == 0.0 && (f64::from(least)..=f64::from(u32::MAX)).contains(&number) {
            return Ok(Some(number as usize));
        }
        Err(self.fault(column, &format!("expected a whole number of at least {least}, found {number}")))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let Some(text) = self.text(column)? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| self.fault(column, &error.to_string()))
    }

    fn named<T>(&self, column: &str, find: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(word) = self.text(column)? else { return Ok(None) };
        find(word).map(Some).ok_or_else(|| self.fault(column, &format!("no such word: `{word}`")))
    }

    fn needed<T>(&self, column: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.fault(column, "is missing"))
    }

    /// The tree that begins here, without its nodes.
    fn tree(&self) -> Result<Tree> {
        let usual = Precision::default();
        let format = |column: &str| self.named(column, |word| word.parse::<Format>().ok());
        let weights = format(columns::WEIGHTS)?.unwrap_or(usual.weights);
        let activations = format(columns::ACTIVATIONS)?.unwrap_or(usual.activations);
        let degree = |place: usize| -> Result<usize> {
            let (column, most) = (columns::PARALLEL[place], Parallel::MOST);
            let degree = self.count(column, 1)?.unwrap_or(1);
            let beyond = || self.fault(column, &format!("expected at most {most}, found {degree}"));
            if degree > most { Err(beyond()) } else { Ok(degree) }
        };
        Ok(Tree {
            model_name: self.needed(columns::MODEL_NAME, self.text(columns::MODEL_NAME)?)?.to_owned(),
            size: Size {
                sequences: self.needed(columns::BATCH_SIZE, self.count(columns::BATCH_SIZE, 1)?)?,
                new: self.needed(columns::SEQ_LEN, self.count(columns::SEQ_LEN, 1)?)?,
                past: self.count(columns::PAST_LEN, 0)?.unwrap_or(0),
            },
            generated: self.count(columns::GENERATED, 0)?.unwrap_or(0),
            precision: Precision { weights, activations, cache: format(columns::CACHE)?.unwrap_or(activations) },
            kernels: self.named(columns::EXECUTION, Kernels::find)?.unwrap_or_default(),
            parallel: Parallel { tensor: degree(0)?, pipeline: degree(1)?, expert: degree(2)?, data: degree(3)? },
            training: self.json(columns::TRAINING)?,
            extra: self.json(columns::TREE_EXTRA)?.unwrap_or_else(Map::new),
            nodes: Vec::new(),
        })
    }

    fn node(&self) -> Result<Node> {
        let scope = self.needed(columns::SCOPE, self.text(columns::SCOPE)?)?;
        let class = self.needed(columns::INSTANCE_TYPE, self.text(columns::INSTANCE_TYPE)?)?.to_owned();
        let level = self.needed(columns::TYPE, self.named(columns::TYPE, Level::from_name)?)?;
        let mut node = Node::new(scope, class, level);
        node.times = self.number(columns::TIMES)?.unwrap_or(1.0);
        node.gpus = self.count(columns::GPUS, 1)?.unwrap_or(1) as u32;
        node.id = self.text(columns::ID)?.map(Into::into);
        for (quantity, column) in &self.reader.places.quantities {
            if let Some(value) = self.number(column)? {
                node.set(*quantity, value);
            }
        }
        let [sequences, new, past] = columns::NODE_SIZE;
        if let (Some(sequences), Some(new)) = (self.count(sequences, 1)?, self.count(new, 1)?) {
            node.size = Some(Size { sequences, new, past: self.count(past, 0)?.unwrap_or(0) });
        }
        let mark = |word: &str| serde_json::from_value::<Mark>(word.into()).ok();
        let marks = |words: &str| words.split(',').map(|word| mark(word.trim())).collect();
        node.marks = self.named(columns::MARKS, marks)?.unwrap_or_default();
        node.operation = self.json(columns::OPERATION)?.map(Arc::new);
        node.extra = self.json(columns::EXTRA)?;
        Ok(node)
    }
}
