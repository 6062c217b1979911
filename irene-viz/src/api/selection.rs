//! The parameters of a selection: a model, how it runs, and where. Each is named, described and bounded here.

use axum::http::StatusCode;
use irene_advice::{Change, Selection};
use irene_devices::Engine;
use irene_requests::{Load, RequestRow};
use irene_tree::Parallel;
use serde_json::Value;

use super::{
    fields::Fields,
    kinds::{Changes, Flag, Formats, Known, OneFormat, Word},
    lists,
    numbers::{Above0, Whole},
    queries::{HEADS, KERNELS},
};
use crate::{app::App, problem::Problem};

/// Requests that run at once, and those that arrive in a second, at most: more is a slip.
const MOST_AT_ONCE: f64 = 1e5;
const MOST_RATE: f64 = 1e6;
/// GPUs to each degree of parallelism, at most.
const MOST_GPUS: usize = 4096;
/// Watts of a device, at most.
const MOST_WATTS: f64 = 1e5;

/// The measured machines and the data sheets.
fn devices(app: &App) -> Vec<String> {
    lists::devices(app).devices.into_iter().map(|entry| entry.name).collect()
}

fn engines(_: &App) -> Vec<String> {
    Engine::all().iter().map(|engine| engine.name.to_owned()).collect()
}

impl Fields<'_> {
    /// The device of a selection: a measured machine, or one by its data sheet.
    pub(super) fn any_device(&mut self) -> Result<Option<String>, Problem> {
        let about =
            "A device's name: a measured machine, or one of the data sheets; the first measured one by default.";
        self.optional("device", about, Known(devices))
    }

    /// Exactly one of `batch_size`, `concurrency` and `rate`.
    pub(super) fn load(&mut self) -> Result<Load, Problem> {
        let batch = "Sequences in a batch that runs at once. Exactly one of batch_size, concurrency and rate is given.";
        let running = "Requests that an engine with continuous batching runs at once, in place of batch_size.";
        let rate = "Requests that arrive in a second, in place of batch_size; how many then run at once is worked out.";
        let sequences = self.optional("batch_size", batch, Whole(1..=self.app.limits.batch_size))?;
        let running = self.optional("concurrency", running, Above0 { most: MOST_AT_ONCE })?;
        let rate = self.optional("rate", rate, Above0 { most: MOST_RATE })?;
        let missing = "batch_size is missing: give exactly one of batch_size, concurrency and rate";
        // OpenAPI has no word for one of three parameters, and 400 is for what it can say.
        let refused = |detail: &str, name| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).about(name);
        match (sequences, running, rate) {
            (Some(sequences), None, None) => Ok(Load::Sequences(sequences)),
            (None, Some(running), None) => Ok(Load::Concurrency(running)),
            (None, None, Some(rate)) => Ok(Load::Rate(rate)),
            (None, None, None) if self.is_described() => Ok(Load::Sequences(1)),
            (None, None, None) => Err(refused(missing, "batch_size")),
            _ => {
                let detail = "batch_size, concurrency and rate are different loads: give exactly one of them";
                Err(refused(detail, if rate.is_some() { "rate" } else { "concurrency" }))
            }
        }
    }

    /// Tokens of each sequence, and those generated after them.
    pub(super) fn lengths(&mut self, selection: &mut Selection) -> Result<(), Problem> {
        let most = self.app.limits.seq_len;
        let prompt = self.required("seq_len", "Tokens of each sequence: the prompt.", Whole(1..=most))?;
        selection.row.prompt = Some(prompt as f64);
        self.generated(selection)
    }

    pub(super) fn generated(&mut self, selection: &mut Selection) -> Result<(), Problem> {
        selection.row.generated = self.generate()?.map(|tokens| tokens as f64);
        Ok(())
    }

    /// Requests that arrive in a second, where nothing else is asked for.
    pub(super) fn rate(&mut self) -> Result<f64, Problem> {
        self.required("rate", "Requests that arrive in a second.", Above0 { most: MOST_RATE })
    }

    /// The settings that a plan leaves as they are: the engine, the cache's format and the kernels.
    pub(super) fn service(&mut self, selection: &mut Selection) -> Result<(), Problem> {
        selection.row.engine = self.engine()?;
        let cache = "The format of the cache; by default that of the activations.";
        selection.row.cache = self.optional("cache", cache, OneFormat)?;
        let kernels = "How operations become kernels; by default the engine's way.";
        selection.row.kernels = self.optional("kernels", kernels, Word(&KERNELS))?;
        Ok(())
    }

    fn engine(&mut self) -> Result<Option<String>, Problem> {
        let about =
            "The engine that serves the model, by default the usual one of model and device. Only for data sheets.";
        let engine = self.optional("engine", about, Known(engines))?;
        let engine = engine.map(|name| Engine::find(&name).map(|engine| engine.name.to_owned()));
        engine.transpose().map_err(|error| Problem::unknown(format!("engine: {error}")).about("engine"))
    }

    /// How the model runs and where, but for its load and lengths.
    pub(super) fn way(&mut self, selection: &mut Selection) -> Result<(), Problem> {
        let past = "Tokens of each sequence that are in the cache already; 0 by default. Only for measured machines.";
        let kernels = "How operations become kernels; by default eager on measured machines, else the engine's way.";
        let head =
            "The head on top of the trunk; by default none for a single pass on measured machines, else the usual one.";
        let power = "A limit on the power of each GPU, W. Only for data sheets.";
        selection.row.device = self.any_device()?;
        selection.past = self.optional("past_len", past, Whole(0..=self.app.limits.seq_len))?.unwrap_or(0);
        self.formats(selection)?;
        selection.row.kernels = self.optional("kernels", kernels, Word(&KERNELS))?;
        selection.head = self.optional("head", head, Word(&HEADS))?;
        selection.row.engine = self.engine()?;
        selection.row.parallel = self.parallel()?;
        selection.power_limit_w = self.optional("power_limit_w", power, Above0 { most: MOST_WATTS })?;
        Ok(())
    }

    fn formats(&mut self, selection: &mut Selection) -> Result<(), Problem> {
        let dtype = "The number formats: one for all, or of weights, activations and cache with commas between them; by default the \
                     config's, or f32 on measured machines.";
        let weights = "The format of the weights. Only for data sheets.";
        let cache = "The format of the cache. Only for data sheets.";
        selection.precision = self.optional("dtype", dtype, Formats)?;
        selection.row.weights = self.optional("weights", weights, OneFormat)?;
        selection.row.cache = self.optional("cache", cache, OneFormat)?;
        Ok(())
    }

    fn parallel(&mut self) -> Result<Parallel, Problem> {
        let mut degree = |name, about| {
            let given = self.optional(name, about, Whole(1..=MOST_GPUS))?;
            Ok::<_, Problem>(given.unwrap_or(1))
        };
        Ok(Parallel {
            tensor: degree("tensor_parallel", "GPUs that share every layer; 1 by default. Only for data sheets.")?,
            pipeline: degree("pipeline_parallel", "Stages of layers, each on GPUs of its own; 1 by default.")?,
            expert: degree("expert_parallel", "GPUs that the experts of a mixture are spread over; 1 by default.")?,
            data: degree("data_parallel", "Copies of the model, each with a part of the requests; 1 by default.")?,
        })
    }

    /// Changed fields of the config.
    pub(super) fn changed_fields(&mut self, selection: &Selection) -> Result<Selection, Problem> {
        let about = "Fields of the model's config that have another value, with semicolons between them. A general name \
                     (num_hidden_layers) stands for the family's own.";
        match self.optional("set", about, Changes)? {
            Some(changes) => self.changed(selection, &changes, "set"),
            None => Ok(selection.clone()),
        }
    }

    /// The selection with changes, within the bounds of this server.
    pub(super) fn changed(
        &self,
        selection: &Selection,
        changes: &[Change],
        parameter: &'static str,
    ) -> Result<Selection, Problem> {
        let changed = selection
            .changed(changes)
            .map_err(|error| Problem::malformed(format!("{parameter}: {error}")).about(parameter))?;
        check_bounds(self.app, &changed).map_err(|problem| problem.about(parameter))?;
        Ok(changed)
    }

    /// A selection of the model that this gives.
    pub(super) fn selection(&mut self, model: Option<String>) -> Result<Selection, Problem> {
        let load = Some(self.load()?);
        let mut selection =
            Selection { row: RequestRow { model, load, ..RequestRow::default() }, ..Selection::default() };
        self.lengths(&mut selection)?;
        self.way(&mut selection)?;
        self.changed_fields(&selection)
    }

    /// Whether the tree has single operations.
    pub(super) fn shows_math(&mut self) -> Result<bool, Problem> {
        let given =
            self.optional("math", "Whether the single operations of modules are nodes; not by default.", Flag)?;
        Ok(given.unwrap_or(false))
    }
}

