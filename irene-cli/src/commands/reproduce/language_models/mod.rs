//! The laws of devices held against public measurements of language models' inference.

mod data;
mod kernels;
mod machines;
mod pictures;
mod reported;
mod requests;
mod summary;

use anyhow::Result;
use irene_predict::{PublicData, PublicFile};
use irene_requests::PercentErrors;

use self::{kernels::Kernels, reported::MedianAndMean, requests::Requests};
use super::{
    Effort,
    markdown::{Cell, Section, Table},
};

pub(super) use machines::from_data_sheets;
pub(super) use reported::ABOUT;

pub(super) const DATA: &str = "The public measurements";
pub(super) const SUMMARY: &str = "Ours, first fits and NeuSight";
pub(super) const PUBLISHED: &str = "Errors that others publish";
pub(super) const BY_ENGINE: &str = "Requests by engine and device";
pub(super) const BY_MODEL: &str = "Requests by model";
pub(super) const CALIBRATED: &str = "With a few requests of one's own";
pub(super) const KERNELS: &str = "Single kernels";
pub(super) const WHOLE: &str = "Whole models in 32-bit floats";
pub(super) const SERVERS: &str = "Servers at the wall";
pub(super) const SHEETS: &str = "Data sheets of others";

/// The sections, and what each shows.
pub(super) const SECTIONS: [(&str, &str); 10] = [
    (DATA, "which measurements there are, and their sources"),
    (SUMMARY, "errors beside those of simpler laws and of NeuSight"),
    (PUBLISHED, "errors that WattGPU, EnergyLens, SweetSpot and Vidur print"),
    (BY_ENGINE, "time, power and energy of requests by engine and device"),
    (BY_MODEL, "time and energy of requests by model, and the order of its configurations"),
    (CALIBRATED, "errors once some requests of the device are known"),
    (KERNELS, "times of kernels and exchanges by operation and device"),
    (WHOLE, "times of passes and of steps of training by model and device"),
    (SERVERS, "power of the machine around the devices"),
    (SHEETS, "the catalogue beside other data sheets"),
];

const NO_REQUESTS: &str = "no measured requests were given";
const NO_KERNELS: &str = "no measured kernels were given";
const ONE_DEVICE: &str = "another device has to be measured to leave one out";
const NOT_MEASURED: &str = "not measured";

/// Whether there is a section of this title.
pub(super) fn has(title: &str, files: &[(String, PublicFile)]) -> bool {
    let is_given = |of: fn(&PublicData) -> bool| files.iter().any(|(_, file)| of(&file.data));
    match title {
        BY_ENGINE | BY_MODEL | CALIBRATED => {
            is_given(|data| matches!(data, PublicData::Requests(measured, _) if !measured.is_empty()))
        }
        KERNELS | WHOLE => is_given(|data| matches!(data, PublicData::Kernels(_) | PublicData::Passes(_))),
        SERVERS => is_given(|data| matches!(data, PublicData::Servers(_))),
        SHEETS => is_given(|data| matches!(data, PublicData::DataSheets(_))),
        _ => !files.is_empty(),
    }
}

pub(super) fn sections(files: &[(String, PublicFile)], effort: Effort) -> Result<Vec<Section>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let requests = Requests::try_on(files, effort)?;
    let kernels = Kernels::try_on(files)?;
    let mut sections = vec![
        data::section(files),
        summary::section(requests.as_ref(), kernels.as_ref()),
        summary::published(requests.as_ref()),
    ];
    if let Some(requests) = &requests {
        sections.extend([requests.by_engine(), requests.by_model(), requests.with_a_few(effort)]);
    }
    if let Some(kernels) = &kernels {
        sections.extend([kernels.by_operation(), kernels.whole_models()]);
    }
    for (_, file) in files {
        match &file.data {
            PublicData::Servers(servers) => sections.push(machines::servers(servers)),
            PublicData::DataSheets(sheets) => sections.push(machines::sheets(sheets)),
            _ => {}
        }
    }
    Ok(sections)
}

/// Median and mean.
fn errors(errors: Option<&PercentErrors>, reason: &str) -> Cell {
    let both = errors.and_then(|errors| Some((errors.median()?, errors.mean()?)));
    Cell::of(both.map(shown), reason)
}

fn shown((median, mean): MedianAndMean) -> String {
    format!("{median:.1} / {mean:.1}")
}

/// The shares of the measurements in their intervals.
fn inside(of: &[&PercentErrors]) -> Cell {
    let share = |errors: &&PercentErrors| errors.coverage().map(|share| format!("{:.0}", 100.0 * share));
    Cell::slashed(of.iter().map(share), ONE_DEVICE)
}
