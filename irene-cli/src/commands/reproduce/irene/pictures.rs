//! Figures.

use irene_numerics::quantile;
use irene_regress::{Ablation, ERRORS_WITHIN, Tried};
use irene_tree::{Level, Quantity, Tree};
use irene_viz::{Axis, Mark, Panel, chart};

use super::{AGAINST_MEASURED, DISTRIBUTION, DRAWN, Machine, NOT_MEASURED, NOT_PUBLISHED, is_any_known};
use crate::commands::{
    evaluate::LEVELS,
    reproduce::markdown::{Cell, Picture, Section, Table},
};

/// Figure 3.
pub(super) fn distribution(machines: &[Machine<'_>]) -> Section {
    const PERCENTS: [f64; 6] = [1.0, 5.0, 10.0, 16.0, 17.0, 20.0];
    let titles = PERCENTS.map(|percent| format!("{percent}%"));
    let mut table =
        Table::new(["machine", "share of the nodes within", "level"].map(str::to_owned).into_iter().chain(titles));
    let mut section = Section::new(DISTRIBUTION);
    for machine in machines {
        section = section.picture(curves(machine));
        for tried in drawn(machine) {
            for level in LEVELS {
                let share = |percent| {
                    let share = tried.errors.share_within(level, percent);
                    Cell::of(share.map(|share| format!("{:.1}%", 100.0 * share)), NOT_MEASURED)
                };
                let row = [machine.name().into(), tried.ablation.name().into(), level.name().into()];
                table.row(row.into_iter().chain(PERCENTS.map(share)));
            }
        }
    }
    if !is_any_known(machines) {
        return section.table(table);
    }
    let published = PERCENTS.map(|percent| {
        let found = ERRORS_WITHIN.iter().find(|(known, _)| *known == percent);
        Cell::of(found.map(|(_, share)| (*share).to_owned()), NOT_PUBLISHED)
    });
    let row = ["the paper's data".into(), "End2End, published".into(), "model".into()];
    table.row(row.into_iter().chain(published));
    section
        .table(table)
        .text("The published row is what the paper says of its figure 3, whose data was not cleaned up yet.")
}

fn drawn<'a>(machine: &'a Machine<'_>) -> impl Iterator<Item = &'a Tried> {
    DRAWN.into_iter().filter_map(|ablation| machine.tried(ablation))
}

/// The points of each predictor that is drawn, in the order of the legend.
fn series(machine: &Machine<'_>, points: impl Fn(&Tried) -> Vec<(f64, f64)>) -> Vec<Vec<(f64, f64)>> {
    DRAWN.iter().map(|&ablation| machine.tried(ablation).map_or_else(Vec::new, &points)).collect()
}

/// The share of nodes within an error, a panel for each level.
fn curves(machine: &Machine<'_>) -> Picture {
    const POINTS: usize = 80;
    // From a hundredth of a percent to a hundred.
    let percents: Vec<f64> = (0..=POINTS).map(|at| 10f64.powf(at as f64 / POINTS as f64 * 4.0 - 2.0)).collect();
    let curve = |tried: &Tried, level: Level| -> Vec<(f64, f64)> {
        percents.iter().filter_map(|&percent| Some((percent, tried.errors.share_within(level, percent)?))).collect()
    };
    let panel = |level: Level| Panel {
        title: format!("{} level", level.name()),
        x: Axis::logarithmic("error, %"),
        y: Axis::linear("share of the nodes"),
        series: series(machine, |tried| curve(tried, level)),
        threshold: None,
    };
    let title = format!("{}: nodes within an error, one model left out", machine.name());
    Picture {
        file: format!("error-distribution-{}.svg", machine.slug()),
        alt: format!("{}: the share of nodes within an error, by level and method", machine.name()),
        svg: chart(&title, &DRAWN.map(Ablation::name), &LEVELS.map(panel), LEVELS.len(), Mark::Lines),
    }
}

/// Not in the paper: how far each model at each size is off.
pub(super) fn against_measured(machines: &[Machine<'_>]) -> Section {
    let panel = |machine: &Machine<'_>| Panel {
        title: machine.name(),
        x: Axis::logarithmic("measured, J a run"),
        y: Axis::linear("predicted / measured"),
        series: series(machine, ratios),
        threshold: Some(1.0),
    };
    let panels: Vec<Panel> = machines.iter().map(panel).collect();
    let mut table = Table::new(["machine", "predicted over measured, models", "least", "median", "greatest"]);
    for machine in machines {
        for tried in drawn(machine) {
            let mut ratios: Vec<f64> = ratios(tried).into_iter().map(|(_, ratio)| ratio).collect();
            ratios.sort_by(f64::total_cmp);
            let at = |share: f64| Cell::of(quantile(&ratios, share).map(|ratio| format!("{ratio:.3}")), NOT_MEASURED);
            table.row([machine.name().into(), tried.ablation.name().into(), at(0.0), at(0.5), at(1.0)]);
        }
    }
    Section::new(AGAINST_MEASURED)
        .picture(Picture {
            file: "predicted-over-measured.svg".into(),
            alt: "Predicted over measured energy of each model at each size".into(),
            svg: chart(
                "Predicted over measured energy, the model left out of training",
                &DRAWN.map(Ablation::name),
                &panels,
                panels.len(),
                Mark::Points,
            ),
        })
        .table(table)
        .text("Not in the paper.")
}

/// Each model's measured energy, and its predicted energy over that.
fn ratios(tried: &Tried) -> Vec<(f64, f64)> {
    let point = |tree: &Tree| {
        let get = |quantity| tree.root().get(quantity);
        let measured = get(Quantity::GroundTruthEnergy)?;
        Some((measured, get(Quantity::PredictedEnergy)? / measured))
    };
    tried.held_out.iter().flat_map(|held_out| &held_out.trees).filter_map(point).collect()
}
