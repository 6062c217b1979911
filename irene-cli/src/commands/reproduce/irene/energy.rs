//! Where the energy goes.

use irene_regress::{Ablation, Bottleneck, ENERGY_SHARES, module_shares, node_shares};
use irene_tree::{Level, Quantity, Size, Tree, render::si};

use super::{ANNOTATED, BOTTLENECKS, Machine, NOT_MEASURED, NOT_PUBLISHED, SHARES, SPECS, share};
use crate::commands::reproduce::markdown::{Cell, Section, Table};

/// Where energies are from: measured, predicted by the paper's predictor, and by ours from specs, each without the model.
const SOURCES: [(&str, Option<Ablation>); 3] =
    [("measured", None), ("End2End", Some(Ablation::End2End)), ("ours, specs only", Some(SPECS))];

/// The models of all machines, each once.
pub(super) fn all_models<'a>(machines: &'a [Machine<'_>]) -> Vec<&'a str> {
    let mut models: Vec<&str> = Vec::new();
    for model in machines.iter().flat_map(Machine::models) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

/// A model's trees with the quantity that has their energy.
fn trees_of<'a>(machine: &'a Machine<'_>, model: &str, predictor: Option<Ablation>) -> (Vec<&'a Tree>, Quantity) {
    match predictor {
        Some(ablation) => (machine.predicted(ablation, model), Quantity::PredictedEnergy),
        None => (machine.measured(model), Quantity::GroundTruthEnergy),
    }
}

fn titles(first: &[&str], machines: &[Machine<'_>]) -> Vec<String> {
    let sources =
        machines.iter().flat_map(|machine| SOURCES.map(|(source, _)| format!("{}: {source}", machine.name())));
    first.iter().map(|title| (*title).to_owned()).chain(sources).collect()
}

/// Tables 10 and 12.
pub(super) fn shares(machines: &[Machine<'_>]) -> Section {
    let mut table = Table::new(titles(&["model", "class", "predicted, published"], machines));
    for model in all_models(machines) {
        let of_source = |machine: &Machine<'_>| {
            SOURCES.map(|(_, predictor)| {
                let (trees, energy) = trees_of(machine, model, predictor);
                module_shares(&trees, energy)
            })
        };
        let found: Vec<Vec<(String, f64)>> = machines.iter().flat_map(of_source).collect();
        let published = ENERGY_SHARES.iter().find(|(known, _)| *known == model).map_or(&[][..], |(_, shares)| shares);
        for (class, _) in found.iter().find(|shares| !shares.is_empty()).into_iter().flatten() {
            let of =
                |shares: &[(String, f64)]| shares.iter().find(|(known, _)| known == class).map(|(_, share)| *share);
            let theirs = published.iter().find(|(known, _)| known == class).map(|(_, percent)| percent / 100.0);
            let ours = found.iter().map(|shares| share(of(shares), NOT_MEASURED));
            table.row([model.into(), class.into(), share(theirs, NOT_PUBLISHED)].into_iter().chain(ours));
        }
    }
    Section::new(SHARES).table(table).text(
        "Shares of the modules whose children are primitives alone, and of primitives beside modules, in the sum of these; averaged over all sizes. \
         Predicted energies are of models that were left out of training. The paper's tables 10 and 12 print DistilBERT's classes for \
         distilgpt2 (FFN, MultiHeadSelfAttention, Embeddings); here they stand under MLP, Attention and Embedding.",
    )
}

/// Figure 5: one layer, and what stands beside the layers.
pub(super) fn annotated(machines: &[Machine<'_>]) -> Section {
    const MODEL: &str = "bert-base-uncased";
    const LAYER: &str = "root.encoder.";
    let section = Section::new(ANNOTATED);
    let Some(tree) = machines.iter().find_map(|machine| machine.measured(MODEL).first().copied()) else {
        return section.text(format!("The trees have no {MODEL}."));
    };
    let of_source = |machine: &Machine<'_>| {
        SOURCES.map(|(_, predictor)| {
            let (trees, energy) = trees_of(machine, MODEL, predictor);
            node_shares(&trees, energy)
        })
    };
    let found: Vec<Option<Vec<f64>>> = machines.iter().flat_map(of_source).collect();
    let mut table = Table::new(titles(&["node", "class"], machines));
    for id in tree.ids() {
        let node = tree.node(id);
        let layer = node.scope().strip_prefix(LAYER).and_then(|below| below.split('.').next());
        if layer.is_some_and(|layer| layer != "0") {
            continue;
        }
        let of = |shares: &Option<Vec<f64>>| {
            share(shares.as_ref().and_then(|shares| shares.get(id.index()).copied()), NOT_MEASURED)
        };
        let name = format!("`{}`", node.scope());
        table.row([name.into(), node.instance_type().into()].into_iter().chain(found.iter().map(of)));
    }
    section.table(table).text(format!(
        "Each node's share of the energy of {MODEL}, averaged over all sizes, with one of its layers. Nodes were measured one by one, so that \
         measured children may come to more than the whole. The paper's figure 5 draws this tree; its shares are not in the text."
    ))
}

/// Energy by class of one size.
fn bottlenecks_of(machine: &Machine<'_>, measured: &Tree) -> Table {
    const NOT_PREDICTED: &str = "no such class was predicted";
    let predicted = machine.predicted(SPECS, &measured.model_name);
    let predicted = predicted.iter().find(|tree| tree.to_string() == measured.to_string());
    let predicted = predicted.map_or_else(Vec::new, |tree| irene_regress::bottlenecks(tree, Quantity::PredictedEnergy));
    let mut table = Table::new(["class", "nodes", "measured", "share", "predicted", "share"]);
    for row in irene_regress::bottlenecks(measured, Quantity::GroundTruthEnergy).into_iter().take(10) {
        let same = |other: &&Bottleneck| other.instance_type == row.instance_type && other.level == row.level;
        let other = predicted.iter().find(same);
        let own = if row.level == Level::Ml { "" } else { " (own part)" };
        let percentage = |share: f64| format!("{:.1}%", 100.0 * share);
        table.row([
            format!("{}{own}", row.instance_type).into(),
            row.count.into(),
            si(row.energy_j, "J").into(),
            percentage(row.share).into(),
            Cell::of(other.map(|other| si(other.energy_j, "J")), NOT_PREDICTED),
            Cell::of(other.map(|other| percentage(other.share)), NOT_PREDICTED),
        ]);
    }
    table
}

/// Not in the paper: every joule counted once.
pub(super) fn bottlenecks(machines: &[Machine<'_>]) -> Section {
    let mut section = Section::new(BOTTLENECKS).text(
        "Energy by class, every joule counted once: primitives whole, modules by what they run between their children. Measured, and predicted \
         from specs with the model left out of training. The greatest ten.",
    );
    for machine in machines {
        for measured in examples(machine.trees) {
            section = section.titled(&format!("{}, {measured}", machine.name()), bottlenecks_of(machine, measured));
        }
    }
    section.text(
        "Why measured and predicted parts differ: each node was measured on its own, and the small difference of large numbers, a module's less \
         its children's, has their errors. Where that comes out below zero, children measured alone take more than within their module.",
    )
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
