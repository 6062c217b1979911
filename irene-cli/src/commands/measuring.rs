//! Measuring models on this machine, shared by `irene profile` and the jobs of `irene serve`.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use anyhow::{Result, ensure};
use irene_models::profile::Profiler;
use irene_sampler::{MeasuringProtocol, Sampler, SamplerOptions, Sensors, sensors::Selection};
use irene_tree::{Kernels, Level, Tree};
use serde_json::{Value, json};

use super::{
    alike::MEASURING_FIELD,
    meters::{LOGS, MeterArgs, start, tell_meter},
    numbers::{seconds, share_above_0, size},
    running::PlaceArgs,
    training::TrainingArgs,
    usage,
};
use crate::output;

/// The settings of a measurement.
pub(crate) struct Measuring {
    pub(crate) meter: MeterArgs,
    pub(crate) place: PlaceArgs,
    pub(crate) protocol: MeasuringProtocol,
    /// Time between samples.
    pub(crate) period: Duration,
    pub(crate) levels: Vec<Level>,
}

/// Seed of the weights, whose values do not change the cost of a node.
pub(crate) const DEFAULT_SEED: u64 = 1;

/// The least time that readings are kept: a single run of a large model may take minutes.
const LEAST_KEPT: Duration = Duration::from_secs(120);

/// The most readings of a channel that are kept, 16 bytes each.
const MOST_KEPT: usize = 1 << 22;

/// How a file of measurements is made: by the quick protocol or the paper's, and what is changed of it.
#[derive(clap::Args)]
pub(crate) struct QuickArgs {
    #[command(flatten)]
    meter: MeterArgs,
    /// Short rounds without pauses, until the intervals are within 5%; without it the paper's protocol
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    changes: ProtocolArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// Continue a file: what it has is not measured again
    #[arg(long)]
    pub(crate) resume: bool,
}

impl QuickArgs {
    /// The settings of measuring there.
    pub(crate) fn at(&self, place: &PlaceArgs, levels: Vec<Level>) -> Result<Measuring> {
        self.changes.measuring(self.quick, &self.meter, place, levels)
    }
}

/// Changes to the quick protocol or the paper's.
#[derive(clap::Args)]
pub(crate) struct ProtocolArgs {
    /// The least duration of a round [paper: 20, quick: 0.2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    round: Option<Duration>,
    /// The least number of rounds [paper: 5, quick: 3]
    #[arg(long, value_name = "N", value_parser = size)]
    rounds: Option<usize>,
    /// The greatest number of rounds [paper: 20, quick: 10]
    #[arg(long, value_name = "N", value_parser = size)]
    most_rounds: Option<usize>,
    /// Pause before each round, and before idle power is read [paper: 5, quick: 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    cool_down: Option<Duration>,
    /// How long idle power is read before each node [paper: 5, quick: 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stand_by: Option<Duration>,
    /// Stop when half the 95% interval is at most this share of the mean [paper: 0.01, quick: 0.05]
    #[arg(long, value_name = "SHARE", value_parser = share_above_0)]
    target: Option<f64>,
    /// Time between samples, ms [paper: 170, quick: 10]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    period: Option<u64>,
}

impl ProtocolArgs {
    pub(crate) fn measuring(
        &self,
        is_quick: bool,
        meter: &MeterArgs,
        place: &PlaceArgs,
        levels: Vec<Level>,
    ) -> Result<Measuring> {
        let (protocol, period) = (self.protocol(is_quick)?, self.period(is_quick));
        Ok(Measuring { meter: meter.clone(), place: place.clone(), protocol, period, levels })
    }

    fn protocol(&self, is_quick: bool) -> Result<MeasuringProtocol> {
        if let (Some(least), Some(most)) = (self.rounds, self.most_rounds)
            && least > most
        {
            return usage(format!("--rounds {least} is more than --most-rounds {most}"));
        }
        let base = if is_quick { MeasuringProtocol::quick() } else { MeasuringProtocol::paper() };
        let least_rounds = self.rounds.unwrap_or(base.least_rounds.min(self.most_rounds.unwrap_or(usize::MAX)));
        Ok(MeasuringProtocol {
            round: self.round.unwrap_or(base.round),
            least_rounds,
            most_rounds: self.most_rounds.unwrap_or(base.most_rounds).max(least_rounds),
            cool_down: self.cool_down.unwrap_or(base.cool_down),
            stand_by: self.stand_by.unwrap_or(base.stand_by),
            target: self.target.unwrap_or(base.target),
            ..base
        })
    }

