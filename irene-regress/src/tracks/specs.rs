use std::collections::{BTreeMap, HashMap};

use irene_tree::{Level, Mark, Node, NodeId, Tree};

use super::Method;
use crate::{
    Error, Explanation, Result, Store,
    figures::{self, Prediction},
    physics::{OwnPart, Primitive, SHAPE, Sample, Shape, carried_over, samples, shape},
};

/// Nothing measured: primitives by their shapes ([`Primitive`]), modules and models as the sum of their parts and an [`OwnPart`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Specs {
    /// By instance type in lower case.
    primitives: BTreeMap<String, Primitive>,
    /// Over all primitives, for those that were never seen and are like none.
    any: Primitive,
    own_part: OwnPart,
}

/// Primitives that do the same work in other words: each stands in where the other was never seen.
const KIN: [(&str, &str); 2] = [("conv1d", "linear"), ("linear", "conv1d")];

/// A primitive, and whether a node is one of those it was learned from.
struct Found<'a> {
    primitive: &'a Primitive,
    is_seen: bool,
}

impl Specs {
    /// The primitive that a leaf is: by its instance type, or by its operation where another program calls the same one something
    /// else (`candle_nn::Linear`).
    fn find(&self, node: &Node) -> Found<'_> {
        let operation = node.operation.as_ref().map(|operation| operation.kind.name());
        let names = [Some(node.instance_type()), operation].into_iter().flatten().map(str::to_ascii_lowercase);
        let names: Vec<String> = names.collect();
        if let Some(primitive) = names.iter().find_map(|name| self.primitives.get(name)) {
            return Found { primitive, is_seen: true };
        }
        let kin = KIN.iter().filter(|(unseen, _)| names.iter().any(|name| name == unseen));
        let primitive = kin.filter_map(|(_, like)| self.primitives.get(*like)).next().unwrap_or(&self.any);
        Found { primitive, is_seen: false }
    }

    fn of_primitive(&self, found: &Found<'_>, shape: &Shape) -> Prediction {
        let mut prediction = Prediction::of(found.primitive.launch(shape).figures());
        let distances = found.primitive.range.beyond(shape);
        prediction.beyond =
            SHAPE.into_iter().zip(distances).filter_map(|(name, factor)| Some((name, factor?))).collect();
        if !prediction.beyond.is_empty() {
            prediction.marks.insert(Mark::Extrapolated);
        }
        if !found.is_seen {
            prediction.marks.insert(Mark::UnseenOperation);
        }
        prediction
    }
}

impl Method for Specs {
    const NAME: &'static str = "specs";

    fn summary(&self) -> String {
        "specs (latency by launch, FLOPs and bytes; power; a smooth correction; modules by own cost)".into()
    }

    fn fit(trees: &[&Tree]) -> Result<Self> {
        let samples = samples(trees)?;
        let all: Vec<Sample> = samples.values().flatten().copied().collect();
        check(trees, &all)?;
        let primitives = samples.into_iter().map(|(name, samples)| (name, Primitive::fit(&samples)));
        let any = Primitive::fit(&all).without_correction();
        Ok(Self { primitives: primitives.collect(), any, own_part: OwnPart::fit(trees)? })
    }

    fn predict(&self, tree: &Tree) -> Result<Vec<Prediction>> {
        // Most leaves of a model are alike.
        let mut known: HashMap<(*const Primitive, [u64; SHAPE.len()]), Prediction> = HashMap::new();
        figures::sum_up(tree, |id| {
            if tree.node(id).level() != Level::Ml {
                return Ok(Prediction::of(self.own_part.figures(tree, id)?));
            }
            let (found, shape) = (self.find(tree.node(id)), shape(tree, id)?);
            let key = (std::ptr::from_ref(found.primitive), shape.map(f64::to_bits));
            Ok(known.entry(key).or_insert_with(|| self.of_primitive(&found, &shape)).clone())
        })
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        if tree.node(id).level() != Level::Ml {
            return self.own_part.explain(tree, id);
        }
        let shape = shape(tree, id)?;
        Ok(self.find(tree.node(id)).primitive.explain(&shape))
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        let samples = samples(trees)?;
        if samples.is_empty() {
            return Err(Error::Training("no tree has a primitive".into()));
        }
        let (primitives, any) = carried_over(&self.primitives, &self.any, &samples);
        Ok(Self { primitives, any, own_part: self.own_part.adapted(trees)? })
    }

    fn write(&self, store: &mut Store) {
        store.set_list("primitives", self.primitives.keys());
        for (name, primitive) in &self.primitives {
            primitive.write(&format!("primitive.{name}"), store);
        }
        self.any.write("any", store);
        self.own_part.write(store);
    }

    fn read(store: &Store) -> Result<Self> {
        let primitive = |name: String| {
            let primitive = Primitive::read(&format!("primitive.{name}"), store)?;
            Ok((name, primitive))
        };
        Ok(Self {
            primitives: store.get_list("primitives")?.into_iter().map(primitive).collect::<Result<_>>()?,
            any: Primitive::read("any", store)?,
            own_part: OwnPart::read(store)?,
        })
    }
}

/// Whether there is enough to tell launches from work.
fn check(trees: &[&Tree], samples: &[Sample]) -> Result<()> {
    let Some(first) = samples.first() else {
        return Err(Error::Training("no tree has a primitive".into()));
    };
    let size = |tree: &Tree| (tree.batch_size, tree.seq_len);
    if let Some(tree) = trees.first()
        && trees.iter().all(|other| size(other) == size(tree))
    {
        let (batch, len) = size(tree);
        let reason =
            format!("all trees are of one size, {batch}x{len}; trees of two sizes are the least for method specs");
        return Err(Error::Training(reason));
    }
    for (name, figure) in [("times_mean", 0), ("ground_truth_energy", 1)] {
        let value = |sample: &Sample| [sample.log_time, sample.log_energy][figure];
        if samples.iter().all(|sample| value(sample) == value(first)) && samples.len() > 1 {
            return Err(Error::Training(format!(
                "{name} is the same for every primitive: there is nothing to learn; primitives of two sizes are the least"
            )));
        }
    }
    Ok(())
}
