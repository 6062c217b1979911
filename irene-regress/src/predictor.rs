use std::{fmt, path::Path};

use irene_numerics::GIB;
use irene_tree::{Mark, NodeId, Quantity, Tree, render};
use serde_json::json;

use crate::{
    Error, Explanation, MemoryUse, Provenance, Result, Store, TreeSource,
    explain::find_node,
    gpus::{on_one_gpu, sum_over_gpus},
    paper,
    tracks::{Calibrated, Measured, Method, Primitives, Specs, Track},
};

/// Fills in the predicted energy of every node of a tree.
///
/// Your own method implements this and [`Trainer`]; [`crossvalidate`](crate::crossvalidate) and [`DeviceProfile`] take it as they take
/// this crate's, and [`DeviceProfile::from_bytes_with`] reads its files.
pub trait Predictor: Send + Sync {
    /// The method's name in files and on the command line, which no other method has.
    fn method(&self) -> &'static str;

    /// The predictor in a line.
    fn summary(&self) -> String;

    /// Sets [`Quantity::PredictedEnergy`](irene_tree::Quantity::PredictedEnergy), in joules, on every node, and
    /// the other quantities that the method predicts ([`Quantity::PREDICTED`], marks). Single operations that were not measured may be left
    /// out. [`DeviceProfile::predict`] clears earlier predictions before.
    ///
    /// # Errors
    /// [`Error::MissingFeature`], [`Error::Latency`], [`Error::UnseenOperation`]; the tree may then be annotated in part.
    fn predict(&self, tree: &mut Tree) -> Result<()>;

    /// Explains the figures of one node of a tree that it predicted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation>;

    /// Carries the predictor over to another machine, from a few trees that were measured there, without their math level. By default a
    /// method has nothing to carry over.
    ///
    /// # Errors
    /// As training; [`Error::Training`] for a method that has nothing to carry over.
    fn adapted(&self, _trees: &[&Tree]) -> Result<Box<dyn Predictor>> {
        let method = self.method();
        let reason =
            format!("a predictor of method {method} has nothing to carry over to another machine; train one there");
        Err(Error::Training(reason))
    }

    /// Writes everything that it learned into a store, for a [`Reader`] to read.
    fn write(&self, store: &mut Store);
}

/// Learns a predictor from trees with ground truth.
pub trait Trainer: Send + Sync {
    /// The method's name.
    fn method(&self) -> &'static str;

    /// Trains.
    ///
    /// # Errors
    /// [`Error::Training`] if there is too little, or a tree ran on several GPUs; [`Error::MissingFeature`], [`Error::GroundTruth`] and
    /// [`Error::Latency`] naming the node.
    fn train(&self, trees: &[&Tree]) -> Result<Box<dyn Predictor>>;

    /// Trains on trees that memory may not hold. By default a method holds them all.
    ///
    /// # Errors
    /// Those of [`train`](Self::train), and of the source.
    fn train_on(&self, source: &dyn TreeSource) -> Result<Box<dyn Predictor>> {
        let mut trees = Vec::new();
        source.each(&mut |tree| {
            trees.push(tree.clone());
            Ok(())
        })?;
        self.train(&trees.iter().collect::<Vec<_>>())
    }
}

/// Makes a predictor from a store that its [`Predictor::write`] wrote.
pub type Reader = fn(&Store) -> Result<Box<dyn Predictor>>;

/// The reader of each method's files. A new method of this crate is one line here.
const READERS: &[(&str, Reader)] = &[
    (paper::METHOD, |store| Ok(Box::new(paper::PaperPredictor::read(store)?))),
    (Measured::NAME, |store| Ok(Box::new(Calibrated::<Measured>::read(store)?))),
    (Primitives::NAME, |store| Ok(Box::new(Calibrated::<Primitives>::read(store)?))),
    (Specs::NAME, |store| Ok(Box::new(Calibrated::<Specs>::read(store)?))),
];

/// A predictor for a device with its provenance: the content of a predictor file.
pub struct DeviceProfile {
    /// The predictor.
    pub predictor: Box<dyn Predictor>,
    /// The device and the training data.
    pub provenance: Provenance,
}

impl fmt::Debug for DeviceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { predictor, provenance } = self;
        let predictor = predictor.summary();
        f.debug_struct("DeviceProfile").field("predictor", &predictor).field("provenance", provenance).finish()
    }
}

/// A profile inside this crate. profiles/README.md has the commands that made them.
struct Bundled {
    device: &'static str,
    track: Track,
    bytes: &'static [u8],
}

