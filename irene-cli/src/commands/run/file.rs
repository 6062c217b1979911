//! The safetensors file that a run writes.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, Generated, Model, ModelOutput, OutputVisitor, Tensor};

use crate::output;

#[derive(Default)]
pub(super) struct Tensors(HashMap<String, Candle>);

impl Tensors {
    fn add(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<()> {
        if let Some(tensor) = tensor.candle() {
            self.0.insert(name.into(), tensor.contiguous()?.to_device(&Device::Cpu)?);
        }
        Ok(())
    }

    /// The model's results, in its own format.
    pub(super) fn add_output(&mut self, output: &ModelOutput) -> Result<()> {
        self.add("last_hidden_state", &output.last_hidden_state)?;
        output.pooler_output.iter().try_for_each(|pooled| self.add("pooler_output", pooled))?;
        output.sentence_embedding.iter().try_for_each(|vector| self.add("sentence_embedding", vector))
    }

    /// Every node's output, from a pass of its own.
    pub(super) fn add_nodes(&mut self, model: &dyn Model, batch: &Batch) -> Result<()> {
        let mut visitor = OutputVisitor::default();
        model.run(&mut Cx::visited(&mut visitor), batch)?;
        visitor.outputs().iter().try_for_each(|(scope, tensor)| self.add(format!("out.{scope}"), tensor))
    }

    /// Whole or not at all.
    pub(super) fn write(self, path: &Path) -> Result<()> {
        let bytes = safetensors::serialize(self.0, None)?;
        output::write_bytes(path, &bytes)
    }
}

/// The tensors of a generation, as 32-bit floats.
#[derive(Default)]
pub(super) struct GenerationTensors {
    tensors: Tensors,
    tokens: Vec<Candle>,
    logits: Vec<Candle>,
}

impl GenerationTensors {
    /// Every node's output for the prompts.
    pub(super) fn add_nodes(&mut self, model: &dyn Model, prompts: &Batch) -> Result<()> {
        self.tensors.add_nodes(model, prompts)
    }

    /// A step; the first is that of the prompts.
    pub(super) fn add(&mut self, step: &Generated) -> Result<()> {
        let float = |tensor: &Candle| tensor.to_dtype(DType::F32)?.contiguous()?.to_device(&Device::Cpu);
        if self.tokens.is_empty() {
            let of_prompt =
                [("last_hidden_state", Some(&step.output.last_hidden_state)), ("logits", step.output.logits.as_ref())];
            for (name, tensor) in of_prompt {
                if let Some(tensor) = tensor.and_then(Tensor::candle) {
                    self.tensors.0.insert(name.into(), float(tensor)?);
                }
            }
        }
        self.logits.extend(step.logits.candle().map(float).transpose()?);
        let tokens: Vec<i64> = step.tokens.iter().flatten().copied().collect();
        self.tokens.push(Candle::from_vec(tokens, step.tokens.len(), &Device::Cpu)?);
        Ok(())
    }

    /// Whole or not at all.
    pub(super) fn write(self, path: &Path) -> Result<()> {
        let Self { mut tensors, tokens, logits } = self;
        tensors.0.insert("generated".into(), Candle::stack(&tokens, 1)?);
        tensors.0.insert("step_logits".into(), Candle::stack(&logits, 1)?);
        tensors.write(path)
    }
}
