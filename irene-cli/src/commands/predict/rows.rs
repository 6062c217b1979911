//! A row a setting.

use irene_regress::kwh_per_million;
use irene_tree::{Mark, Precision, Quantity, Tree};

use super::{Args, request_energy, run_energy};
use crate::sheet::{Cell, Field, Format, Sheet};

/// The figures of several trees.
pub(super) struct Rows<'a> {
    args: &'a Args,
    sheet: Sheet,
}

impl<'a> Rows<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        let energy = |quantity: Quantity, title| Field::figure(quantity.name(), title, "J");
        let sheet = Sheet::new([
            Field::word("model_name", "model"),
            Field::figure("batch_size", "batch", ""),
            Field::figure("seq_len", "seq", ""),
            Field::figure("past_len", "past", ""),
            Field::figure("generated", "new", ""),
            Field::word("precision", "dtype").rank(5),
            Field::word("training", "training").rank(1),
            energy(Quantity::PredictedEnergy, "a run"),
            Field::figure("energy_per_request", "a request", "J"),
            Field::figure("energy_per_token", "a token", "J").rank(2),
            energy(Quantity::GroundTruthEnergy, "measured").rank(1),
            Field::figure("error", "error", "%").rank(1),
            energy(Quantity::PredictedLow, "at least").rank(3),
            energy(Quantity::PredictedHigh, "at most").rank(3),
            Field::figure(Quantity::PredictedLatency.name(), "latency", "s").rank(4),
            Field::figure(Quantity::PredictedPower.name(), "power", "W").rank(5),
            Field::figure("price_per_million_requests", "a million", "USD").rank(6),
            Field::figure("emissions_per_million_requests", "CO2e", "g").rank(6),
            Field::word("marks", ""),
        ]);
        Self { args, sheet }
    }

    pub(super) fn push(&mut self, tree: &Tree) {
        let root = |quantity| tree.root().get(quantity);
        let (energy, request) = (run_energy(tree), request_energy(tree));
        let kwh = request.map(kwh_per_million);
        let above_zero = |count: usize| Cell::from((count > 0).then_some(count));
        let measured = root(Quantity::GroundTruthEnergy);
        let marks: Vec<&str> = tree.root().marks.iter().map(Mark::name).collect();
        self.sheet.row([
            tree.model_name.as_str().into(),
            tree.size.sequences.into(),
            tree.size.new.into(),
            above_zero(tree.size.past),
            above_zero(tree.generated),
            (tree.precision != Precision::default()).then(|| tree.precision.to_string()).into(),
            tree.training.map(|training| training.to_string()).into(),
            energy.into(),
            request.into(),
            (energy / tree.tokens() as f64).into(),
            measured.into(),
            // A coarse meter may have counted nothing.
            measured.filter(|truth| *truth > 0.0).map(|truth| 100.0 * (energy - truth).abs() / truth).into(),
            root(Quantity::PredictedLow).into(),
            root(Quantity::PredictedHigh).into(),
            root(Quantity::PredictedLatency).into(),
            root(Quantity::PredictedPower).into(),
            kwh.map(|kwh| kwh * self.args.price_per_kwh()).into(),
            kwh.zip(self.args.grid_intensity()).map(|(kwh, grams)| kwh * grams).into(),
            marks.join(" ").into(),
        ]);
    }

    pub(super) fn printed(&self, format: Format) -> String {
        self.sheet.printed(format, "settings")
    }
}
