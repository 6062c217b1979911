//! Forecasts from data sheets, for people and for programs.

use std::fmt::Write;

use anyhow::Result;
use irene_devices::Device;
use irene_predict::{Forecast, Load, Note, Part};
use irene_regress::CONFIDENCE;
use irene_requests::{Figure, RequestRow};
use irene_tree::{
    Parallel, Tree,
    render::{self, Grid, Heading},
};
use serde_json::{Map, Value, json};

use super::{
    Args,
    answered::{self, Answered},
    compared, of_devices, one,
    service::{self, Answer},
};
use crate::{commands::trees::count, output::width};

/// Forecasts the rows of the command line, and prints them.
pub(super) fn run(args: &Args, rows: Vec<RequestRow>) -> Result<()> {
    let format = args.output.format(None);
    args.check(format, false)?;
    answered::show(args, format, service::answers(args, rows)?)
}

impl Answered for Answer {
    fn text(&self, args: &Args) -> Result<String> {
        text(args, self)
    }

    fn tree(&self, args: &Args) -> Result<Tree> {
        Ok(self.setting.tree(&self.forecast, args.output.math)?)
    }

    fn object(&self, args: &Args) -> Value {
        object(args, self)
    }

    fn table(args: &Args, several: &[Self]) -> String {
        compared::text(args, several)
    }

    fn csv(_: &Args, several: &[Self]) -> Result<String> {
        let rows: Vec<RequestRow> = several.iter().map(|answer| answer.row.clone()).collect();
        let mut csv = Vec::new();
        irene_requests::write(&mut csv, &rows)?;
        Ok(String::from_utf8(csv)?)
    }
}

/// Each figure, in words and with its unit.
fn named(figure: Figure, load: Load) -> (&'static str, &'static str) {
    match figure {
        Figure::EnergyPerRequest => ("energy of a request", "J"),
        Figure::EnergyPerToken => ("energy of a generated token", "J"),
        Figure::Power => ("mean power", "W"),
        Figure::Ttft => ("time to the first token", "s"),
        Figure::Itl => ("time between tokens (median)", "s"),
        Figure::Latency if matches!(load, Load::Sequences(_)) => ("time of the batch", "s"),
        Figure::Latency => ("time of a request", "s"),
        _ => ("generated in a second", "tokens"),
    }
}

/// One forecast in full.
fn text(args: &Args, answer: &Answer) -> Result<String> {
    let Answer { row, setting, forecast } = answer;
    let request = &setting.request;
    let mut out = format!(
        "{} in {} on {} with {}: {}\n{}\n\n{}",
        setting.spec.name(),
        request.precision,
        counted(&setting.device, setting.request.parallel),
        setting.engine.name,
        forecast.provenance,
        asked(answer),
        figures(row, request.load),
    );
    let part = |what: &str, part: &Part| {
        format!("{what}: {} and {}", render::si(part.joules, "J"), render::si(part.seconds, "s"))
    };
    let parts =
        [Some(part("prompt", &forecast.prompt)), forecast.token.as_ref().map(|token| part("each token", token))];
    writeln!(out, "\n{}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))?;
    for line in [mean_between(answer), Some(memory(answer)), whose(answer).map(str::to_owned)].into_iter().flatten() {
        writeln!(out, "{line}")?;
    }
    for note in &forecast.notes {
        writeln!(out, "{note}")?;
    }
    let tree = answer.tree(args)?;
    writeln!(out, "\n{}", of_tree(answer))?;
    out += &one::nodes(args, &tree);
    out += &one::bottleneck_table(args, &tree);
    out += &cost(args, row);
    Ok(out)
}

/// The meter of the energy, where that counts more than the devices: a note says so.
fn meter(forecast: &Forecast) -> Option<&str> {
    forecast.notes.iter().find_map(|note| match note {
        Note::Host { .. } => Some("wall"),
        Note::Meter { meter } => Some(meter.as_str()),
        _ => None,
    })
}

/// Whose energy it is, where no note says it.
pub(super) fn whose(answer: &Answer) -> Option<&'static str> {
    let Answer { setting, forecast, .. } = answer;
    match meter(forecast) {
        Some(_) => None,
        None if setting.is_energy_calibrated(forecast) => {
            Some("energy is what the meter of the measured requests counts")
        }
        None => Some(of_devices(setting.request.parallel)),
    }
}

