use std::fmt;

use super::number;
use crate::{Mark, Node, NodeId, Quantity, Tree};

/// One column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The node's value, with its unit.
    Value(Quantity),
    /// The node's value as a share of the root's, in percent.
    Share(Quantity),
    /// The share as a bar of eight characters.
    Bar(Quantity),
    /// Warnings about the node's prediction.
    Marks,
}

impl Column {
    /// The words above the column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Value(Quantity::NumParameters) => "parameters",
            Self::Value(Quantity::MemBytes) => "memory traffic",
            Self::Value(Quantity::MovedBytes) => "bytes moved",
            Self::Value(Quantity::CopiedBytes) => "copied",
            Self::Value(Quantity::Latency) => "latency",
            Self::Value(Quantity::GroundTruthEnergy) => "measured",
            Self::Value(Quantity::PredictedEnergy) => "energy",
            Self::Value(Quantity::OwnEnergy) => "own part",
            Self::Value(Quantity::PredictedLow) => "at least",
            Self::Value(Quantity::PredictedHigh) => "at most",
            Self::Value(Quantity::PredictedLatency) => "latency",
            Self::Value(other) => other.name(),
            Self::Share(_) => "share",
            Self::Bar(_) | Self::Marks => "",
        }
    }

    fn cell(self, tree: &Tree, id: NodeId) -> String {
        let value = |q| tree.node(id).get(q);
        let cell = match self {
            Self::Value(q) => value(q).map(|value| number::quantity(q, value)),
            Self::Share(q) => tree.share(id, q).map(|share| format!("{:.1}%", 100.0 * share)),
            Self::Bar(q) => tree.share(id, q).map(bar),
            Self::Marks => {
                let node = tree.node(id);
                let names: Vec<_> = node.marks.iter().map(|mark| of_mark(node, mark)).collect();
                Some(names.join(", "))
            }
        };
        // An absent value is an empty cell, never a zero.
        cell.unwrap_or_default()
    }
}

/// The mark's word; for an extrapolated node, also the feature that is farthest outside the training range, and by what factor.
fn of_mark(node: &Node, mark: Mark) -> String {
    match (mark, node.extrapolated().first()) {
        (Mark::Extrapolated, Some((feature, factor))) => {
            format!("extrapolated: {feature} x{}", number::digits(*factor))
        }
        _ => mark.name().to_owned(),
    }
}

/// A bar of eight characters, in steps of an eighth of a character.
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * 64.0).round() as usize;
    format!("{:<8}", "█".repeat(eighths / 8) + EIGHTHS[eighths % 8])
}

impl Tree {
    /// The node's value times its runs, as a share of the root's.
    pub fn share(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        let part = self.node(id).get(quantity)? * self.weight(quantity, self.runs(id));
        let whole = self.root().get(quantity)?;
        (whole > 0.0).then_some(part / whole)
    }
}

/// The columns and depth of a [`Table`].
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// The columns beside the tree, left to right.
    pub columns: Vec<Column>,
    /// Nodes deeper than this are left out.
    pub max_depth: usize,
}

/// One line of a [`Table`].
#[derive(Clone, Debug)]
pub struct Row {
    /// The node.
    pub id: NodeId,
    /// The branch lines before the name.
    pub branch: String,
    /// Name, instance type, and how often the node runs in its parent if not once.
    pub label: String,
    /// One cell a column.
    pub cells: Vec<String>,
}

/// A tree as lines with branches and aligned columns. `Display` prints it without colours.
///
/// ```
/// use irene_tree::{Level, Quantity, Size, TreeBuilder, render::{Column, Table, TableOptions}};
/// # fn main() -> irene_tree::Result<()> {
/// let mut builder = TreeBuilder::new("tiny", Size::new(1, 8));
/// builder.enter("root", "Tiny", Level::Model).set(Quantity::Flops, 3.0);
/// builder.leaf("dense", "Linear", Level::Ml, None).set(Quantity::Flops, 2.0);
/// builder.leave();
/// let tree = builder.finish()?;
/// let columns = vec![Column::Value(Quantity::Flops), Column::Share(Quantity::Flops)];
/// let table = Table::new(&tree, &TableOptions { columns, max_depth: usize::MAX });
/// assert_eq!(table.to_string(), "\
/// node               flops   share
/// root Tiny        3 MFLOP  100.0%
/// └─ dense Linear  2 MFLOP   66.7%
/// ");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    /// The titles of the columns.
    pub titles: Vec<&'static str>,
    /// The lines, top to bottom.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of a tree.
    pub fn new(tree: &Tree, options: &TableOptions) -> Self {
        let mut rows = Vec::new();
        push_rows(tree, options, NodeId::ROOT, &mut Vec::new(), &mut rows);
        Self { titles: options.columns.iter().map(|column| column.title()).collect(), rows }
    }

    /// Characters of the widest label with its branch, and of the widest cell of each column.
    pub fn widths(&self) -> (usize, Vec<usize>) {
        let count = |text: &str| text.chars().count();
        let label = self.rows.iter().map(|row| count(&row.branch) + count(&row.label)).max().unwrap_or(0);
        let cell = |column: usize| {
            let widest = self.rows.iter().map(|row| count(&row.cells[column])).max().unwrap_or(0);
            widest.max(count(self.titles[column]))
        };
        (label.max(4), (0..self.titles.len()).map(cell).collect())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label_width, cell_widths) = self.widths();
        write!(f, "{:label_width$}", "node")?;
        for (title, width) in self.titles.iter().zip(&cell_widths) {
            write!(f, "  {title:>width$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:label_width$}", format!("{}{}", row.branch, row.label))?;
            for (cell, width) in row.cells.iter().zip(&cell_widths) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// `last_above`: for each ancestor below the root, whether it is its parent's last child.
fn push_rows(tree: &Tree, options: &TableOptions, id: NodeId, last_above: &mut Vec<bool>, rows: &mut Vec<Row>) {
    let node = tree.node(id);
    let mut branch = String::new();
    if let Some((is_last, above)) = last_above.split_last() {
        branch.extend(above.iter().map(|&last| if last { "   " } else { "│  " }));
        branch.push_str(if *is_last { "└─ " } else { "├─ " });
    }
    rows.push(Row {
        id,
        branch,
        label: match node.times() {
            1.0 => format!("{} {}", node.name(), node.instance_type()),
            times => format!("{} {} x{}", node.name(), node.instance_type(), number::digits(times)),
        },
        cells: options.columns.iter().map(|column| column.cell(tree, id)).collect(),
    });
    if node.depth() < options.max_depth {
        let mut children = tree.children(id).peekable();
        while let Some(child) = children.next() {
            last_above.push(children.peek().is_none());
            push_rows(tree, options, child, last_above, rows);
            last_above.pop();
        }
    }
}
