use irene_explore::{
    Candidate, Error, Result,
    learning::{Learner, PredictedValue, Saved, Surrogate},
};
use rand::seq::SliceRandom;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

use crate::records::{Records, check, embeddings};

/// Values of a coordinate that are closer count as equal, as in scikit-learn.
const CLOSE: f64 = 1e-7;

/// Learns a [`DecisionTree`] on the published embedding: one of ProTran's surrogates (Tuli and Jha).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DecisionTreeLearner;

impl Learner for DecisionTreeLearner {
    fn name(&self) -> &'static str {
        "decision-tree"
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], seed: u64) -> Result<Box<dyn Surrogate>> {
        Ok(Box::new(DecisionTree::fit(&embeddings(candidates), figures, seed)?))
    }
}

/// A regression tree grown to full depth (CART, Breiman et al., 1984) with the rules of scikit-learn's `DecisionTreeRegressor`:
/// a node splits where the squared error falls most, at the midpoint of two neighbouring values, until its figures are equal or
/// no coordinate tells its records apart; of equally good splits, the first in an order of the coordinates that is drawn anew for
/// each node. The value is the mean of the leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct DecisionTree {
    width: usize,
    nodes: Vec<Node>,
}

/// In order of visit: the left child is the next node, the right child any later one; 0 for a leaf, as the root is no child.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u32, f64, u32)", into = "(u32, f64, u32)")]
struct Node {
    feature: u32,
    /// A split's threshold, or a leaf's value.
    number: f64,
    right: u32,
}

impl From<(u32, f64, u32)> for Node {
    fn from((feature, number, right): (u32, f64, u32)) -> Self {
        Self { feature, number, right }
    }
}

impl From<Node> for (u32, f64, u32) {
    fn from(node: Node) -> Self {
        (node.feature, node.number, node.right)
    }
}

impl DecisionTree {
    /// Fits rows of coordinates and their figures.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no records, or their numbers or lengths do not fit.
    pub(crate) fn fit(rows: &[Vec<f64>], figures: &[f64], seed: u64) -> Result<Self> {
        let records = Records::new(rows, figures)?;
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        Ok(Columns::new(records).grow(figures, &vec![1; rows.len()], &mut random))
    }

    /// The prediction at these coordinates (a missing one counts as 0). The deviation is 0, as ProTran takes it.
    pub(crate) fn at(&self, coordinates: &[f64]) -> PredictedValue {
        PredictedValue { value: self.value(coordinates), deviation: 0.0 }
    }

    pub(super) fn value(&self, coordinates: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            let node = self.nodes[at];
            if node.right == 0 {
                return node.number;
            }
            let coordinate = coordinates.get(node.feature as usize).copied().unwrap_or(0.0);
            at = if coordinate <= node.number { at + 1 } else { node.right as usize };
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }
}

impl Surrogate for DecisionTree {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        self.at(&candidate.coordinates())
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("decision-tree", self)
    }
}

/// The fields as read, before any check.
#[derive(Deserialize)]
struct Raw {
    width: usize,
    nodes: Vec<Node>,
}

impl TryFrom<Raw> for DecisionTree {
    type Error = Error;

    /// Children are later nodes that exist: every walk ends at a leaf.
    fn try_from(Raw { width, nodes }: Raw) -> Result<Self> {
        let count = nodes.len();
        let holds = |(at, node): (usize, &Node)| {
            node.right == 0
                || (node.right as usize > at + 1 && (node.right as usize) < count && (node.feature as usize) < width)
        };
        if count == 0 || !nodes.iter().enumerate().all(holds) {
            return Err(Error::Data("a decision tree without nodes, or with a node that leads nowhere".into()));
        }
        check("decision tree: node", &nodes.iter().map(|node| node.number).collect::<Vec<_>>())?;
        Ok(Self { width, nodes })
    }
}

/// Records by coordinate, each sorted once: shared by all trees of an ensemble.
pub(super) struct Columns {
    values: Vec<Vec<f64>>,
    orders: Vec<Vec<u32>>,
}

impl Columns {
    pub(super) fn new(records: Records<'_>) -> Self {
        let column = |feature: usize| records.rows.iter().map(|row| row[feature]).collect::<Vec<_>>();
        let values: Vec<Vec<f64>> = (0..records.width()).map(column).collect();
        let order = |column: &Vec<f64>| {
            let mut order: Vec<u32> = (0..column.len() as u32).collect();
            order.sort_by(|&a, &b| column[a as usize].total_cmp(&column[b as usize]));
            order
        };
        Self { orders: values.iter().map(order).collect(), values }
    }