macro_rules! bundled {
    ($($device:literal),*) => {
        &[$(
            Bundled {
                device: $device,
                track: Track::Specs,
                bytes: include_bytes!(concat!("../profiles/", $device, ".specs.safetensors")),
            },
            Bundled {
                device: $device,
                track: Track::Primitives,
                bytes: include_bytes!(concat!("../profiles/", $device, ".primitives.safetensors")),
            },
            Bundled {
                device: $device,
                track: Track::Measured,
                bytes: include_bytes!(concat!("../profiles/", $device, ".measured.safetensors")),
            },
        )*]
    };
}

/// [`DeviceProfile::DEFAULT_DEVICE`] first.
const BUNDLED: &[Bundled] = bundled!["gtx-1080-ti", "gtx-1070"];

/// The figures that a predictor gives a node.
const PREDICTED: [Quantity; 4] =
    [Quantity::PredictedEnergy, Quantity::PredictedLatency, Quantity::PredictedPower, Quantity::PredictedGpuEnergy];

impl DeviceProfile {
    /// The bundled device that a reader gets who names none: the faster card of the two, and the one that was measured at more sizes.
    pub const DEFAULT_DEVICE: &'static str = "gtx-1080-ti";

    /// Predicts a tree to be shown: checks the tree, clears earlier predictions, predicts every node, refuses figures that are not finite,
    /// marks those below zero and all of a tree in number formats that it was not trained on, adds up the energies of several GPUs, and
    /// writes method and provenance into the tree's field `predictor`.
    ///
    /// # Errors
    /// [`Error::Tree`] for a tree that breaks the rules of one; those of [`Predictor::predict`]; [`Error::NotFinite`].
    pub fn predict(&self, tree: &mut Tree) -> Result<()> {
        tree.check()?;
        // A method of one's own sets what it predicts, and nothing else.
        tree.clear_predictions();
        self.predictor.predict(tree)?;
        sum_over_gpus(tree);
        for id in tree.ids() {
            let node = tree.node(id);
            let Some(energy) = node.get(Quantity::PredictedEnergy) else { continue };
            if !PREDICTED.into_iter().all(|quantity| node.get(quantity).is_none_or(f64::is_finite)) {
                return Err(Error::NotFinite { tree: tree.to_string(), scope: node.scope().to_owned() });
            }
            if energy < 0.0 {
                tree.node_mut(id).marks.insert(Mark::Implausible);
                // The root carries the marks of all nodes.
                tree.node_mut(NodeId::ROOT).marks.insert(Mark::Implausible);
            }
        }
        if !self.provenance.knows(tree) {
            for node in tree.nodes_mut().iter_mut().filter(|node| node.get(Quantity::PredictedEnergy).is_some()) {
                node.marks.insert(Mark::OtherPrecision);
            }
        }
        if tree.root().get(Quantity::PredictedEnergy).is_none() {
            return Err(Error::NotFinite { tree: tree.to_string(), scope: tree.root().scope().to_owned() });
        }
        let mut predictor = json!({"method": self.predictor.method(), "provenance": self.provenance.basis(), "trained_on": self.provenance});
        let notes = self.notes(tree);
        if !notes.is_empty() {
            predictor["notes"] = json!(notes);
        }
        tree.extra.insert("predictor".into(), predictor);
        Ok(())
    }

    /// Warnings about a tree's predictions beside the marks of its nodes, a sentence each: they rest on estimates, the training energies are
    /// themselves uncertain, the model does not fit the device's memory, there is no interval.
    pub fn notes(&self, tree: &Tree) -> Vec<String> {
        let estimated = self.provenance.estimated.then(|| {
            "the energies rest on estimates: a power model stood in for a meter in the training data".to_owned()
        });
        let memory = self.memory_needed(tree).map(|(needed, available)| {
            let bytes = render::bytes;
            format!(
                "does not fit the device's memory: weights {}, cache {} and activations {} need {}, the device has {}",
                bytes(needed.weights),
                bytes(needed.cache),
                bytes(needed.activations),
                bytes(needed.total()),
                bytes(available)
            )
        });
        let without_interval = self.without_interval(tree).map(str::to_owned);
        estimated.into_iter().chain(self.provenance.warning()).chain(memory).chain(without_interval).collect()
    }

