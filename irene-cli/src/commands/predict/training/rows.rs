//! A row a step.

use irene_models::Run;
use irene_predict::{TrainingForecast, TrainingNote, TrainingRun};
use irene_tree::render;

use super::{
    Answer,
    one::{gpu_hours, kwh},
};
use crate::{
    commands::predict::Args,
    sheet::{Cell, Field, Sheet},
};

/// A step, and the run that it is of.
struct Row<'a> {
    args: &'a Args,
    answer: &'a Answer,
    forecast: &'a TrainingForecast,
    step: Run,
    run: Option<TrainingRun>,
}

impl<'a> Row<'a> {
    fn of(args: &'a Args, answer: &'a Answer) -> Self {
        let forecast = &answer.forecast;
        let run = answer.length.map(|length| forecast.run_of(length));
        Self { args, answer, forecast, step: forecast.run(), run }
    }

    fn of_run(&self, figure: impl FnOnce(&TrainingRun) -> f64) -> Cell {
        self.run.as_ref().map(figure).into()
    }

    fn emissions_kg(&self) -> Option<f64> {
        Some(kwh(self.run.as_ref()?) * self.args.grid_intensity()? / 1000.0)
    }

    fn marks(&self) -> String {
        self.forecast.notes.iter().map(TrainingNote::mark).collect::<Vec<_>>().join(" ")
    }
}

/// The figures of several steps, and of their runs.
pub(super) fn table(args: &Args, answers: &[Answer]) -> Sheet {
    let (word, figure) = (Field::word, Field::figure);
    let rows: Vec<Row<'_>> = answers.iter().map(|answer| Row::of(args, answer)).collect();
    Sheet::of(
        &rows,
        [
            (word("model_name", "model").setting(str::to_owned), |row| row.answer.spec.name().into()),
            (word("device", "device").setting(str::to_owned), |row| row.answer.devices().into()),
            (word("precision", "dtype").rank(9).setting(str::to_owned), |row| row.step.precision.to_string().into()),
            (word("training", "training").rank(10).setting(str::to_owned), |row| {
                row.step.training.map(|training| training.to_string()).into()
            }),
            (figure("batch_size", "batch", "").setting(|batch| format!("batch {batch}")), |row| {
                row.step.size.sequences.into()
            }),
            (figure("seq_len", "seq", "").setting(|tokens| format!("sequence {tokens}")), |row| {
                row.step.size.new.into()
            }),
            (figure("step_s", "a step", "s"), |row| row.forecast.figures.seconds.into()),
            (figure("energy_of_step", "a step", "J"), |row| row.forecast.figures.joules.into()),
            (figure("", "90% interval", "").rank(1).only_text(), |row| interval(row.forecast).into()),
            (figure("energy_low", "", "J").only_data(), |row| row.forecast.interval[0].joules.into()),
            (figure("energy_high", "", "J").only_data(), |row| row.forecast.interval[1].joules.into()),
            (figure("power", "power", "W").rank(7), |row| row.forecast.figures.watts.into()),
            (figure("tokens_per_s", "tokens/s", "").rank(3), |row| row.forecast.tokens_per_s().into()),
            (figure("mfu", "of peak", "%").rank(4), |row| (100.0 * row.forecast.peak_share()).into()),
            (figure("memory", "memory", "MiB").rank(5), |row| (row.forecast.memory.total() / 1024.0 / 1024.0).into()),
            (figure("steps", "steps", "").rank(8), |row| row.of_run(|run| run.steps)),
            (figure("tokens", "tokens", "").rank(8), |row| row.of_run(|run| run.tokens)),
            (figure("time", "whole", "s"), |row| row.of_run(|run| run.seconds)),
            (figure("gpu_time", "of GPUs", "GPU-hours").rank(6), |row| row.of_run(gpu_hours)),
            (figure("energy", "whole", "Wh"), |row| row.of_run(|run| 1000.0 * kwh(run))),
            (figure("price", "price", "USD").rank(2), |row| row.of_run(|run| kwh(run) * row.args.price_per_kwh())),
            (figure("emissions", "emissions", "kg CO2e"), |row| row.emissions_kg().into()),
            (word("marks", "").only_data(), |row| row.marks().into()),
        ],
    )
}

/// The interval of the energy of a step.
fn interval(forecast: &TrainingForecast) -> String {
    let [low, high] = &forecast.interval;
    render::range_beside(forecast.figures.joules, low.joules, high.joules, "J")
}
