//! Measuring a step of training: the step and its phases as wholes, and the nodes of the forward pass in place.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use irene_sampler::Measurement;
use irene_tree::{Level, Node, Quantity, Tree};
use serde_json::json;

use super::profile::{
    Distinct, MeasurementBasis, NodeFigures, ProfileError, Profiler, Rounds, distinct_of, fill_in, following,
};
use super::visitor::{MeasuredNode, MeasuringVisitor, ToMeasure};
use crate::{Batch, Cx, ModelSpec, Result, Run, Targets, Trainer, TreeVisitor};

/// A step of training that is measured.
#[derive(Debug)]
pub struct TrainedStep<'a> {
    /// The model.
    pub spec: &'a ModelSpec,
    /// How it is trained; the tree is that of this run.
    pub run: Run,
    /// The trainer. At a learning rate of 0 all steps compute with the same weights.
    pub trainer: &'a mut Trainer,
    /// The input of a forward pass.
    pub batch: &'a Batch,
    /// The targets of the loss.
    pub targets: &'a Targets,
}

/// The parts that are measured as wholes, by the name of its node below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Step,
    Forward,
    Backward,
    Optimizer,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Forward, Self::Backward, Self::Optimizer, Self::Step];

    fn scope(self) -> &'static str {
        match self {
            Self::Step => "root",
            Self::Forward => "root.forward",
            Self::Backward => "root.backward",
            Self::Optimizer => "root.optimizer",
        }
    }

    /// The key of its measurements, by that of the model's whole pass.
    fn key(self, pass: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.scope(), pass).hash(&mut hasher);
        hasher.finish()
    }
}

/// The nodes of these levels that a profile of a step measures: phases, and the distinct nodes of the forward pass.
pub(super) fn distinct(spec: &ModelSpec, run: Run, levels: &[Level]) -> Result<Vec<Distinct>> {
    let phases = Phase::ALL.map(|phase| (phase, phase.scope().to_owned()));
    let keys = keys(spec, run, &in_pass(levels))?;
    let phases = phases.into_iter().map(|(phase, scope)| Distinct { key: phase.key(keys.pass), scope });
    Ok(phases.chain(keys.nodes).collect())
}

/// The levels that are measured inside the forward pass. With any, so is the whole pass without the loss.
fn in_pass(levels: &[Level]) -> Vec<Level> {
    if levels.iter().all(|level| *level == Level::Model) { Vec::new() } else { [levels, &[Level::Model]].concat() }
}

/// The keys of a pass and its distinct nodes.
struct Keys {
    pass: u64,
    nodes: Vec<Distinct>,
}

fn keys(spec: &ModelSpec, run: Run, levels: &[Level]) -> Result<Keys> {
    let run = spec.share(Run { head: spec.training_head(run.head)?, ..run })?;
    let with_root = [levels, &[Level::Model]].concat();
    let mut visitor = following(spec, run, &with_root);
    let model = spec.model_of(run)?;
    model.model.run(&mut spec.context(run, &mut visitor).in_training(), &spec.batch(run)?)?;
    let mut nodes = distinct_of(visitor)?;
    // The whole pass is the first node, and like no other.
    let pass = nodes.first().map_or(0, |root| root.key);
    if levels.is_empty() {
        nodes.clear();
    }
    Ok(Keys { pass, nodes })
}

