use std::collections::{HashMap, HashSet};

use irene_features::gradient::{Kept, kept};
use irene_tree::{Checkpoint, OpKind, Operand, Operation, ParameterId, Role, Training};

use crate::{Done, Label, Result, Tensor, Visitor, layers::ADAPTERS, tensor::Value};

/// The source of an operand, which may have a gradient: numbers that were computed, or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Value(Value),
    Parameter(ParameterId),
}

/// An operation on the tape.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) label: Label,
    pub(super) operation: Operation,
    /// For each operand where it comes from and what was given, if a gradient could be of it.
    pub(super) operands: Vec<Option<(Source, Operand)>>,
    /// The results, and the bytes of each.
    pub(super) results: Vec<(Value, u64)>,
    /// Whether each operand needs a gradient.
    pub(super) needs: Vec<bool>,
}

impl Leaf {
    /// Whether gradients go through it.
    pub(super) fn is_passed(&self) -> bool {
        self.needs.contains(&true)
    }

    /// The tensors that are kept of it for its gradients.
    pub(super) fn kept(&self) -> Kept {
        kept(&self.operation, self.results.len(), |place| self.needs.get(place).copied().unwrap_or(false))
    }

    /// The operands as they were given.
    pub(super) fn sources(&self) -> Vec<Operand> {
        let given = self.operands.iter().zip(&self.operation.inputs);
        given.map(|(source, operand)| source.map_or(*operand, |(_, whole)| whole)).collect()
    }
}

/// A step of a forward pass.
#[derive(Debug)]
pub(super) enum Event {
    /// A module begins.
    Enter(Label),
    /// A primitive or a single operation.
    Leaf(Box<Leaf>),
    /// It ends.
    Exit(Label),
}

/// Records a forward pass, and which of its numbers depend on what is trained.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) events: Vec<Event>,
    adapters_alone: bool,
    /// Whether gradients go to the rows of the first table though it is not trained: with checkpoints transformers asks for them, so
    /// that every checkpointed part has an input with a gradient.
    reaches_rows: bool,
    /// The rows, scaled if the table scales them itself, until something else reads them.
    rows: Option<Value>,
    /// Values that depend on a trained parameter.
    pub(super) dependent: HashSet<Value>,
    /// Bytes of what each operation computed.
    pub(super) bytes: HashMap<Value, u64>,
}

impl Tape {
    /// A tape of a pass in which every parameter is trained, or adapters alone.
    pub(super) fn new(training: Training) -> Self {
        let adapters_alone = training.lora_rank > 0;
        let reaches_rows = adapters_alone && training.checkpoint != Checkpoint::None;
        Self { adapters_alone, reaches_rows, ..Self::default() }
    }

    /// Has the rows of the first table depend on something trained, for what reads them.
    fn reach_rows(&mut self, operation: &Operation, inputs: &[&Tensor], outputs: &[&Tensor]) {
        let result = outputs.first().map(|output| output.value());
        let is_read = self.rows.is_some_and(|rows| inputs.iter().any(|input| input.value() == rows));
        let scales = operation.kind == OpKind::Mul && operation.inputs.len() == 1;
        if is_read && !scales {
            self.dependent.extend(self.rows.take());
        } else if is_read || (operation.kind == OpKind::Embedding && self.rows.is_none() && self.dependent.is_empty()) {
            self.rows = result;
        }
    }

    fn leaf(&mut self, label: &Label, operation: Operation, inputs: &[&Tensor], outputs: &[&Tensor]) -> Leaf {
        let is_adapter = ADAPTERS.contains(&label.name.as_ref());
        let mut given = inputs.iter();
        let (mut operands, mut needs) = (Vec::new(), Vec::new());
        for operand in &operation.inputs {
            let is_parameter = matches!(operand.role, Role::Parameter(_));
            // Primitives have parameters of their own, which are none of the inputs that they are called with.
            let tensor = if is_parameter && inputs.len() < operation.inputs.len() { None } else { given.next() };
            let (source, need) = match (operand.role, tensor) {
                (Role::Parameter(Some(id)), _) => {
                    let is_trained = operand.format.holds_activations() && (is_adapter || !self.adapters_alone);
                    (Some((Source::Parameter(id), *operand)), is_trained)
                }
                (Role::Activation, Some(tensor)) => {
                    let value = tensor.value();
                    (Some((Source::Value(value), tensor.operand())), self.dependent.contains(&value))
                }
                _ => (None, false),
            };
            operands.push(source);
            needs.push(need);
        }
        let results = outputs.iter().map(|output| (output.value(), output.operand().bytes())).collect();
        Leaf { label: label.clone(), operation, operands, results, needs }
    }
}

impl Tape {
    /// Ends a module that was entered by hand.
    pub(super) fn end(&mut self, label: &Label) {
        self.events.push(Event::Exit(label.clone()));
    }

    /// Leaves out the gradients of what the loss, the last result, does not depend on: keys that nothing is scored with, tables that
    /// nothing is looked up in.
    pub(super) fn forget_unreached(&mut self) {
        let leaves = self.events.iter_mut().rev();
        let leaves = leaves.filter_map(|event| if let Event::Leaf(leaf) = event { Some(leaf) } else { None });
        let mut reached: Option<HashSet<Value>> = None;
        for leaf in leaves {
            let reached = reached.get_or_insert_with(|| leaf.results.iter().map(|(value, _)| *value).collect());
            if !leaf.results.iter().any(|(value, _)| reached.contains(value)) {
                leaf.needs.fill(false);
            }
            let read = leaf.operands.iter().zip(&leaf.needs).filter(|(_, needs)| **needs);
            reached.extend(read.filter_map(|(source, _)| match source {
                Some((Source::Value(value), _)) => Some(*value),
                _ => None,
            }));
        }
    }
}

impl Visitor for Tape {
    fn enter(&mut self, label: &Label, _inputs: &[&Tensor]) -> Result<()> {
        if !label.level.is_leaf() {
            self.events.push(Event::Enter(label.clone()));
        }
        Ok(())
    }

    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
        if !label.level.is_leaf() {
            self.end(label);
            return Ok(());
        }
        let Some(operation) = done.operation else { return Ok(()) };
        if self.reaches_rows {
            self.reach_rows(&operation, done.inputs, done.outputs);
        }
        let leaf = self.leaf(label, operation, done.inputs, done.outputs);
        for (value, bytes) in &leaf.results {
            self.bytes.insert(*value, *bytes);
            if leaf.is_passed() {
                self.dependent.insert(*value);
            }
        }
        self.events.push(Event::Leaf(Box::new(leaf)));
        Ok(())
    }
}
