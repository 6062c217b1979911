//! Several forecasts: a row each, below what all of them have in common.

use std::collections::BTreeSet;

use irene_predict::{Load, Note};
use irene_regress::kwh_per_million;
use irene_tree::render;

use super::{
    Args,
    forecasts::{counted, mean, whose},
    one,
    service::Answer,
};
use crate::{
    commands::trees,
    sheet::{Cell, Field, Sheet},
};

/// The table of several forecasts, with what is to be known of them.
pub(super) fn text(args: &Args, answers: &[Answer]) -> String {
    let mut sheet = Sheet::new(fields());
    for answer in answers {
        sheet.row(cells(args, answer));
    }
    let bases: BTreeSet<&str> = answers.iter().map(|answer| answer.forecast.provenance.as_str()).collect();
    let whose: BTreeSet<&str> = answers.iter().filter_map(whose).collect();
    let joined = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join("; ");
    let heading: String = [sheet.shared(), joined(bases), joined(whose)]
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| line + "\n")
        .collect();
    format!("{heading}\n{}{}", sheet.text(), remarks(&sheet, answers))
}

/// The remarks on the rows, each once, with the rows that it is of unless it is of all.
fn remarks(sheet: &Sheet, answers: &[Answer]) -> String {
    /// More hide the table.
    const SHOWN: usize = 8;
    let mut known: Vec<(String, Vec<usize>)> = Vec::new();
    for (row, answer) in answers.iter().enumerate() {
        for note in answer.forecast.notes.iter().map(Note::to_string) {
            match known.iter_mut().find(|(text, _)| *text == note) {
                Some((_, rows)) => rows.push(row),
                None => known.push((note, vec![row])),
            }
        }
    }
    let line = |(text, rows): &(String, Vec<usize>)| {
        let names: Vec<String> = rows.iter().map(|&row| sheet.name(row)).filter(|name| !name.is_empty()).collect();
        let is_of_all = rows.len() == answers.len() || names.is_empty();
        if is_of_all { format!("{text}\n") } else { format!("{}: {text}\n", names.join("; ")) }
    };
    let mut out: String = known.iter().take(SHOWN).map(line).collect();
    if known.len() > SHOWN {
        out += &format!("and {}; --format json has all\n", trees::count(known.len() - SHOWN, "further remark"));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// Settings are columns where they differ; of the figures the energy and what was asked for stay in the narrowest terminal, then come the
/// interval, the time and the price.
fn fields() -> [Field; 19] {
    let figure = |title: &str, unit| Field::figure("", title, unit);
    [
        Field::word("", "model").setting(str::to_owned),
        Field::word("", "device").setting(str::to_owned),
        Field::word("", "engine").rank(5).setting(str::to_owned),
        figure("prompt", "").setting(|tokens| format!("prompts of {tokens} tokens")),
        figure("generated", "").setting(|tokens| format!("{tokens} generated")),
        figure("batch", "").setting(|sequences| format!("a batch of {sequences}")),
        figure("at once", "").setting(|running| format!("{running} at once")),
        figure("rate", "").setting(|rate| format!("{rate} a second arrive")),
        // As many as arrivals bring, while any run.
        figure("at once", "").rank(6),
        figure("a request", "J"),
        figure("90% interval", "").rank(1),
        figure("a token", "J").rank(4),
        figure("first", "s").rank(7),
        figure("between", "s").rank(8),
        figure("whole", "s").rank(2),
        figure("tokens/s", "").rank(10),
        figure("power", "W").rank(9),
        figure("a million", "").rank(3),
        // It is there only if it is asked for.
        figure("CO2e", ""),
    ]
}

/// The cells of a forecast, in the order of [`fields`].
fn cells(args: &Args, answer: &Answer) -> [Cell; 19] {
    let Answer { row, setting, forecast } = answer;
    let request = &setting.request;
    let (concurrency, rate) = match request.load {
        Load::Sequences(_) => (None, None),
        Load::Concurrency(running) => (Some(running), None),
        Load::Rate(rate) => (None, Some(rate)),
    };
    let (figures, low, high) = (&row.figures, row.low.energy_per_request_j, row.high.energy_per_request_j);
    let ends = figures.energy_per_request_j.zip(low.zip(high));
    let interval = ends.map(|(joules, (low, high))| render::range_beside(joules, low, high, "J"));
    let kwh = figures.energy_per_token_j.or(figures.energy_per_request_j).map(kwh_per_million);
    let grams = kwh.zip(args.grid_intensity()).map(|(kwh, grams)| kwh * grams);
    [
        setting.spec.name().into(),
        counted(&setting.device, request.parallel).into(),
        setting.engine.name.into(),
        request.prompt.into(),
        Some(request.generated).filter(|generated| *generated > 0).into(),
        request.load.sequences().into(),
        concurrency.map(mean).into(),
        rate.map(|rate| rate.to_string()).into(),
        rate.map(|_| mean(forecast.running)).into(),
        figures.energy_per_request_j.into(),
        interval.into(),
        figures.energy_per_token_j.into(),
        figures.ttft_s.into(),
        figures.itl_s.into(),
        figures.latency_s.into(),
        figures.tokens_per_s.into(),
        figures.power_w.into(),
        kwh.map(|kwh| format!("{} USD", one::decimals(kwh * args.price_per_kwh()))).into(),
        grams.map(|grams| render::si(grams, "g")).into(),
    ]
}
