//! Tables of errors.

use std::{cmp::Reverse, collections::BTreeMap};

use anyhow::Result;
use irene_regress::{Ablation, CrossValidation, PRIMITIVES, Track, Tried, by_driver};
use irene_sampler::sensors::PUE;
use irene_tree::{Level, Tree};

use super::{
    BY_CLASS, BY_METHOD, BY_MODEL, BY_PRIMITIVE, DRAWN, FLOOR, Machine, NOT_MEASURED, NOT_PUBLISHED, OURS, SOFTWARE,
    SPECS, for_each, is_any_known, levels, percent, two_digits,
};
use crate::commands::{
    evaluate::LEVELS,
    method::names,
    reproduce::markdown::{Cell, Section, Table},
};

const NOT_RUN: &str = "the authors' code was not run for this";
const NO_TWIN: &str = "no other model does the same work";

/// Tables 8 and 9.
pub(super) fn by_method(machines: &[Machine<'_>]) -> Result<Section> {
    let section = Section::new(BY_METHOD).text(
        "One model left out in turn; means over the nodes of a level, then over the models. The first six rows are the paper's predictors, \
         the last three ours, by what is measured of the model that is left out.",
    );
    let section = for_each(section, machines, |machine| Ok(methods(machine)))?
        .text("Where training begins from random weights, the seed matters:");
    let mut section = section.table(seeds(machines)?);
    if let Some(missing) = missing_features(machines) {
        section = section.text(missing);
    }
    Ok(why(
        section,
        machines,
        "the ml column is exact least squares, and PredictedSum has no seed, so both equal the authors' code; of the others the seed decides \
         some points at the model level, and of Unstructured nearly everything. The published figures are of the data before it was cleaned up \
         for publication (so the authors' repository says); the authors' own code does not reach them on the public files either.",
    ))
}

fn methods(machine: &Machine<'_>) -> Table {
    let columns = LEVELS.iter().flat_map(|level| {
        let name = level.name();
        [name.to_owned(), format!("{name}, authors' code"), format!("{name}, published")]
    });
    let mut table = Table::new(["%".to_owned()].into_iter().chain(columns));
    for Tried { ablation, errors, .. } in &machine.tried {
        let is_ours = matches!(ablation, Ablation::Ours(_));
        let cells = LEVELS.iter().flat_map(|&level| {
            let reason = |of_others: &'static str| if is_ours { OURS } else { of_others };
            [
                percent(errors.mean(level)),
                machine.reported(|known| known.reported(*ablation).authors_code.at(level), reason(NOT_RUN)),
                machine.reported(|known| known.reported(*ablation).published.at(level), reason(NOT_PUBLISHED)),
            ]
        });
        table.row([Cell::from(ablation.name())].into_iter().chain(cells));
    }
    for (ablation, reason) in &machine.skipped {
        let cells = (0..3 * LEVELS.len()).map(|_| Cell::missing(reason));
        table.row([Cell::from(ablation.name())].into_iter().chain(cells));
    }
    table
}

/// The features that the paper's predictors did without on each machine that lacks some.
fn missing_features(machines: &[Machine<'_>]) -> Option<String> {
    let of_machine = |machine: &Machine<'_>| {
        let most = machine.tried.iter().map(|tried| &tried.missing).max_by_key(|missing| missing.len())?;
        (!most.is_empty()).then(|| format!("{} ({})", machine.name(), names(most)))
    };
    let lacking: Vec<String> = machines.iter().filter_map(of_machine).collect();
    (!lacking.is_empty())
        .then(|| format!("The paper's predictors do without features that not every node has: {}.", lacking.join("; ")))
}

/// The parts that the seed decides.
fn seeds(machines: &[Machine<'_>]) -> Result<Table> {
    let titles = machines.iter().flat_map(|machine| [format!("{}: module", machine.name()), "model".into()]);
    let mut table = Table::new(["% over the seeds 1 to 5".to_owned()].into_iter().chain(titles));
    for ablation in [Ablation::End2End, Ablation::StepWise, Ablation::Unstructured] {
        let mut row = vec![Cell::from(ablation.name())];
        for machine in machines {
            if let Some((_, reason)) = machine.skipped.iter().find(|(skipped, _)| *skipped == ablation) {
                row.extend([Cell::missing(reason), Cell::missing(reason)]);
                continue;
            }
            let range = ablation.spread(machine.trees, 1..=5)?;
            let shown = |level| range(level).map(|ends| ends.map(two_digits).join(" to "));
            row.extend([Level::Module, Level::Model].map(|level| Cell::of(shown(level), NOT_MEASURED)));
        }
        table.row(row);
    }
    Ok(table)
}

/// Tables 5 and 6.
pub(super) fn by_model(machines: &[Machine<'_>]) -> Section {
    const SIX: &str = "figures of others are of the six models";
    let theirs = ["End2End, authors' code", "End2End, authors' README", "End2End, published"];
    let mut section = Section::new(BY_MODEL);
    for machine in machines {
        let mut table =
            Table::new(["ml / module / model, %"].into_iter().chain(DRAWN.map(Ablation::name)).chain(theirs));
        let of_all = |mean: &dyn Fn(&CrossValidation, Level) -> Option<f64>| {
            DRAWN.map(|ablation| {
                let errors = machine.tried(ablation).map(|tried| &tried.errors);
                levels(|level| mean(errors?, level))
            })
        };
        let others = |model: &str| {
            [
                machine.reported_levels(|known| known.model(model).authors_code, NOT_RUN),
                machine.reported_levels(
                    |known| known.model(model).authors_readme,
                    "the README shows a run of device_1 alone",
                ),
                machine.reported_levels(|known| known.model(model).published, SIX),
            ]
        };
        for (place, model) in machine.models().into_iter().enumerate() {
            let ours = of_all(&|errors, level| errors.folds.get(place)?.evaluation.mean(level));
            table.row([Cell::from(model)].into_iter().chain(ours).chain(others(model)));
        }
        let averages = of_all(&CrossValidation::mean);
        table.row([Cell::from("average")].into_iter().chain(averages).chain(others("average")));
        section = section.titled(&machine.name(), table);
    }
    why(
        section,
        machines,
        "at the model level much depends on the weights that training begins from (the spread above). The paper's sum cannot reach the modules \
         of GPTs, which spend a fifth to a quarter of their energy between their primitives, while α is bound to 1 ± 0.1. The paper gives the \
         ml level by primitive alone, and its average over the models of the GTX 1070 as 5.50 in table 5 and as 5.52 in table 8.",
    )
}

/// Tables 5 and 11: what a meter would not be needed for, if it were right.
pub(super) fn software(machines: &[Machine<'_>]) -> Result<Section> {
    let section = for_each(Section::new(SOFTWARE), machines, |machine| {
        let with_pue = format!("the same with the tracker's PUE of {PUE}");
        let mut table =
            Table::new(["ml / module / model, %", "the GPU's driver alone", &with_pue, "the whole tracker, published"]);
        let readings = [1.0, PUE].map(|factor| by_driver(machine.trees, factor));
        let [alone, with_pue] = readings;
        let readings = [alone?, with_pue?];
        let row = |name: &str, mean: &dyn Fn(&CrossValidation, Level) -> Option<f64>| {
            let ours = readings.each_ref().map(|errors| levels(|level| mean(errors.as_ref()?, level)));
            let published = machine.reported_levels(|known| known.model(name).software, NOT_PUBLISHED);
            [Cell::from(name)].into_iter().chain(ours).chain([published]).collect::<Vec<_>>()
        };
        for (place, model) in machine.models().into_iter().enumerate() {
            table.row(row(model, &|errors, level| errors.folds.get(place)?.evaluation.mean(level)));
        }
        table.row(row("average", &CrossValidation::mean));
        Ok(table)
    })?;
    Ok(why(
        section,
        machines,
        "the tracker (Strubell et al., 2019) adds the CPU's and the memory's energy, which the public measurements do not have, and multiplies \
         all by its PUE, the factor of a data centre's cooling. A driver knows its own card and not the machine that feeds it. That 1.58 \
         times the card's energy comes near the whole's is a coincidence of these machines. The published averages are those that the paper \
         prints: for PC1's models they are not the mean of the six.",
    ))
}

/// Table 7.
pub(super) fn by_primitive(machines: &[Machine<'_>]) -> Section {
    let mut section = Section::new(BY_PRIMITIVE);
    for machine in machines {
        let mut table = Table::new([
            "%",
            "least squares (the paper's)",
            "published",
            "ours, all measured",
            "ours, specs only",
            "noise floor",
        ]);
        let of = |ablation, primitive| {
            percent(machine.tried(ablation).and_then(|tried| tried.errors.of_instance_type(primitive)))
        };
        for primitive in PRIMITIVES {
            table.row([
                primitive.into(),
                of(Ablation::End2End, primitive),
                machine.reported(|known| known.primitive(primitive), NOT_PUBLISHED),
                of(Ablation::Ours(Track::Measured), primitive),
                of(SPECS, primitive),
                Cell::of(machine.floor.errors.of_instance_type(primitive).map(two_digits), NO_TWIN),
            ]);
        }
        section = section.titled(&machine.name(), table);
    }
    why(
        section,
        machines,
        "least squares on the same features has one answer; the hundredths between it and the published figures come from the data's clean-up. \
         It sees the latency of the very run that it predicts; specs cannot, and its errors are near the floor.",
    )
}

/// Errors of the classes of modules, beside the floor of those that another model has too.
pub(super) fn by_class(machines: &[Machine<'_>]) -> Result<Section> {
    let section = for_each(Section::new(BY_CLASS), machines, |machine| {
        let titles = ["%", "nodes"].into_iter().chain(DRAWN.map(Ablation::name));
        let mut table = Table::new(titles.chain(["nodes with a floor", "noise floor", "ours, specs only, on these"]));
        let judged = judged(machine)?;
        for (class, nodes) in classes(machine.trees) {
            let of =
                |ablation| percent(machine.tried(ablation).and_then(|tried| tried.errors.of_instance_type(&class)));
            let floor = |errors: Option<&CrossValidation>| {
                Cell::of(errors.and_then(|errors| errors.of_instance_type(&class)).map(two_digits), NO_TWIN)
            };
            let compared = [
                machine.floor.errors.count_of(&class).into(),
                floor(Some(&machine.floor.errors)),
                floor(judged.as_ref()),
            ];
            table.row([Cell::from(&class), nodes.into()].into_iter().chain(DRAWN.map(of)).chain(compared));
        }
        Ok(table)
    })?;
    Ok(section.text(
        "The paper has no figures by class. Why the classes differ: a class whose energy is its children's (a layer) is easy for a sum; attention \
         and a GPT's MLP run much between their primitives, which the paper's sum does not know and ours costs from the operations of the trace. \
         A class whose specs are near its floor leaves nothing to learn from architecture and size; one that is well above it does.",
    ))
}

/// How far apart equal work is, by level.
pub(super) fn floor(machines: &[Machine<'_>]) -> Result<Section> {
    let mut table = Table::new([
        "machine",
        "level",
        "nodes",
        "nodes with a floor",
        "noise floor, %",
        "ours, specs only, on these, %",
        "ours, specs only, on all, %",
    ]);
    for machine in machines {
        let specs = machine.tried(SPECS).map(|tried| &tried.errors);
        let judged = judged(machine)?;
        for level in LEVELS {
            let on = |errors: Option<&CrossValidation>| {
                Cell::of(errors.and_then(|errors| errors.mean(level)).map(two_digits), NO_TWIN)
            };
            table.row([
                machine.name().into(),
                level.name().into(),
                Cell::of(specs.map(|errors| errors.count(level).to_string()), NOT_MEASURED),
                machine.floor.errors.count(level).into(),
                on(Some(&machine.floor.errors)),
                on(judged.as_ref()),
                on(specs),
            ]);
        }
    }
    Ok(Section::new(FLOOR).table(table).text(
        "A node has a floor if another model of the data does the same work at the same batch and length: the same primitive, or a module of \
         equal parameters, FLOPs, bytes and kernels, whatever its class is called. The floor is the error of answering with what the other \
         models measured for that work, each model counting once: mean absolute percentage error over the nodes of a model, then over the \
         models. It says how far measurements of the same are apart, which no predictor from specs can know. The floor answers with the mean of \
         k models, which has noise of its own, so it is √(1 + 1/k) times too high. A predictor that smooths over all sizes may fall below it.",
    ))
}

/// The errors from specs on the nodes with a floor.
fn judged(machine: &Machine<'_>) -> Result<Option<CrossValidation>> {
    Ok(machine.tried(SPECS).map(|tried| machine.floor.judge(&tried.held_out)).transpose()?)
}

/// Says why figures differ, where there are figures of others to differ from.
fn why(section: Section, machines: &[Machine<'_>], reason: &str) -> Section {
    if is_any_known(machines) { section.text(format!("Why they differ: {reason}")) } else { section }
}

/// The classes of modules with the number of their nodes, the most first.
fn classes(trees: &[Tree]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    for node in trees.iter().flat_map(Tree::nodes).filter(|node| node.level() == Level::Module) {
        *counts.entry(node.instance_type().to_owned()).or_insert(0) += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}