/// The mean time between tokens, where it is longer than the median in the table.
fn mean_between(answer: &Answer) -> Option<String> {
    /// As far apart as three digits show.
    const APART: f64 = 1.01;
    let (request, figures) = (&answer.setting.request, &answer.row.figures);
    // The time of a batch may have several waves in it.
    if request.load.sequences().is_some() || !answer.setting.engine.is_continuous || request.generated < 2 {
        return None;
    }
    let mean = (figures.latency_s? - figures.ttft_s?) / (request.generated - 1) as f64;
    (mean > APART * figures.itl_s?).then(|| {
        let mean = render::si(mean, "s");
        format!("mean time between tokens: {mean}; steps that read others' prompts take longer")
    })
}

/// `4 x h100-sxm limited to 400 W`.
pub(super) fn counted(device: &Device, parallel: Parallel) -> String {
    let limit = device.power_limit_w.map_or_else(String::new, |watts| format!(" limited to {watts} W"));
    let count = if parallel.is_single() { String::new() } else { format!("{} x ", parallel.gpus()) };
    format!("{count}{}{limit}", device.name)
}

/// The request in words.
fn asked(answer: &Answer) -> String {
    let request = &answer.setting.request;
    let load = match request.load {
        Load::Sequences(sequences) => format!("a batch of {sequences}"),
        Load::Concurrency(running) => format!("{running} at once"),
        Load::Rate(rate) => format!("{rate} a second arrive, {} at once while any run", mean(answer.forecast.running)),
    };
    match request.generated {
        0 => format!("sequences of {}, {load}", count(request.prompt, "token")),
        generated => format!("prompts of {}, {generated} generated, {load}", count(request.prompt, "token")),
    }
}

fn figures(row: &RequestRow, load: Load) -> String {
    let has_interval = !row.low.is_empty();
    let interval = format!("{}% interval", 100.0 * CONFIDENCE);
    let mut headings = vec![Heading::left(""), Heading::right("")];
    headings.extend(has_interval.then(|| Heading::right(&interval)));
    let mut grid = Grid::new(headings);
    for figure in Figure::ALL {
        let Some(value) = row.figures.get(figure) else { continue };
        let (name, unit) = named(figure, load);
        let mut cells = vec![name.to_owned(), render::in_unit(value, unit)];
        // As many tokens as arrive are known.
        let ends = row.low.get(figure).zip(row.high.get(figure)).filter(|(low, high)| low < high);
        cells.extend(has_interval.then(|| ends.map_or_else(String::new, |ends| range(value, ends, unit))));
        grid.row(cells);
    }
    grid.text(width())
}

fn range(value: f64, (low, high): (f64, f64), unit: &str) -> String {
    match unit {
        // Whole ones need no prefix.
        "tokens" => {
            format!("{} to {}", render::in_unit(low, unit).trim_end_matches(" tokens"), render::in_unit(high, unit))
        }
        unit => render::range_beside(value, low, high, unit),
    }
}

fn memory(answer: &Answer) -> String {
    let memory = &answer.forecast.memory;
    let bytes = render::bytes;
    let cache = if memory.cache > 0.0 { format!("cache {}, ", bytes(memory.cache)) } else { String::new() };
    // One sequence may have more.
    let is_part = (memory.total()..memory.card).contains(&memory.usable);
    let room = match is_part {
        true => format!("{} that the engine takes of its {}", bytes(memory.usable), bytes(memory.card)),
        false => bytes(memory.card),
    };
    format!(
        "memory of {}: weights {}, {cache}activations {}, workspace {}: {} of {room}; room for {} sequence{}",
        if answer.setting.request.parallel.is_single() { "the device" } else { "each GPU" },
        bytes(memory.weights),
        bytes(memory.activations),
        bytes(memory.workspace),
        bytes(memory.total()),
        memory.most_sequences,
        if memory.most_sequences == 1 { "" } else { "s" },
    )
}

