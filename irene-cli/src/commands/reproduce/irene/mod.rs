//! IrEne's tables and figures (Cao et al., ACL 2021) from the measured trees of one or more machines.

mod cost;
mod energy;
mod errors;
mod machines;
mod pictures;
mod transfer;

use anyhow::{Context, Result};
use irene_regress::{Ablation, Floor, HeldOut, LeaveOut, PublicMachine, Reported, Track, Tried, noise_floor};
use irene_tree::{Level, Tree};

use super::{
    markdown::{Cell, Section, Table},
    slug,
};
use crate::{
    commands::{evaluate::LEVELS, method::needs},
    output,
};

pub(super) const MACHINES: &str = "The machines";
pub(super) const NODES: &str = "Nodes of the trees";
pub(super) const BY_METHOD: &str = "Errors by method";
pub(super) const BY_MODEL: &str = "Errors by left-out model";
pub(super) const SOFTWARE: &str = "Software measurements";
pub(super) const BY_PRIMITIVE: &str = "ML-level errors by primitive";
pub(super) const BY_CLASS: &str = "Module-level errors by class";
pub(super) const FLOOR: &str = "The noise floor";
pub(super) const FROM_SHEETS: &str = "From data sheets alone";
pub(super) const DISTRIBUTION: &str = "Distribution of the errors";
pub(super) const AGAINST_MEASURED: &str = "Predicted against measured";
pub(super) const TRANSFER: &str = "From one machine to the other";
pub(super) const SHARES: &str = "Shares of the lowest modules";
pub(super) const ANNOTATED: &str = "BERT's tree with shares";
pub(super) const BOTTLENECKS: &str = "Where the energy goes";
pub(super) const COST: &str = "What using a model costs";
pub(super) const MINIATURES: &str = "The 24 BERT miniatures";

const OURS: &str = "ours: not in the paper";
pub(super) const OTHER_MACHINE: &str = "these trees are not of the paper's machines";
const NOT_MEASURED: &str = "not in these trees";
const NOT_PUBLISHED: &str = "the paper does not give it";

/// The predictors that are drawn: the paper's predictor, and ours with everything and with nothing measured of the new model.
const DRAWN: [Ablation; 3] = [Ablation::End2End, Ablation::Ours(Track::Measured), SPECS];
const SPECS: Ablation = Ablation::Ours(Track::Specs);

/// One machine's trees, with all predictors cross-validated on them.
struct Machine<'a> {
    origin: &'a str,
    trees: &'a [Tree],
    /// Which of the paper's machines they were measured on.
    known: Option<&'static PublicMachine>,
    tried: Vec<Tried>,
    /// The predictors that these trees have too little for, and why.
    skipped: Vec<(Ablation, String)>,
    floor: Floor,
}

pub(super) fn sections(data: &[(String, Vec<Tree>)], seed: u64) -> Result<Vec<Section>> {
    let tried = data.iter().map(|(origin, trees)| Machine::try_on(origin, trees, seed).with_context(|| origin.clone()));
    let machines: Vec<Machine<'_>> = tried.collect::<Result<_>>()?;
    if machines.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        machines::machines(&machines),
        machines::nodes(&machines),
        errors::by_method(&machines)?,
        errors::by_model(&machines),
        errors::software(&machines)?,
        errors::by_primitive(&machines),
        errors::by_class(&machines)?,
        errors::floor(&machines)?,
        transfer::transfer_between(&machines)?,
        super::language_models::from_data_sheets(FROM_SHEETS, data)?,
        pictures::distribution(&machines),
        pictures::against_measured(&machines),
        energy::shares(&machines),
        energy::annotated(&machines),
        energy::bottlenecks(&machines),
        cost::cost(&machines)?,
        cost::miniatures()?,
    ])
}

