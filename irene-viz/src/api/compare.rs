//! Two selections: `GET` and `POST whatif`, and `GET compare` with names of its own for what differs.

use irene_advice::{
    Change, Comparison, ComponentPair, Effect, EnergyDifference, LatencyDifference, MemoryDifference, NodePair,
    Selection, TypePair, Whole,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    fields::Fields,
    kinds::{Changes, Known},
    numbers::Whole as WholeNumber,
    question::Question,
    selection::devices,
    sweep::rests_on_estimates,
};
use crate::{app::App, problem::Problem};

/// The selection that is compared with another, both node by node.
fn selection(fields: &mut Fields<'_>, model: Option<String>) -> Result<Selection, Problem> {
    let selection = fields.selection(model)?;
    Ok(Selection { shows_math: fields.shows_math()?, ..selection })
}

/// A selection, and what is changed of it.
pub(super) struct WhatIf {
    selection: Selection,
    changes: Vec<Change>,
}

impl Question for WhatIf {
    type Answer = Comparison;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let selection = selection(fields, model)?;
        let about = "What differs, as NAME=VALUE with semicolons between them: names of these parameters, model among them, or else fields \
                     of the model's config.";
        let changes = fields.required("set_b", about, Changes)?;
        fields.changed(&selection, &changes, "set_b")?;
        Ok(Self { selection, changes })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Comparison, Problem> {
        what_if(app, &self.selection, &self.changes)
    }
}

fn what_if(app: &App, selection: &Selection, changes: &[Change]) -> Result<Comparison, Problem> {
    let comparison = app.lookup.what_if(selection, changes)?;
    let (nodes, most) = (comparison.nodes.len(), app.limits.nodes);
    if nodes > most {
        let detail = format!("the models have {nodes} nodes; at most {most} are compared here");
        return Err(Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(comparison)
}

/// Two selections that differ in model, device or size.
pub(super) struct Compare(WhatIf);

/// The differences, by the names that they have here.
impl Question for Compare {
    type Answer = Compared;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let selection = selection(fields, model)?;
        let mut changes = Vec::new();
        let mut change =
            |name: &str, value: Option<String>| changes.extend(value.map(|value| Change::new(name, value)));
        let (batch_sizes, seq_lens) = (WholeNumber(fields.batch_sizes()), WholeNumber(fields.seq_lens()));
        change("model", fields.model_if_any("other_model", "b's model; a's by default.")?);
        let sequences =
            fields.optional("other_batch_size", "b's sequences in the batch; a's load by default.", batch_sizes)?;
        change("batch_size", sequences.map(|sequences| sequences.to_string()));
        let tokens = fields.optional("other_seq_len", "b's tokens in a sequence; a's by default.", seq_lens)?;
        change("seq_len", tokens.map(|tokens| tokens.to_string()));
        change("device", fields.optional("other_device", "b's device; a's by default.", Known(devices))?);
        // A change of the model leaves the changed fields of the other behind.
        Ok(Self(WhatIf { selection, changes }))
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.0.selection
    }

    fn answer(self, app: &App) -> Result<Compared, Problem> {
        let WhatIf { selection, changes } = self.0;
        let comparison = what_if(app, &selection, &changes)?;
        Ok(Compared::of(app, comparison))
    }
}

/// Two selections, node by node.
#[derive(Serialize, ToSchema)]
pub(super) struct Compared {
    a: Side,
    b: Side,
    /// b's energy minus a's, J: of the batch, or of a request where there is none; where one of them alone has a batch, that of `energy`.
    difference_j: f64,
    /// b's energy over a's, of the same measure.
    ratio: f64,
    /// The effect of each difference by itself.
    changes: Vec<Effect>,
    /// By token where loads or lengths differ, otherwise by request; the parts, classes and nodes below are of the same measure.
    energy: EnergyDifference,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyDifference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryDifference>,
    components: Vec<ComponentPair>,
    by_type: Vec<TypePair>,
    nodes: Vec<NodePair>,
}

impl Compared {
    fn of(app: &App, comparison: Comparison) -> Self {
        let Comparison { a, b, changes, energy, latency, memory, components, by_type, nodes } = comparison;
        let [a, b] = [a, b].map(|whole| Side::of(app, whole));
        let (difference_j, ratio) = match (a.batch_size, b.batch_size) {
            // A request is not set beside a whole batch.
            (Some(_), None) | (None, Some(_)) => (energy.difference_j, energy.ratio),
            _ => (b.energy_j - a.energy_j, b.energy_j / a.energy_j),
        };
        Self { a, b, difference_j, ratio, changes, energy, latency, memory, components, by_type, nodes }
    }
}

/// One of the two.
#[derive(Serialize, ToSchema)]
pub(super) struct Side {
    model: String,
    /// Absent where requests come one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    seq_len: usize,
    device: String,
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    estimated: bool,
    /// Energy of the batch, or of a request where there is none.
    energy_j: f64,
    energy_per_token_j: f64,
    #[serde(flatten)]
    whole: Whole,
}

impl Side {
    fn of(app: &App, whole: Whole) -> Self {
        let Whole { selection, figures, .. } = &whole;
        let of_request = figures.energy_per_request_j.unwrap_or_default();
        Self {
            model: selection.model.clone(),
            batch_size: selection.batch_size,
            seq_len: selection.seq_len,
            device: selection.device.clone(),
            estimated: rests_on_estimates(app, selection.basis, &selection.device),
            energy_j: of_request * selection.batch_size.unwrap_or(1) as f64,
            energy_per_token_j: figures.energy_per_token_j.unwrap_or(of_request / selection.seq_len as f64),
            whole,
        }
    }
}
