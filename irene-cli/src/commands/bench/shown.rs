//! The figures of a setting, and the parts of the energy, as people read them.

use std::path::Path;

use anyhow::Result;
use irene_bench::{Measured, Split};
use irene_sampler::Mean;
use irene_tree::render::{Grid, Heading, si};

use crate::{commands::trees::count, output};

/// A setting in a line.
pub(super) fn line(measured: &Measured) -> String {
    let figures = &measured.figures;
    let mut words = vec![
        figures.energy_per_request_j.map(|joules| format!("{} a request", si(joules, "J"))),
        figures.energy_per_token_j.map(|joules| format!("{} a token", si(joules, "J"))),
        figures.power_w.map(|watts| si(watts, "W")),
        figures.tokens_per_s.map(|rate| format!("{rate:.1} tokens/s")),
        figures.ttft_s.map(|time| format!("first token after {}", si(time, "s"))),
        figures.latency_s.map(|time| format!("answer after {}", si(time, "s"))),
    ];
    words.push(Some(format!("{} in {}", count(measured.requests, "request"), si(measured.window_s, "s"))));
    let failed: usize = measured.errors.values().sum();
    let kinds: Vec<String> = measured.errors.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
    words.push((failed > 0).then(|| format!("failed: {}", kinds.join(", "))));
    words.push(measured.no_energy.as_ref().map(|why| format!("no energy: {why}")));
    let marks: Vec<&str> = measured.marks.iter().map(|mark| mark.name()).collect();
    words.push((!marks.is_empty()).then(|| marks.join(", ")));
    format!("{}: {}", measured.setting, words.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// The parts of the energy, as a table and as JSON. Neither is lost where the other cannot be written.
pub(super) fn report(file: Option<&Path>, parts: &[Split]) -> Result<()> {
    let shown = if parts.is_empty() { Ok(()) } else { output::print_text(&table(parts)) };
    if let Some(path) = file {
        let rows = parts.iter().map(Split::to_json).collect();
        output::write_text(path, &output::in_flags(&output::json([("split", rows)])))?;
    }
    shown
}

fn table(parts: &[Split]) -> String {
    let mut grid = Grid::new([
        Heading::right("at once"),
        Heading::right("settings"),
        Heading::right("a request"),
        Heading::right("a token of the prompt"),
        Heading::right("a generated token"),
    ]);
    let part = |part: Option<Mean>| match part {
        Some(Mean { mean, half_width: Some(half) }) => format!("{} ± {}", si(mean, "J"), si(half, "J")),
        Some(Mean { mean, half_width: None }) => si(mean, "J"),
        None => String::new(),
    };
    for split in parts {
        grid.row([
            split.concurrency.to_string(),
            split.settings.to_string(),
            part(split.request),
            part(split.prompt_token),
            part(split.token),
        ]);
    }
    let idle = if parts.iter().any(|split| split.includes_idle) { "with that of idling" } else { "above idle power" };
    let table = grid.text(output::width());
    let mut text = format!("Energy of requests, {idle} (± half the 95% interval)\n\n{}\n", table.trim_end());
    for split in parts {
        let worst = split.worst.map(|share| format!("the parts miss no setting by more than {:.1}%", 100.0 * share));
        for words in worst.iter().chain(&split.lacking) {
            text += &format!("{} at once: {words}\n", split.concurrency);
        }
    }
    output::in_flags(&text)
}
