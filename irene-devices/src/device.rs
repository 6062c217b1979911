use std::collections::BTreeMap;

use irene_tree::Format;
use serde::{Deserialize, Serialize};

/// An accelerator as its data sheet has it: everything that the law knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The name: lower case with hyphens, with the form factor and the memory where a card has several (`a100-sxm-80gb`).
    pub name: String,
    /// The name that its maker gives it.
    pub title: String,
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
    /// The highest clock of its processor, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<f64>,
    /// The power it is made for, W; its firmware keeps it below.
    pub tdp_w: f64,
    /// Its power when idle with a context open, W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_w: Option<f64>,
    /// Bandwidth to its peers in each direction, 10⁹ bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_gb_s: Option<f64>,
    /// Where its figures come from, by the name of the figure; `data_sheet` stands for all others.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
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
    /// The peak in the format that numbers are multiplied in; None where the device has no unit for it.
    pub fn of(&self, format: Format) -> Option<f64> {
        match format {
            Format::F32 | Format::F64 => self.f32,
            Format::F16 => self.f16,
            Format::BF16 => self.bf16,
            Format::F8E4M3 | Format::F8E5M2 => self.fp8,
            Format::Int8 | Format::U8 => self.int8,
            Format::Mxfp4 => self.fp4,
            _ => None,
        }
    }
}