    /// The time between samples.
    fn period(&self, is_quick: bool) -> Duration {
        Duration::from_millis(self.period.unwrap_or(if is_quick { 10 } else { 170 }))
    }
}

impl Measuring {
    /// Says which sensors are the meter, and what it leaves out.
    pub(crate) fn tell(&self, selection: &Selection) {
        tell_meter(selection);
        if selection.meters == ["nvml"] && self.place.is_on_cpu() {
            output::tell(
                "the meter is nvml alone, so the energies leave out the processor; `irene doctor` says how to have rapl",
            );
        }
    }

    /// Starts to sample the sensors as [`start`] does.
    pub(crate) fn sampler(&self, sensors: Sensors) -> Result<Sampler> {
        let MeasuringProtocol { round, stand_by, cool_down, .. } = self.protocol;
        // Room for several of the longest windows.
        let longest = [round, stand_by, cool_down].into_iter().max().unwrap_or_default();
        let readings = 8.0 * longest.max(LEAST_KEPT).as_secs_f64() / self.period.as_secs_f64();
        let capacity = (readings as usize).min(MOST_KEPT);
        start(sensors, SamplerOptions { period: self.period, capacity })
    }

    pub(crate) fn profiler<'a>(&'a self, sampler: &'a Sampler, kernels: Kernels, stop: &'a AtomicBool) -> Profiler<'a> {
        let precision = self.place.precision();
        Profiler { sampler, protocol: &self.protocol, levels: &self.levels, precision, kernels, stop }
    }

    /// The settings that the figures depend on.
    pub(crate) fn settings(&self, selection: &Selection) -> Value {
        let [device, dtype] = self.place.names();
        let (meters, total) = (&selection.meters, selection.sensors.total());
        let mut settings = json!({
            "meters": meters,
            "sensors": total.names(),
            "device": device,
            "dtype": dtype,
            "levels": self.levels.iter().map(|level| level.name()).collect::<Vec<_>>(),
            "protocol": self.protocol,
            "sampling_period_s": self.period.as_secs_f64(),
            "irene": env!("CARGO_PKG_VERSION"),
        });
        if !total.lacks().is_empty() {
            settings["sensors_lacking"] = json!(total.lacks());
        }
        if let (Some(watts), true) = (self.meter.tdp_watts, meters.contains(&"tdp")) {
            settings["tdp_watts"] = json!(watts);
        }
        if meters.iter().any(|meter| LOGS.contains(meter)) {
            settings["log_ahead_s"] = json!(self.meter.log_ahead);
        }
        settings
    }

    /// A measured tree with its costs and the settings of the measurement.
    pub(crate) fn finished(&self, mut tree: Tree, settings: &Value) -> Tree {
        if !self.levels.contains(&Level::Math) {
            tree = tree.without_math();
        }
        tree.extra.insert(MEASURING_FIELD.into(), settings.clone());
        tree
    }
}

/// Refuses a file that is there, unless it is to be continued.
pub(crate) fn check_resumes(path: &Path, is_there: bool, resume: bool) -> Result<()> {
    ensure!(resume || !is_there, "{} exists; --resume adds to it, or choose another file", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        meter: MeterArgs,
        #[command(flatten)]
        place: PlaceArgs,
    }

    #[test]
    fn the_settings_tell_how_far_the_clock_of_any_log_is_ahead() {
        let folder = tempfile::tempdir().unwrap();
        for kind in LOGS {
            let log = folder.path().join(kind);
            std::fs::write(&log, "").unwrap();
            let named = format!("{kind}:{}", log.display());
            let Flags { meter, place } = Flags::parse_from(["irene", "--meter", &named, "--log-ahead", "3"]);
            let (protocol, period) = (MeasuringProtocol::quick(), Duration::from_millis(10));
            let measuring = Measuring { meter, place, protocol, period, levels: Vec::new() };
            let settings = measuring.settings(&measuring.meter.select().unwrap());
            assert_eq!(settings["log_ahead_s"], json!(3.0), "{kind}: {settings}");
        }
    }
}