/// A mean number of requests.
pub(super) fn mean(requests: f64) -> String {
    if requests.fract() == 0.0 { format!("{requests}") } else { format!("{requests:.1}") }
}

/// The requests whose energy the tree adds up.
fn of_tree(answer: &Answer) -> String {
    let requests = mean(answer.forecast.requests());
    // Waves run one after the other.
    let has_waves = answer.forecast.requests() > answer.forecast.running;
    match answer.setting.request.load {
        _ if requests == "1" => "where it goes:".into(),
        Load::Sequences(_) => format!("where it goes, of {requests} requests:"),
        _ if has_waves => format!("where it goes, of {requests} requests:"),
        _ => format!("where it goes, of {requests} requests that run at once:"),
    }
}

/// The energy and cost of a million tokens, or requests where none are generated.
fn cost(args: &Args, row: &RequestRow) -> String {
    let (what, joules) = match (row.figures.energy_per_token_j, row.figures.energy_per_request_j) {
        (Some(joules), _) => ("generated tokens", joules),
        (None, joules) => ("requests", joules.unwrap_or(f64::NAN)),
    };
    one::cost(args, &[(what, joules)])
}

/// The fields of a forecast, for programs.
fn object(args: &Args, answer: &Answer) -> Value {
    let Answer { row, setting, forecast } = answer;
    let (request, memory) = (&setting.request, &forecast.memory);
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    };
    set("model", setting.spec.name().into());
    set("device", setting.device.name.as_str().into());
    set("engine", setting.engine.name.into());
    set("precision", json!(request.precision));
    set("kernels", request.kernels.name().into());
    match request.load {
        Load::Sequences(sequences) => set("sequences", sequences.into()),
        Load::Concurrency(running) => set("concurrency", running.into()),
        Load::Rate(rate) => set("rate", rate.into()),
    }
    set("prompt", request.prompt.into());
    set("generated", request.generated.into());
    set("parallel", json!(request.parallel));
    set("power_limit_w", json!(setting.device.power_limit_w));
    for figure in Figure::ALL {
        for (suffix, figures) in [("", &row.figures), ("_low", &row.low), ("_high", &row.high)] {
            set(&format!("{}{suffix}", figure.name()), json!(figures.get(figure)));
        }
    }
    let part = |part: &Part| json!({"energy_j": part.joules, "latency_s": part.seconds});
    set("prompt_part", part(&forecast.prompt));
    set("token_part", forecast.token.as_ref().map_or(Value::Null, part));
    set("running", forecast.running.into());
    set("waiting", forecast.waiting.into());
    set(
        "memory_bytes",
        json!({
            "weights": memory.weights, "cache": memory.cache, "activations": memory.activations, "workspace": memory.workspace,
            "total": memory.total(), "usable": memory.usable, "device": memory.card,
        }),
    );
    set("most_sequences", memory.most_sequences.into());
    let million = |joules: Option<f64>| joules.map_or(Value::Null, |joules| super::cost(args, joules));
    set("cost_per_million_tokens", million(row.figures.energy_per_token_j));
    set(super::COST_OF_REQUESTS, million(row.figures.energy_per_request_j));
    match meter(forecast) {
        Some(meter) => set("meter", meter.into()),
        // That of a calibration may have been any.
        None if setting.is_energy_calibrated(forecast) => {}
        None => set("meter", "gpu".into()),
    }
    set("provenance", forecast.provenance.as_str().into());
    set("marks", forecast.notes.iter().map(Note::mark).collect());
    set("notes", forecast.notes.iter().map(ToString::to_string).collect());
    Value::Object(object)
}
