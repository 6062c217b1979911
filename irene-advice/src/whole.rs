//! An answer as programs read it.

use irene_models::TaskHead;
use irene_requests::{Figures, Load};
use irene_tree::{Component, Parallel, Quantity};
use serde::Serialize;

use crate::{Answer, Basis, Change, Estimate, Selection};

/// Every setting of a selection that plays a role, also those with their usual value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// The model's name.
    pub model: String,
    /// The device's name.
    pub device: String,
    /// The basis of the figures.
    pub basis: Basis,
    /// The engine, of a data sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<&'static str>,
    /// The number formats, as `dtype` takes them: weights, activations and cache where they differ.
    pub precision: String,
    /// How operations become kernels.
    pub kernels: &'static str,
    /// The head that is counted.
    pub head: &'static str,
    /// Sequences in the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Requests that run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<f64>,
    /// Requests that arrive in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Tokens of a sequence, or of a prompt.
    pub seq_len: usize,
    /// Tokens that are generated for each prompt.
    pub generate: usize,
    /// Tokens of each sequence that are in the cache already.
    #[serde(skip_serializing_if = "is_zero")]
    pub past_len: usize,
    /// How the model is spread over GPUs.
    pub parallel: Degrees,
    /// The limit on the power of each GPU, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f64>,
    /// Changed fields of the config: `num_hidden_layers=6;hidden_act=relu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes it like this
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// How a model is spread over GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Degrees {
    /// GPUs that share every layer.
    pub tensor: usize,
    /// Stages, each with a part of the layers.
    pub pipeline: usize,
    /// GPUs that the experts of a mixture are spread over.
    pub expert: usize,
    /// Copies of the model.
    pub data: usize,
    /// All GPUs.
    pub gpus: usize,
}

impl From<Parallel> for Degrees {
    fn from(parallel: Parallel) -> Self {
        let Parallel { tensor, pipeline, expert, data } = parallel;
        Self { tensor, pipeline, expert, data, gpus: parallel.gpus() }
    }
}

/// The figures that a user of a model asks for; an unknown one is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FigureSet {
    /// Energy of a request, all GPUs, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_per_request_j: Option<f64>,
    /// Energy of a generated token, all GPUs, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_per_token_j: Option<f64>,
    /// Mean power of all GPUs, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
    /// Time to the first token, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_s: Option<f64>,
    /// Median time between the tokens of a sequence, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_s: Option<f64>,
    /// Time from start to last token, s: of the whole batch where there is a static one, otherwise of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_s: Option<f64>,
    /// Generated tokens of all sequences in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
}

impl From<Figures> for FigureSet {
    fn from(figures: Figures) -> Self {
        let Figures { energy_per_request_j, energy_per_token_j, power_w, ttft_s, itl_s, latency_s, tokens_per_s } =
            figures;
        Self { energy_per_request_j, energy_per_token_j, power_w, ttft_s, itl_s, latency_s, tokens_per_s }
    }
}

/// The memory that a run needs on one GPU, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemoryBytes {
    /// The GPU's share of the parameters.
    pub weights_bytes: f64,
    /// Keys and values of the sequences that run.
    pub cache_bytes: f64,
    /// Tensors of the largest operation.
    pub activations_bytes: f64,
    /// The driver's context, the libraries' workspaces and captured graphs.
    pub workspace_bytes: f64,
    /// All of these.
    pub total_bytes: f64,
    /// The part of the device's memory that the engine uses.
    pub usable_bytes: f64,
    /// The memory of the device.
    pub device_bytes: f64,
    /// Sequences of all copies of the model that fit.
    pub most_sequences: usize,
    /// Sequences that run at once.
    pub running: f64,
    /// Requests that wait for those.
    pub waiting: f64,
}

/// The energy of a part of the model in a request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentShare {
    /// `embeddings`, `attention`, `feed_forward`, `norms`, `head`, `exchange` or `other`.
    pub component: &'static str,
    /// Its energy in a request, J.
    pub energy_j: f64,
    /// Its share of the whole.
    pub share: f64,
}