    /// Why a predicted tree has no interval, in a sentence; None where it has one, or the method gives none.
    pub fn without_interval(&self, tree: &Tree) -> Option<&'static str> {
        let is_ours = Track::ALL.iter().any(|track| track.name() == self.predictor.method());
        let [energy, low] =
            [Quantity::PredictedEnergy, Quantity::PredictedLow].map(|quantity| tree.root().get(quantity));
        (is_ours && energy.is_some() && low.is_none()).then_some(
            "no interval: the training data has too few models and sizes to leave some out; train on more trees, or carry a \
             device's predictor over to these (irene calibrate)",
        )
    }

    /// If a run of the tree does not fit the device's memory: its need and the memory there is, bytes.
    pub fn memory_needed(&self, tree: &Tree) -> Option<(MemoryUse, f64)> {
        let available = GIB * self.provenance.memory_gib?;
        Some((MemoryUse::of(tree)?, available)).filter(|(needed, _)| needed.total() > available)
    }

    /// Carries the profile over to another machine, from trees that were measured there: one tree rescales it, several refit it.
    ///
    /// # Errors
    /// [`Error::Training`] for no trees, one that ran on several GPUs, or a method that has nothing to carry over; those of training.
    pub fn calibrated(&self, trees: &[Tree], device: impl Into<String>) -> Result<Self> {
        if trees.is_empty() {
            return Err(Error::Training("no trees: give at least one that was measured on the other machine".into()));
        }
        trees.iter().try_for_each(on_one_gpu)?;
        let plain: Vec<Tree> = trees.iter().map(Tree::without_math).collect();
        let predictor = self.predictor.adapted(&plain.iter().collect::<Vec<_>>())?;
        Ok(Self { predictor, provenance: self.provenance.carried_over(device, trees) })
    }

    /// Predicts a tree and explains the figures of its first node of this scope.
    ///
    /// # Errors
    /// [`Error::Unmatched`] for a scope that the tree does not have; those of [`predict`](Self::predict).
    pub fn explain(&self, tree: &mut Tree, scope: &str) -> Result<(NodeId, Explanation)> {
        let id = find_node(tree, scope)?;
        self.predict(tree)?;
        Ok((id, self.predictor.explain(tree, id)?))
    }

    /// The devices of the bundled profiles, [`DEFAULT_DEVICE`](Self::DEFAULT_DEVICE) first.
    pub fn bundled_names() -> impl Iterator<Item = &'static str> {
        BUNDLED.iter().filter(|bundled| bundled.track == Track::Specs).map(|bundled| bundled.device)
    }

    /// Whether a bundled profile is of this device.
    pub fn is_bundled(device: &str) -> bool {
        Self::bundled_names().any(|known| known == device)
    }

    /// The bundled profile of this device from specs alone.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] with the known names.
    pub fn bundled(device: &str) -> Result<Self> {
        Self::bundled_for(device, Track::Specs)
    }

    /// The bundled profile of this device for one of our tracks.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] with the known names.
    pub fn bundled_for(device: &str, track: Track) -> Result<Self> {
        match BUNDLED.iter().find(|bundled| bundled.device == device && bundled.track == track) {
            Some(bundled) => Self::from_bytes(&format!("bundled profile {device} ({})", track.name()), bundled.bytes),
            None => {
                let known = Self::bundled_names().collect::<Vec<_>>().join(", ");
                let similar =
                    irene_tree::similar(device, Self::bundled_names()).into_iter().map(str::to_owned).collect();
                Err(Error::UnknownDevice { name: device.to_owned(), known, similar })
            }
        }
    }

    /// Reads a predictor file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::PredictorFile`] if it is damaged, newer, or not a predictor file.
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let read = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source });
        read.and_then(|bytes| Self::from_bytes(&origin, &bytes)).map_err(|error| match irene_tree::file_fault(path) {
            Some(reason) => Error::PredictorFile { origin, reason },
            None => error,
        })
    }

    /// Reads a predictor file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if it is damaged, newer, or not a predictor file.
    pub fn from_bytes(origin: &str, bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(origin, bytes, &[])
    }

    /// Reads a predictor file's bytes, also of methods of one's own, each with its name and reader. This crate's methods come first.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_bytes_with(origin: &str, bytes: &[u8], readers: &[(&str, Reader)]) -> Result<Self> {
        let store = Store::from_bytes(origin, bytes)?;
        let method = store.get("method")?;
        let Some((_, read)) = READERS.iter().chain(readers).find(|(known, _)| *known == method) else {
            return Err(store.error(format!("method `{method}` is not known to this irene")));
        };
        let provenance = serde_json::from_value(store.get_value("provenance")?.clone())
            .map_err(|error| store.error(format!("header field `provenance`: {error}")))?;
        Ok(Self { predictor: read(&store)?, provenance })
    }

    /// The bytes of a predictor file. The same predictor gives the same bytes.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let method = self.predictor.method();
        let mut store = Store::new(method);
        let provenance = serde_json::to_value(&self.provenance).map_err(|error| store.error(error.to_string()))?;
        store.set("provenance", provenance.clone());
        self.predictor.write(&mut store);
        // A method must not change the header's own fields.
        store.set("provenance", provenance);
        store.set_method(method);
        store.to_bytes()
    }
}