    /// A tree on the records that count, each as often as its count says (at least one above 0).
    pub(super) fn grow(&self, figures: &[f64], counts: &[u32], random: &mut Pcg64Mcg) -> DecisionTree {
        let counted = |order: &Vec<u32>| order.iter().copied().filter(|&row| counts[row as usize] > 0).collect();
        let orders: Vec<Vec<u32>> = self.orders.iter().map(counted).collect();
        let count = orders.first().map_or(0, Vec::len);
        let features = (0..self.values.len()).collect();
        let mut growth =
            Growth { columns: self, figures, counts, orders, features, scratch: Vec::with_capacity(count) };
        let mut nodes: Vec<Node> = Vec::with_capacity(2 * count);
        let mut stack = vec![(0, count, None)];
        while let Some((start, end, parent)) = stack.pop() {
            let at = nodes.len();
            if let Some(parent) = parent {
                let parent: &mut Node = &mut nodes[parent];
                parent.right = at as u32;
            }
            let (value, pure) = growth.leaf(start, end);
            let split = if pure { None } else { growth.best(start, end, value, random) };
            let Some(Split { feature, threshold, left }) = split else {
                nodes.push(Node { feature: 0, number: value, right: 0 });
                continue;
            };
            nodes.push(Node { feature: feature as u32, number: threshold, right: 0 });
            growth.part(start, end, feature, left);
            stack.push((left, end, Some(at)));
            stack.push((start, left, None));
        }
        DecisionTree { width: self.values.len(), nodes }
    }
}

struct Split {
    feature: usize,
    threshold: f64,
    /// Where the right child's records begin in that feature's order.
    left: usize,
}

/// A tree while it grows: a node is a range of each order, the same records in all.
struct Growth<'a> {
    columns: &'a Columns,
    figures: &'a [f64],
    counts: &'a [u32],
    orders: Vec<Vec<u32>>,
    features: Vec<usize>,
    scratch: Vec<u32>,
}

impl Growth<'_> {
    /// The mean of a node's figures, and whether they are equal; exact where they are.
    fn leaf(&self, start: usize, end: usize) -> (f64, bool) {
        let rows = &self.orders[0][start..end];
        let first = self.figures[rows[0] as usize];
        let (mut sum, mut count, mut least, mut most) = (0.0, 0.0, first, first);
        for &row in rows {
            let (figure, weight) = (self.figures[row as usize], f64::from(self.counts[row as usize]));
            (sum, count) = (sum + weight * (figure - first), count + weight);
            (least, most) = (least.min(figure), most.max(figure));
        }
        ((first + sum / count).clamp(least, most), least == most)
    }

    /// The split with the least squared error: with figures centred on the node's mean, the largest S²/n of left and right.
    fn best(&mut self, start: usize, end: usize, mean: f64, random: &mut Pcg64Mcg) -> Option<Split> {
        self.features.shuffle(random);
        let weight = |row: u32| f64::from(self.counts[row as usize]);
        let all: f64 = self.orders[0][start..end].iter().map(|&row| weight(row)).sum();
        let (mut best, mut score) = (None, f64::NEG_INFINITY);
        for &feature in &self.features {
            let (order, values) = (&self.orders[feature][start..end], &self.columns.values[feature]);
            let (mut sum, mut count) = (0.0, 0.0);
            for (at, pair) in order.windows(2).enumerate() {
                let (below, above) = (values[pair[0] as usize], values[pair[1] as usize]);
                count += weight(pair[0]);
                sum += weight(pair[0]) * (self.figures[pair[0] as usize] - mean);
                // The other side's sum is the negative: they add up to 0.
                let gain = sum * sum / count + sum * sum / (all - count);
                if gain > score && above - below > CLOSE {
                    let middle = below + (above - below) / 2.0;
                    let threshold = if middle < above { middle } else { below };
                    (best, score) = (Some(Split { feature, threshold, left: start + at + 1 }), gain);
                }
            }
        }
        best
    }

    /// Parts a node's range of every order in left and right, which stay sorted.
    fn part(&mut self, start: usize, end: usize, feature: usize, left: usize) {
        let mut goes_left = vec![false; self.figures.len()];
        for &row in &self.orders[feature][start..left] {
            goes_left[row as usize] = true;
        }
        for order in &mut self.orders {
            self.scratch.clear();
            let mut write = start;
            for read in start..end {
                let row = order[read];
                if goes_left[row as usize] {
                    order[write] = row;
                    write += 1;
                } else {
                    self.scratch.push(row);
                }
            }
            order[write..end].copy_from_slice(&self.scratch);
        }
    }
}

#[cfg(test)]
mod tests;