/// One selection with its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Whole {
    /// The selection in words.
    pub title: String,
    /// The selection.
    pub selection: Settings,
    /// The figures that a user asks for.
    pub figures: FigureSet,
    /// The lower ends of the figures' 90% intervals.
    pub low: FigureSet,
    /// The upper ends of the figures' 90% intervals.
    pub high: FigureSet,
    /// The memory of one GPU, of a data sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryBytes>,
    /// The parts of the model, most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentShare>,
    /// Where the figures come from.
    pub provenance: String,
    /// Remarks beside the figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Estimate {
    /// Every setting that plays a role.
    pub fn settings(&self) -> Settings {
        let Selection { row, past, power_limit_w, .. } = &self.selection;
        let (batch_size, concurrency, rate) = match row.load {
            Some(Load::Sequences(sequences)) => (Some(sequences), None, None),
            Some(Load::Concurrency(running)) => (None, Some(running), None),
            Some(Load::Rate(rate)) => (None, None, Some(rate)),
            None => (None, None, None),
        };
        let fields = self.selection.fields();
        Settings {
            model: row.model.clone().unwrap_or_else(|| self.model.name().to_owned()),
            device: self.device.clone(),
            basis: self.basis,
            engine: self.engine.map(|engine| engine.name),
            precision: crate::settings::formats(self.precision),
            kernels: self.kernels.name(),
            head: self.head().name(),
            batch_size,
            concurrency,
            rate,
            seq_len: self.selection.prompt(),
            generate: self.selection.generated(),
            past_len: *past,
            parallel: row.parallel.into(),
            power_limit_w: *power_limit_w,
            set: (!fields.is_empty()).then(|| Change::join(&fields)),
        }
    }

    fn head(&self) -> TaskHead {
        let is_scored =
            || !self.model.gives_no_tokens() && self.model.cache(self.kernels).is_ok_and(|cache| cache.is_some());
        match (self.basis, self.selection.head) {
            _ if self.selection.generated() > 0 => TaskHead::Lm,
            (Basis::Profile, head) => head.unwrap_or_default(),
            (_, Some(head)) => head,
            (_, None) if is_scored() => TaskHead::Lm,
            (_, None) => TaskHead::None,
        }
    }

    /// The memory of one GPU.
    pub fn memory(&self) -> Option<MemoryBytes> {
        let memory = self.memory?;
        Some(MemoryBytes {
            weights_bytes: memory.weights,
            cache_bytes: memory.cache,
            activations_bytes: memory.activations,
            workspace_bytes: memory.workspace,
            total_bytes: memory.total(),
            usable_bytes: memory.usable,
            device_bytes: memory.card,
            most_sequences: memory.most_sequences,
            running: self.running.unwrap_or_default(),
            waiting: self.waiting.unwrap_or_default(),
        })
    }

    /// The estimate as programs read it, without parts of the model.
    pub fn whole(&self) -> Whole {
        Whole {
            title: self.selection.to_string(),
            selection: self.settings(),
            figures: self.figures.into(),
            low: self.low.into(),
            high: self.high.into(),
            memory: self.memory(),
            components: Vec::new(),
            provenance: self.provenance.clone(),
            notes: self.notes.clone(),
        }
    }
}

impl Answer {
    /// The energy that each part of the model takes of a request, J, most first.
    pub fn components(&self) -> Vec<(Component, f64)> {
        let parts = self.tree.components(Quantity::PredictedEnergy);
        parts.into_iter().map(|(component, joules)| (component, joules / self.requests)).collect()
    }

    /// The same with shares.
    pub fn component_shares(&self) -> Vec<ComponentShare> {
        let parts = self.components();
        let whole: f64 = parts.iter().map(|(_, joules)| joules).sum();
        let share = |(component, energy_j): (Component, f64)| ComponentShare {
            component: component.name(),
            energy_j,
            share: energy_j / whole,
        };
        parts.into_iter().map(share).collect()
    }

    /// The answer as programs read it.
    pub fn whole(&self) -> Whole {
        Whole { components: self.component_shares(), ..self.estimate.whole() }
    }
}
