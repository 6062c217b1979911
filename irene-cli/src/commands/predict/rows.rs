//! A row a setting.

use irene_regress::kwh_per_million;
use irene_tree::{Mark, Precision, Quantity, Tree, render};

use super::{Args, request_energy, run_energy};
use crate::sheet::{Cell, Field};

/// The settings and figures of a tree, a column each.
pub(super) fn fields() -> [Field; 20] {
    let energy = |quantity: Quantity, title| Field::figure(quantity.name(), title, "J");
    [
        Field::word("model_name", "model").setting(str::to_owned),
        Field::figure("batch_size", "batch", "").setting(|batch| format!("batch {batch}")),
        Field::figure("seq_len", "seq", "").setting(|tokens| format!("sequence {tokens}")),
        Field::figure("past_len", "past", "").setting(|tokens| format!("{tokens} in the cache")),
        Field::figure("generated", "generated", "").setting(|tokens| format!("{tokens} generated")),
        Field::word("precision", "dtype").rank(8).setting(str::to_owned),
        Field::word("training", "training").rank(1).setting(str::to_owned),
        energy(Quantity::PredictedEnergy, "a run"),
        Field::figure("energy_per_request", "a request", "J"),
        Field::figure("energy_per_token", "a token", "J").rank(5),
        energy(Quantity::GroundTruthEnergy, "measured").rank(1),
        Field::figure("error", "error", "%").rank(1),
        energy(Quantity::PredictedLow, "").only_data(),
        energy(Quantity::PredictedHigh, "").only_data(),
        // That of a run.
        Field::figure("", "90% interval", "").rank(2).only_text(),
        Field::figure(Quantity::PredictedLatency.name(), "latency", "s").rank(3),
        Field::figure(Quantity::PredictedPower.name(), "power", "W").rank(6),
        Field::figure("price_per_million_requests", "a million", "USD").rank(4),
        Field::figure("emissions_per_million_requests", "CO2e", "g"),
        Field::word("marks", ""),
    ]
}

/// The cells of a tree, in the order of [`fields`].
pub(super) fn cells(args: &Args, tree: &Tree) -> [Cell; 20] {
    let root = |quantity| tree.root().get(quantity);
    let (energy, request) = (run_energy(tree), request_energy(tree));
    let kwh = request.map(kwh_per_million);
    let above_zero = |count: usize| Cell::from((count > 0).then_some(count));
    let measured = root(Quantity::GroundTruthEnergy);
    let (low, high) = (root(Quantity::PredictedLow), root(Quantity::PredictedHigh));
    let interval = low.zip(high).map(|(low, high)| render::range_beside(energy, low, high, "J"));
    let marks: Vec<&str> = tree.root().marks.iter().map(Mark::name).collect();
    [
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
        low.into(),
        high.into(),
        interval.into(),
        root(Quantity::PredictedLatency).into(),
        root(Quantity::PredictedPower).into(),
        kwh.map(|kwh| kwh * args.price_per_kwh()).into(),
        kwh.zip(args.grid_intensity()).map(|(kwh, grams)| kwh * grams).into(),
        marks.join(" ").into(),
    ]
}