impl Profiler<'_> {
    /// Measures a step of training: in turn a round of its forward pass with the loss, of its backward pass, of the update, of the whole
    /// step, and of the nodes of the forward pass in place, until every interval is narrow enough. Drift so reaches all alike.
    ///
    /// Where the levels are those of the model alone, phases alone are measured. The loss has the difference between passes with it and
    /// without, if that is above its own uncertainty. Nodes of the backward pass and of the update have no figures: candle runs each of
    /// the two as a whole, and their `measurement` says so.
    ///
    /// # Errors
    /// As [`profile`](Self::profile).
    pub fn profile_step(
        &self,
        step: &mut TrainedStep<'_>,
        known: HashMap<u64, Measurement>,
        mut keep: impl FnMut(u64, &Measurement),
    ) -> std::result::Result<Tree, ProfileError> {
        let levels = in_pass(self.levels);
        let pass = keys(step.spec, step.run, &levels)?.pass;
        let mut rounds = Rounds::new(self, known, &mut keep);
        loop {
            rounds.begin_pass();
            let measured = phases(step, pass, &mut rounds).and_then(|phases| {
                let nodes = if levels.is_empty() { Vec::new() } else { self.nodes(step, &levels, &mut rounds)? };
                Ok((phases, nodes))
            });
            let (phases, nodes) = rounds.checked(measured)?;
            if rounds.are_done() {
                let mut tree = step.spec.trace(Run { shows_math: true, ..step.run })?;
                self.fill_in_step(&mut tree, &phases, &nodes);
                return Ok(tree);
            }
        }
    }

    /// A round of each node of the forward pass, with the scopes of that pass.
    fn nodes(&self, step: &mut TrainedStep<'_>, levels: &[Level], rounds: &mut Rounds<'_>) -> Result<Vec<PassNode>> {
        let tree = TreeVisitor::new(step.spec.name(), step.batch.size()).followed_in(self.precision, self.kernels);
        let mut visitor = MeasuringVisitor::new(tree, levels, |node: ToMeasure<'_>| rounds.add(node.key, node.rerun));
        step.trainer.forward_in(Cx::visited(&mut visitor), step.batch, step.targets)?;
        let (tree, found) = visitor.finish()?;
        let node = |(node, found): (&Node, Option<_>)| PassNode { scope: node.scope().to_owned(), found };
        Ok(tree.nodes().iter().zip(found).map(node).collect())
    }

    fn fill_in_step(&self, tree: &mut Tree, phases: &[(Phase, NodeFigures)], nodes: &[PassNode]) {
        for (phase, figures) in phases {
            if let Some(id) = tree.find(phase.scope()) {
                fill_in(tree.node_mut(id), &MeasuredNode { figures: figures.clone(), is_shared: false });
            }
        }
        fill_in_pass(tree, nodes);
        let with = phases.iter().find(|(phase, _)| *phase == Phase::Forward).map(|(_, figures)| figures);
        let without = nodes.first().and_then(|root| root.found.as_ref()).map(|found| &found.figures);
        let loss = tree.find("root.forward.loss");
        let loss_alone = with.zip(without).and_then(|(with, without)| difference(with, without));
        if let Some((id, figures)) = loss.zip(loss_alone) {
            fill_in(tree.node_mut(id), &MeasuredNode { figures, is_shared: false });
        }
        self.tell_why_not(tree);
    }

    /// Writes into the nodes of these levels that have no figures why they have none.
    fn tell_why_not(&self, tree: &mut Tree) {
        for node in tree.nodes_mut() {
            let asked = self.levels.contains(&node.level()) && node.get(Quantity::Latency).is_none();
            if let Some(reason) = asked.then(|| reason(node.scope())).flatten() {
                let extra = node.extra.get_or_insert_default();
                extra.insert(Node::MEASUREMENT_FIELD.to_owned(), json!({ "not_measured": reason }));
            }
        }
    }
}

/// A node of the forward pass that ran.
struct PassNode {
    scope: String,
    found: Option<MeasuredNode<NodeFigures>>,
}

