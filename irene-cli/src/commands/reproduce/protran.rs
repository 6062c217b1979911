//! ProTran's and EdgeTran's results (Tuli and Jha, 2023) from the records of devices.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use irene_baselines::{
    Acquisition, AtLeast, Contest, Curve, PublishedDevice, ReplayOptions, Samples, TheirTrees, Way, learner,
    published_device, replay,
};
use irene_explore::{
    Candidate, Dataset, Describer, Measure,
    learning::{CostLawLearner, Protocol, SurrogateErrors, Surrogates, crossvalidate, leave_one_device_out},
    search::Predicted,
    space::DesignSpace,
};

use super::{
    Effort, go_on,
    markdown::{Cell, Picture, Section, Table},
    slug,
};
use crate::{commands::learning_curves::learning_curves, interrupt, output};

pub(super) const ACCURACY: &str = "Accuracy of surrogates";
pub(super) const INTERVALS: &str = "Intervals of surrogates";
pub(super) const LEARNING: &str = "Measurements until surrogates converge";
pub(super) const TRANSFER: &str = "What one device says of another";
pub(super) const SEARCH: &str = "What searches find";

const FOLDS: usize = 5;
/// Evaluations of each search.
const BUDGET: usize = 4000;
/// Records below which learning from some of them fails or says nothing, and those below which a replay does.
const FEWEST: usize = 2 * FOLDS;
const FEWEST_TO_REPLAY: usize = 20;
const TOO_FEW: &str = "too few records to learn from some of them";
const NOT_RUN: &str = "not known of this device";
const UNKNOWN_DEVICE: &str = "not one of the papers' public records";

/// A device's records and what others report of them.
struct Device<'a> {
    data: &'a Dataset,
    candidates: Vec<Candidate>,
    measures: Vec<Measure>,
    published: Option<&'static PublishedDevice>,
}

pub(super) fn sections(data: &[Dataset], effort: Effort) -> Result<Vec<Section>> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let describer = Describer::new(DesignSpace::published());
    let device = |data| -> Result<Device<'_>> {
        let candidates = describer.describe_all(data).with_context(|| data.device.clone())?;
        Ok(Device { data, candidates, measures: data.measures(), published: published_device(&data.device) })
    };
    let devices: Vec<Device<'_>> = data.iter().map(device).collect::<Result<_>>()?;
    let campaigns = ways().len() * effort.seeds;
    let steps = devices.len() * (LEARNERS.len() + Protocol::ALL.len() + campaigns + 1) + 1;
    let bar = output::progress(steps as u64, "ProTran");
    let sections = [
        accuracy(&devices, effort, &bar),
        intervals(&devices, effort, &bar),
        learning(&devices, &describer, effort, &bar),
        transfer(&devices, &bar),
        search(&devices, describer.space(), effort, &bar),
    ];
    bar.finish_and_clear();
    sections.into_iter().collect()
}

impl Device<'_> {
    fn name(&self) -> String {
        let name = self.published.map_or(self.data.device.as_str(), |published| published.name);
        format!("{name} ({})", self.data.records.len())
    }

    fn has(&self, records: usize) -> bool {
        self.data.records.len() >= records
    }

    /// Something that others report of the device.
    fn reported(&self, of: impl Fn(&PublishedDevice) -> Option<String>, reason: &str) -> Cell {
        match self.published {
            Some(published) => Cell::of(of(published), reason),
            None => Cell::missing(UNKNOWN_DEVICE),
        }
    }
}

/// Ours, the plainest use of its features, and the papers' two kinds of trees.
const LEARNERS: [&str; 4] = ["law", "ridge", "adaboost", "decision-tree"];

