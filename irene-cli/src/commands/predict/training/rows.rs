//! A row a step.

use irene_predict::{TrainingForecast, TrainingNote};
use irene_tree::render;

use super::{
    Answer,
    one::{gpu_hours, kwh},
};
use crate::{
    commands::predict::Args,
    sheet::{Field, Sheet},
};

/// The figures of several steps, and of their runs.
pub(super) fn table(args: &Args, answers: &[Answer]) -> Sheet {
    let figure = Field::figure;
    let mut sheet = Sheet::new([
        Field::word("model_name", "model").setting(str::to_owned),
        Field::word("device", "device").setting(str::to_owned),
        Field::word("precision", "dtype").rank(9).setting(str::to_owned),
        Field::word("training", "training").rank(10).setting(str::to_owned),
        figure("batch_size", "batch", "").setting(|batch| format!("batch {batch}")),
        figure("seq_len", "seq", "").setting(|tokens| format!("sequence {tokens}")),
        figure("step_s", "a step", "s"),
        figure("energy_of_step", "a step", "J"),
        figure("", "90% interval", "").rank(1).only_text(),
        figure("energy_low", "", "J").only_data(),
        figure("energy_high", "", "J").only_data(),
        figure("power", "power", "W").rank(7),
        figure("tokens_per_s", "tokens/s", "").rank(3),
        figure("mfu", "of peak", "%").rank(4),
        figure("memory", "memory", "MiB").rank(5),
        figure("steps", "steps", "").rank(8),
        figure("tokens", "tokens", "").rank(8),
        figure("time", "whole", "s"),
        figure("gpu_time", "of GPUs", "GPU-hours").rank(6),
        figure("energy", "whole", "Wh"),
        figure("price", "price", "USD").rank(2),
        figure("emissions", "emissions", "kg CO2e"),
        Field::word("marks", "").only_data(),
    ]);
    for answer in answers {
        let (forecast, step) = (&answer.forecast, answer.forecast.run());
        let run = answer.length.map(|length| forecast.run_of(length));
        let run = run.as_ref();
        let marks: Vec<&str> = forecast.notes.iter().map(TrainingNote::mark).collect();
        sheet.row([
            answer.spec.name().into(),
            answer.devices().into(),
            step.precision.to_string().into(),
            step.training.map(|training| training.to_string()).into(),
            step.size.sequences.into(),
            step.size.new.into(),
            forecast.figures.seconds.into(),
            forecast.figures.joules.into(),
            interval(forecast).into(),
            forecast.interval[0].joules.into(),
            forecast.interval[1].joules.into(),
            forecast.figures.watts.into(),
            forecast.tokens_per_s().into(),
            (100.0 * forecast.peak_share()).into(),
            (forecast.memory.total() / 1024.0 / 1024.0).into(),
            run.map(|run| run.steps).into(),
            run.map(|run| run.tokens).into(),
            run.map(|run| run.seconds).into(),
            run.map(gpu_hours).into(),
            run.map(|run| 1000.0 * kwh(run)).into(),
            run.map(|run| kwh(run) * args.price_per_kwh()).into(),
            run.zip(args.grid_intensity()).map(|(run, grams)| kwh(run) * grams / 1000.0).into(),
            marks.join(" ").into(),
        ]);
    }
    sheet
}

/// The interval of the energy of a step.
fn interval(forecast: &TrainingForecast) -> String {
    let [low, high] = &forecast.interval;
    render::range_beside(forecast.figures.joules, low.joules, high.joules, "J")
}
