use std::fmt::{self, Write};

use super::{
    fit::{GAP, columns_that_fit, shortened},
    number,
};
use crate::{Mark, Node, NodeId, Quantity, Tree};

/// One column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The value of all the node's runs, with its unit: a parent's is its own part and its children's together.
    Value(Quantity),
    /// The node's value as a share of the root's, in percent.
    Share(Quantity),
    /// The share as a bar of eight characters.
    Bar(Quantity),
    /// The interval of the predicted energy.
    Interval,
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
            Self::Value(Quantity::LinkBytes) => "bytes sent",
            Self::Value(Quantity::CopiedBytes) => "copied",
            Self::Value(Quantity::Latency) => "latency",
            Self::Value(Quantity::GroundTruthEnergy) => "measured",
            Self::Value(Quantity::PredictedEnergy) => "energy",
            Self::Value(Quantity::OwnEnergy) => "own part",
            Self::Value(Quantity::PredictedLatency) => "latency",
            Self::Value(other) => other.name(),
            Self::Share(_) => "share",
            Self::Interval => "90% interval",
            Self::Bar(_) | Self::Marks => "",
        }
    }

    /// Its rank where there is not enough room: 0 always stays, the greatest go first.
    fn rank(self) -> u8 {
        match self {
            Self::Marks | Self::Value(Quantity::PredictedEnergy | Quantity::Flops) | Self::Share(_) => 0,
            Self::Value(Quantity::GroundTruthEnergy) => 1,
            Self::Interval | Self::Value(Quantity::MovedBytes | Quantity::LinkBytes) => 2,
            Self::Value(Quantity::PredictedLatency | Quantity::NumParameters) => 3,
            Self::Value(Quantity::OwnEnergy | Quantity::Kernels) => 4,
            Self::Value(_) => 5,
            Self::Bar(_) => 6,
        }
    }

    fn cell(self, tree: &Tree, id: NodeId) -> String {
        let value = |q| tree.total(id, q);
        let cell = match self {
            // The title is the unit.
            Self::Value(q @ Quantity::Kernels) => value(q).map(number::digits),
            Self::Value(q) => value(q).map(|value| number::quantity(q, value)),
            Self::Interval => {
                let ends = value(Quantity::PredictedLow).zip(value(Quantity::PredictedHigh));
                ends.map(|(low, high)| number::range(low, high, "J"))
            }
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
    /// The value of all the node's runs, as a share of the root's.
    pub fn share(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        let part = self.total(id, quantity)?;
        let whole = self.root().get(quantity)?;
        (whole > 0.0).then_some(part / whole)
    }
}

/// The least width to which warnings are shortened.
const LEAST_MARKS: usize = 12;
/// The least width to which names are shortened, with their branches.
const LEAST_LABEL: usize = 12;

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

/// A tree as lines with branches and aligned columns. A node that runs several times, such as one that stands for equal layers, has
/// the figures of all its runs. `Display` prints it without colours.
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
    /// The columns beside the tree, left to right.
    pub columns: Vec<Column>,
    /// The lines, top to bottom.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of a tree.
    pub fn new(tree: &Tree, options: &TableOptions) -> Self {
        let mut rows = Vec::new();
        push_rows(tree, options, NodeId::ROOT, &mut Vec::new(), &mut rows);
        Self { columns: options.columns.clone(), rows }
    }

    /// The table in lines of at most `width` characters: it leaves out columns, those of least use first, and shortens warnings and
    /// names where that is not enough.
    #[must_use]
    pub fn fitted(mut self, width: usize) -> Self {
        let (label, mut widths) = self.widths();
        let of_marks = self.columns.iter().position(|&column| column == Column::Marks);
        if let Some(marks) = of_marks {
            let always = self.columns.iter().zip(&widths).filter(|(column, _)| column.rank() == 0);
            let rest: usize = label + always.map(|(_, cell)| cell + GAP).sum::<usize>() - widths[marks];
            widths[marks] = widths[marks].min(width.saturating_sub(rest).max(LEAST_MARKS));
        }
        let all: Vec<usize> = std::iter::once(label).chain(widths.iter().copied()).collect();
        let ranks: Vec<u8> = std::iter::once(0).chain(self.columns.iter().map(|column| column.rank())).collect();
        let stays = &columns_that_fit(&all, &ranks, width)[1..];
        let rest: usize = widths.iter().zip(stays).filter(|(_, stays)| **stays).map(|(cell, _)| cell + GAP).sum();
        let label = label.min(width.saturating_sub(rest).max(LEAST_LABEL));
        for row in &mut self.rows {
            row.label = shortened(&row.label, label.saturating_sub(row.branch.chars().count()).max(1));
            if let Some(marks) = of_marks {
                row.cells[marks] = shortened(&row.cells[marks], widths[marks]);
            }
            row.cells = std::mem::take(&mut row.cells)
                .into_iter()
                .zip(stays)
                .filter(|(_, stays)| **stays)
                .map(|(cell, _)| cell)
                .collect();
        }
        self.columns =
            self.columns.into_iter().zip(stays).filter(|(_, stays)| **stays).map(|(column, _)| column).collect();
        self
    }

    /// Characters of the widest label with its branch, and of the widest cell of each column.
    pub fn widths(&self) -> (usize, Vec<usize>) {
        let count = |text: &str| text.chars().count();
        let label = self.rows.iter().map(|row| count(&row.branch) + count(&row.label)).max().unwrap_or(0);
        let cell = |column: usize| {
            let widest = self.rows.iter().map(|row| count(&row.cells[column])).max().unwrap_or(0);
            widest.max(count(self.columns[column].title()))
        };
        (label.max(4), (0..self.columns.len()).map(cell).collect())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label_width, cell_widths) = self.widths();
        let mut titles = format!("{:label_width$}", "node");
        for (column, width) in self.columns.iter().zip(&cell_widths) {
            write!(titles, "  {:>width$}", column.title())?;
        }
        writeln!(f, "{}", titles.trim_end())?;
        for row in &self.rows {
            let mut line = format!("{:label_width$}", format!("{}{}", row.branch, row.label));
            for (cell, width) in row.cells.iter().zip(&cell_widths) {
                write!(line, "  {cell:>width$}")?;
            }
            writeln!(f, "{}", line.trim_end())?;
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

#[cfg(test)]
mod tests;
