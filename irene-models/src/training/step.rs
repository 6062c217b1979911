//! The tree of a step, from the tape of its forward pass.

use std::collections::{HashMap, HashSet};

use irene_features::{gradient::gradients, update};
use irene_tree::{Level, OpKind, Operand, Operation, Parallel, ParameterId, Role, Training, Tree};

use super::{
    memory::{leaves, trained},
    nest::{Nest, replay},
    segments::Segment,
    tape::{Event, Leaf, Source, Tape},
};
use crate::{Result, Run, TreeVisitor};

/// Builds the tree: a forward pass, its backward pass, what the copies of the model exchange, and the update.
pub(super) fn tree(
    mut tree: TreeVisitor,
    tape: &Tape,
    segments: &[Segment],
    run: Run,
    training: Training,
) -> Result<Tree> {
    let micro_batches = training.accumulate as f64;
    tree.reserve(4 * tape.events.len());
    tree.open("root", "TrainingStep", Level::Model);
    forward(&mut tree, &tape.events, micro_batches);
    Backward::new(tape, segments, training).add_to(&mut tree, micro_batches);
    exchange(&mut tree, &tape.events, run.parallel);
    optimizer(&mut tree, &tape.events, training);
    tree.close();
    tree.finish()
}

fn forward(tree: &mut TreeVisitor, events: &[Event], micro_batches: f64) {
    let Some(Event::Enter(model)) = events.first() else { return };
    tree.open("forward", model.instance_type, Level::Module).set_times(micro_batches);
    // The last event is the model's own end.
    replay(tree, &events[1..events.len() - 1]);
    tree.close();
}

/// The gradients of a data-parallel step, added up over the copies of the model; those of experts, which are spread over these copies,
/// over the GPUs that have the same ones.
fn exchange(tree: &mut TreeVisitor, events: &[Event], parallel: Parallel) {
    for (is_of_experts, copies) in [(false, parallel.data), (true, parallel.copies_of_expert())] {
        let own = leaves(events).filter(|leaf| (leaf.operation.kind == OpKind::GroupedLinear) == is_of_experts);
        let gradients = trained(own);
        let numbers = gradients.iter().map(|gradient| gradient.shape.elements()).fold(0, u64::saturating_add);
        let Some(first) = gradients.first().filter(|_| copies > 1) else { continue };
        let all = Operand::activation([usize::try_from(numbers).unwrap_or(usize::MAX)], first.format);
        let operation = Operation::exchange(OpKind::AllReduce, copies as u64, all, all);
        tree.leaf("allreduce", Level::Ml, operation);
    }
}

/// An update for each trained parameter, below the module that it belongs to.
fn optimizer(tree: &mut TreeVisitor, events: &[Event], training: Training) {
    tree.open("optimizer", training.optimizer.kind().name(), Level::Module);
    let mut nest = Nest::new(tree);
    let mut updated: HashSet<ParameterId> = HashSet::new();
    for event in events.iter().skip(1) {
        match event {
            Event::Enter(label) => nest.enter(&label.name, label.instance_type.to_owned()),
            Event::Exit(_) => nest.leave(),
            Event::Leaf(leaf) => {
                let operands = leaf.operation.inputs.iter().zip(&leaf.needs);
                let parameters = operands.filter(|(operand, _)| matches!(operand.role, Role::Parameter(_)));
                // Primitives have their weight before their bias, the weights of norms too, which are vectors as well.
                let names = std::iter::once("weight").chain(std::iter::repeat("bias"));
                let own = parameters.zip(names).filter_map(|((operand, needs), name)| match operand.role {
                    Role::Parameter(Some(id)) if *needs && updated.insert(id) => Some((name, *operand)),
                    _ => None,
                });
                let updates = own.map(|(name, operand)| (name, update::update(training, operand), 1.0));
                nest.node(&leaf.label, leaf.label.instance_type.to_owned(), updates.collect());
            }
        }
    }
    tree.close();
}

/// The backward pass: the tape from its end to its beginning.
struct Backward<'t> {
    tape: &'t Tape,
    segments: &'t [Segment],
    /// How many gradients of a source came in so far, and their numbers.
    received: HashMap<Source, Vec<u64>>,
    training: Training,
}

