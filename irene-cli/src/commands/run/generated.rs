//! The tokens, times and memory of a generation, in words or as JSON.

use std::fmt::Write;

use anyhow::Result;
use irene_models::ModelSpec;
use irene_numerics::quantile;
use irene_tree::render;
use serde_json::{Map, Value, json};

use crate::{commands::trees::count, output};

pub(super) struct Outcome {
    model: String,
    /// Tokens of each prompt.
    prompts: Vec<usize>,
    asked: usize,
    sequences: Vec<Sequence>,
    /// Seconds of each step.
    latencies: Vec<f64>,
    /// The tokens' text, where it is known and not printed yet.
    pub(super) texts: Option<Vec<String>>,
}

#[derive(Default)]
struct Sequence {
    tokens: Vec<i64>,
    has_ended: bool,
}

/// Bytes.
pub(super) struct Memory {
    pub(super) weights: u64,
    pub(super) cache: u64,
    /// Tokens of each sequence that the cache has room for.
    pub(super) room: usize,
    pub(super) peak: Option<u64>,
}

impl Outcome {
    pub(super) fn new(spec: &ModelSpec, prompts: Vec<usize>, asked: usize) -> Self {
        let sequences = prompts.iter().map(|_| Sequence::default()).collect();
        Self { model: spec.name().to_owned(), prompts, asked, sequences, latencies: Vec::new(), texts: None }
    }

    pub(super) fn steps(&self) -> usize {
        self.latencies.len()
    }

    pub(super) fn add(&mut self, seconds: f64, tokens: &[Option<i64>], ends: &[i64]) {
        self.latencies.push(seconds);
        for (sequence, token) in self.sequences.iter_mut().zip(tokens) {
            if let Some(token) = token {
                sequence.tokens.push(*token);
                sequence.has_ended = ends.contains(token);
            }
        }
    }

    fn tokens(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens.len()).sum()
    }

    /// Tokens after the first of each sequence, in a second of the steps that gave them.
    fn rate(&self) -> Option<f64> {
        let seconds: f64 = self.latencies.iter().skip(1).sum();
        (seconds > 0.0).then(|| (self.tokens() - self.sequences.len()) as f64 / seconds)
    }

    fn mean_step(&self) -> Option<f64> {
        let steps = self.latencies.get(1..).filter(|steps| !steps.is_empty())?;
        Some(steps.iter().sum::<f64>() / steps.len() as f64)
    }

    pub(super) fn text(&self, memory: &Memory) -> Result<String> {
        let mut out = String::new();
        for (number, text) in self.texts.iter().flatten().enumerate() {
            writeln!(out, "{number}: {text}\n")?;
        }
        let longest = self.prompts.iter().max().copied().unwrap_or(0);
        let (batch, generated) = (self.prompts.len(), self.asked);
        writeln!(out, "{}, batch {batch}, prompt {longest}, {generated} generated", self.model)?;
        if self.texts.is_none() {
            for (number, sequence) in self.sequences.iter().enumerate() {
                let tokens: Vec<String> = sequence.tokens.iter().map(i64::to_string).collect();
                writeln!(out, "tokens of {number:<9}{}", tokens.join(" "))?;
            }
        }
        self.write_end(&mut out)?;
        self.write_times(&mut out)?;
        writeln!(out, "weights            {}", render::bytes(memory.weights as f64))?;
        let cache = render::bytes(memory.cache as f64);
        writeln!(out, "cache              {cache} with room for {} a sequence", count(memory.room, "token"))?;
        if let Some(peak) = memory.peak {
            writeln!(out, "peak memory        {} (measured)", render::bytes(peak as f64))?;
        }
        Ok(out)
    }

    fn write_end(&self, out: &mut String) -> Result<()> {
        let ended = self.sequences.iter().filter(|sequence| sequence.has_ended).count();
        if ended > 0 {
            let (all, tokens) = (self.sequences.len(), count(self.tokens(), "token"));
            writeln!(out, "ended              {ended} of {all} by an end-of-sequence token, after {tokens} in all")?;
        }
        Ok(())
    }

    fn write_times(&self, out: &mut String) -> Result<()> {
        let seconds = |value: f64| render::si(value, "s");
        writeln!(out, "first token        {} (measured)", seconds(self.latencies[0]))?;
        let mut steps = self.latencies[1..].to_vec();
        steps.sort_by(f64::total_cmp);
        let known = (self.mean_step(), self.rate(), quantile(&steps, 0.5));
        let (Some(mean), Some(rate), Some(median)) = known else { return Ok(()) };
        let (median, range) = (seconds(median), render::range(steps[0], steps[steps.len() - 1], "s"));
        writeln!(out, "a token after it   mean {}, median {median}, {range} (measured)", seconds(mean))?;
        writeln!(out, "tokens per second  {rate:.1} after the first")?;
        Ok(())
    }

    pub(super) fn json(&self, memory: &Memory) -> String {
        let texts = self.texts.as_ref();
        let sequence = |(place, sequence): (usize, &Sequence)| {
            let mut fields = json!({
                "prompt_tokens": self.prompts[place],
                "tokens": sequence.tokens,
                "ended": sequence.has_ended,
            });
            if let Some(text) = texts.and_then(|texts| texts.get(place)) {
                fields["text"] = text.as_str().into();
            }
            fields
        };
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        add("model_name", self.model.as_str().into());
        add("sequences", self.sequences.iter().enumerate().map(sequence).collect());
        add("first_token_s", self.latencies[0].into());
        add("token_s", self.latencies[1..].into());
        // Unknown figures are left out.
        let known = [("mean_token_s", self.mean_step()), ("tokens_per_s", self.rate())];
        for (name, value) in known.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            add(name, value.into());
        }
        add("weight_bytes", memory.weights.into());
        add("cache_bytes", memory.cache.into());
        if let Some(peak) = memory.peak {
            add("peak_memory_bytes", peak.into());
        }
        output::json(fields)
    }
}
