//! Our predictor from specs alone: architecture and input size, nothing measured of the model that is predicted.
//!
//! - **Primitives** ([`curve`], [`correction`]): the energy of a launch, or of the FLOPs and bytes where that is more, with a
//!   smooth factor where the training data departs from it.
//! - **Modules** ([`own_part`]): the sum of the children, plus an own part of non-negative cost per module call, per kernel,
//!   per MiB moved and per MiB copied.
//!
//! A node outside the range of the training data gets a prediction all the same, and the mark `extrapolated`. A primitive
//! that was never seen is costed by a curve over all primitives, and marked so.

mod correction;
mod curve;
mod own_part;

use std::collections::{BTreeMap, HashMap};

use correction::Correction;
use curve::Curve;
use irene_features::{Feature, FeatureSet};
use irene_tree::{Level, Mark, Node, NodeId, Quantity, Tree};
use own_part::OwnPart;

use crate::{Error, Predictor, Result, Store, Trainer, paper::ground_truth};

/// The method's name in files and on the command line.
pub(crate) const METHOD: &str = "specs";

/// What a primitive's energy depends on.
const SHAPE: [Feature; 4] = [
    Feature::Node(Quantity::Flops),
    Feature::Node(Quantity::MovedBytes),
    Feature::Node(Quantity::NumParameters),
    Feature::SeqLen,
];

/// The values of [`SHAPE`] at a node.
type ShapeRow = [f64; SHAPE.len()];

/// Trains [`SpecsPredictor`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SpecsTrainer;

/// Energies from architecture and input size.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecsPredictor {
    /// By instance type in lower case.
    primitives: BTreeMap<String, Primitive>,
    /// Over all primitives, for those that were never seen.
    any: Curve,
    own_part: OwnPart,
}

#[derive(Clone, Debug, PartialEq)]
struct Primitive {
    curve: Curve,
    correction: Correction,
    /// Least and greatest values of the training data.
    range: [(f64, f64); SHAPE.len()],
}

/// One measured shape of a primitive.
#[derive(Clone, Copy, Debug)]
struct Sample {
    shape: ShapeRow,
    /// The mean of the measurements' logarithms, ln J.
    log_energy: f64,
    /// How many there are.
    count: f64,
}

fn shape_row(features: &FeatureSet, tree: &Tree, id: NodeId) -> Result<ShapeRow> {
    let row = features.row(tree, id)?;
    Ok(std::array::from_fn(|column| row[column]))
}

impl Trainer for SpecsTrainer {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn train(&self, trees: &[&Tree]) -> Result<Box<dyn Predictor>> {
        // What a module runs itself is its own part here, whether or not the trees show it.
        let shows_math = |tree: &Tree| tree.nodes().iter().any(|node| node.level() == Level::Math);
        let (with, without): (Vec<&Tree>, Vec<&Tree>) = trees.iter().partition(|tree| shows_math(tree));
        let stripped: Vec<Tree> = with.into_iter().map(Tree::without_math).collect();
        let trees: Vec<&Tree> = without.into_iter().chain(&stripped).collect();
        let samples = samples(&trees)?;
        if samples.is_empty() {
            return Err(Error::Training("no tree with a primitive".into()));
        }
        let all: Vec<Sample> = samples.values().flatten().copied().collect();
        let primitives = samples.into_iter().map(|(name, samples)| (name, Primitive::fit(&samples)));
        let own_part = OwnPart::fit(&trees)?;
        Ok(Box::new(SpecsPredictor { primitives: primitives.collect(), any: Curve::fit(&all), own_part }))
    }
}

/// The measured shapes of each primitive; what several models or layers share is one sample.
fn samples(trees: &[&Tree]) -> Result<BTreeMap<String, Vec<Sample>>> {
    let features = FeatureSet::custom(SHAPE);
    // Layers repeat their measurement; models measure anew.
    let mut measured: BTreeMap<String, BTreeMap<[u64; SHAPE.len()], Vec<f64>>> = BTreeMap::new();
    for tree in trees {
        let mut of_tree = std::collections::HashSet::new();
        for id in tree.ids().filter(|&id| tree.node(id).level() == Level::Ml) {
            let shape = shape_row(&features, tree, id)?.map(f64::to_bits);
            let energy = ground_truth(tree, id)?;
            let name = tree.node(id).instance_type().to_ascii_lowercase();
            if of_tree.insert((name.clone(), shape, energy.to_bits())) {
                measured.entry(name).or_default().entry(shape).or_default().push(energy.ln());
            }
        }
    }
    let sample = |(shape, logs): ([u64; SHAPE.len()], Vec<f64>)| Sample {
        shape: shape.map(f64::from_bits),
        log_energy: logs.iter().sum::<f64>() / logs.len() as f64,
        count: logs.len() as f64,
    };
    Ok(measured.into_iter().map(|(name, shapes)| (name, shapes.into_iter().map(sample).collect())).collect())
}

