//! Figures.

use irene_regress::{CrossValidation, Errors};
use irene_tree::{Level, Quantity, Tree};
use irene_viz::{Axis, Mark, Panel, chart};

use super::{AGAINST_MEASURED, DISTRIBUTION, Method, Methods, NOT_MEASURED};
use crate::commands::{
    evaluate::LEVELS,
    reproduce::markdown::{Cell, Picture, Section, Table},
};

impl Methods {
    pub(super) fn distribution(&self) -> Section {
        const POINTS: usize = 80;
        let methods = self.drawn();
        // From a hundredth of a percent to a hundred.
        let percents: Vec<f64> = (0..=POINTS).map(|at| 10f64.powf(at as f64 / POINTS as f64 * 4.0 - 2.0)).collect();
        let curve = |method: &&Method, level: Level| -> Vec<(f64, f64)> {
            let Some(pooled) = Pooled::of(&method.errors, level) else { return Vec::new() };
            percents.iter().map(|&percent| (percent, pooled.share_within(percent))).collect()
        };
        let panel = |level: Level| Panel {
            title: format!("{} level", level.name()),
            x: Axis::logarithmic("error, %"),
            y: Axis::linear("share of the nodes"),
            series: methods.iter().map(|method| curve(method, level)).collect(),
            threshold: None,
        };
        let names: Vec<&str> = methods.iter().map(|method| method.ablation.name).collect();
        let svg =
            chart("Nodes within an error, one model left out", &names, &LEVELS.map(panel), LEVELS.len(), Mark::Lines);
        let mut table = Table::new(["share of the nodes within", "level", "1%", "5%", "10%", "20%"]);
        for method in &methods {
            for level in LEVELS {
                let pooled = Pooled::of(&method.errors, level);
                let share = |percent: f64| {
                    Cell::of(
                        pooled.as_ref().map(|pooled| format!("{:.1}%", 100.0 * pooled.share_within(percent))),
                        NOT_MEASURED,
                    )
                };
                let shares = [1.0, 5.0, 10.0, 20.0].map(share);
                table.row([Cell::from(method.ablation.name), level.name().into()].into_iter().chain(shares));
            }
        }
        Section::new(DISTRIBUTION)
            .picture(Picture {
                file: "error-distribution.svg".into(),
                alt: "The share of nodes within an error, by level and method".into(),
                svg,
            })
            .table(table)
            .text("The published curve is End2End's on the data before its clean-up; no numbers are given with it.")
    }

    pub(super) fn against_measured(&self) -> Section {
        let methods = self.drawn();
        let points = |method: &&Method| -> Vec<(f64, f64)> {
            let trees = method.held_out.iter().flat_map(|held_out| &held_out.trees);
            let point = |tree: &Tree| {
                let (measured, predicted) =
                    (tree.root().get(Quantity::GroundTruthEnergy)?, tree.root().get(Quantity::PredictedEnergy)?);
                Some((measured, predicted / measured))
            };
            trees.filter_map(point).collect()
        };
        let series: Vec<Vec<(f64, f64)>> = methods.iter().map(points).collect();
        let mut table = Table::new(["predicted over measured, models", "least", "median", "greatest"]);
        for (method, points) in methods.iter().zip(&series) {
            let mut ratios: Vec<f64> = points.iter().map(|point| point.1).collect();
            ratios.sort_by(f64::total_cmp);
            let at = |place: usize| Cell::of(ratios.get(place).map(|ratio| format!("{ratio:.3}")), NOT_MEASURED);
            let last = ratios.len().saturating_sub(1);
            table.row([method.ablation.name.into(), at(0), at(ratios.len() / 2), at(last)]);
        }
        let panel = Panel {
            title: "a model each, left out of training".into(),
            x: Axis::logarithmic("measured, J a run"),
            y: Axis::linear("predicted / measured"),
            series,
            threshold: Some(1.0),
        };
        let names: Vec<&str> = methods.iter().map(|method| method.ablation.name).collect();
        Section::new(AGAINST_MEASURED)
            .picture(Picture {
                file: "predicted-over-measured.svg".into(),
                alt: "Predicted over measured energy of each model at each size".into(),
                svg: chart("Predicted over measured energy", &names, &[panel], 1, Mark::Points),
            })
            .table(table)
            .text("No numbers are published with the picture.")
    }
}

/// The errors of a level over all folds together.
struct Pooled<'a>(Vec<&'a Errors>);

impl<'a> Pooled<'a> {
    fn of(result: &'a CrossValidation, level: Level) -> Option<Self> {
        let errors: Vec<&Errors> =
            result.folds.iter().filter_map(|fold| fold.evaluation.by_level.get(&level)).collect();
        (!errors.is_empty()).then_some(Self(errors))
    }

    fn share_within(&self, percent: f64) -> f64 {
        let nodes: usize = self.0.iter().map(|errors| errors.count()).sum();
        let within = self.0.iter().map(|errors| errors.count() as f64 * errors.share_within(percent).unwrap_or(0.0));
        within.sum::<f64>() / nodes.max(1) as f64
    }
}
