//! Our predictors, one for each kind of measurements of a new model on the target machine.

mod measured;
mod primitives;
mod specs;
mod wall_energy;

use std::{borrow::Cow, iter::repeat};

use irene_tree::{NodeId, Tree};

use crate::{
    Error, Explanation, Predictor, Result, Store, Trainer, TreeSource,
    gpus::on_one_gpu,
    interval::Spread,
    prediction::{self, NodePrediction},
    sample::{MOST_NODES, Plain, Sample},
    wholes::{Closed, Wholes},
};
pub(crate) use measured::Measured;
pub(crate) use primitives::Primitives;
pub(crate) use specs::Specs;

/// Our three predictors, by what is measured of a new model on the target machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Track {
    /// Every node's own latency and driver energy.
    Measured,
    /// Latency and driver energy of the ML-level nodes alone; modules and models are inferred.
    Primitives,
    /// Nothing: architecture and input size are enough.
    Specs,
}

impl Track {
    /// Every track.
    pub const ALL: [Self; 3] = [Self::Measured, Self::Primitives, Self::Specs];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => Measured::NAME,
            Self::Primitives => Primitives::NAME,
            Self::Specs => Specs::NAME,
        }
    }
}

impl Trainer for Track {
    fn method(&self) -> &'static str {
        self.name()
    }

    fn train(&self, trees: &[&Tree]) -> Result<Box<dyn Predictor>> {
        trees.iter().try_for_each(|tree| on_one_gpu(tree))?;
        // A module's own operations are in its own part, whether or not the trees show them as nodes.
        let stripped: Vec<Tree> =
            trees.iter().filter(|tree| tree.shows_math()).map(|tree| tree.without_math()).collect();
        let plain = trees.iter().copied().filter(|tree| !tree.shows_math());
        self.train_plain(&plain.chain(&stripped).collect::<Vec<_>>(), None)
    }

    /// Chooses the form of the laws and calibrates intervals on a sample of at most 100,000 nodes; all trees decide the laws' constants.
    fn train_on(&self, source: &dyn TreeSource) -> Result<Box<dyn Predictor>> {
        let sample = Sample::of(source, MOST_NODES)?;
        let trees: Vec<&Tree> = sample.trees.iter().collect();
        self.train_plain(&trees, (!sample.is_whole).then_some(&Plain(source)))
    }
}

impl Track {
    /// Trains on trees without their math level, which may be a sample of all.
    fn train_plain(self, trees: &[&Tree], all: Option<&Plain<'_>>) -> Result<Box<dyn Predictor>> {
        if trees.is_empty() {
            return Err(Error::Training("no trees; measured trees of two sizes are the least".into()));
        }
        Ok(match self {
            Self::Measured => Box::new(Calibrated::<Measured>::train(trees, all)?),
            Self::Primitives => Box::new(Calibrated::<Primitives>::train(trees, all)?),
            Self::Specs => Box::new(Calibrated::<Specs>::train(trees, all)?),
        })
    }
}

/// With so many trees of another machine its intervals rest on these alone.
const ENOUGH_TREES: usize = 20;

/// One of our methods, without its intervals.
pub(crate) trait Method: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    fn summary(&self) -> String;

    /// Trains on trees without their math level.
    fn fit(trees: &[&Tree]) -> Result<Self>;

    /// Trains on all trees, also what calibrating intervals on held-out trees does not need.
    fn fit_whole(trees: &[&Tree]) -> Result<Self> {
        Self::fit(trees)
    }

    /// The same form with constants that all trees of a source decide, of which it was fitted to a sample.
    fn on_all(self, source: &dyn TreeSource) -> Result<Self>;

    /// Predicts every node, in pre-order.
    fn predict(&self, tree: &Tree) -> Result<Vec<NodePrediction>>;

    /// Explains a node's figures.
    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation>;

    /// The method on another machine, from a few trees without their math level that were measured there.
    fn adapted(&self, trees: &[&Tree]) -> Result<Self>;

    fn write(&self, store: &mut Store);

    fn read(store: &Store) -> Result<Self>;
}

/// A method with intervals that were calibrated on trees it was not trained on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calibrated<M> {
    method: M,
    /// None if the training data is too little to hold trees out.
    spread: Option<Spread>,
    /// Modules that were measured only as a whole, which it takes for primitives.
    wholes: Wholes,
}

