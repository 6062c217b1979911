//! How a step of training runs: for every command that traces, predicts, measures or runs one.

use irene_tree::{Checkpoint, Optimizer, Training};

use super::numbers::whole;

/// A step of training in place of inference.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct TrainingArgs {
    /// A step of training: a forward pass with its loss, the backward pass, the update
    #[arg(long)]
    train: bool,
    /// The optimizer, which turns gradients into new weights: sgd, sgd-momentum, adamw or adafactor [default: adamw]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Optimizer>, requires = "train")]
    optimizer: Option<Optimizer>,
    /// Parts that the backward pass computes again in place of keeping them: none, layer, or full with the embeddings
    /// and the head [default: none]
    #[arg(long, value_name = "PARTS", value_parser = str::parse::<Checkpoint>, requires = "train")]
    checkpoint: Option<Checkpoint>,
    /// Micro-batches of a step, each of --batch-size sequences [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<1, { Training::MOST }>, requires = "train")]
    accumulate: Option<usize>,
    /// Train LoRA's adapters of this inner width alone [default: every weight is trained]
    #[arg(long, value_name = "R", value_parser = whole::<0, { Training::MOST }>, requires = "train")]
    lora_rank: Option<usize>,
    /// Keep no copies in 32 bits of trained weights in 16
    #[arg(long, requires = "train")]
    no_master_weights: bool,
}

impl TrainingArgs {
    /// The step, if one is asked for.
    pub(crate) fn training(self) -> Option<Training> {
        self.train.then(|| Training {
            optimizer: self.optimizer.unwrap_or_default(),
            checkpoint: self.checkpoint.unwrap_or_default(),
            accumulate: self.accumulate.unwrap_or(1),
            lora_rank: self.lora_rank.unwrap_or(0),
            master_weights: !self.no_master_weights,
        })
    }

    /// The flags that say how a step runs.
    #[cfg(feature = "candle")]
    pub(crate) fn flags(self) -> [(&'static str, bool); 5] {
        [
            ("--optimizer", self.optimizer.is_some()),
            ("--checkpoint", self.checkpoint.is_some()),
            ("--accumulate", self.accumulate.is_some()),
            ("--lora-rank", self.lora_rank.is_some()),
            ("--no-master-weights", self.no_master_weights),
        ]
    }

    /// Adds the step to the settings of a measurement.
    #[cfg(feature = "candle")]
    pub(crate) fn describe(self, settings: &mut serde_json::Value) {
        if let Some(training) = self.training() {
            settings["training"] = serde_json::json!(training);
        }
    }
}
