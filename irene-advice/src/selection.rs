use std::{fmt, sync::Arc};

use irene_models::{ModelSpec, TaskHead};
use irene_requests::{Load, RequestRow};
use irene_tree::Precision;
use serde_json::{Map, Value};

use crate::{Change, Result, settings};

/// A model, how it runs, and where. An absent setting has its usual value.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Model, device, engine, formats of the weights, kernels, load, lengths and GPUs; its figures are not looked at.
    pub row: RequestRow,
    /// The number formats, in place of those that the model is served in.
    pub precision: Option<Precision>,
    /// A limit on the power of each GPU, W.
    pub power_limit_w: Option<f64>,
    /// The head above a pass that generates nothing.
    pub head: Option<TaskHead>,
    /// Tokens of each sequence that are in the cache already; on measured machines only.
    pub past: usize,
    /// Whether the tree has the single operations that modules run themselves.
    pub shows_math: bool,
    /// Changed fields of the model's config.
    pub config: Map<String, Value>,
    /// Your own model, in place of looking its name up.
    pub own: Option<Arc<ModelSpec>>,
}

impl Selection {
    /// A model with a batch of sequences of the same length.
    pub fn batch(model: impl Into<String>, sequences: usize, tokens: usize) -> Self {
        let row = RequestRow {
            model: Some(model.into()),
            load: Some(Load::Sequences(sequences)),
            prompt: Some(tokens as f64),
            ..RequestRow::default()
        };
        Self { row, ..Self::default() }
    }

    /// The selection with other settings, in this order: names of the selection, else fields of the config.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a value that the setting cannot have. Whether the config has a field shows when the
    /// selection is answered.
    pub fn changed(&self, changes: &[Change]) -> Result<Self> {
        let mut changed = self.clone();
        changes.iter().try_for_each(|change| settings::apply(&mut changed, change))?;
        Ok(changed)
    }

    /// The changed fields of the config, as changes.
    pub fn fields(&self) -> Vec<Change> {
        self.config.iter().map(|(name, value)| Change::new(name, settings::written(value))).collect()
    }

    /// Tokens of the prompt.
    pub fn prompt(&self) -> usize {
        self.row.prompt.map_or(0, |tokens| tokens.round() as usize)
    }

    /// Tokens that are generated for each prompt.
    pub fn generated(&self) -> usize {
        self.row.generated.map_or(0, |tokens| tokens.round() as usize)
    }

    /// Whether only a data sheet can answer: a measured profile knows one batch on one machine as it was measured.
    pub(crate) fn asks_for_data_sheet(&self) -> bool {
        let row = &self.row;
        matches!(row.load, Some(Load::Concurrency(_) | Load::Rate(_)))
            || row.engine.is_some()
            || row.weights.is_some()
            || row.cache.is_some()
            || !row.parallel.is_single()
            || self.power_limit_w.is_some()
    }
}

/// `Llama-3.1-8B on h100-sxm, 32 at once, prompt 512, 256 generated, num_hidden_layers=16`.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.row;
        f.write_str(row.model.as_deref().unwrap_or("a model"))?;
        if let Some(device) = &row.device {
            let gpus = if row.parallel.is_single() { String::new() } else { format!("{} x ", row.parallel.gpus()) };
            write!(f, " on {gpus}{device}")?;
        }
        match row.load {
            Some(Load::Sequences(sequences)) => write!(f, ", batch {sequences}")?,
            Some(Load::Concurrency(running)) => write!(f, ", {running} at once")?,
            Some(Load::Rate(rate)) => write!(f, ", {rate} a second")?,
            None => {}
        }
        let unit = if self.prompt() == 1 { "token" } else { "tokens" };
        write!(f, ", {} {unit}", self.prompt())?;
        if self.generated() > 0 {
            write!(f, " and {} generated", self.generated())?;
        }
        if self.past > 0 {
            write!(f, " after {} in the cache", self.past)?;
        }
        for name in ["weights", "dtype", "cache", "kernels", "engine", "power_limit_w"] {
            if let Some(value) = self.value(name) {
                write!(f, ", {name} {value}")?;
            }
        }
        self.fields().iter().try_for_each(|change| write!(f, ", {change}"))
    }
}
