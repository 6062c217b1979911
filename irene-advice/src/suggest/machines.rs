//! Other devices, limits on their power, and other numbers of them.

use std::collections::BTreeMap;

use irene_devices::{Catalogue, Device, DeviceClass};
use irene_tree::{Parallel, render};
use rayon::prelude::*;

use super::{Advice, Idea, Kind};
use crate::{Change, Estimate, Result, answer::WHOLE_MACHINE};

/// Other devices that are shown.
const DEVICES: usize = 3;

/// Limits that are tried, as shares of the TDP.
const LIMITS: [f64; 13] = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// GPUs that share a model, at most.
const MOST_GPUS: usize = 16;

impl Advice<'_> {
    pub(super) fn machines(&mut self) {
        self.devices();
        self.power_limit();
        self.gpus();
    }

    fn devices(&mut self) {
        if let Some(own) = self.lookup.own_device() {
            let reason = format!("the data sheet of {} answers alone: leave it out to ask for other devices", own.name);
            return self.leave_out(Kind::Device, reason);
        }
        if self.a.marks.contains(&WHOLE_MACHINE) {
            let reason =
                "other devices are known without the machine around them, which the meter of the calibration counts";
            return self.leave_out(Kind::Device, reason);
        }
        let names = self.other_devices();
        let tried: Vec<Result<Estimate>> = names.par_iter().map(|name| self.estimate(&self.onto(name))).collect();
        let (mut fitting, mut refused) = (Vec::new(), BTreeMap::<&str, usize>::new());
        for (name, estimate) in names.into_iter().zip(tried) {
            match estimate {
                Ok(b) if self.bounds.broken(&b).is_some() => *refused.entry("break a bound").or_default() += 1,
                Ok(b) => fitting.push((name, b)),
                Err(error) if error.is_too_large() => *refused.entry("have too little memory").or_default() += 1,
                Err(_) => *refused.entry("have no answer").or_default() += 1,
            }
        }
        fitting.sort_by(|(_, x), (_, y)| self.energy(x).total_cmp(&self.energy(y)));
        let now = self.energy(&self.a);
        let (saving, others): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(_, b)| self.energy(b) < now);
        let further = saving.len().saturating_sub(DEVICES);
        for (name, b) in saving.into_iter().take(DEVICES) {
            let why = why_device(&self.a, &b);
            let title = format!("Run on {name} instead of {}", self.a.device);
            self.take_up(Idea::new(Kind::Device, self.onto(&name), title, why), &b);
        }
        let take_more = (!others.is_empty()).then(|| format!("{} take more energy", others.len()));
        let refused = refused.into_iter().map(|(reason, count)| format!("{count} {reason}"));
        let further = (further > 0).then(|| format!("{further} save less than those shown"));
        let reasons: Vec<String> = further.into_iter().chain(take_more).chain(refused).collect();
        if !reasons.is_empty() {
            self.leave_out(Kind::Device, format!("other devices: {}", reasons.join(", ")));
        }
    }

    /// Devices of the same class, of servers and of workstations; for a measured machine, the other measured ones.
    fn other_devices(&self) -> Vec<String> {
        let now = &self.a.device;
        if !self.is_of_sheet() {
            return self.lookup.measured_names().filter(|name| name != now).map(str::to_owned).collect();
        }
        let class = Catalogue::find(now).map_or(DeviceClass::Datacenter, |device| device.class);
        let is_as_good = |other: &&Device| {
            other.name != *now
                && (other.class == class || matches!(other.class, DeviceClass::Datacenter | DeviceClass::Workstation))
        };
        Catalogue::all().iter().filter(is_as_good).map(|device| device.name.clone()).collect()
    }

    /// Another device. A limit that was set on one says nothing of another.
    fn onto(&self, name: &str) -> Vec<Change> {
        let limit = self.selection.power_limit_w.map(|_| Change::new("power_limit_w", "default"));
        limit.into_iter().chain([Change::new("device", name)]).collect()
    }

    /// The limit that takes the least energy.
    fn power_limit(&mut self) {
        let kind = Kind::PowerLimit;
        if self.needs_sheet(kind, "limits on power") {
            return;
        }
        let Some(device) = self.lookup.device(&self.a.device) else {
            return self.leave_out(kind, "the device is not in the catalogue");
        };
        let now = self.selection.power_limit_w.unwrap_or(device.limit_w());
        let mut best: Option<(f64, Estimate)> = None;
        let mut broken = None;
        for share in LIMITS {
            // Boards take whole steps.
            let watts = (share * device.tdp_w / 5.0).round() * 5.0;
            if watts >= now {
                continue;
            }
            let Ok(b) = self.estimate(&[Change::new("power_limit_w", watts.to_string())]) else { continue };
            if let Some((reason, _)) = self.bounds.broken(&b) {
                broken = Some(reason);
            } else if best.as_ref().is_none_or(|(_, known)| self.energy(&b) < self.energy(known)) {
                best = Some((watts, b));
            }
        }
        match (best, broken) {
            (Some((watts, b)), _) => {
                let title = format!("Limit each GPU to {watts} W instead of {now} W");
                let why = "at a lower clock and voltage each operation takes less energy than the longer time costs";
                let changes = vec![Change::new("power_limit_w", watts.to_string())];
                let mut idea = Idea::new(kind, changes, title, why);
                idea.assumed = Some(format!(
                    "a lower voltage saves up to 40% of what kernels take beside the power that is always drawn; limits from {:.0}% of the TDP \
                     on were tried, in steps of 5%, and what a board allows differs",
                    100.0 * LIMITS[0]
                ));
                self.take_up(idea, &b);
            }
            (None, Some(reason)) => self.leave_out(kind, format!("every lower limit breaks a bound: {reason}")),
            (None, None) => self.leave_out(kind, "no lower limit can be set"),
        }
    }

    fn gpus(&mut self) {
        let kind = Kind::Gpus;
        if self.needs_sheet(kind, "several GPUs") {
            return;
        }
        let now = self.a.selection.row.parallel;
        let Parallel { tensor, data, .. } = now;
        let mut ways = vec![("tensor_parallel", tensor * 2, tensor), ("data_parallel", data * 2, data)];
        ways.extend((tensor > 1).then_some(("tensor_parallel", tensor / 2, tensor)));
        ways.extend((data > 1).then_some(("data_parallel", data / 2, data)));
        for (name, degree, of_now) in ways {
            let gpus = now.gpus() / of_now * degree;
            if gpus > MOST_GPUS {
                continue;
            }
            let how = if name == "tensor_parallel" { "that share each layer" } else { "with a copy of the model each" };
            let title = format!("{gpus} GPUs {how} instead of {}", now.gpus());
            let why = if gpus > now.gpus() {
                "each GPU reads its part of the weights in less time, in which all of them draw power"
            } else {
                "fewer GPUs draw power, and exchange less"
            };
            self.try_out(Idea::new(kind, vec![Change::new(name, degree.to_string())], title, why));
        }
    }
}

/// The strength of the other device that counts.
fn why_device(a: &Estimate, b: &Estimate) -> String {
    let found = [a, b].map(|of| Catalogue::find(&of.device).ok());
    let [Some(a), Some(b)] = found else { return "less energy was measured there".to_owned() };
    let a_byte = |device: &Device| device.limit_w() / (device.bandwidth_gb_s * 1e9) * 1e12;
    format!(
        "at its limit it draws {} for each TB/s of memory bandwidth, where {} draws {}",
        render::si(a_byte(&b), "W"),
        a.name,
        render::si(a_byte(&a), "W")
    )
}
