//! Single kernels, and whole models in 32-bit floats as the kernels of a pass.

use std::collections::BTreeMap;

use anyhow::Result;
use irene_devices::{KernelLaw, KernelMeasurement};
use irene_predict::{KernelsLeftOut, PublicData, PublicFile, training_steps};
use irene_requests::PercentErrors;

use super::{
    Cell, KERNELS, NOT_MEASURED, ONE_DEVICE, Section, Table, WHOLE, errors, inside,
    reported::{FirstFit, NEUSIGHT_FORWARD, NEUSIGHT_ROOFLINE, NEUSIGHT_TRAINING},
    shown,
};
use crate::output;

/// Measured kernels, and laws that were fitted without each device.
pub(super) struct Kernels {
    fitted: Vec<KernelMeasurement>,
    training: Vec<KernelMeasurement>,
    laws: KernelsLeftOut,
}

impl Kernels {
    /// Fits the laws; None without kernels.
    pub(super) fn try_on(files: &[(String, PublicFile)]) -> Result<Option<Self>> {
        let of_file = |(_, file): &(String, PublicFile)| match &file.data {
            PublicData::Kernels(measured) | PublicData::Passes(measured) => measured.clone(),
            _ => Vec::new(),
        };
        let (training, fitted): (Vec<_>, Vec<_>) =
            files.iter().flat_map(of_file).partition(KernelMeasurement::is_training);
        if fitted.is_empty() && training.is_empty() {
            return Ok(None);
        }
        let bar = output::progress(KernelsLeftOut::count(&fitted) as u64, "fits to kernels");
        let laws = KernelsLeftOut::each(&fitted, &|| bar.inc(1));
        bar.finish_and_clear();
        Ok(Some(Self { fitted, training, laws }))
    }

    fn of<'a>(
        &'a self,
        is_chosen: impl Fn(&KernelMeasurement) -> bool + 'a,
    ) -> impl Iterator<Item = &'a KernelMeasurement> {
        self.fitted.iter().filter(move |measured| is_chosen(measured))
    }

    /// Products in 16-bit floats: by laws without the device, and by the shipped law, which was fitted to the public files.
    pub(super) fn products(&self) -> (PercentErrors, PercentErrors) {
        let is_product =
            |measured: &KernelMeasurement| measured.group.starts_with("vidur") && measured.group.ends_with("_proj");
        let shipped = KernelLaw::shipped();
        let in_sample = self.of(is_product).map(|measured| measured.predicted(shipped) / measured.seconds).collect();
        (self.laws.errors(self.of(is_product)), in_sample)
    }

    /// Forward passes of whole models.
    pub(super) fn forward(&self) -> PercentErrors {
        self.laws.errors(self.of(is_whole))
    }

    /// Steps of training, their backward passes, and their forward passes.
    pub(super) fn training(&self) -> [PercentErrors; 3] {
        let steps = training_steps(&self.training);
        let errors = |passes: fn(&[&KernelMeasurement; 2]) -> Vec<usize>| {
            let ratio = |step: &[&KernelMeasurement; 2]| {
                let together: Vec<&KernelMeasurement> = passes(step).into_iter().map(|place| step[place]).collect();
                self.laws.ratio(&together)
            };
            steps.iter().filter_map(ratio).collect()
        };
        [errors(|_| vec![0, 1]), errors(|_| vec![1]), errors(|_| vec![0])]
    }

    pub(super) fn by_operation(&self) -> Section {
        let mut table = Table::new(["operation", "measured", "time", "in the interval, %"]);
        let mut groups: BTreeMap<String, Vec<&KernelMeasurement>> = BTreeMap::new();
        for measured in self.of(|measured| !is_whole(measured)) {
            for name in [kind(measured).to_owned(), operation(measured)] {
                groups.entry(name).or_default().push(measured);
            }
        }
        for (name, group) in &groups {
            let found = self.laws.errors(group.iter().copied());
            table.row([name.as_str().into(), group.len().into(), errors(Some(&found), ONE_DEVICE), inside(&[&found])]);
        }
        let (products, _) = self.products();
        let section = Section::new(KERNELS).text(
            "Absolute percentage errors of times, median / mean, of laws of kernels that were fitted without the device.",
        );
        let section = section.titled("By operation", table).text(format!(
            "The products alone (`_proj`): {}; a first fit: {}.",
            products.median().zip(products.mean()).map_or_else(|| NOT_MEASURED.into(), shown),
            shown(FirstFit::PRODUCTS.device_left_out)
        ));
        section.titled("By device", self.by_device())
    }

    fn by_device(&self) -> Table {
        let mut titles = vec!["device"];
        titles.extend(KINDS);
        let mut table = Table::new(titles);
        let mut devices: Vec<&str> = self.fitted.iter().map(|measured| measured.device.name.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        for device in devices {
            let cells = KINDS.map(|asked| {
                let found = self
                    .laws
                    .errors(self.of(move |measured| measured.device.name == device && kind(measured) == asked));
                errors(Some(&found), NOT_MEASURED)
            });
            table.row([Cell::from(device)].into_iter().chain(cells));
        }
        table
    }

    pub(super) fn whole_models(&self) -> Section {
        let mut table = Table::new(["forward passes", "measured", "time"]);
        let mut groups: BTreeMap<(u8, &str), Vec<&KernelMeasurement>> = BTreeMap::new();
        for measured in self.of(is_whole) {
            let model = measured.group.trim_start_matches("neusight model ");
            for name in [(0, "all"), (1, model), (2, measured.device.name.as_str())] {
                groups.entry(name).or_default().push(measured);
            }
        }
        for ((_, name), group) in &groups {
            let found = self.laws.errors(group.iter().copied());
            table.row([(*name).into(), group.len().into(), errors(Some(&found), ONE_DEVICE)]);
        }
        let mut training = Table::new(["training", "measured", "time", "NeuSight"]);
        let parts = ["steps", "backward passes", "forward passes"];
        for ((part, found), theirs) in parts.into_iter().zip(self.training()).zip(NEUSIGHT_TRAINING) {
            training.row([part.into(), found.count().into(), errors(Some(&found), ONE_DEVICE), shown(theirs).into()]);
        }
        let section =
            Section::new(WHOLE).text("As above; the time of a pass is the sum of its kernels' times.").table(table);
        section.text(format!(
            "On all of the first kind, NeuSight itself is off by {}, and its roofline by {}. Nothing of training is in any fit:",
            shown(NEUSIGHT_FORWARD),
            shown(NEUSIGHT_ROOFLINE)
        )).table(training).text(
            "NeuSight's figures are computed from the predictions that its authors publish; three of their files were not to be had, so that its \
             backward and forward passes are those of 22 steps. Forward passes of training are far off where the measuring program allocated \
             their memory anew.",
        )
    }
}

const KINDS: [&str; 4] = ["layers, 16-bit", "kernels, 32-bit", "exchanges", "whole models, 32-bit"];

fn kind(measured: &KernelMeasurement) -> &'static str {
    match measured.group.as_str() {
        group if group.starts_with("neusight model") => KINDS[3],
        group if group.starts_with("neusight") => KINDS[1],
        group if group.contains("all_reduce") || group.contains("send_recv") => KINDS[2],
        _ => KINDS[0],
    }
}

/// The operation with its kind first, so that the table sorts it below that kind.
fn operation(measured: &KernelMeasurement) -> String {
    let name = measured.group.split_once(' ').map_or(measured.group.as_str(), |(_, name)| name);
    format!("{}: {name}", kind(measured))
}

fn is_whole(measured: &KernelMeasurement) -> bool {
    kind(measured) == KINDS[3]
}
