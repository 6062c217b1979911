//! A generation from the prompt to its last token, and the next turn of a conversation.

mod passes;

use irene_predict::Part;
use irene_tree::{Component, NodeId, Quantity};
use serde::Serialize;

use self::passes::{Passes, phases};
use crate::{Answer, ComponentShare, Error, Lookup, Result, Selection, Settings};

const ENERGY: Quantity = Quantity::PredictedEnergy;

/// A generation: joules are those of one request, on all GPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Generation {
    /// The selection in words.
    pub title: String,
    /// The selection.
    pub selection: Settings,
    /// Reading the prompt, which gives the first token.
    pub prompt: GenerationPhase,
    /// A token after the first, as a mean; absent where the first is the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<GenerationPhase>,
    /// Single tokens over the course of the generation.
    pub points: Vec<GenerationPoint>,
    /// The next turn of the conversation; absent where it would be longer than the model takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_turn: Option<NextTurn>,
    /// Where the figures come from.
    pub provenance: String,
}

/// A phase of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GenerationPhase {
    /// Its energy, J.
    pub energy_j: f64,
    /// The time of its pass, s.
    pub latency_s: f64,
    /// The parts of the model, most first.
    pub components: Vec<ComponentShare>,
}

/// One generated token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GenerationPoint {
    /// Its number, from 2: the first token comes from the prompt's pass.
    pub token: usize,
    /// Tokens in the cache before it.
    pub cached: usize,
    /// Its energy, J.
    pub energy_j: f64,
    /// The time of its pass, s.
    pub latency_s: f64,
    /// Bytes of the request's keys and values, on all GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_bytes: Option<u64>,
    /// The share of its energy that attention takes.
    pub attention_share: f64,
}

/// Reading the next message of a conversation, whose prompt and answer are in the cache or have to be read again. Each is a pass of its own
/// of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextTurn {
    /// Tokens of the message.
    pub new_tokens: usize,
    /// Tokens of the conversation before it.
    pub before: usize,
    /// With the conversation in the cache.
    pub with_cache: TurnCost,
    /// With the conversation read again.
    pub without_cache: TurnCost,
}

/// The cost of reading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnCost {
    /// J, on all GPUs of a copy.
    pub energy_j: f64,
    /// s.
    pub latency_s: f64,
}

/// Options beside the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationOptions {
    /// How many single tokens are shown, spread over the generation.
    pub points: usize,
    /// Tokens of the next message.
    pub new_tokens: usize,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self { points: 24, new_tokens: 64 }
    }
}

impl Lookup {
    /// The course of a generation.
    ///
    /// # Errors
    /// [`Error::Setting`] where nothing is generated; otherwise as [`answer`](Self::answer).
    pub fn generation(&self, selection: &Selection, options: GenerationOptions) -> Result<Generation> {
        let generated = selection.generated();
        if generated == 0 {
            return Err(Error::setting("generate", "is 0: give the tokens that are generated after the prompt"));
        }
        let answer = self.answer(selection)?;
        let passes = self.passes(selection, &answer)?;
        let (prompt, steps) = phases(&answer.tree);
        let prompt = prompt.ok_or_else(|| Error::setting("generate", "has no pass of the prompt"))?;
        let before = selection.prompt() + generated;
        Ok(Generation {
            title: answer.estimate.selection.to_string(),
            selection: answer.estimate.settings(),
            prompt: phase(&answer, &[prompt], 1.0, answer.estimate.prompt),
            token: (!steps.is_empty()).then(|| phase(&answer, &steps, (generated - 1) as f64, answer.estimate.token)),
            points: tokens(generated, options.points)
                .map(|token| point(&answer, &passes, token))
                .collect::<Result<_>>()?,
            next_turn: passes.next_turn(before, options.new_tokens).ok(),
            provenance: answer.estimate.provenance.clone(),
        })
    }
}

/// Numbers of tokens from the second to the last, evenly spread.
fn tokens(generated: usize, points: usize) -> impl Iterator<Item = usize> {
    let steps = generated.saturating_sub(1);
    let count = points.min(steps);
    let place = move |point: usize| match count {
        1 => steps / 2,
        count => ((steps - 1) as f64 * point as f64 / (count - 1) as f64).round() as usize,
    };
    (0..count).map(move |point| 2 + place(point).min(steps - 1))
}

/// The cost that some passes have in a request, by `tokens` of it; the forecast's own part is taken where there is one.
fn phase(answer: &Answer, passes: &[NodeId], tokens: f64, part: Option<Part>) -> GenerationPhase {
    let tree = &answer.tree;
    let total = |id: &NodeId| tree.total(*id, ENERGY).unwrap_or_default();
    let runs: f64 = passes.iter().map(|id| tree.runs(*id)).sum();
    let seconds = passes.iter().map(|id| tree.total(*id, Quantity::PredictedLatency).unwrap_or_default());
    let energy_j = passes.iter().map(total).sum::<f64>() / (answer.requests * tokens);
    let part = part.unwrap_or(Part { joules: energy_j, seconds: seconds.sum::<f64>() / runs });
    let mut components = Component::ALL.map(|component| (component, 0.0));
    for id in passes {
        for (component, joules) in tree.components_below(*id, ENERGY) {
            let place = components.iter_mut().find(|(known, _)| *known == component);
            // The figures of a node cover all its runs.
            place.into_iter().for_each(|(_, sum)| *sum += joules);
        }
    }
    let whole: f64 = components.iter().map(|(_, joules)| joules).sum();
    let mut components: Vec<ComponentShare> = components
        .into_iter()
        .filter(|(_, joules)| *joules != 0.0)
        .map(|(component, joules)| {
            let share = joules / whole;
            ComponentShare { component: component.name(), energy_j: share * part.joules, share }
        })
        .collect();
    components.sort_by(|a, b| b.energy_j.total_cmp(&a.energy_j));
    GenerationPhase { energy_j: part.joules, latency_s: part.seconds, components }
}