impl<M: Method> Calibrated<M> {
    /// Trains on trees that may be a sample of all.
    fn train(trees: &[&Tree], all: Option<&Plain<'_>>) -> Result<Self> {
        let wholes = all.map_or_else(|| Wholes::of(&trees), |all| Wholes::of(all))?;
        let closed = closed(&wholes, trees);
        let trees = &closed.iter().map(Cow::as_ref).collect::<Vec<&Tree>>();
        let method = M::fit_whole(trees)?;
        let method = match all {
            Some(source) => method.on_all(&Closed { wholes: &wholes, source })?,
            None => method,
        };
        let spread = Spread::calibrate(trees, &|trees| M::fit(trees), &M::predict);
        let spread = spread.map(|spread| spread.of_few(trees).with_noise_of(trees));
        Ok(Self { method, spread, wholes })
    }

    /// The prediction and the interval of every node.
    #[allow(clippy::type_complexity)] // it is written once
    fn predictions(&self, tree: &Tree) -> Result<(Vec<NodePrediction>, Vec<Option<[f64; 2]>>)> {
        let predictions = self.method.predict(tree)?;
        let intervals = self.spread.as_ref().map(|spread| spread.intervals(tree, &predictions));
        Ok((predictions, intervals.unwrap_or_default()))
    }

    /// Reads a store that [`Predictor::write`] wrote.
    pub(crate) fn read(store: &Store) -> Result<Self> {
        Ok(Self { method: M::read(store)?, spread: Spread::read(store)?, wholes: Wholes::read(store)? })
    }
}

/// Trees in which modules that were measured only as a whole are primitives; where there are none, the trees as they are.
fn closed<'t>(wholes: &Wholes, trees: &[&'t Tree]) -> Vec<Cow<'t, Tree>> {
    let close = |tree: &'t Tree| if wholes.is_empty() { Cow::Borrowed(tree) } else { Cow::Owned(wholes.close(tree).0) };
    trees.iter().copied().map(close).collect()
}

impl<M: Method> Predictor for Calibrated<M> {
    fn method(&self) -> &'static str {
        M::NAME
    }

    fn summary(&self) -> String {
        self.method.summary()
    }

    fn predict(&self, tree: &mut Tree) -> Result<()> {
        if self.wholes.is_empty() {
            let (predictions, intervals) = self.predictions(tree)?;
            prediction::write(tree, &predictions, &intervals);
            return Ok(());
        }
        let (closed, places) = self.wholes.close(tree);
        let (known, reaches) = self.predictions(&closed)?;
        // Nodes inside a whole have no figures of their own.
        let mut predictions = vec![NodePrediction::default(); tree.nodes().len()];
        let mut intervals = vec![None; tree.nodes().len()];
        for ((place, prediction), reach) in places.iter().zip(known).zip(reaches.into_iter().chain(repeat(None))) {
            (predictions[place.index()], intervals[place.index()]) = (prediction, reach);
        }
        prediction::write(tree, &predictions, &intervals);
        Ok(())
    }

    fn explain(&self, tree: &Tree, id: NodeId) -> Result<Explanation> {
        if self.wholes.is_empty() {
            return self.method.explain(tree, id);
        }
        let (closed, places) = self.wholes.close(tree);
        let place = closed.ids().zip(places).find(|(_, place)| *place == id);
        let (place, _) = place.ok_or_else(|| {
            let scope = tree.node(id).scope();
            Error::Unmatched(format!("{tree}: `{scope}` is part of what was measured and is predicted as a whole"))
        })?;
        self.method.explain(&closed, place)
    }

    fn adapted(&self, trees: &[&Tree]) -> Result<Box<dyn Predictor>> {
        let wholes = self.wholes.and(Wholes::of(&trees)?);
        let closed = closed(&wholes, trees);
        let trees = &closed.iter().map(Cow::as_ref).collect::<Vec<&Tree>>();
        let method = self.method.adapted(trees)?;
        let here = Spread::calibrate(trees, &|trees| self.method.adapted(trees), &M::predict);
        // Few trees calibrate intervals badly: those of the predictor's own machine, widened, count beside them.
        let before = self.spread.as_ref().map(|spread| spread.widened(trees.len()));
        let spread = match (here, before) {
            (Some(here), Some(before)) if trees.len() < ENOUGH_TREES => Some(here.or_wider(&before)),
            // Repeats of one setting tell no more than one.
            (here, _) => here.or_else(|| self.spread.as_ref().map(|spread| spread.widened(1))),
        };
        Ok(Box::new(Self { method, spread: spread.map(|spread| spread.with_noise_of(trees)), wholes }))
    }

    fn write(&self, store: &mut Store) {
        self.method.write(store);
        if let Some(spread) = &self.spread {
            spread.write(store);
        }
        self.wholes.write(store);
    }
}

#[cfg(test)]
mod tests;
