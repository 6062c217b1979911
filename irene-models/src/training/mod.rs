//! A step of training, followed by shape: the forward pass on a tape, its backward pass from the tape's end, and the update.

mod loss;
mod memory;
mod nest;
mod segments;
mod step;
mod tape;

use std::collections::HashMap;

use irene_tree::{Level, NodeId, Operation, Training, Tree};

use self::{loss::CrossEntropyLoss, segments::Segment, tape::Tape};
use crate::{Label, ModelSpec, Result, Run, TaskHead, Visitor};
pub use memory::TrainingMemory;

/// The operations of a step of training on one GPU and how often each runs, by phase.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TrainingPhases {
    /// The forward passes with the loss, of all micro-batches.
    pub forward: Vec<(Operation, f64)>,
    /// Their backward passes.
    pub backward: Vec<(Operation, f64)>,
    /// The exchanges between copies of the model.
    pub exchange: Vec<(Operation, f64)>,
    /// The update.
    pub optimizer: Vec<(Operation, f64)>,
}

impl TrainingPhases {
    /// The phases of a tree of a step.
    pub fn of(tree: &Tree) -> Self {
        let mut phases = Self::default();
        for phase in tree.children(NodeId::ROOT) {
            let into = match tree.node(phase).name() {
                "forward" => &mut phases.forward,
                "backward" => &mut phases.backward,
                "optimizer" => &mut phases.optimizer,
                _ => &mut phases.exchange,
            };
            let mut counts: HashMap<Operation, usize> = HashMap::new();
            let begin = phase.index();
            let ids = tree.ids().skip(begin).take(tree.subtree(phase).len());
            for id in ids.filter(|id| tree.is_leaf(*id)) {
                let Some(operation) = tree.node(id).operation.as_deref().filter(|operation| !operation.on_host) else {
                    continue;
                };
                let operation = operation.clone().without_identities();
                let place = *counts.entry(operation.clone()).or_insert_with(|| {
                    into.push((operation, 0.0));
                    into.len() - 1
                });
                into[place].1 += tree.runs(id);
            }
        }
        phases
    }
}

impl ModelSpec {
    /// The head that a step trains with: the one that is asked for, or the language model's, or the classifier's.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for a model that has neither.
    pub fn training_head(&self, asked: TaskHead) -> Result<TaskHead> {
        let has = |head: &TaskHead| self.heads().contains(head);
        let usual = [asked, TaskHead::Lm, TaskHead::Classification].into_iter().filter(|head| *head != TaskHead::None);
        usual
            .into_iter()
            .find(|head| *head == asked || has(head))
            .ok_or_else(|| self.refuse("has no head here with a loss, so it cannot be trained".into()))
    }

    /// The memory of a step of training, of one GPU.
    ///
    /// # Errors
    /// As [`trace`](Self::trace); [`Error::Input`](crate::Error::Input) for a run without training.
    pub fn training_memory(&self, run: Run) -> Result<TrainingMemory> {
        let (run, training) = self.training_run(run)?;
        let tape = self.taped(run, training)?;
        self.memory_of(&tape, &segments::segments(&tape.events, training.checkpoint), run)
    }

    fn memory_of(&self, tape: &Tape, segments: &[Segment], run: Run) -> Result<TrainingMemory> {
        let training = run.training.unwrap_or_default();
        let memory = memory::memory(tape, segments, training, self.share_bytes(self.share(run)?)?);
        Ok(memory.of_stage(run.parallel.pipeline, training.accumulate))
    }

    /// The operations of a step of training by phase, and how often each runs.
    ///
    /// # Errors
    /// As [`training_memory`](Self::training_memory).
    pub fn training_phases(&self, run: Run) -> Result<TrainingPhases> {
        Ok(TrainingPhases::of(&self.training_tree(Run { shows_math: true, ..run })?))
    }

    /// The tree of a step of training.
    pub(crate) fn training_tree(&self, run: Run) -> Result<Tree> {
        let (run, training) = self.training_run(run)?;
        let tape = self.taped(run, training)?;
        let segments = segments::segments(&tape.events, training.checkpoint);
        let mut tree = step::tree(self.visitor(run), &tape, &segments, run, training)?;
        let memory = serde_json::to_value(self.memory_of(&tape, &segments, run)?);
        tree.extra.extend(memory.ok().map(|memory| (TrainingMemory::FIELD.to_owned(), memory)));
        Ok(tree)
    }

    /// The run with its head, and how it trains.
    fn training_run(&self, run: Run) -> Result<(Run, Training)> {
        let Some(training) = run.training else { return Err(self.refuse("a run without training has no step".into())) };
        let refusals = [
            (run.size.past > 0 || run.keeps_cache, "trains on whole sequences: ask for no past"),
            (run.generate > 0, "generates nothing in training: ask for no tokens"),
            (training.accumulate == 0, "a step has at least one micro-batch, found 0"),
        ];
        if let Some((_, reason)) = refusals.into_iter().find(|(refused, _)| *refused) {
            return Err(self.refuse(reason.into()));
        }
        let is_trainable = run.precision.weights.holds_activations();
        if !is_trainable && training.lora_rank == 0 {
            let reason = format!(
                "weights in {} are not trained: give training.lora_rank to train adapters beside them, or run.precision bf16",
                run.precision.weights
            );
            return Err(self.refuse(reason));
        }
        Ok((Run { head: self.training_head(run.head)?, ..run }, training))
    }

    /// The forward pass and its loss on a tape.
    fn taped(&self, run: Run, training: Training) -> Result<Tape> {
        let share = self.share(run)?;
        let model = self.model_of(share)?;
        let mut tape = Tape::new(training);
        let label = Label { name: "root".into(), instance_type: model.model.instance_type(), level: Level::Module };
        tape.enter(&label, &[])?;
        {
            let mut cx = self.context(share, &mut tape).in_training();
            let output = model.model.run_inside(&mut cx, &self.batch(share)?)?;
            let logits = output.logits.ok_or_else(|| self.refuse("gave no logits to compute a loss of".into()))?;
            cx.call(&CrossEntropyLoss::new(share.head), &logits)?;
        }
        tape.end(&label);
        tape.forget_unreached();
        Ok(tape)
    }
}
