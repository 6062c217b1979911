use std::fmt;

use crate::ShareMethod;

/// A part of the machine, or a meter, that a channel's readings are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The whole computer.
    Host,
    /// This process, by its share of the other resources.
    Process,
    /// A process tree or a control group, by its share of other resources.
    ProcessTree(ShareMethod),
    /// All processors together, as far as their use is estimated from their load.
    Processors,
    /// The platform around a socket's processor (psys): the first socket's counts packages, memory and the rest of the board.
    Platform(u32),
    /// A processor package.
    Package(Package),
    /// The cores of a package.
    Cores(Package),
    /// The rest of a package beside its cores, such as a GPU.
    Uncore(Package),
    /// The memory at a package, which the package's own counter leaves out.
    Dram(Package),
    /// A GPU of NVIDIA, by its number.
    Gpu(u32),
    /// A GPU of AMD or Intel, by the number of its card in Linux's DRM.
    Card(u32),
    /// A processor and a GPU in one (an APU), with all that both draw, by the number of its card in Linux's DRM.
    Apu(u32),
    /// A system on a chip of Apple, or a part of one.
    Soc(SocPart),
    /// A sensor on a board or in a power supply.
    Board {
        /// The chip's name.
        chip: String,
        /// The chip's name for the sensor.
        sensor: String,
    },
    /// A meter outside of the computer, by a name: it measures the whole computer.
    Meter(String),
}

/// A processor package: a socket, or a die in it where each die counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Package {
    /// The socket's number.
    pub socket: u32,
    /// The die's number in the socket.
    pub die: Option<u32>,
}

/// The parts of a system on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocPart {
    /// Processors, GPU and neural engine together.
    All,
    /// The processors.
    Cpu,
    /// The GPU.
    Gpu,
    /// The neural engine.
    Ane,
}

/// The parts with their names.
const SOC_PARTS: [(SocPart, &str); 4] =
    [(SocPart::All, "soc"), (SocPart::Cpu, "soc.cpu"), (SocPart::Gpu, "soc.gpu"), (SocPart::Ane, "soc.ane")];

/// The name of a server's management controller among the meters.
pub(crate) const IPMI: &str = "ipmi";

impl Resource {
    /// Whether the energy of this resource includes that of the other one, so that the two must not be added.
    ///
    /// None if only the maker of the board knows. An estimate for all processors gives way to any counter of theirs.
    pub fn covers(&self, other: &Self) -> Option<bool> {
        Some(match (self, other) {
            // The management controller measures behind the outlet.
            (Self::Meter(own), Self::Meter(inner)) if inner == IPMI => own != IPMI,
            (Self::Meter(_) | Self::Host, Self::Meter(_)) | (Self::Host, Self::Host) => false,
            (Self::Process | Self::ProcessTree(_), _) => false,
            (Self::Meter(_) | Self::Host, _) | (_, Self::Process | Self::ProcessTree(_)) => true,
            (Self::Board { .. }, other) | (other, Self::Board { .. }) if other.is_component() => return None,
            (Self::Platform(_), gpu) | (gpu, Self::Platform(_)) if gpu.is_gpu() => return None,
            // Firmware of notebooks may count another GPU in.
            (Self::Apu(_), Self::Card(_)) | (Self::Card(_), Self::Apu(_)) => return None,
            (Self::Platform(_) | Self::Apu(_), Self::Processors) => true,
            (Self::Soc(SocPart::All | SocPart::Cpu), Self::Processors) => true,
            (Self::Soc(SocPart::All), Self::Soc(part)) => *part != SocPart::All,
            (Self::Platform(0) | Self::Package(_), Self::Apu(_)) => true,
            // The counters of the other sockets' platforms stand still.
            (Self::Platform(0), Self::Platform(socket)) => *socket > 0,
            (Self::Platform(0), other) => other.package().is_some(),
            (Self::Package(outer), Self::Cores(inner) | Self::Uncore(inner)) => outer == inner,
            (counter, Self::Processors) => counter.package().is_some(),
            _ => false,
        })
    }