impl Primitive {
    fn fit(samples: &[Sample]) -> Self {
        let curve = Curve::fit(samples);
        let correction = Correction::fit(samples, &curve);
        let range = std::array::from_fn(|column| {
            let values = samples.iter().map(|sample| sample.shape[column]);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        });
        Self { curve, correction, range }
    }

    fn energy(&self, shape: &ShapeRow) -> f64 {
        self.curve.energy(shape) * self.correction.factor(shape)
    }

    fn covers(&self, shape: &ShapeRow) -> bool {
        // The figures went through text; equal ones may differ in the last digits.
        const SLACK: f64 = 1e-9;
        let within = |(&x, &(low, high)): (&f64, &(f64, f64))| x >= low * (1.0 - SLACK) && x <= high * (1.0 + SLACK);
        shape.iter().zip(&self.range).all(within)
    }
}

impl Predictor for SpecsPredictor {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn summary(&self) -> String {
        "specs (launch, FLOPs and bytes with a smooth correction; modules by own cost)".into()
    }

    fn predict(&self, tree: &mut Tree) -> Result<()> {
        let features = FeatureSet::custom(SHAPE);
        tree.clear_predictions();
        // Most leaves of a model are alike.
        let mut known: HashMap<(String, [u64; SHAPE.len()]), (f64, Option<Mark>)> = HashMap::new();
        let mut energies = vec![0.0; tree.nodes().len()];
        for id in tree.ids().rev() {
            let (own, mark) = match tree.node(id).level() {
                Level::Ml => {
                    let shape = shape_row(&features, tree, id)?;
                    let name = self.name_of(tree.node(id));
                    match known.get(&(name.clone(), shape.map(f64::to_bits))) {
                        Some(known) => *known,
                        None => *known
                            .entry((name.clone(), shape.map(f64::to_bits)))
                            .or_insert_with(|| self.primitive(&name, &shape)),
                    }
                }
                _ => (self.own_part.energy(tree, id)?, None),
            };
            energies[id.index()] += own;
            let total = energies[id.index()];
            let node = tree.node_mut(id);
            node.set(Quantity::PredictedEnergy, total);
            node.set(Quantity::OwnEnergy, own);
            node.marks.extend(mark);
            let marks = node.marks;
            if let Some(parent) = tree.parent(id) {
                energies[parent.index()] += total;
                tree.node_mut(parent).marks.extend(marks.iter());
            }
        }
        Ok(())
    }

    fn write(&self, store: &mut Store) {
        store.set_list("primitives", self.primitives.keys());
        for (name, primitive) in &self.primitives {
            let name = format!("primitive.{name}");
            primitive.curve.write(&name, store);
            primitive.correction.write(&name, store);
            let range: Vec<f64> = primitive.range.iter().flat_map(|&(low, high)| [low, high]).collect();
            store.put(&format!("{name}.range"), &range);
        }
        self.any.write("any", store);
        self.own_part.write(store);
    }
}

impl SpecsPredictor {
    /// The primitive that a leaf is: by its instance type, or by its operation where another program calls the same one
    /// something else (`candle_nn::Linear`).
    fn name_of(&self, node: &Node) -> String {
        let name = node.instance_type().to_ascii_lowercase();
        match &node.operation {
            Some(operation) if !self.primitives.contains_key(&name) => operation.kind.name().to_ascii_lowercase(),
            _ => name,
        }
    }

    fn primitive(&self, name: &str, shape: &ShapeRow) -> (f64, Option<Mark>) {
        match self.primitives.get(name) {
            None => (self.any.energy(shape), Some(Mark::UnseenOperation)),
            Some(primitive) if primitive.covers(shape) => (primitive.energy(shape), None),
            Some(primitive) => (primitive.energy(shape), Some(Mark::Extrapolated)),
        }
    }

    /// Reads what [`Predictor::write`] wrote.
    pub(crate) fn read(store: &Store) -> Result<Self> {
        let primitive = |name: String| {
            let place = format!("primitive.{name}");
            let range = store.take(&format!("{place}.range"), 2 * SHAPE.len())?;
            let primitive = Primitive {
                curve: Curve::read(&place, store)?,
                correction: Correction::read(&place, store)?,
                range: std::array::from_fn(|column| (range[2 * column], range[2 * column + 1])),
            };
            Ok((name, primitive))
        };
        Ok(Self {
            primitives: store.get_list("primitives")?.into_iter().map(primitive).collect::<Result<_>>()?,
            any: Curve::read("any", store)?,
            own_part: OwnPart::read(store)?,
        })
    }
}
