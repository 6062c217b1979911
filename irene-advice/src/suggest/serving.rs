//! Ways to serve the same model with less: buckets of lengths, prefixes that are kept, drafts by a small kin.

use irene_predict::{Forecast, Setting};
use irene_requests::Load;
use irene_tree::{Size, render};

use super::{Accuracy, Advice, Idea, Kind, Price, models::kin};
use crate::{Change, Error, Result, Selection, lookup::Way};

/// Buckets that sequences are sorted into by their length.
const BUCKETS: usize = 4;

/// The part of a prompt that requests have in common.
const SHARED: f64 = 0.5;

/// Tokens that a draft is ahead.
const AHEAD: usize = 4;

/// The share of drafted tokens that the model would have written too.
const ACCEPTED: f64 = 0.7;

/// Tokens of a draft and its check that are kept on average, the one that the check itself gives included.
fn kept() -> f64 {
    (0..=AHEAD).map(|place| ACCEPTED.powi(place as i32)).sum()
}

/// A request with drafts over one without.
struct Drafted {
    energy_ratio: f64,
    latency_ratio: f64,
    memory_ratio: f64,
}

impl Advice<'_> {
    /// A batch that is filled up to its longest sequence computes what nobody reads.
    pub(super) fn padding(&mut self) {
        let kind = Kind::Padding;
        let longest = self.a.selection.prompt();
        let is_batch = matches!(self.a.selection.row.load, Some(Load::Sequences(sequences)) if sequences > 1);
        let packs = self.a.engine.is_some_and(|engine| engine.is_continuous);
        if packs || !is_batch || self.a.selection.past > 0 {
            let reason =
                if packs { "the engine runs sequences without padding" } else { "a single sequence is not padded" };
            return self.leave_out(kind, reason);
        }
        if longest < 2 * BUCKETS {
            return self.leave_out(kind, format!("sequences of {longest} tokens are too short for {BUCKETS} buckets"));
        }
        let of = |bucket: usize| {
            let tokens = longest * bucket / BUCKETS;
            self.estimate(&[Change::new("seq_len", tokens.to_string())])
        };
        let parts: Result<Vec<_>> = (1..=BUCKETS).map(of).collect();
        let Ok(parts) = parts else { return self.leave_out(kind, "shorter sequences have no answer") };
        let mean = |figure: &dyn Fn(&crate::Estimate) -> Option<f64>| {
            parts.iter().map(figure).sum::<Option<f64>>().map(|sum| sum / BUCKETS as f64)
        };
        let request = |of: &crate::Estimate| of.figures.energy_per_request_j;
        let Some((energy, now)) = mean(&request).zip(request(&self.a)) else { return };
        let latency = mean(&|of| of.figures.latency_s).zip(self.a.figures.latency_s);
        let price = Price { latency_ratio: latency.map(|(b, a)| b / a), ..Price::default() };
        let title = format!("Sort sequences into {BUCKETS} buckets by length");
        let why = format!(
            "a sequence is filled up to {} tokens on average, not to {longest}",
            (1..=BUCKETS).map(|bucket| longest * bucket / BUCKETS).sum::<usize>() / BUCKETS
        );
        let mut idea = Idea::new(kind, Vec::new(), title, why);
        idea.assumed = Some(format!(
            "lengths spread evenly from 1 to {longest} tokens, and every batch is filled up to {longest} now"
        ));
        self.take_up_ratio(idea, energy / now, price);
    }

    /// The part of the prompt that is in the cache already is not computed again.
    pub(super) fn prefix_cache(&mut self) {
        let kind = Kind::PrefixCache;
        if self.needs_sheet(kind, "prompts apart from tokens") {
            return;
        }
        let prompt = self.a.selection.prompt();
        let shared = (SHARED * prompt as f64).round() as usize;
        if self.a.selection.generated() == 0 || shared == 0 || shared >= prompt {
            return self.leave_out(kind, "nothing is generated, and so no keys and values are kept");
        }
        let rest = self.sheet(self.selection).and_then(|(setting, forecast)| {
            let rest = setting.prompt_after(&forecast, shared)?;
            Ok((rest, forecast))
        });
        let Ok((rest, forecast)) = rest else {
            return self.leave_out(kind, "the model cannot go on from a part of a prompt");
        };
        let (request, whole) = (forecast.figures.energy_per_request_j, forecast.prompt);
        let saved = whole.joules - rest.joules;
        let first = forecast.figures.ttft_s.map(|seconds| (seconds - whole.seconds + rest.seconds) / seconds);
        let price = Price { ttft_ratio: first, ..Price::default() };
        let title = format!("Keep the {shared} tokens that prompts have in common in the cache");
        let why = format!(
            "prompts take {:.0}% of a request's energy; without the common tokens they would take {:.0}% of that",
            100.0 * whole.joules / request,
            100.0 * rest.joules / whole.joules
        );
        let mut idea = Idea::new(kind, Vec::new(), title, why);
        idea.assumed = Some(format!("{:.0}% of each prompt is the beginning of others too", 100.0 * SHARED));
        self.take_up_ratio(idea, 1.0 - saved / request, price);
    }

    /// A small kin writes ahead, and the model reads several tokens in one pass.
    pub(super) fn speculative(&mut self) {
        let kind = Kind::Speculative;
        if self.needs_sheet(kind, "passes of several tokens behind a cache") {
            return;
        }
        let smallest = kin(self.a.model.name()).into_iter().next_back();
        let (Some(draft), true) = (smallest, self.a.selection.generated() > 1) else {
            let reason = if smallest.is_none() {
                "no built-in model is a smaller one of the family with the same tokens"
            } else {
                "nothing is generated"
            };
            return self.leave_out(kind, reason);
        };
        let title = format!("Let {} write {AHEAD} tokens ahead", draft.name());
        match self.drafted(draft.name()) {
            Ok(Some(Drafted { energy_ratio, latency_ratio, memory_ratio })) => {
                let why = format!(
                    "{AHEAD} tokens are checked in one pass of the larger model, which reads its weights once for {:.1} that are kept",
                    kept()
                );
                let mut idea = Idea::new(kind, Vec::new(), title, why);
                idea.assumed = Some(format!(
                    "{:.0}% of drafted tokens are accepted, each by itself: {:.2} tokens are kept of each draft",
                    100.0 * ACCEPTED,
                    kept()
                ));
                let (latency_ratio, memory_ratio) = (Some(latency_ratio), Some(memory_ratio));
                let price = Price { latency_ratio, memory_ratio, accuracy: Accuracy::Unchanged, ..Price::default() };
                self.take_up_ratio(idea, energy_ratio, price);
            }
            Ok(None) => self.leave_out(kind, "no token follows the first"),
            Err(error) => self.leave_out(kind, format!("{title}: {error}")),
        }
    }

    /// A request with drafts, which are written for as many as run at once without.
    fn drafted(&self, draft: &str) -> Result<Option<Drafted>> {
        let (setting, forecast) = self.sheet(self.selection)?;
        let mut with_draft = self.selection.changed(&[Change::new("model", draft)])?;
        if let Some(load @ Load::Rate(_)) = &mut with_draft.row.load {
            *load = Load::Concurrency(forecast.running);
        }
        let (_, of_draft) = self.sheet(&with_draft)?;
        let Some(step) = forecast.sizes().find(|size| size.past > 0) else { return Ok(None) };
        let (Some(token), Some(draft_token)) = (forecast.token, of_draft.token) else { return Ok(None) };
        // Activations and workspace are shared.
        let alone = forecast.memory.total();
        let both = alone + of_draft.memory.weights + of_draft.memory.cache;
        if both > forecast.memory.usable {
            let [both, usable] = [both, forecast.memory.usable].map(render::bytes);
            let reason = format!("both models need {both} of each GPU, more than the {usable} that the engine takes");
            return Err(Error::setting("model", reason));
        }
        let one = setting.pass(&forecast, step)?;
        let check = setting.pass(&forecast, Size { new: AHEAD + 1, ..step })?;
        let joules = (AHEAD as f64 * draft_token.joules + token.joules * check.joules / one.joules) / kept();
        let seconds = (AHEAD as f64 * draft_token.seconds + token.seconds * check.seconds / one.seconds) / kept();
        let tokens = self.a.selection.generated().saturating_sub(1) as f64;
        let figures = &forecast.figures;
        let energy = figures.energy_per_request_j + of_draft.prompt.joules + tokens * (joules - token.joules);
        let time = figures.latency_s + of_draft.prompt.seconds + tokens * (seconds - token.seconds);
        Ok(Some(Drafted {
            energy_ratio: energy / figures.energy_per_request_j,
            latency_ratio: time / figures.latency_s,
            memory_ratio: both / alone,
        }))
    }

    /// The setting of a data sheet and its forecast.
    fn sheet(&self, selection: &Selection) -> Result<(Setting, Forecast)> {
        match self.lookup.way(selection, &self.lookup.followed(selection)?)? {
            Way::Sheet(setting) => {
                let forecast = setting.forecast()?;
                Ok((*setting, forecast))
            }
            Way::Measured { name, .. } => Err(Error::setting("device", format!("{name} is a measured machine"))),
        }
    }
}
