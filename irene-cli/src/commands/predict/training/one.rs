//! One step and its run, in full.

use std::fmt::Write;

use anyhow::Result;
use irene_numerics::JOULES_PER_KWH;
use irene_predict::{Phase, StepFigures, StepMemory, TrainingNote, TrainingRun};
use irene_regress::CONFIDENCE;
use irene_tree::render::{self, Grid, Heading};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::{
    commands::predict::{Args, answered::Answered, one},
    output::width,
};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// For people.
pub(super) fn text(args: &Args, answer: &Answer) -> Result<String> {
    let forecast = &answer.forecast;
    let mut out = format!(
        "{} in {} on {} with {}: {}\n{}\n\n{}\n{}\n",
        answer.spec.name(),
        forecast.run().precision,
        answer.devices(),
        answer.engine.name,
        forecast.provenance,
        asked(answer),
        figures(&forecast.figures, &forecast.interval),
        phases(&forecast.phases),
    );
    out += &rates(answer);
    out += &memory(answer);
    if let Some(whose) = answer.whose() {
        writeln!(out, "{whose}")?;
    }
    for note in &forecast.notes {
        writeln!(out, "{note}")?;
    }
    let tree = answer.tree(args)?;
    writeln!(out, "\nwhere a step goes:")?;
    out += &one::nodes(args, &tree);
    out += &one::bottleneck_table(args, &tree);
    if let Some(length) = answer.length {
        out += &whole(args, &forecast.run_of(length));
    }
    Ok(out)
}

/// The parts of the step.
fn phases(phases: &[Phase]) -> String {
    let headings = [Heading::left("phase"), Heading::right("time"), Heading::right("energy"), Heading::right("power")];
    let mut grid = Grid::new(headings);
    for Phase { name, seconds, joules } in phases {
        let [time, energy, power] =
            [(*seconds, "s"), (*joules, "J"), (joules / seconds, "W")].map(|(figure, unit)| render::si(figure, unit));
        grid.row([(*name).to_owned(), time, energy, power]);
    }
    grid.text(width())
}

/// Tokens a second, and FLOPs beside the peak and the rule of thumb.
fn rates(answer: &Answer) -> String {
    let forecast = &answer.forecast;
    format!(
        "{} tokens a second, {:.1}% of the peak (MFU)\n{} a step in products; 6 N D: {} with {} parameters and {} tokens\n",
        render::in_unit(forecast.tokens_per_s(), ""),
        100.0 * forecast.peak_share(),
        render::si(forecast.flops, "FLOP"),
        render::si(forecast.rule_flops(), "FLOP"),
        render::in_unit(forecast.parameters, ""),
        render::in_unit(forecast.tokens, ""),
    )
}

/// The step in words.
fn asked(answer: &Answer) -> String {
    let run = answer.forecast.run();
    let (size, training) = (run.size, run.training.unwrap_or_default());
    format!("batch {}, sequence {}, {training}", size.sequences, size.new)
}

fn figures(figures: &StepFigures, [low, high]: &[StepFigures; 2]) -> String {
    let interval = format!("{}% interval", 100.0 * CONFIDENCE);
    let mut grid = Grid::new([Heading::left(""), Heading::right(""), Heading::right(&interval)]);
    let mut row = |name: &str, unit, of: fn(&StepFigures) -> f64| {
        let figure = of(figures);
        let interval = render::range_beside(figure, of(low), of(high), unit);
        grid.row([name.to_owned(), render::si(figure, unit), interval]);
    };
    row("time of a step", "s", |figures| figures.seconds);
    row("energy of a step", "J", |figures| figures.joules);
    row("mean power", "W", |figures| figures.watts);
    grid.text(width())
}

fn memory(answer: &Answer) -> String {
    let memory = &answer.forecast.memory;
    let step = &memory.step;
    let parts = [
        ("weights", step.weights as f64),
        ("their copies in 32 bits", step.master_weights as f64),
        ("gradients", step.gradients as f64),
        ("optimizer", step.optimizer_states as f64),
        ("activations", step.activations as f64),
        ("for a while", step.transient as f64),
        ("buckets", memory.buckets),
        ("workspace", memory.workspace),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, bytes)| *bytes > 0.0)
        .map(|(name, bytes)| format!("{name} {}", render::bytes(bytes)))
        .collect();
    let of = if answer.forecast.run().parallel.is_single() { "the device" } else { "each GPU" };
    format!(
        "memory of {of}: {}: {} of {}\n",
        parts.join(", "),
        render::bytes(memory.total()),
        render::bytes(memory.card)
    )
}