/// A generated token.
fn point(answer: &Answer, passes: &Passes, token: usize) -> Result<GenerationPoint> {
    let (model, estimate) = (&answer.estimate.model, &answer.estimate);
    let cached = estimate.selection.prompt() + token - 2;
    let [joules, seconds, attention] = passes.at(cached)?;
    let running = estimate.running.unwrap_or(answer.requests);
    let shape = model.cache(estimate.kernels)?;
    let cache_bytes = shape.map(|shape| shape.bytes(cached, estimate.precision));
    let (energy_j, attention_share) = (joules / running, attention / joules);
    Ok(GenerationPoint { token, cached, energy_j, latency_s: seconds, cache_bytes, attention_share })
}

#[cfg(test)]
mod tests {
    use irene_requests::Load;

    use super::*;

    fn served(load: Load) -> Selection {
        let mut selection = Selection::batch("Llama-3.1-8B", 1, 512);
        (selection.row.device, selection.row.load) = (Some("h100-sxm".into()), Some(load));
        selection.row.generated = Some(128.0);
        selection
    }

    fn every_token() -> GenerationOptions {
        GenerationOptions { points: 4096, ..GenerationOptions::default() }
    }

    #[test]
    fn tokens_are_spread_from_the_second_to_the_last() {
        assert_eq!(tokens(1, 24).count(), 0);
        assert_eq!(tokens(2, 24).collect::<Vec<_>>(), [2]);
        assert_eq!(tokens(5, 24).collect::<Vec<_>>(), [2, 3, 4, 5]);
        let some: Vec<usize> = tokens(1000, 24).collect();
        assert_eq!((some.len(), some[0], some[23]), (24, 2, 1000));
        assert!(tokens(9, 1).eq([6]));
    }

    #[test]
    fn the_tokens_of_a_course_come_to_the_mean_token_and_grow_with_the_cache() {
        let lookup = Lookup::bundled();
        let mut measured = Selection::batch("gpt2", 2, 64);
        measured.row.generated = Some(32.0);
        let many =
            [served(Load::Sequences(8)), served(Load::Concurrency(32.0)), served(Load::Concurrency(1.5)), measured];
        for selection in many {
            let course = lookup.generation(&selection, every_token()).unwrap();
            assert_eq!(course.points.len(), selection.generated() - 1, "{selection}");
            let token = course.token.unwrap();
            let mean = course.points.iter().map(|point| point.energy_j).sum::<f64>() / course.points.len() as f64;
            assert!((mean / token.energy_j - 1.0).abs() < 0.02, "{selection}: {mean} beside {}", token.energy_j);
            let (first, last) = (course.points[0], course.points[course.points.len() - 1]);
            assert!(last.energy_j > first.energy_j && last.attention_share > first.attention_share, "{selection}");
            let attention = token.components.iter().find(|part| part.component == "attention").unwrap().share;
            assert!((first.attention_share..=last.attention_share).contains(&attention), "{selection}: {attention}");
            assert_eq!(last.cached, selection.prompt() + selection.generated() - 2);
            assert!(last.cache_bytes > first.cache_bytes);
            let shares = |phase: &GenerationPhase| phase.components.iter().map(|part| part.share).sum::<f64>();
            assert!((shares(&token) - 1.0).abs() < 1e-9 && (shares(&course.prompt) - 1.0).abs() < 1e-9);
            // The parts of a request make up the whole.
            let whole = lookup.estimate(&selection).unwrap().figures.energy_per_request_j.unwrap();
            let sum = course.prompt.energy_j + token.energy_j * (selection.generated() - 1) as f64;
            assert!((sum / whole - 1.0).abs() < 1e-6, "{selection}: {sum} of {whole}");
        }
    }

    #[test]
    fn a_conversation_in_the_cache_is_cheaper_to_go_on_with() {
        let lookup = Lookup::bundled();
        let course = lookup.generation(&served(Load::Sequences(1)), GenerationOptions::default()).unwrap();
        let turn = course.next_turn.unwrap();
        assert_eq!((turn.new_tokens, turn.before, course.points.len()), (64, 640, 24));
        assert!(turn.with_cache.energy_j < turn.without_cache.energy_j);
        assert!(turn.with_cache.latency_s < turn.without_cache.latency_s);
        // GPT-2 has 1024 positions.
        let mut long = Selection::batch("gpt2", 1, 960);
        long.row.generated = Some(60.0);
        assert!(lookup.generation(&long, GenerationOptions::default()).unwrap().next_turn.is_none());
        long.row.generated = None;
        let error = lookup.generation(&long, GenerationOptions::default()).unwrap_err();
        assert!(error.to_string().starts_with("generate: is 0"), "{error}");
    }

    /// It is read alone, so that one stage works at a time, also where the requests beside it fill all stages.
    #[test]
    fn the_next_turn_on_a_pipeline_costs_the_same_whatever_runs_beside_it() {
        let lookup = Lookup::bundled();
        let turn = |running: f64| {
            let mut selection = served(Load::Concurrency(running));
            selection.row.parallel.pipeline = 4;
            lookup.generation(&selection, GenerationOptions::default()).unwrap().next_turn.unwrap()
        };
        assert_eq!(turn(32.0), turn(1.0));
    }
}