impl<'a> Machine<'a> {
    fn try_on(origin: &'a str, trees: &'a [Tree], seed: u64) -> Result<Self> {
        let folds = LeaveOut::Model.splits(trees)?.len();
        let bar = output::progress((Ablation::ALL.len() * folds) as u64, "folds");
        let (tried, mut skipped) = Ablation::try_all(trees, seed, &|| bar.inc(1))?;
        bar.finish_and_clear();
        if tried.is_empty() {
            return Err(needs(skipped.swap_remove(0).1));
        }
        let skipped = skipped.into_iter().map(|(ablation, error)| (ablation, error.to_string())).collect();
        Ok(Self { origin, trees, known: PublicMachine::of(trees), tried, skipped, floor: noise_floor(trees)? })
    }

    /// The data, and the card where it is known.
    fn name(&self) -> String {
        self.known.map_or_else(|| self.origin.to_owned(), |known| format!("{} ({})", known.card, known.data))
    }

    /// As it can stand in a file's name.
    fn slug(&self) -> String {
        slug(self.known.map_or(self.origin, |known| known.device))
    }

    fn tried(&self, ablation: Ablation) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.ablation == ablation)
    }

    /// A model's trees, predicted while it was left out.
    fn predicted(&self, ablation: Ablation, model: &str) -> Vec<&Tree> {
        let held_out = self.tried(ablation).map_or(&[][..], |tried| &tried.held_out);
        held_out.iter().filter(|fold| fold.left_out == model).flat_map(|fold| &fold.trees).collect()
    }

    /// A model's trees as they were measured.
    fn measured(&self, model: &str) -> Vec<&Tree> {
        self.trees.iter().filter(|tree| tree.model_name == model).collect()
    }

    /// The models in the order of the data.
    fn models(&self) -> Vec<&str> {
        let held_out = self.tried.first().map_or(&[][..], |tried| &tried.held_out);
        held_out.iter().map(|fold: &HeldOut| fold.left_out.as_str()).collect()
    }

    /// A figure of others.
    fn reported(&self, figure: impl FnOnce(&PublicMachine) -> Option<f64>, reason: &str) -> Cell {
        match self.known {
            Some(known) => Cell::of(figure(known).map(two_digits), reason),
            None => Cell::missing(OTHER_MACHINE),
        }
    }

    /// Figures of others by level.
    fn reported_levels(&self, figures: impl FnOnce(&PublicMachine) -> Reported, reason: &str) -> Cell {
        match self.known.map(figures) {
            Some(figures) => levels_or(|level| figures.at(level), reason),
            None => Cell::missing(OTHER_MACHINE),
        }
    }
}

/// Whether any of these is one of the paper's machines, whose figures ours can differ from.
fn is_any_known(machines: &[Machine<'_>]) -> bool {
    machines.iter().any(|machine| machine.known.is_some())
}

/// A table for each machine under its name.
fn for_each(
    mut section: Section,
    machines: &[Machine<'_>],
    table: impl Fn(&Machine<'_>) -> Result<Table>,
) -> Result<Section> {
    for machine in machines {
        section = section.titled(&machine.name(), table(machine)?);
    }
    Ok(section)
}

/// A mean error, %.
fn percent(error: Option<f64>) -> Cell {
    Cell::of(error.map(two_digits), NOT_MEASURED)
}

/// The three levels in a cell.
fn levels(mean: impl Fn(Level) -> Option<f64>) -> Cell {
    levels_or(mean, NOT_MEASURED)
}

/// The same, or the reason where no level is there.
fn levels_or(mean: impl Fn(Level) -> Option<f64>, reason: &str) -> Cell {
    Cell::slashed(LEVELS.map(|level| mean(level).map(two_digits)), reason)
}

fn two_digits(number: f64) -> String {
    if number < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

/// A share of one as a percentage.
fn share(share: Option<f64>, reason: &str) -> Cell {
    Cell::of(share.map(|share| format!("{:.2}%", 100.0 * share)), reason)
}
