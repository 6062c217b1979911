//! The cost of using a model.

use anyhow::{Context, Result};
use irene_models::ModelSpec;
use irene_regress::{COST_SETTING, DeviceProfile, Miniatures, PRICE_PER_KWH, bottlenecks, kwh_per_million};
use irene_tree::{Level, Quantity, Size, Tree, render::si};
use irene_viz::{Axis, Mark, Panel, chart};

use super::{COST, MINIATURES, Machine, NOT_MEASURED, NOT_PUBLISHED, SPECS};
use crate::commands::reproduce::markdown::{Cell, Picture, Section, Table};

/// Models that the shipped profiles are asked for.
const MODELS: [&str; 6] =
    ["bert-base-uncased", "distilbert-base-uncased", "roberta-base", "distilgpt2", "openai-gpt", "gpt2"];

/// Table 3, and the same of all models.
pub(super) fn cost(machines: &[Machine<'_>]) -> Result<Section> {
    let setting = COST_SETTING;
    let section = Section::new(COST)
        .text(format!(
            "The paper's use case: {} answers questions in runs of {} of {} tokens, without its head here; {} passages are read for each \
             question in the last two columns. A kWh costs {PRICE_PER_KWH} USD.",
            setting.model, setting.size.sequences, setting.size.new, setting.passages
        ))
        .table(use_case(machines))
        .text(
            "Why they differ: the printed 161 kWh is ten times what a million measured runs of 16 inputs take and 160 times what a million inputs \
             do, and the paper does not say what it multiplies.",
        )
        .text("The six models by the shipped profiles at batch 8 and 128 tokens, nothing measured of the model:")
        .table(by_profile()?);
    Ok(section)
}

fn use_case(machines: &[Machine<'_>]) -> Table {
    let setting = COST_SETTING;
    let mut table = Table::new([
        "machine and energy",
        "a run",
        "kWh, a million runs",
        "kWh, a million inputs",
        "USD, a million inputs",
        "kWh, with passages",
        "USD, with passages",
    ]);
    for machine in machines {
        let at_size = |tree: &&&Tree| tree.size == setting.size;
        let joules = |trees: Vec<&Tree>, energy| trees.iter().find(at_size).and_then(|tree| tree.root().get(energy));
        for (name, joules) in [
            ("measured", joules(machine.measured(setting.model), Quantity::GroundTruthEnergy)),
            (
                "predicted from specs, the model left out",
                joules(machine.predicted(SPECS, setting.model), Quantity::PredictedEnergy),
            ),
        ] {
            let shown = |of: &dyn Fn(f64) -> String| Cell::of(joules.map(of), NOT_MEASURED);
            let inputs = |joules: f64| kwh_per_million(joules) / setting.size.sequences as f64;
            table.row([
                format!("{}, {name}", machine.name()).into(),
                shown(&|joules| si(joules, "J")),
                shown(&|joules| format!("{:.2}", kwh_per_million(joules))),
                shown(&|joules| format!("{:.3}", inputs(joules))),
                shown(&|joules| format!("{:.3}", inputs(joules) * PRICE_PER_KWH)),
                shown(&|joules| format!("{:.1}", inputs(joules) * setting.passages)),
                shown(&|joules| format!("{:.2}", inputs(joules) * setting.passages * PRICE_PER_KWH)),
            ]);
        }
    }
    let not_printed = || Cell::missing(NOT_PUBLISHED);
    table.row([
        "published (PC1), of whatever is multiplied".into(),
        not_printed(),
        not_printed(),
        setting.kwh[0].into(),
        format!("{:.2}", setting.usd[0]).into(),
        setting.kwh[1].into(),
        setting.usd[1].into(),
    ]);
    table
}

fn by_profile() -> Result<Table> {
    let price = format!("USD at {PRICE_PER_KWH} a kWh");
    let mut table =
        Table::new(["profile", "model", "a run", "90% interval", "a million runs, kWh", &price, "ML level's share"]);
    for device in DeviceProfile::bundled_names() {
        let profile = DeviceProfile::bundled(device)?;
        for name in MODELS {
            let tree = irene_predict::predict(&builtin(name)?, Size::new(8, 128), &profile)?;
            let get = |quantity| tree.root().get(quantity);
            let joules = get(Quantity::PredictedEnergy).with_context(|| format!("{name}: no energy"))?;
            let interval = get(Quantity::PredictedLow).zip(get(Quantity::PredictedHigh));
            let leaves = bottlenecks(&tree, Quantity::PredictedEnergy).into_iter().filter(|row| row.level == Level::Ml);
            let kwh = kwh_per_million(joules);
            table.row([
                device.into(),
                name.into(),
                si(joules, "J").into(),
                Cell::of(
                    interval.map(|(low, high)| format!("{} to {}", si(low, "J"), si(high, "J"))),
                    "the profile gives none",
                ),
                format!("{kwh:.3}").into(),
                format!("{:.3}", kwh * PRICE_PER_KWH).into(),
                format!("{:.1}%", 100.0 * leaves.map(|row| row.share).sum::<f64>()).into(),
            ]);
        }
    }
    Ok(table)
}

/// The built-in model, whatever lies in the working directory.
fn builtin(name: &str) -> Result<ModelSpec> {
    ModelSpec::builtin(name).with_context(|| format!("{name}: no built-in model"))
}

const LAYERS: [usize; 6] = [2, 4, 6, 8, 10, 12];
const WIDTHS: [usize; 4] = [128, 256, 512, 768];

/// The energy of each miniature by one profile, by width and layers, J.
fn energies(profile: &DeviceProfile, size: Size) -> Result<[[f64; LAYERS.len()]; WIDTHS.len()]> {
    let mut energies = [[0.0; LAYERS.len()]; WIDTHS.len()];
    for (width, energies) in WIDTHS.into_iter().zip(&mut energies) {
        for (layers, energy) in LAYERS.into_iter().zip(energies) {
            let name = format!("google/bert_uncased_L-{layers}_H-{width}_A-{}", width / 64);
            let tree = irene_predict::predict(&builtin(&name)?, size, profile)?;
            *energy = tree.root().get(Quantity::PredictedEnergy).with_context(|| format!("{name}: no energy"))?;
        }
    }
    Ok(energies)
}

/// Figure 4.
pub(super) fn miniatures() -> Result<Section> {
    const FOUR: &str = "the miniatures' authors publish the accuracies of four";
    let Miniatures { size, joules: [low, high], accuracies } = irene_regress::MINIATURES;
    let devices: Vec<&str> = DeviceProfile::bundled_names().collect();
    let of_device = |device: &&str| energies(&DeviceProfile::bundled(device)?, size);
    let found = devices.iter().map(of_device).collect::<Result<Vec<_>>>()?;
    let mut table = Table::new(["layers", "width", "SST-2, %"].into_iter().chain(devices.iter().copied()));
    for (column, width) in WIDTHS.into_iter().enumerate() {
        for (row, layers) in LAYERS.into_iter().enumerate() {
            let accuracy = accuracies.iter().find(|(known, _)| *known == [layers, width]);
            let accuracy = Cell::of(accuracy.map(|(_, percent)| percent.to_string()), FOUR);
            let energies = found.iter().map(|energies| si(energies[column][row], "J").into());
            table.row([layers.into(), width.into(), accuracy].into_iter().chain(energies));
        }
    }
    let lines =
        |energies: &[f64; LAYERS.len()]| LAYERS.map(|layers| layers as f64).into_iter().zip(*energies).collect();
    let panel = |(device, energies): (&&str, &[[f64; LAYERS.len()]; WIDTHS.len()])| Panel {
        title: (*device).to_owned(),
        x: Axis::linear("layers"),
        y: Axis::logarithmic("predicted, J a run"),
        series: energies.iter().map(lines).collect(),
        threshold: None,
    };
    let panels: Vec<Panel> = devices.iter().zip(&found).map(panel).collect();
    let names = WIDTHS.map(|width| format!("{width} wide"));
    let names = names.each_ref().map(String::as_str);
    let picture = Picture {
        file: "miniatures.svg".into(),
        alt: "Predicted energy of the BERT miniatures by layers and width".into(),
        svg: chart("Energy of the 24 BERT miniatures", &names, &panels, panels.len(), Mark::Lines),
    };
    Ok(Section::new(MINIATURES).picture(picture).table(table).text(format!(
        "Predicted by the shipped profiles from specs at {size}: the energy axis of the paper's figure 4, which sees \
         many models with at least 88% accuracy between {low} and {high} J. Accuracies are those on SST-2's test set that the authors of the \
         miniatures publish (Turc et al., 2019); the other twenty take fine-tuning."
    )))
}