impl<'t> Backward<'t> {
    fn new(tape: &'t Tape, segments: &'t [Segment], training: Training) -> Self {
        Self { tape, segments, received: HashMap::new(), training }
    }

    fn add_to(mut self, tree: &mut TreeVisitor, micro_batches: f64) {
        let events = &self.tape.events;
        let Some(Event::Enter(model)) = events.first() else { return };
        tree.open_module("backward", format!("{}Backward", model.instance_type)).set_times(micro_batches);
        // The loss is the last result; its gradient is 1.
        let last = events
            .iter()
            .rev()
            .find_map(|event| if let Event::Leaf(leaf) = event { leaf.results.last() } else { None });
        self.received.extend(last.map(|(value, _)| (Source::Value(*value), vec![1])));
        let mut nest = Nest::new(tree);
        // The model's own end and beginning are the backward pass's.
        for place in (1..events.len().saturating_sub(1)).rev() {
            match &events[place] {
                Event::Exit(label) => {
                    nest.enter(&label.name, format!("{}Backward", label.instance_type));
                    if let Some(segment) = self.segments.iter().find(|segment| segment.events.end == place + 1) {
                        nest.recomputed(label, &events[segment.again.clone()]);
                    }
                }
                Event::Enter(_) => nest.leave(),
                Event::Leaf(leaf) => {
                    let operations = self.operations(leaf);
                    nest.node(&leaf.label, format!("{}Backward", leaf.label.instance_type), operations);
                }
            }
        }
        tree.close();
    }

    /// The operations of a leaf's backward pass, and how often each runs.
    fn operations(&mut self, leaf: &Leaf) -> Vec<(&'static str, Operation, f64)> {
        let mut all = Vec::new();
        if !leaf.is_passed() {
            return all;
        }
        let mut is_reached = false;
        for (value, bytes) in &leaf.results {
            let Some(parts) = self.received.remove(&Source::Value(*value)) else { continue };
            is_reached = true;
            all.extend(
                added(&parts, *bytes, leaf.operation.output).map(|(operation, times)| ("sum", operation, times)),
            );
        }
        if !is_reached {
            return all;
        }
        let needs = |place: usize| leaf.needs.get(place).copied().unwrap_or(false);
        let gradients = gradients(&leaf.operation, &leaf.sources(), needs);
        all.extend(gradients.into_iter().map(|gradient| (gradient.name, gradient.operation, 1.0)));
        for ((source, needed), operand) in leaf.operands.iter().zip(&leaf.needs).zip(&leaf.operation.inputs) {
            let (Some((source, _)), true) = (source, needed) else { continue };
            let received = self.received.entry(*source).or_default();
            if matches!(source, Source::Parameter(_)) {
                all.extend(accumulated(*operand, received.is_empty(), self.training.accumulate));
            }
            received.push(operand.shape.elements());
        }
        all
    }
}

/// The addition of a parameter's gradient to what is there: of an earlier use, or of earlier micro-batches.
fn accumulated(parameter: Operand, is_first: bool, micro_batches: usize) -> Option<(&'static str, Operation, f64)> {
    let gradient = Operand::activation(parameter.shape, parameter.format);
    let times = if is_first { 1.0 - 1.0 / micro_batches as f64 } else { 1.0 };
    (times > 0.0).then(|| ("accumulate", Operation::new(OpKind::Add, &[gradient, gradient], gradient), times))
}

/// How several gradients of one value become one: those of its parts are put side by side, others are added.
fn added(parts: &[u64], bytes: u64, result: Operand) -> Option<(Operation, f64)> {
    let number = result.format.bytes(64) as f64 / 64.0;
    let whole = Operand::activation([(bytes as f64 / number) as usize], result.format);
    let numbers = whole.shape.elements();
    match parts {
        [] | [_] => None,
        parts if parts.iter().all(|part| *part < numbers) => {
            let parts: Vec<Operand> =
                parts.iter().map(|part| Operand::activation([*part as usize], result.format)).collect();
            Some((Operation::new(OpKind::Concat, &parts, whole), 1.0))
        }
        parts => Some((Operation::new(OpKind::Add, &[whole, whole], whole), (parts.len() - 1) as f64)),
    }
}