/// The whole run: its time, energy and cost.
fn whole(args: &Args, run: &TrainingRun) -> String {
    let watt_hours = |joules: f64| render::si(joules / SECONDS_PER_HOUR, "Wh");
    let (kwh, price) = (kwh(run), args.price_per_kwh());
    let emissions = args.grid_intensity().map(|grams| format!(", {} CO2e", mass(kwh * grams)));
    format!(
        "\n{} steps, {} tokens: {} ({}), {}\n{} ({}), {}{}\nFLOPs in products: {}; 6 N D: {}\n{}\n",
        render::in_unit(run.steps, ""),
        render::in_unit(run.tokens, ""),
        spell(run.seconds),
        run.seconds_range.map(spell).join(" to "),
        counted(gpu_hours(run), "GPU-hours"),
        watt_hours(run.joules),
        run.joules_range.map(watt_hours).join(" to "),
        counted(kwh * price, "USD"),
        emissions.unwrap_or_default(),
        render::si(run.flops, ""),
        render::si(run.rule_flops, ""),
        args.rates(),
    )
}

/// A number in a unit that takes no prefix: `0.047 USD`, `1.72 M GPU-hours`.
fn counted(number: f64, unit: &str) -> String {
    const LARGE: f64 = 1000.0;
    if number < LARGE { render::in_unit(number, unit) } else { format!("{} {unit}", render::in_unit(number, "")) }
}

/// A time in the largest unit that it has some of.
fn spell(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "s")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| seconds >= 2.0 * unit).unwrap_or((1.0, "s"));
    if name == "s" { render::si(seconds, name) } else { counted(seconds / unit, name) }
}

fn mass(grams: f64) -> String {
    const TONNE: f64 = 1e6;
    if grams >= TONNE { counted(grams / TONNE, "t") } else { render::si(grams, "g") }
}

/// The fields of a forecast, for programs.
pub(super) fn object(args: &Args, answer: &Answer) -> Value {
    let forecast = &answer.forecast;
    let run = forecast.run();
    let mut object = json!({
        "model": answer.spec.name(),
        "device": answer.device.name,
        "engine": answer.engine.name,
        "precision": run.precision,
        "kernels": run.kernels.name(),
        "sequences": run.size.sequences,
        "seq_len": run.size.new,
        "training": run.training,
        "parallel": run.parallel,
        "phases": forecast.phases.iter().map(phase_object).collect::<Map<_, _>>(),
        "tokens_per_step": forecast.tokens,
        "tokens_per_s": forecast.tokens_per_s(),
        "flops_per_step": forecast.flops,
        "model_flops_per_step": forecast.model_flops,
        "rule_flops_per_step": forecast.rule_flops(),
        "parameters": forecast.parameters,
        "mfu": forecast.peak_share(),
        "memory_bytes": memory_object(&forecast.memory),
        "provenance": forecast.provenance,
        "marks": forecast.notes.iter().map(TrainingNote::mark).collect::<Vec<_>>(),
        "notes": forecast.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let [low, high] = &forecast.interval;
    for (suffix, figures) in [("", &forecast.figures), ("_low", low), ("_high", high)] {
        let StepFigures { seconds, joules, watts } = *figures;
        for (name, figure) in [("step_s", seconds), ("energy_per_step_j", joules), ("power_w", watts)] {
            object[format!("{name}{suffix}")] = figure.into();
        }
    }
    if let Some(watts) = answer.device.power_limit_w {
        object["power_limit_w"] = watts.into();
    }
    if let Some(length) = answer.length {
        object["run"] = whole_object(args, &forecast.run_of(length));
    }
    object
}

fn phase_object(phase: &Phase) -> (String, Value) {
    let Phase { name, seconds, joules } = *phase;
    (name.to_owned(), json!({"energy_j": joules, "latency_s": seconds, "power_w": joules / seconds}))
}

fn memory_object(memory: &StepMemory) -> Value {
    let step = &memory.step;
    json!({
        "weights": step.weights,
        "master_weights": step.master_weights,
        "gradients": step.gradients,
        "optimizer_states": step.optimizer_states,
        "activations": step.activations,
        "transient": step.transient,
        "buckets": memory.buckets,
        "workspace": memory.workspace,
        "total": memory.total(),
        "device": memory.card,
    })
}

fn whole_object(args: &Args, run: &TrainingRun) -> Value {
    let kwh = kwh(run);
    let mut object = json!({
        "steps": run.steps,
        "tokens": run.tokens,
        "time_s": run.seconds,
        "time_s_low": run.seconds_range[0],
        "time_s_high": run.seconds_range[1],
        "gpu_hours": gpu_hours(run),
        "energy_kwh": kwh,
        "energy_kwh_low": run.joules_range[0] / JOULES_PER_KWH,
        "energy_kwh_high": run.joules_range[1] / JOULES_PER_KWH,
        "price_usd": kwh * args.price_per_kwh(),
        "price_per_kwh_usd": args.price_per_kwh(),
        "flops": run.flops,
        "rule_flops": run.rule_flops,
    });
    if let Some(grams) = args.grid_intensity() {
        object["emissions_g_co2e"] = json!(kwh * grams);
        object["grid_intensity_g_co2e_per_kwh"] = json!(grams);
    }
    object
}

/// Kilowatt-hours of a run.
pub(super) fn kwh(run: &TrainingRun) -> f64 {
    run.joules / JOULES_PER_KWH
}

/// Hours of all GPUs together.
pub(super) fn gpu_hours(run: &TrainingRun) -> f64 {
    run.gpu_seconds / SECONDS_PER_HOUR
}
