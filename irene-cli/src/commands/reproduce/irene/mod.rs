//! IrEne's tables and figures (Cao et al., ACL 2021) from measured trees.

mod energy;
mod errors;
mod pictures;

pub(super) use energy::cost;

use anyhow::Result;
use irene_regress::{
    Ablation, CrossValidation, HeldOut, LeaveOut, Reported, ablations, is_first_machine, predict_held_out,
};
use irene_tree::{Level, Tree};

use super::markdown::{Cell, Section};
use crate::{commands::evaluate::LEVELS, output};

pub(super) const BY_METHOD: &str = "Errors by method";
pub(super) const BY_MODEL: &str = "Errors by left-out model";
pub(super) const BY_PRIMITIVE: &str = "ML-level errors by primitive";
pub(super) const BY_CLASS: &str = "Module-level errors by class";
pub(super) const DISTRIBUTION: &str = "Distribution of the errors";
pub(super) const AGAINST_MEASURED: &str = "Predicted against measured";
pub(super) const BOTTLENECKS: &str = "Where the energy goes";
pub(super) const COST: &str = "What using a model costs";

const OURS: &str = "ours: not in the paper";
const OTHER_MACHINE: &str = "known for IrEne's first machine only, and these are other measurements";
const NOT_MEASURED: &str = "not in these trees";

/// One method, cross-validated leaving one model out.
struct Method {
    ablation: Ablation,
    held_out: Vec<HeldOut>,
    errors: CrossValidation,
}

/// All methods, the paper's first.
struct Methods {
    all: Vec<Method>,
    /// Whether figures of others are of these trees.
    is_first_machine: bool,
}

/// `origin` numbers and names the trees where there are others too.
pub(super) fn sections(trees: &[Tree], seed: u64, origin: Option<(usize, &str)>) -> Result<Vec<Section>> {
    let methods = Methods::try_on(trees, seed)?;
    let mut sections = vec![
        methods.by_method(trees)?,
        methods.by_model(trees)?,
        methods.by_primitive(),
        methods.by_class(),
        methods.distribution(),
        methods.against_measured(),
        methods.bottlenecks(trees),
    ];
    if let Some((place, origin)) = origin {
        for section in &mut sections {
            section.title = format!("{}: {origin}", section.title);
            section.prefix_pictures(&place.to_string());
        }
    }
    Ok(sections)
}

impl Methods {
    fn try_on(trees: &[Tree], seed: u64) -> Result<Self> {
        let ablations = ablations(seed);
        let folds = LeaveOut::Model.splits(trees)?.len();
        let bar = output::progress((ablations.len() * folds) as u64, "folds");
        let one = |ablation: Ablation| -> Result<Method> {
            let held_out = predict_held_out(trees, ablation.trainer.as_ref(), LeaveOut::Model, &|| bar.inc(1))?;
            let errors = CrossValidation::of(&held_out)?;
            Ok(Method { ablation, held_out, errors })
        };
        let all = ablations.into_iter().map(one).collect::<Result<_>>();
        bar.finish_and_clear();
        Ok(Self { all: all?, is_first_machine: is_first_machine(trees) })
    }

    fn named(&self, name: &str) -> Option<&Method> {
        self.all.iter().find(|method| method.ablation.name == name)
    }

    /// What is drawn: the paper's way, and ours with everything and with nothing measured of the new model.
    fn drawn(&self) -> Vec<&Method> {
        ["End2End", "ours, all measured", "ours, specs only"].into_iter().filter_map(|name| self.named(name)).collect()
    }

    /// A figure of others.
    fn reported(&self, figure: Option<String>, reason: &str) -> Cell {
        if self.is_first_machine { Cell::of(figure, reason) } else { Cell::missing(OTHER_MACHINE) }
    }

    /// Figures of others at all levels.
    fn reported_levels(&self, figures: Option<Reported>, reason: &str) -> Cell {
        match figures {
            Some(figures) if self.is_first_machine => levels(|level| figures.at(level)),
            _ => self.reported(None, reason),
        }
    }

    /// Says why figures differ, where there are figures of others to differ from.
    fn why(&self, section: Section, reason: &str) -> Section {
        if self.is_first_machine { section.text(format!("Why they differ: {reason}")) } else { section }
    }
}

/// A mean error, %.
fn percent(error: Option<f64>) -> Cell {
    Cell::of(error.map(two_digits), NOT_MEASURED)
}

/// The three levels in a cell.
fn levels(mean: impl Fn(Level) -> Option<f64>) -> Cell {
    let all: Option<Vec<String>> = LEVELS.iter().map(|&level| mean(level).map(two_digits)).collect();
    Cell::of(all.map(|all| all.join(" / ")), NOT_MEASURED)
}

fn two_digits(number: f64) -> String {
    if number < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}
