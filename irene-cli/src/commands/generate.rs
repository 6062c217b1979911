//! `irene run --generate`: a prompt, then a token a pass with a cache.

use std::{fmt::Write, time::Instant};

use anyhow::{Context, Result};
use candle_core::Device;
use irene_models::{Batch, Cx, Greedy, Model, ModelSpec};
use irene_tree::{Kernels, render};

use crate::output;

/// The generated tokens and the time it took, in words.
pub(crate) fn generated(
    spec: &ModelSpec,
    model: &dyn Model,
    prompt: &Batch,
    count: usize,
    kernels: Kernels,
    device: &Device,
) -> Result<String> {
    let size = prompt.size();
    let numbers = |tensor: &irene_models::Tensor| -> Result<Vec<i64>> {
        Ok(tensor.candle().context("a prompt without numbers")?.flatten_all()?.to_vec1()?)
    };
    let mask = prompt.attention_mask.as_ref().map(numbers).transpose()?;
    let mut greedy = Greedy::new(model, numbers(&prompt.input_ids)?, mask, size, device)?;
    let bar = output::progress(count as u64, "tokens");
    let (mut latencies, mut rows) = (Vec::with_capacity(count), vec![Vec::new(); size.sequences]);
    for _ in 0..count {
        let start = Instant::now();
        let step = greedy.step(&mut Cx::silent().with_kernels(kernels))?;
        latencies.push(start.elapsed().as_secs_f64());
        rows.iter_mut().zip(step.tokens).for_each(|(row, token)| row.push(token));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut out = format!("{}, batch {}, prompt {}, {count} generated\n", spec.name(), size.sequences, size.new);
    for (number, row) in rows.iter().enumerate() {
        let tokens: Vec<String> = row.iter().map(i64::to_string).collect();
        writeln!(out, "tokens of {number:<9}{}", tokens.join(" "))?;
    }
    writeln!(out, "prompt             {} (measured)", render::si(latencies[0], "s"))?;
    let steps = &mut latencies[1..];
    steps.sort_by(f64::total_cmp);
    if let Some(&median) = steps.get(steps.len() / 2) {
        let (least, most) = (render::si(steps[0], "s"), render::si(steps[steps.len() - 1], "s"));
        writeln!(
            out,
            "a token after it   median {}, least {least}, greatest {most} (measured)",
            render::si(median, "s")
        )?;
        writeln!(out, "tokens per second  {:.1}", size.sequences as f64 / median)?;
    }
    Ok(out)
}