/// Changes are bounded as the parameters are.
pub(crate) fn check_bounds(app: &App, selection: &Selection) -> Result<(), Problem> {
    let row = &selection.row;
    let limits = &app.limits;
    let parallel = [row.parallel.tensor, row.parallel.pipeline, row.parallel.expert, row.parallel.data];
    let (load, load_name, most_load) = match row.load {
        Some(Load::Concurrency(running)) => (running, "concurrency", MOST_AT_ONCE),
        Some(Load::Rate(rate)) => (rate, "rate", MOST_RATE),
        Some(Load::Sequences(sequences)) => (sequences as f64, "batch_size", limits.batch_size as f64),
        None => (0.0, "batch_size", 0.0),
    };
    let most_tokens = limits.seq_len as f64;
    let amounts = [
        (load, load_name, most_load),
        (selection.prompt() as f64, "seq_len", most_tokens),
        (selection.generated() as f64, "generate", most_tokens),
        (selection.past as f64, "past_len", most_tokens),
        (parallel.into_iter().max().unwrap_or(1) as f64, "the degree of parallelism", MOST_GPUS as f64),
    ];
    match amounts.iter().find(|(amount, _, most)| amount > most) {
        Some((amount, name, most)) => Err(Problem::malformed(format!("{name}: {amount} is more than {most}"))),
        None => Ok(()),
    }
}

/// General names of the fields that a config's sizes have, and their values in a model's config.
pub(super) fn sizes(model: &irene_models::ModelSpec) -> serde_json::Map<String, Value> {
    const NAMES: [&str; 10] = [
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "hidden_act",
        "vocab_size",
        "max_position_embeddings",
        "num_experts",
        "num_experts_per_tok",
    ];
    let value = |name: &&str| model.field(name).filter(|value| value.is_number() || value.is_string()).cloned();
    NAMES.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}