fn accuracy(devices: &[Device<'_>], effort: Effort, bar: &ProgressBar) -> Result<Section> {
    let mut table = Table::new([
        "device (records): latency / energy / peak power, %",
        "ours",
        "in their 90% interval",
        "structural features, linear",
        "adaboost",
        "adaboost, in Python on all records",
        "decision tree",
        "decision tree, in Python on all records",
    ]);
    for device in devices {
        let mut errors = Vec::new();
        for name in LEARNERS {
            go_on()?;
            let learner = learner(name, &DesignSpace::published())?;
            let of = |measure: &Measure| -> Result<Option<SurrogateErrors>> {
                if !device.measures.contains(measure) || !device.has(FEWEST) {
                    return Ok(None);
                }
                let figures = device.data.figures(*measure)?;
                let held_out = crossvalidate(learner.as_ref(), &device.candidates, &figures, FOLDS, effort.repeats, 0)?;
                Ok(SurrogateErrors::of(held_out.iter()))
            };
            errors.push(Measure::INFERENCE.iter().map(of).collect::<Result<Vec<_>>>()?);
            bar.inc(1);
        }
        let shown = |place: usize, digits: usize, figure: fn(&SurrogateErrors) -> f64| {
            let of =
                |errors: &Option<SurrogateErrors>| errors.as_ref().map(|errors| format!("{:.digits$}", figure(errors)));
            Cell::slashed(errors[place].iter().map(of), TOO_FEW)
        };
        let theirs = |of: fn(&TheirTrees) -> [f64; 3]| {
            let all = |trees: &TheirTrees| of(trees).map(|error| format!("{error:.1}")).join(" / ");
            device.reported(|published| published.trees.as_ref().map(all), NOT_RUN)
        };
        table.row([
            device.name().into(),
            shown(0, 1, |errors| errors.mean),
            shown(0, 0, |errors| errors.covered),
            shown(1, 1, |errors| errors.mean),
            shown(2, 1, |errors| errors.mean),
            theirs(|trees| trees.adaboost),
            shown(3, 1, |errors| errors.mean),
            theirs(|trees| trees.decision_tree),
        ]);
    }
    Ok(Section::new(ACCURACY).table(table).text(format!(
        "{FOLDS} folds, {} times, on the records that were given; all learners see the same folds. Why they differ: the papers' trees split the raw \
         embedding, ours are prices of what the traced model does. *Structural features, linear* is a ridge regression on logarithms of FLOPs, \
         parameters and counts of the design: what these features give without our law. *In Python* is a run of the papers' kinds of trees on all public records, of \
         which 30% are kept aside here, with other folds; the Raspberry Pi's differ by 10 points and more, as four outliers are in its 57. \
         Devices with about 15 records say nothing. The designs of all records have the published hashes, or their \
         files would have been refused.",
        effort.repeats
    )))
}

fn intervals(devices: &[Device<'_>], effort: Effort, bar: &ProgressBar) -> Result<Section> {
    const NO_GROUPS: &str = "too few records, or all in one group";
    let titles = ["device (records): latency / energy / peak power, %", "in their 90% interval", "half its width"];
    let mut section = Section::new(INTERVALS);
    for protocol in Protocol::ALL {
        let mut table = Table::new(titles);
        for device in devices {
            go_on()?;
            let of = |measure: &Measure| -> Result<Option<SurrogateErrors>> {
                if !device.measures.contains(measure) || !device.has(FEWEST) {
                    return Ok(None);
                }
                let data = (&device.candidates[..], &device.data.figures(*measure)?[..]);
                let held_out = protocol.hold_out(&CostLawLearner, data, *measure, effort.repeats, 0)?;
                Ok(SurrogateErrors::of(held_out.iter()))
            };
            let found: Vec<_> = Measure::INFERENCE.iter().map(of).collect::<Result<_>>()?;
            let shown = |figure: fn(&SurrogateErrors) -> f64| {
                Cell::slashed(
                    found.iter().map(|errors| errors.as_ref().map(|of| format!("{:.0}", figure(of)))),
                    NO_GROUPS,
                )
            };
            table.row([device.name().into(), shown(|errors| errors.covered), shown(|errors| errors.half_width)]);
            bar.inc(1);
        }
        section = section.text(of_protocol(protocol)).table(table);
    }
    Ok(section.text(
        "Ours. Half a width is the median, in percent of the prediction. The constants of the intervals were chosen on the A100 and the \
         Raspberry Pi; the others check them.",
    ))
}

/// Which records are predicted, and from which others.
fn of_protocol(protocol: Protocol) -> String {
    let how = match protocol {
        Protocol::Random => "**At random**: a fifth from the others, in intervals of the same campaign.",
        Protocol::Later => {
            "**Later**: each fifth of the campaign after the first from what was before it, in intervals for later measurements."
        }
        Protocol::HiddenSize => {
            "**Other hidden sizes**: the designs of each hidden size of the first layer from those of the others."
        }
        Protocol::Depth => "**Other depths**: the designs of each number of layers from those of the others.",
        Protocol::Few => return format!("**Few records**: all others from {} at random.", Protocol::FEW),
    };
    how.to_owned()
}

fn learning(devices: &[Device<'_>], describer: &Describer, effort: Effort, bar: &ProgressBar) -> Result<Section> {
    let mut section = Section::new(LEARNING);
    let mut table = Table::new([
        "device (records): samples until all measures stay converged",
        "ours",
        "ours, chosen at random",
        "theirs, here",
        "theirs, in Python on all records",
        "published",
    ]);
    let mut pictures = Vec::new();
    for device in devices {
        let published = device.reported(|published| Some(published.samples.to_string()), "");
        let replayed = |published: &PublishedDevice| {
            published.replayed.map(|samples| match samples {
                AtLeast::Exactly(samples) => samples.to_string(),
                AtLeast::MoreThan(samples) => format!(">{samples}"),
            })
        };
        let replayed = device.reported(replayed, NOT_RUN);
        if !device.has(FEWEST_TO_REPLAY) {
            let too_few = ways().map(|_| Cell::missing(TOO_FEW));
            table.row([Cell::from(device.name())].into_iter().chain(too_few).chain([replayed, published]));
            bar.inc((ways().len() * effort.seeds) as u64);
            continue;
        }
        let options = ReplayOptions {
            ways: ways().into(),
            measures: device.measures.clone(),
            seeds: effort.seeds,
            limit: Some(effort.limit.into()),
            ..ReplayOptions::default()
        };
        let found = replay(device.data, describer, &options, &|_, _| bar.inc(1), interrupt::flag()?)?;
        let found_samples = found.curves.iter().map(|curve| Cell::from(samples(curve)));
        table.row([Cell::from(device.name())].into_iter().chain(found_samples).chain([replayed, published]));
        pictures.push(Picture {
            file: format!("learning-{}.svg", slug(&device.data.device)),
            alt: format!("Errors by measured designs, {}", device.name()),
            svg: learning_curves(&found),
        });
    }
    section = section.table(table).text(format!(
        "Recorded data replayed from four records, {} draws of them; mean (and seeds that do not converge: they count with the most samples \
         there were, at most {}). Converged is a squared error of at most 0.005, of figures divided by twice the largest of the campaign's \
         first 16. Why they differ: the papers count samples of campaigns that could measure any design and stopped by errors on a fixed \
         last fifth; a replay has the public records alone and is judged by all that it has not measured, so that a way that measures outliers takes them \
         from its judge (`irene explore replay` with `--held-out 0.25` judges all by the same records).",
        effort.seeds, effort.limit
    ));
    Ok(pictures.into_iter().fold(section, Section::picture))
}

/// The ways that are replayed, a column each: ours, ours without choosing, and the papers'.
fn ways() -> [Way; 3] {
    [Way::ours(), Way::new(Box::new(CostLawLearner), Acquisition::Random), Way::published()]
}

fn samples(curve: &Curve) -> String {
    let Samples { mean, missed, .. } = curve.samples();
    let seeds = curve.converged.len();
    if missed == 0 { format!("{mean:.1}") } else { format!(">{mean:.1} ({missed} of {seeds} seeds do not)") }
}

fn transfer(devices: &[Device<'_>], bar: &ProgressBar) -> Result<Section> {
    const TWO_DEVICES: &str = "it takes the latencies of two devices, with 10 records each at least";
    const PUBLIC: &str = "0.83 to 0.98; Intel NCS 0.62";
    let section = Section::new(TRANSFER);
    let records: Vec<(String, Vec<Candidate>, Vec<f64>)> = devices
        .iter()
        .filter(|device| device.measures.contains(&Measure::Latency) && device.has(FEWEST))
        .map(|device| Ok((device.name(), device.candidates.clone(), device.data.figures(Measure::Latency)?)))
        .collect::<Result<_>>()?;
    go_on()?;
    let of_public = |name: &str| {
        let is_public = devices.iter().any(|device| device.published.is_some() && device.name() == name);
        Cell::of(is_public.then(|| PUBLIC.to_owned()), UNKNOWN_DEVICE)
    };
    let mut table = Table::new([
        "device (records), latency",
        "rank correlation",
        "error with 1 / 4 / 16 own records, %",
        "reported",
    ]);
    let found = if records.len() > 1 { leave_one_device_out(&records)? } else { Vec::new() };
    bar.inc(1);
    if found.is_empty() {
        table.row(["any".into(), Cell::missing(TWO_DEVICES), Cell::missing(TWO_DEVICES), Cell::missing(TWO_DEVICES)]);
    }
    for device in found {
        let at = |records: usize| {
            let point = device.points.iter().find(|point| point.records == records);
            point.map(|point| format!("{:.0}", point.with_others))
        };
        table.row([
            device.device.as_str().into(),
            Cell::of(device.rank_correlation.map(|correlation| format!("{correlation:.2}")), "all figures are equal"),
            Cell::slashed([1, 4, 16].into_iter().map(at), "there are not so many records"),
            of_public(&device.device),
        ]);
    }
    Ok(section.table(table).text(
        "Predicted from the other devices' records alone (rank correlation, Spearman), and with few of its own. *Reported* is a range \
         over devices, by surrogates of each of the others. Why they differ: ours is one surrogate of all devices, and this table is of latency.",
    ))
}

fn search(devices: &[Device<'_>], space: &DesignSpace, effort: Effort, bar: &ProgressBar) -> Result<Section> {
    let mut table = Table::new(["device (records)", "NSGA-II", "random", "seeds in which NSGA-II finds more"]);
    for device in devices {
        go_on()?;
        if !device.has(FEWEST) {
            let [evolution, random, wins] = [TOO_FEW; 3].map(Cell::missing);
            table.row([device.name().into(), evolution, random, wins]);
            continue;
        }
        let surrogates = Surrogates::learn(&CostLawLearner, device.data, space, &device.measures, 0)?;
        let worst = |measure: &Measure| Ok(device.data.figures(*measure)?.into_iter().fold(0.0, f64::max));
        // Nothing worse than what was measured counts.
        let reference: Vec<f64> = device.measures.iter().map(worst).collect::<Result<_>>()?;
        // At the length that was measured.
        let describer = surrogates.describer();
        let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
        let contest = Contest::hold(&predicted, &reference, BUDGET, effort.seeds as u64)?;
        let range = |shares: &[f64]| {
            let (low, high) =
                shares.iter().fold((f64::INFINITY, 0.0f64), |(low, high), at| (low.min(*at), high.max(*at)));
            Cell::from(format!("{low:.3} to {high:.3}"))
        };
        let wins = format!("{} of {}", contest.wins(), effort.seeds);
        table.row([device.name().into(), range(&contest.evolution), range(&contest.random), wins.into()]);
        bar.inc(1);
    }
    let section = Section::new(SEARCH).table(table).text(format!(
        "Share of the volume below the largest measured figures that a search of {BUDGET} evaluations of our surrogates dominates, {} seeds.",
        effort.seeds
    ));
    if devices.iter().all(|device| device.published.is_none()) {
        return Ok(section);
    }
    let mut objective = Table::new(["published objective, less is better", "here", "reported"]);
    let no_accuracies = "half of it is the GLUE score of 16 designs, which the records do not have; `--accuracy` of `irene explore search` takes a user's";
    objective.row(["best pair of the public rows".into(), Cell::missing(no_accuracies), "0.0872".into()]);
    objective.row(["searches".into(), Cell::missing(no_accuracies), "0.0953 to 0.1138 (published)".into()]);
    Ok(section.text("The papers compare searches by their objective alone:").table(objective))
}