    /// The kind of sensor that tells of it, as `irene doctor` names kinds.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Host => "utilisation",
            Self::Process => "impact-tracker",
            Self::ProcessTree(_) => "process",
            Self::Processors => "tdp",
            Self::Platform(_) | Self::Package(_) | Self::Cores(_) | Self::Uncore(_) | Self::Dram(_) => "rapl",
            Self::Gpu(_) => "nvml",
            Self::Card(_) | Self::Apu(_) => "drm",
            Self::Soc(_) => "powermetrics",
            Self::Board { .. } => "hwmon",
            Self::Meter(name) if name == IPMI => IPMI,
            Self::Meter(_) => "log",
        }
    }

    /// Whether it is a processor, a GPU, or a part of one.
    fn is_component(&self) -> bool {
        let is_part = matches!(self, Self::Processors | Self::Platform(_) | Self::Apu(_) | Self::Soc(_));
        is_part || self.is_gpu() || self.package().is_some()
    }

    /// Whether it is a GPU with a power of its own.
    fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu(_) | Self::Card(_))
    }

    /// The package that this is a part of.
    fn package(&self) -> Option<Package> {
        match self {
            Self::Package(package) | Self::Cores(package) | Self::Uncore(package) | Self::Dram(package) => {
                Some(*package)
            }
            _ => None,
        }
    }

    /// The resource of a domain of RAPL, by the names that Linux gives it and the package around it: `psys`, `psys-1`, `package-0`,
    /// `package-0-die-1`, `package-0.core`, `package-0.uncore`, `package-0.dram`.
    pub(crate) fn of_domain(name: &str) -> Option<Self> {
        if let Some(socket) = name.strip_prefix("psys") {
            let socket = if socket.is_empty() { 0 } else { socket.strip_prefix('-')?.parse().ok()? };
            return Some(Self::Platform(socket));
        }
        let (package, part) = name.split_once('.').map_or((name, None), |(package, part)| (package, Some(part)));
        let numbers = package.strip_prefix("package-")?;
        let (socket, die) = numbers.split_once("-die-").map_or((numbers, None), |(socket, die)| (socket, Some(die)));
        let package = Package { socket: socket.parse().ok()?, die: die.map(str::parse).transpose().ok()? };
        match part {
            None => Some(Self::Package(package)),
            Some("core") => Some(Self::Cores(package)),
            Some("uncore") => Some(Self::Uncore(package)),
            Some("dram") => Some(Self::Dram(package)),
            Some(_) => None,
        }
    }

    /// `gpu0`, `card1`, `apu0`.
    fn of_numbered(name: &str) -> Option<Self> {
        let digits = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let number = digits.parse().ok()?;
        match &name[..name.len() - digits.len()] {
            "gpu" => Some(Self::Gpu(number)),
            "card" => Some(Self::Card(number)),
            "apu" => Some(Self::Apu(number)),
            _ => None,
        }
    }

    /// The resource of this name, as [`Display`](fmt::Display) writes it.
    pub(crate) fn of_name(name: &str) -> Self {
        let known = match name {
            "host" => Some(Self::Host),
            "impact-tracker" => Some(Self::Process),
            _ if name.starts_with("process.") => ShareMethod::of_name(&name["process.".len()..]).map(Self::ProcessTree),
            "tdp" => Some(Self::Processors),
            _ => match name.split_once('.') {
                Some(("rapl", domain)) => Self::of_domain(domain),
                Some(("hwmon", rest)) => rest
                    .split_once('.')
                    .map(|(chip, sensor)| Self::Board { chip: chip.to_owned(), sensor: sensor.to_owned() }),
                _ => Self::of_numbered(name)
                    .or_else(|| SOC_PARTS.iter().find(|(_, known)| *known == name).map(|(part, _)| Self::Soc(*part))),
            },
        };
        known.unwrap_or_else(|| Self::Meter(name.to_owned()))
    }
}

/// The name in tables and files.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Process => f.write_str("impact-tracker"),
            Self::ProcessTree(method) => write!(f, "process.{}", method.name()),
            Self::Processors => f.write_str("tdp"),
            Self::Platform(0) => f.write_str("rapl.psys"),
            Self::Platform(socket) => write!(f, "rapl.psys-{socket}"),
            Self::Package(package) => write!(f, "rapl.{package}"),
            Self::Cores(package) => write!(f, "rapl.{package}.core"),
            Self::Uncore(package) => write!(f, "rapl.{package}.uncore"),
            Self::Dram(package) => write!(f, "rapl.{package}.dram"),
            Self::Gpu(number) => write!(f, "gpu{number}"),
            Self::Card(number) => write!(f, "card{number}"),
            Self::Apu(number) => write!(f, "apu{number}"),
            Self::Soc(part) => f.write_str(SOC_PARTS[*part as usize].1),
            Self::Board { chip, sensor } => write!(f, "hwmon.{chip}.{sensor}"),
            Self::Meter(name) => f.write_str(name),
        }
    }
}

/// As Linux names it.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "package-{}", self.socket)?;
        self.die.map_or(Ok(()), |die| write!(f, "-die-{die}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const NAMES: [&str; 20] = [
        "strip.outlet",
        "ipmi",
        "host",
        "rapl.psys",
        "rapl.psys-1",
        "rapl.package-0",
        "rapl.package-1-die-2",
        "rapl.package-0.core",
        "rapl.package-1-die-2.uncore",
        "rapl.package-0.dram",
        "tdp",
        "gpu0",
        "gpu11",
        "card1",
        "apu0",
        "soc",
        "soc.gpu",
        "hwmon.amdgpu.slow-PPT",
        "impact-tracker",
        "process.sm-time",
    ];

    fn covers(outer: &str, inner: &str) -> Option<bool> {
        Resource::of_name(outer).covers(&Resource::of_name(inner))
    }

    #[test]
    fn cover_is_an_order() {
        let pairs =
            || NAMES.into_iter().flat_map(|a| NAMES.map(|b| (a, b))).filter(|(a, b)| covers(a, b) == Some(true));
        for (a, b) in pairs() {
            assert_ne!(covers(b, a), Some(true), "{a} and {b}");
            for (_, c) in pairs().filter(|(between, _)| *between == b) {
                assert_eq!(covers(a, c), Some(true), "{a} covers {b}, which covers {c}");
            }
        }
    }

    #[test]
    fn parts_have_their_own_names() {
        assert!(SOC_PARTS.iter().enumerate().all(|(place, (part, _))| *part as usize == place));
    }

    #[test]
    fn what_only_looks_like_a_name_is_that_of_a_meter() {
        for name in [
            "rapl.psysx",
            "rapl.psys-",
            "rapl.package-x",
            "rapl.package-0-die-",
            "rapl.package-0-die-x",
            "rapl.package-0.gpu",
            "rapl.core",
            "gpu",
            "gpu-1",
            "card",
            "tpu0",
            "0",
            "soc.npu",
            "process.x",
            "hwmon.psu",
        ] {
            assert_eq!(Resource::of_name(name), Resource::Meter(name.to_owned()));
        }
    }
}
