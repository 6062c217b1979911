use std::collections::{BTreeMap, HashMap};

use irene_numerics::conformal_quantile;
use irene_tree::{Level, Mark, NodeId, Tree};

use super::Method;
use crate::{
    Error, Explanation, Result, Store, TreeSource,
    interval::{CONFIDENCE, Kind, SEEN_DEVIATION, Uncertainty, group},
    physics::{
        OwnPart, Primitive, SHAPE, Sample, Samples, Shape, TimeCurve, carried_over, keys, kind, samples, shape,
        without_formats,
    },
    prediction::{self, NodePrediction},
    provenance::sizes,
    unmeasured,
};

/// Predicts without measurements of the model: primitives by their shapes ([`Primitive`]), modules and models as the sum of their parts
/// and an [`OwnPart`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Specs {
    /// By their keys: kind, what the same kernel does besides, number formats.
    primitives: BTreeMap<String, Primitive>,
    /// Fitted to all primitives, for those that were never seen and are like none.
    any: Primitive,
    /// The error that it does not exceed, in e-folds, on nine in ten shapes of nine in ten primitives that it was not fitted to.
    unseen_reach: f64,
    own_part: OwnPart,
}

/// Primitives that do the same work under another name: each stands in where the other was never seen.
const KIN: [(&str, &str); 2] = [("conv1d", "linear"), ("linear", "conv1d")];

/// The primitive that predicts a leaf, and how they are related.
struct Match<'a> {
    primitive: &'a Primitive,
    kinship: Kinship,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kinship {
    Same,
    OtherPrecision,
    Kin,
    None,
}

impl Specs {
    fn of(samples: &Samples, own_part: OwnPart) -> Self {
        let curves: Vec<TimeCurve> = TimeCurve::fit_together(samples.values().map(Vec::as_slice));
        let primitives = samples.iter().zip(curves);
        let primitives = primitives.map(|((name, samples), time)| (name.clone(), Primitive::with_time(samples, time)));
        let any = Primitive::of_laws(&all(samples));
        Self { primitives: primitives.collect(), any, unseen_reach: 0.0, own_part }
    }

    /// The primitive that a leaf is, or the one that is most like it.
    fn find(&self, tree: &Tree, id: NodeId) -> Match<'_> {
        let keys: Vec<String> = keys(tree, id).collect();
        if let Some(primitive) = keys.iter().find_map(|key| self.primitives.get(key)) {
            return Match { primitive, kinship: Kinship::Same };
        }
        // In the order of how much is the same: all but the formats, the kind alone, a kind that does the same work.
        let like = |same: &dyn Fn(&str) -> bool| {
            self.primitives.iter().find(|(known, _)| same(known)).map(|(_, primitive)| primitive)
        };
        let but_formats = |known: &str| keys.iter().any(|key| without_formats(key) == without_formats(known));
        let of_kind = |known: &str| keys.iter().any(|key| kind(key) == kind(known));
        let of_kin = |known: &str| {
            KIN.iter().any(|(unseen, like)| kind(known) == *like && keys.iter().any(|key| kind(key) == *unseen))
        };
        if let Some(primitive) = like(&but_formats) {
            return Match { primitive, kinship: Kinship::OtherPrecision };
        }
        match like(&of_kind).or_else(|| like(&of_kin)) {
            Some(primitive) => Match { primitive, kinship: Kinship::Kin },
            None => Match { primitive: &self.any, kinship: Kinship::None },
        }
    }

    fn of_primitive(&self, found: &Match<'_>, shape: &Shape) -> NodePrediction {
        let launch = found.primitive.launch(shape);
        let uncertainty = Uncertainty {
            kind: Kind::Leaf,
            // Launches of one primitive with equal shapes are off alike.
            group: group((std::ptr::from_ref(found.primitive) as usize, shape.map(f64::to_bits))),
            deviation: launch.deviation,
            is_seen: found.kinship == Kinship::Same && launch.deviation < SEEN_DEVIATION,
            distance: 0.0,
            least_reach: if found.kinship == Kinship::None { self.unseen_reach } else { 0.0 },
        };
        let distances = found.primitive.range.beyond(shape);
        let mut prediction = NodePrediction::of(launch.cost(), uncertainty).beyond(SHAPE.into_iter().zip(distances));
        match found.kinship {
            Kinship::Same => {}
            Kinship::OtherPrecision => prediction.marks.insert(Mark::OtherPrecision),
            Kinship::Kin | Kinship::None => prediction.marks.insert(Mark::UnseenOperation),
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
        let samples = measured_samples(trees)?;
        check(trees, &all(&samples))?;
        Ok(Self::of(&samples, OwnPart::fit(&trees)?))
    }

    fn fit_whole(trees: &[&Tree]) -> Result<Self> {
        Ok(Self { unseen_reach: unseen_reach(&measured_samples(trees)?), ..Self::fit(trees)? })
    }

    fn on_all(self, source: &dyn TreeSource) -> Result<Self> {
        let samples = samples(source)?;
        Ok(Self { unseen_reach: unseen_reach(&samples), ..Self::of(&samples, OwnPart::fit(source)?) })
    }

    fn predict(&self, tree: &Tree) -> Result<Vec<NodePrediction>> {
        // Most leaves of a model have equal shapes.
        let mut known: HashMap<(*const Primitive, Kinship, [u64; SHAPE.len()]), NodePrediction> = HashMap::new();
        prediction::sum_up(tree, |id, predictions| {
            if tree.node(id).level() != Level::Ml {
                return self.own_part.predict(tree, id, predictions);
            }
            let (found, shape) = (self.find(tree, id), shape(tree, id)?);
            let key = (std::ptr::from_ref(found.primitive), found.kinship, shape.map(f64::to_bits));
            Ok(known.entry(key).or_insert_with(|| self.of_primitive(&found, &shape)).clone())
        })
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        if tree.node(id).level() != Level::Ml {
            return self.own_part.explain(tree, id);
        }
        let shape = shape(tree, id)?;
        Ok(self.find(tree, id).primitive.explain(&shape))
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Self> {
        let samples = measured_samples(trees)?;
        let is_known =
            |key: &String| self.primitives.keys().any(|known| without_formats(known) == without_formats(key));
        if !samples.keys().any(is_known) {
            let known = self.primitives.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::Training(format!("the trees have none of the primitives to carry over: {known}")));
        }
        let (primitives, any) = carried_over(&self.primitives, &self.any, &samples);
        Ok(Self { primitives, any, unseen_reach: self.unseen_reach, own_part: self.own_part.adapted(trees)? })
    }

    fn write(&self, store: &mut Store) {
        store.set_list("primitives", self.primitives.keys());
        for (name, primitive) in &self.primitives {
            primitive.write(&format!("primitive.{name}"), store);
        }
        self.any.write("any", store);
        store.put("any.reach", &[self.unseen_reach]);
        self.own_part.write(store);
    }

    fn read(store: &Store) -> Result<Self> {
        let names = store.get_list("primitives")?;
        let primitive = |name: String| {
            let primitive = Primitive::read(&format!("primitive.{name}"), store)?;
            Ok((name, primitive))
        };
        let count = names.len();
        let [unseen_reach] = store.take_coefficients("any.reach")?;
        let primitives: BTreeMap<String, Primitive> = names.into_iter().map(primitive).collect::<Result<_>>()?;
        if primitives.len() < count {
            return Err(store.error("header field `primitives` has a name twice".into()));
        }
        Ok(Self { primitives, any: Primitive::read("any", store)?, unseen_reach, own_part: OwnPart::read(store)? })
    }
}

