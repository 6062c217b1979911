use std::collections::HashSet;

use irene_features::update;
use irene_tree::{Operand, ParameterId, Role, Training, Tree};
use serde::{Deserialize, Serialize};

use super::{
    segments::Segment,
    tape::{Event, Leaf, Source, Tape},
};
use crate::tensor::Value;

/// The memory that a step of training takes of one GPU, bytes; in a pipeline of the mean stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrainingMemory {
    /// The parameters.
    pub weights: u64,
    /// Copies in 32 bits of trained weights that have fewer.
    pub master_weights: u64,
    /// Gradients of what is trained, in the format of the weights.
    pub gradients: u64,
    /// The optimizer's states.
    pub optimizer_states: u64,
    /// Tensors that the forward pass keeps for the backward pass.
    pub activations: u64,
    /// Needed for a time: by the largest operation of the backward pass, and by a checkpointed part while it is computed again.
    pub transient: u64,
}

impl TrainingMemory {
    /// The field of a tree of a step that has it.
    pub(super) const FIELD: &str = "training_memory_bytes";

    /// As a tree of a step has it.
    pub fn of(tree: &Tree) -> Option<Self> {
        Self::deserialize(tree.extra.get(Self::FIELD)?).ok()
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let parts = [
            self.weights,
            self.master_weights,
            self.gradients,
            self.optimizer_states,
            self.activations,
            self.transient,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    /// The mean stage of a pipeline. The first stage keeps what as many micro-batches leave as there are stages, or all there are.
    pub(super) fn of_stage(self, stages: usize, micro_batches: usize) -> Self {
        let stages = stages.max(1);
        let share = |bytes: u64| bytes.div_ceil(stages as u64);
        let kept = micro_batches.min(stages) as u64;
        Self {
            weights: share(self.weights),
            master_weights: share(self.master_weights),
            gradients: share(self.gradients),
            optimizer_states: share(self.optimizer_states),
            activations: share(self.activations.saturating_mul(kept)),
            ..self
        }
    }
}

/// The memory of a step whose forward pass is on the tape.
pub(super) fn memory(tape: &Tape, segments: &[Segment], training: Training, weights: u64) -> TrainingMemory {
    let mut memory = TrainingMemory { weights, ..TrainingMemory::default() };
    for weight in trained(leaves(&tape.events)) {
        let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
        add(&mut memory.master_weights, update::master_bytes(training, weight));
        add(&mut memory.gradients, weight.bytes());
        add(&mut memory.optimizer_states, update::state_bytes(training, weight));
    }
    let mut kept = Keeping::new(tape);
    let mut again: Vec<Keeping<'_>> = segments.iter().map(|_| Keeping::new(tape)).collect();
    let mut largest = 0;
    for (place, event) in tape.events.iter().enumerate() {
        let Event::Leaf(leaf) = event else { continue };
        largest = largest.max(of_operation(leaf));
        let inside = segments.iter().zip(&mut again).find(|(segment, _)| segment.events.contains(&place));
        match inside {
            None => kept.keep(leaf),
            Some((_, again)) => {
                again.keep_inside(leaf);
                again.entering(leaf).for_each(|value| kept.keep_value(value));
            }
        }
    }
    memory.activations = kept.bytes;
    memory.transient = largest.saturating_add(again.iter().map(|keeping| keeping.bytes).max().unwrap_or(0));
    memory
}

/// The operations of a pass.
pub(super) fn leaves(events: &[Event]) -> impl Iterator<Item = &Leaf> {
    events.iter().filter_map(|event| if let Event::Leaf(leaf) = event { Some(&**leaf) } else { None })
}

/// The parameters of these operations that are trained, each once.
pub(super) fn trained<'t>(leaves: impl Iterator<Item = &'t Leaf>) -> Vec<Operand> {
    let mut seen: HashSet<ParameterId> = HashSet::new();
    let operands = leaves.flat_map(|leaf| leaf.operation.inputs.iter().zip(&leaf.needs));
    operands
        .filter_map(|(operand, needs)| match operand.role {
            Role::Parameter(Some(id)) if *needs && seen.insert(id) => Some(*operand),
            _ => None,
        })
        .collect()
}

/// Bytes of the activations that an operation reads and writes: its gradient has as many.
fn of_operation(leaf: &Leaf) -> u64 {
    if !leaf.is_passed() {
        return 0;
    }
    let operands = leaf.operation.inputs.iter().chain([&leaf.operation.output]);
    operands.filter(|operand| operand.role == Role::Activation).map(Operand::bytes).fold(0, u64::saturating_add)
}

/// The values that are kept, each once.
struct Keeping<'t> {
    tape: &'t Tape,
    values: HashSet<Value>,
    computed: HashSet<Value>,
    bytes: u64,
}

impl<'t> Keeping<'t> {
    fn new(tape: &'t Tape) -> Self {
        Self { tape, values: HashSet::new(), computed: HashSet::new(), bytes: 0 }
    }

    fn keep_value(&mut self, value: Value) {
        if self.values.insert(value) {
            self.bytes = self.bytes.saturating_add(self.tape.bytes.get(&value).copied().unwrap_or(0));
        }
    }

    fn keep(&mut self, leaf: &Leaf) {
        self.bytes = self.bytes.saturating_add(leaf.kept().beside);
        kept_values(leaf).into_iter().for_each(|value| self.keep_value(value));
    }

    /// The same for a part that is computed again: what comes into it is kept apart.
    fn keep_inside(&mut self, leaf: &Leaf) {
        self.computed.extend(leaf.results.iter().map(|(value, _)| *value));
        self.bytes = self.bytes.saturating_add(leaf.kept().beside);
        for value in kept_values(leaf) {
            if self.computed.contains(&value) {
                self.keep_value(value);
            }
        }
    }

    /// Earlier results that the operation reads and that need a gradient.
    fn entering<'l>(&'l self, leaf: &'l Leaf) -> impl Iterator<Item = Value> + 'l {
        let read = leaf.operands.iter().zip(&leaf.needs).filter_map(|(source, needs)| match source {
            Some((Source::Value(value), _)) if *needs => Some(*value),
            _ => None,
        });
        read.filter(|value| !self.computed.contains(value))
    }
}

/// The values that are kept of an operation.
fn kept_values(leaf: &Leaf) -> Vec<Value> {
    let kept = leaf.kept();
    let inputs = kept.inputs.iter().filter_map(|place| match leaf.operands.get(*place)? {
        Some((Source::Value(value), _)) => Some(*value),
        _ => None,
    });
    let outputs = kept.outputs.iter().filter_map(|place| leaf.results.get(*place)).map(|(value, _)| *value);
    inputs.chain(outputs).collect()
}
