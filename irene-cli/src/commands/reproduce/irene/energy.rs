//! Where the energy goes, and what it costs.

use anyhow::{Context, Result};
use irene_models::ModelSpec;
use irene_regress::{
    Bottleneck, ByModel, DeviceProfile, END2END_BY_MODEL, PRICE_PER_KWH, bottlenecks, kwh_per_million,
};
use irene_tree::{Level, Quantity, Size, Tree, render::si};

use super::{BOTTLENECKS, COST, Methods};
use crate::commands::reproduce::markdown::{Cell, Section, Table};

impl Methods {
    pub(super) fn bottlenecks(&self, trees: &[Tree]) -> Section {
        let mut section = Section::new(BOTTLENECKS).text(
            "Energy by class, every joule counted once: primitives whole, modules by what they run between their children. Measured, and \
             predicted from specs with the model left out of training.",
        );
        let predicted = self.named("ours, specs only").map_or(&[][..], |method| &method.held_out);
        for measured in examples(trees) {
            let same = |tree: &&Tree| tree.to_string() == measured.to_string();
            let predicted = predicted.iter().flat_map(|held_out| &held_out.trees).find(same);
            let predicted = predicted.map_or_else(Vec::new, |tree| bottlenecks(tree, Quantity::PredictedEnergy));
            let mut table =
                Table::new(["class", "nodes", "measured", "share", "predicted", "share", "published share"]);
            for row in bottlenecks(measured, Quantity::GroundTruthEnergy).into_iter().take(10) {
                let same = |other: &&Bottleneck| other.instance_type == row.instance_type && other.level == row.level;
                let other = predicted.iter().find(same);
                let class = if row.level == Level::Ml {
                    row.instance_type.clone()
                } else {
                    format!("{} (own part)", row.instance_type)
                };
                table.row([
                    class.into(),
                    row.count.into(),
                    si(row.energy_j, "J").into(),
                    format!("{:.1}%", 100.0 * row.share).into(),
                    Cell::of(other.map(|other| si(other.energy_j, "J")), "no such class was predicted"),
                    Cell::of(other.map(|other| format!("{:.1}%", 100.0 * other.share)), "no such class was predicted"),
                    self.reported(None, "the paper's tables 10 and 12 were not at hand"),
                ]);
            }
            section = section.text(format!("{measured}, the greatest:")).table(table);
        }
        section.text(
            "Why measured and predicted parts differ: each node was measured on its own, and the small difference of large numbers, a \
             module's less its children's, has their errors. Where that comes out below zero, children measured alone take more than within \
             their module.",
        )
    }
}

/// What a model costs by the shipped profile.
pub(in crate::commands::reproduce) fn cost() -> Result<Section> {
    const DEVICE: &str = "gtx-1080-ti";
    let profile = DeviceProfile::bundled(DEVICE)?;
    let size = Size::new(8, 128);
    let price = format!("USD at {PRICE_PER_KWH} a kWh");
    let mut table =
        Table::new(["model", "a run", "90% interval", "a million runs, kWh", &price, "ML level's share", "published"]);
    for ByModel { model: name, .. } in &END2END_BY_MODEL {
        let tree = irene_predict::predict(&ModelSpec::find(name)?, size, &profile)?;
        let get = |quantity| tree.root().get(quantity);
        let joules = get(Quantity::PredictedEnergy).with_context(|| format!("{name}: no energy"))?;
        let interval = get(Quantity::PredictedLow).zip(get(Quantity::PredictedHigh));
        let leaves = bottlenecks(&tree, Quantity::PredictedEnergy).into_iter().filter(|row| row.level == Level::Ml);
        let kwh = kwh_per_million(joules);
        table.row([
            (*name).into(),
            si(joules, "J").into(),
            Cell::of(
                interval.map(|(low, high)| format!("{} to {}", si(low, "J"), si(high, "J"))),
                "the profile gives none",
            ),
            format!("{kwh:.3}").into(),
            format!("{:.3}", kwh * PRICE_PER_KWH).into(),
            format!("{:.1}%", 100.0 * leaves.map(|row| row.share).sum::<f64>()).into(),
            Cell::missing("the paper's table 3 was not at hand; its price of a kWh is used"),
        ]);
    }
    Ok(Section::new(COST)
        .text(format!(
            "Predicted by the shipped profile {DEVICE} at batch 8 and 128 tokens, nothing measured of the model."
        ))
        .table(table))
}

/// One encoder and one decoder of a middle size; of other models the first.
fn examples(trees: &[Tree]) -> Vec<&Tree> {
    let of = |model: &str| {
        let sizes: Vec<&Tree> = trees.iter().filter(|tree| tree.model_name == model).collect();
        let preferred = sizes.iter().find(|tree| tree.size == Size::new(16, 128));
        preferred.or_else(|| sizes.first()).copied()
    };
    let found: Vec<&Tree> = ["bert-base-uncased", "gpt2"].into_iter().filter_map(of).collect();
    if found.is_empty() { trees.first().into_iter().collect() } else { found }
}