/// A round of each phase.
fn phases(step: &mut TrainedStep<'_>, pass: u64, rounds: &mut Rounds<'_>) -> Result<Vec<(Phase, NodeFigures)>> {
    let TrainedStep { trainer, batch, targets, .. } = step;
    let synchronize = || batch.input_ids.synchronize();
    let mut round = |phase: Phase, run: &mut dyn FnMut() -> Result<()>| -> Result<_> {
        Ok((phase, rounds.add(phase.key(pass), &mut || run().and_then(|()| synchronize()))?))
    };
    let forward = round(Phase::Forward, &mut || trainer.forward(batch, targets).map(drop))?;
    let loss = trainer.forward(batch, targets)?;
    let backward = round(Phase::Backward, &mut || trainer.backward(&loss).map(drop))?;
    let gradients = trainer.backward(&loss)?;
    drop(loss);
    let optimizer = round(Phase::Optimizer, &mut || trainer.update(&gradients))?;
    drop(gradients);
    let whole = round(Phase::Step, &mut || trainer.step(batch, targets).map(drop))?;
    Ok(vec![forward, backward, optimizer, whole])
}

/// Writes what the nodes of a pass have into the same nodes of the step's forward pass, which has no others, in the same order.
fn fill_in_pass(tree: &mut Tree, nodes: &[PassNode]) {
    let Some(forward) = tree.find(Phase::Forward.scope()) else { return };
    let (first, end) = (forward.index() + 1, forward.index() + tree.subtree(forward).len());
    let mut left = nodes.iter().skip(1);
    for node in &mut tree.nodes_mut()[first..end] {
        let Some(scope) = node.scope().strip_prefix(Phase::Forward.scope()) else { continue };
        let rest = left.clone();
        match left.find(|ran| ran.scope.strip_prefix("root") == Some(scope)) {
            Some(ran) => ran.found.iter().for_each(|found| fill_in(node, found)),
            None => left = rest,
        }
    }
}

/// Why a node of a step has no figures.
fn reason(scope: &str) -> Option<&'static str> {
    let is_in = |phase: Phase| scope.strip_prefix(phase.scope()).is_some_and(|rest| rest.starts_with('.'));
    if is_in(Phase::Backward) {
        return Some("the backward pass runs as a whole");
    }
    if is_in(Phase::Optimizer) {
        return Some("the update runs as a whole");
    }
    let is_loss = scope.strip_prefix("root.forward.loss").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    is_loss.then_some("the passes with the loss and without differ by less than the uncertainty of the difference")
}

/// Latency and energy of what one has beside the other; None if that is less than its own uncertainty.
fn difference(with: &NodeFigures, without: &NodeFigures) -> Option<NodeFigures> {
    let get =
        |figures: &NodeFigures, quantity| figures.quantities.iter().find(|(of, _)| *of == quantity).map(|of| of.1);
    let less = |quantity| Some(get(with, quantity)? - get(without, quantity)?);
    let wide = |of: fn(&MeasurementBasis) -> Option<f64>| Some(of(&with.basis)?.hypot(of(&without.basis)?));
    let latency_half_width = wide(|basis| basis.latency_half_width)?;
    let energy_half_width = wide(|basis| basis.energy_half_width);
    let seconds = less(Quantity::Latency).filter(|seconds| *seconds > latency_half_width)?;
    let joules =
        less(Quantity::GroundTruthEnergy).filter(|joules| energy_half_width.is_some_and(|wide| *joules > wide));
    let quantities = [(Quantity::Latency, Some(seconds)), (Quantity::GroundTruthEnergy, joules)];
    Some(NodeFigures {
        quantities: quantities.into_iter().filter_map(|(quantity, value)| Some((quantity, value?))).collect(),
        basis: MeasurementBasis {
            latency_half_width: Some(latency_half_width),
            energy_half_width: energy_half_width.filter(|_| joules.is_some()),
            energy_provenance: with.basis.energy_provenance.filter(|_| joules.is_some()),
            no_energy: with.basis.no_energy.clone(),
            rounds: with.basis.rounds.min(without.basis.rounds),
            reached_target: with.basis.reached_target && without.basis.reached_target,
            settled: with.basis.settled && without.basis.settled,
            is_difference: true,
            ..with.basis.clone()
        },
    })
}