fn measured_samples(trees: &[&Tree]) -> Result<Samples> {
    let samples = samples(&trees)?;
    if samples.is_empty() { Err(unmeasured(trees, &[Level::Ml])) } else { Ok(samples) }
}

fn all(samples: &Samples) -> Vec<Sample> {
    samples.values().flatten().copied().collect()
}

/// The error of a law over all primitives but one on that one, which nine in ten measured shapes do not exceed, of nine in ten primitives; in
/// e-folds. The next primitive is one more primitive, however many shapes each of the known ones has.
fn unseen_reach(samples: &Samples) -> f64 {
    let mut reaches = Vec::new();
    for (name, unseen) in samples {
        let others: Vec<Sample> =
            samples.iter().filter(|(other, _)| *other != name).flat_map(|(_, samples)| samples).copied().collect();
        // A single primitive has no others to be predicted from.
        let law = Primitive::of_laws(if others.is_empty() { unseen } else { &others });
        let error = |sample: &Sample| (law.launch(&sample.shape).energy.value().ln() - sample.log_energy).abs();
        reaches.extend(nine_in_ten(unseen.iter().map(error).collect()));
    }
    nine_in_ten(reaches).unwrap_or_default()
}

/// The error that nine in ten do not exceed; the greatest if there are few.
fn nine_in_ten(mut errors: Vec<f64>) -> Option<f64> {
    errors.retain(|error| error.is_finite());
    errors.sort_by(f64::total_cmp);
    conformal_quantile(&errors, CONFIDENCE)
}

/// Refuses training data that cannot tell launches from work.
fn check(trees: &[&Tree], samples: &[Sample]) -> Result<()> {
    let Some(first) = samples.first() else { return Ok(()) };
    let mut all_sizes = trees.iter().flat_map(|tree| sizes(tree));
    if let Some(size) = all_sizes.next()
        && all_sizes.all(|other| other == size)
    {
        let reason = format!(
            "all trees are of one size, {size}; trees of two sizes are the least for method specs, and one is enough for `irene calibrate`"
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So many shapes that draw this power.
    fn drawing(shapes: usize, watts: f64) -> Vec<Sample> {
        let sample = |place: usize| {
            let size = (place + 1) as f64;
            let seconds = 1e-5 + 1e-6 * size;
            Sample {
                shape: [10.0 * size, size, 0.0, 32.0],
                log_time: seconds.ln(),
                log_energy: (watts * seconds).ln(),
                log_gpu_energy: None,
                count: 1.0,
                energy_count: 1.0,
            }
        };
        (0..shapes).map(sample).collect()
    }

    #[test]
    fn the_reach_of_unseen_primitives_is_of_nine_in_ten_primitives_however_many_shapes_each_has() {
        let samples: Samples = [("embedding", 200, 250.0), ("linear", 200, 250.0), ("tanh", 5, 1000.0)]
            .map(|(name, shapes, watts)| (name.to_owned(), drawing(shapes, watts)))
            .into();
        let reach = unseen_reach(&samples);
        // Not the reach of the two with many shapes, which draw the same power.
        assert!((reach - 4f64.ln()).abs() < 0.4, "{reach}");
    }
}
