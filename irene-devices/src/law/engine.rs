use irene_numerics::NORMAL_90;
use serde::{Deserialize, Serialize};

use super::{MakerLaw, Pass};

/// An engine's constants: the time it adds to the kernels, and how its own kernels differ from a library's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineLaw {
    /// Each pass: choosing sequences, preparing inputs, sampling; s. Where the host starts kernels, a pass that samples nothing has none of it.
    pub pass_s: f64,
    /// Each pass on several GPUs, beyond that: telling the others; s.
    pub several_gpus_s: f64,
    /// Each sequence of a pass: its sampling, its text, its place in the cache; s.
    pub sequence_s: f64,
    /// The time of its kernels over the law's: 1 unless it was measured on your own machine.
    #[serde(default = "as_the_law_has_it")]
    pub kernels: f64,
    /// The power of the device over the law's: 1 unless it was measured on your own machine.
    #[serde(skip, default = "as_the_law_has_it")]
    pub power: f64,
    /// The power that a meter of your own machine counts beside the devices, W; None where it counts these alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside_w: Option<f64>,
    /// Starting a kernel, and the gap before it; where the host starts kernels ahead, what the host takes for each; s.
    pub launch_s: f64,
    /// The share of norms, element-wise kernels and moves that is not fused into other kernels.
    pub elementwise: f64,
    /// The time of attention by few queries over that of [`PassLaw`](super::PassLaw).
    pub attention: f64,
    /// The time of starting an exchange between GPUs over that of the libraries that were measured alone; what it sends takes as long as theirs.
    pub exchange_start: f64,
    /// How far off predictions are.
    pub spread: FigureSpread,
    /// Whether that holds for encoders, too: the engines' constants come from language models alone, but a calibration knows how far off it is.
    #[serde(skip)]
    pub covers_encoders: bool,
}

fn as_the_law_has_it() -> f64 {
    1.0
}

/// Standard deviations of the logarithms of figures on devices and of models that were not measured: 90% lie within 1.645 of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpread {
    /// Spread of times.
    pub time: f64,
    /// Spread of the mean power.
    pub power: f64,
    /// Spread of energies.
    pub energy: f64,
}

/// The spread for engines that nobody measured.
impl Default for FigureSpread {
    fn default() -> Self {
        Self { time: 0.4, power: 0.25, energy: 0.4 }
    }
}

impl FigureSpread {
    /// Adds a further, independent error to each.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            time: self.time.hypot(other.time),
            power: self.power.hypot(other.power),
            energy: self.energy.hypot(other.energy),
        }
    }

    /// The factors from a figure to both ends of its interval, in which it lies with a probability of 90%.
    pub fn factors(self) -> [Self; 2] {
        [-NORMAL_90, NORMAL_90].map(|bound| {
            let factor = |spread: f64| (bound * spread).exp();
            Self { time: factor(self.time), power: factor(self.power), energy: factor(self.energy) }
        })
    }
}

/// An engine of which nothing is known has the typical constants of the measured ones.
impl Default for EngineLaw {
    fn default() -> Self {
        Self {
            pass_s: 2e-3,
            several_gpus_s: 1e-3,
            sequence_s: 3e-5,
            kernels: as_the_law_has_it(),
            power: as_the_law_has_it(),
            beside_w: None,
            launch_s: 3e-6,
            elementwise: 0.5,
            attention: 1.0,
            exchange_start: 1.0,
            spread: FigureSpread::default(),
            covers_encoders: false,
        }
    }
}

/// The constants of an engine, by how it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineModes {
    /// A batch in the engine's own process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<EngineLaw>,
    /// Requests over a network, which the same process reads and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<EngineLaw>,
}

impl EngineModes {
    /// The constants of one mode, or of the other where only that was measured: those of a batch are less sure for a server.
    pub fn of(&self, is_served: bool) -> Option<EngineLaw> {
        let [first, second] = if is_served { [self.served, self.offline] } else { [self.offline, self.served] };
        // A server's constants are its engine's with the network on top.
        first.or_else(|| second.map(|law| if is_served { law.standing_in() } else { law }))
    }
}

impl EngineLaw {
    /// The constants where they stand in for an engine, or a mode of it, that was not measured.
    pub(super) fn standing_in(self) -> Self {
        let (own, unmeasured) = (self.spread, FigureSpread::default());
        let spread = FigureSpread {
            time: own.time.max(unmeasured.time),
            power: own.power.max(unmeasured.power),
            energy: own.energy.max(unmeasured.energy),
        };
        Self { spread, ..self }
    }

    /// Seconds that a pass takes beside its kernels.
    pub fn seconds(&self, pass: &Pass, maker: &MakerLaw) -> f64 {
        let several = if pass.gpus > 1.0 { maker.several_gpus * self.several_gpus_s } else { 0.0 };
        maker.launches * (self.pass_s + self.sequence_s * pass.sequences) + several
    }
}
