use std::collections::BTreeMap;

use irene_tree::Format;
use serde::{Deserialize, Serialize};

/// An accelerator by its data sheet: everything that the law knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The name: lower case with hyphens, with the form factor and the memory where a card has several (`a100-sxm-80gb`).
    pub name: String,
    /// The name that its maker gives it.
    pub title: String,
    /// Further names that drivers and data sets use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its maker.
    pub vendor: Vendor,
    /// The generation of its processor, in lower case (`hopper`, `cdna3`, `m4`).
    pub architecture: String,
    /// The kind of machine it is made for.
    pub class: DeviceClass,
    /// The year in which it came out.
    pub year: u16,
    /// Dense peaks of matrix products, by number format.
    pub peaks: Peaks,
    /// Peak bandwidth of its memory, 10⁹ bytes a second.
    pub bandwidth_gb_s: f64,
    /// Its memory, GiB.
    pub memory_gib: f64,
    /// Its last-level cache, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_mib: Option<f64>,
    /// Streaming multiprocessors, compute units or cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiprocessors: Option<u32>,
    /// The highest clock of its processor under load, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<f64>,
    /// The power it is made for, W; firmware keeps it from drawing more.
    pub tdp_w: f64,
    /// A limit that was set on its power, W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f64>,
    /// Its power when idle with a context open, W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_w: Option<f64>,
    /// Bandwidth to its peers in each direction, 10⁹ bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_gb_s: Option<f64>,
    /// Where its figures come from, by the name of the figure; `peaks` stands for every peak, `chip` for cache, multiprocessors and clock,
    /// `data_sheet` for all others.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

impl Device {
    /// The highest power that it draws, W: the limit that was set, or else its TDP.
    pub fn limit_w(&self) -> f64 {
        self.power_limit_w.unwrap_or(self.tdp_w)
    }

    /// The device that a program sees: a card whose two dies are devices of their own (CDNA 2) is half of what its data sheet says.
    pub fn seen_by_a_program(self) -> Self {
        const ONE_DIE: u32 = 128;
        if self.architecture != "cdna2" || self.multiprocessors.is_none_or(|units| units <= ONE_DIE) {
            return self;
        }
        let half = |figure: Option<f64>| figure.map(|figure| figure / 2.0);
        let Peaks { f32, tf32, f16, bf16, fp8, int8, fp4 } = self.peaks;
        let [f32, tf32, f16, bf16, fp8, int8, fp4] = [f32, tf32, f16, bf16, fp8, int8, fp4].map(half);
        Self {
            peaks: Peaks { f32, tf32, f16, bf16, fp8, int8, fp4 },
            bandwidth_gb_s: self.bandwidth_gb_s / 2.0,
            memory_gib: self.memory_gib / 2.0,
            cache_mib: half(self.cache_mib),
            multiprocessors: self.multiprocessors.map(|units| units / 2),
            tdp_w: self.tdp_w / 2.0,
            power_limit_w: half(self.power_limit_w),
            idle_w: half(self.idle_w),
            ..self
        }
    }

    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.name, &self.title].into_iter().chain(&self.aliases).map(String::as_str)
    }

    /// The figures that are known, with the names that they have in files and in [`Device::source`].
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let peaks = self.peaks.figures().into_iter().map(|(name, peak)| (name, Some(peak)));
        let others = [
            ("bandwidth_gb_s", Some(self.bandwidth_gb_s)),
            ("memory_gib", Some(self.memory_gib)),
            ("cache_mib", self.cache_mib),
            ("multiprocessors", self.multiprocessors.map(f64::from)),
            ("clock_mhz", self.clock_mhz),
            ("tdp_w", Some(self.tdp_w)),
            ("power_limit_w", self.power_limit_w),
            ("idle_w", self.idle_w),
            ("link_gb_s", self.link_gb_s),
        ];
        peaks.chain(others).filter_map(|(name, figure)| Some((name, figure?))).collect()
    }

    /// Where a figure comes from.
    pub fn source(&self, figure: &str) -> Option<&str> {
        let group = match figure {
            "cache_mib" | "multiprocessors" | "clock_mhz" => "chip",
            figure if Peaks::NAMES.contains(&figure) => "peaks",
            figure => figure,
        };
        let source = [figure, group, "data_sheet"].into_iter().find_map(|key| self.sources.get(key));
        source.map(String::as_str)
    }
}

/// The maker of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // their names
pub enum Vendor {
    Nvidia,
    Amd,
    Intel,
    Apple,
    Google,
    Other,
}

impl Vendor {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
            Self::Apple => "apple",
            Self::Google => "google",
            Self::Other => "other",
        }
    }
}

/// The kind of machine that a device is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeviceClass {
    /// Servers.
    Datacenter,
    /// Workstations.
    Workstation,
    /// Desktops and games.
    Consumer,
    /// Notebooks: a chip that shares its memory with the processor.
    Integrated,
    /// Robots and other small machines.
    Embedded,
    /// A processor without an accelerator.
    Cpu,
}

impl DeviceClass {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Datacenter => "datacenter",
            Self::Workstation => "workstation",
            Self::Consumer => "consumer",
            Self::Integrated => "integrated",
            Self::Embedded => "embedded",
            Self::Cpu => "cpu",
        }
    }
}

/// Dense peaks of matrix products with accumulation as fast as the device has it, 10¹² operations a second: a multiplication and an
/// addition count two. A format that is absent runs in no unit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Peaks {
    /// 32-bit floats, without units for matrices unless they keep 32 bits (CDNA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f32: Option<f64>,
    /// 32-bit floats rounded to 19 bits in units for matrices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tf32: Option<f64>,
    /// 16-bit floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f16: Option<f64>,
    /// bfloat16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bf16: Option<f64>,
    /// 8-bit floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fp8: Option<f64>,
    /// 8-bit integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int8: Option<f64>,
    /// 4-bit floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fp4: Option<f64>,
}

impl Peaks {
    /// The formats' names, the widest first.
    pub(crate) const NAMES: [&str; 7] = ["f32", "tf32", "f16", "bf16", "fp8", "int8", "fp4"];

    /// The peaks that are known, the widest format first.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let peaks = [self.f32, self.tf32, self.f16, self.bf16, self.fp8, self.int8, self.fp4];
        Self::NAMES.into_iter().zip(peaks).filter_map(|(name, peak)| Some((name, peak?))).collect()
    }

    /// The peak in the format that numbers are multiplied in; None where the device has no unit for it.
    pub fn of(&self, format: Format) -> Option<f64> {
        match format {
            Format::F32 | Format::F64 => self.f32,
            Format::F16 => self.f16,
            Format::BF16 => self.bf16,
            Format::F8E4M3 | Format::F8E5M2 => self.fp8,
            Format::Int8 | Format::U8 => self.int8,
            Format::Mxfp4 | Format::Nvfp4 => self.fp4,
            _ => None,
        }
    }
}
