use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use serde::Deserialize;

use crate::{Device, Error, Result};

/// The accelerators and processors that are shipped: data/devices.toml, which says how to add one.
///
/// ```
/// use irene_devices::Catalogue;
/// let h100 = Catalogue::find("NVIDIA H100 80GB HBM3")?;
/// assert_eq!((h100.name.as_str(), h100.peaks.f16, h100.bandwidth_gb_s), ("h100-sxm", Some(989.4), 3352.0));
/// # Ok::<(), irene_devices::Error>(())
/// ```
#[derive(Debug)]
pub struct Catalogue {
    devices: Vec<Device>,
    /// By what is left of their names.
    places: BTreeMap<Key, usize>,
}

/// The file's form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    device: Vec<Device>,
}

static SHIPPED: OnceLock<Catalogue> = OnceLock::new();

impl Catalogue {
    fn shipped() -> &'static Self {
        let read = || {
            // A fault in the file is ours; a test reads it.
            let File { device } = toml::from_str(include_str!("../data/devices.toml")).expect("devices.toml is read");
            Self::of(device)
        };
        SHIPPED.get_or_init(read)
    }

    fn of(devices: Vec<Device>) -> Self {
        let keys =
            |(place, device): (usize, &Device)| device.names().map(|name| (key(name), place)).collect::<Vec<_>>();
        let places = devices.iter().enumerate().flat_map(keys).collect();
        Self { devices, places }
    }

    /// Every device, by maker and generation.
    pub fn all() -> &'static [Device] {
        &Self::shipped().devices
    }

    /// The device that goes by this name: ours, its maker's, a driver's or a data set's. Case, spaces, hyphens, the order of the words and
    /// the maker's name make no difference.
    ///
    /// # Errors
    /// [`Error::Device`] with near names.
    pub fn find(name: &str) -> Result<Device> {
        let Self { devices, places } = Self::shipped();
        let found = places.get(&key(name)).and_then(|place| devices.get(*place));
        found.cloned().ok_or_else(|| Error::Device { name: name.to_owned(), similar: Self::near(name) })
    }

    /// Names with all the words that are asked for, or else names that are spelled nearly so.
    fn near(name: &str) -> Vec<String> {
        const MOST: usize = 6;
        let Self { devices, places } = Self::shipped();
        let words: BTreeSet<String> = key(name).into_iter().collect();
        let has_words = |key: &Key| !words.is_empty() && words.iter().all(|word| key.contains(word));
        let mut near: Vec<usize> = places.iter().filter(|(key, _)| has_words(key)).map(|(_, place)| *place).collect();
        near.sort_unstable();
        if near.is_empty() && !words.is_empty() {
            let spelled = irene_tree::similar(name, devices.iter().flat_map(Device::names));
            near.extend(spelled.into_iter().filter_map(|name| places.get(&key(name))));
        }
        near.dedup();
        near.into_iter().take(MOST).filter_map(|place| Some(devices.get(place)?.name.clone())).collect()
    }
}

/// The words and numbers of a name that tell devices apart, in alphabetical order.
type Key = Vec<String>;

fn key(name: &str) -> Key {
    // Words that some write and others leave out.
    const NOISE: [&str; 25] = [
        "nvidia",
        "amd",
        "intel",
        "apple",
        "google",
        "aws",
        "habana",
        "tesla",
        "geforce",
        "instinct",
        "radeon",
        "gpu",
        "gpus",
        "accelerator",
        "card",
        "generation",
        "edition",
        "memory",
        "gb",
        "gib",
        "graphics",
        "cpu",
        "processor",
        "tensor",
        "core",
    ];
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !is_memory_type(word));
    // All modules of a card have the same socket.
    let sockets = words.map(|word| if word.len() == 4 && word.starts_with("sxm") { "sxm" } else { word });
    let mut key: Key = sockets.flat_map(parts).filter(|part| !NOISE.contains(part)).map(str::to_owned).collect();
    key.sort_unstable();
    key
}

fn is_memory_type(word: &str) -> bool {
    ["hbm", "gddr"].iter().any(|kind| word.starts_with(kind))
}

/// The letters and the digits of a word: `a100` is `a` and `100`.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.as_bytes()
        .chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit())
        .filter_map(|part| str::from_utf8(part).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::DeviceClass;

    #[test]
    fn the_names_of_drivers_and_of_public_data_are_found() {
        for (name, ours) in [
            ("NVIDIA H100 80GB HBM3", "h100-sxm"),
            ("H100", "h100-sxm"),
            ("h100-80gb", "h100-sxm"),
            ("NVIDIA H100 PCIe", "h100-pcie"),
            ("NVIDIA H100 NVL", "h100-nvl"),
            ("Nvidia H100 GPU", "h100-sxm"),
            ("NVIDIA-H200-SXM-141GB", "h200-sxm"),
            ("NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"),
            ("NVIDIA_A100-PCIE-40GB", "a100-pcie-40gb"),
            ("NVIDIA_A100_80GB_PCIe", "a100-pcie-80gb"),
            ("a100-80gb", "a100-sxm-80gb"),
            ("NVIDIA A100-PCIe", "a100-pcie-40gb"),
            ("NVIDIA A100-PCIe-80GB", "a100-pcie-80gb"),
            ("NVIDIA A100-SXM-80GB", "a100-sxm-80gb"),
            ("NVIDIA AGX Xavier", "jetson-agx-xavier"),
            ("MI250 GCD", "mi250-die"),
            ("A100-SXM-80GB CTS", "a100-sxm-80gb"),
            ("A6000", "rtx-a6000"),
            ("RTX6000Ada", "rtx-6000-ada"),
            ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
            ("Quadro RTX 6000", "quadro-rtx-6000"),
            ("NVIDIA GeForce RTX 4090", "rtx-4090"),
            ("rtx 4060 ti", "rtx-4060-ti"),
            ("Tesla P4", "p4"),
            ("Tesla P100-PCIE-16GB", "p100-pcie"),
            ("Tesla V100-SXM2-16GB", "v100-sxm2"),
            ("Tesla V100-SXM2-32GB", "v100-sxm2-32gb"),
            ("v100-pcie", "v100-pcie"),
            ("V100", "v100-sxm2"),
            ("NVIDIA GH200 480GB", "gh200"),
            ("NVIDIA B300 SXM6 AC", "b300"),
            ("NVIDIA Xavier NX", "jetson-xavier-nx"),
            ("NVIDIA Jetson AGX Orin", "jetson-agx-orin"),
            ("NVIDIA Orin", "jetson-agx-orin"),
            ("AMD_Instinct_MI100", "mi100"),
            ("AMD MI250 GPU", "mi250"),
            ("Intel Max 1550", "max-1550"),
            ("Intel PVC GPU", "max-1550"),
            ("Habana Gaudi2", "gaudi2"),
            ("Apple M4 Max", "m4-max"),
            ("DGX Spark", "gb10"),
        ] {
            assert_eq!(Catalogue::find(name).unwrap().name, ours, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_gets_near_ones() {
        let said = |name: &str| Catalogue::find(name).unwrap_err().to_string();
        assert!(said("h10-sxm").contains("did you mean `h100-sxm`"), "{}", said("h10-sxm"));
        assert!(said("H1000").contains("did you mean `h100-sxm`"), "{}", said("H1000"));
        assert!(said("mi300").contains("did you mean `mi300a`, `mi300x`?"), "{}", said("mi300"));
        assert!(said("RTX A").contains("`rtx-a6000`"), "{}", said("RTX A"));
        assert!(said("L400").contains("`l40`"), "{}", said("L400"));
        for name in ["", "  ", "abacus", "µ", "nvidia"] {
            assert!(!said(name).contains("did you mean"), "{}", said(name));
        }
    }

    #[test]
    fn no_two_devices_share_a_name() {
        let mut seen = BTreeMap::new();
        for device in Catalogue::all() {
            for name in device.names() {
                let other = seen.insert(key(name), &device.name);
                assert!(other.is_none_or(|other| *other == device.name), "{name}: {other:?} and {}", device.name);
            }
        }
        assert!(Catalogue::all().len() >= 75);
    }

    #[test]
    fn every_device_has_figures_within_reason_and_their_sources() {
        for device in Catalogue::all() {
            let fault = device.check().err();
            assert!(fault.is_none(), "{}: {fault:?}", device.name);
            for (figure, _) in device.figures() {
                assert!(device.source(figure).is_some(), "{}: {figure} has no source", device.name);
            }
            assert!(device.source("tdp_w").is_some() && !device.architecture.is_empty());
        }
    }

    #[test]
    fn narrower_formats_are_no_slower() {
        for Device { name, peaks, .. } in Catalogue::all() {
            let half = peaks.f16.or(peaks.bf16);
            for (narrow, wide) in [
                (peaks.fp4, peaks.fp8.or(half)),
                (peaks.fp8, half),
                (peaks.int8, half.or(peaks.f32)),
                (half, peaks.tf32),
                (half, peaks.f32),
                (peaks.tf32, peaks.f32),
            ] {
                let (Some(narrow), Some(wide)) = (narrow, wide) else { continue };
                // Data sheets round.
                assert!(narrow >= 0.98 * wide, "{name}: {narrow} after {wide}");
            }
        }
    }

    #[test]
    fn operations_a_byte_are_of_a_processor() {
        for device in Catalogue::all() {
            let peak = device.peaks.f16.or(device.peaks.bf16).or(device.peaks.f32).unwrap();
            let a_byte = peak * 1e12 / (device.bandwidth_gb_s * 1e9);
            assert!((10.0..1000.0).contains(&a_byte), "{}: {a_byte} operations a byte", device.name);
            let a_watt = peak / device.tdp_w;
            assert!((0.005..4.0).contains(&a_watt), "{}: {a_watt} TFLOP/s a watt", device.name);
        }
    }

    /// Operations a clock of one multiprocessor in 16 bits, or in 32 where it has no 16.
    fn operations_a_clock(device: &Device) -> Option<f64> {
        let is_consumer = device.class == DeviceClass::Consumer;
        Some(match device.architecture.as_str() {
            "pascal" if device.name.starts_with("p100") => 256.0,
            "turing" | "ampere" | "ada" | "blackwell" if is_consumer => 512.0,
            "ampere" if device.name == "a10g" => 512.0,
            "ampere" if device.class == DeviceClass::Embedded => 2048.0,
            "ampere" if ["a100", "a800", "a30"].iter().any(|name| device.name.starts_with(name)) => 2048.0,
            "ada" if ["l20", "l40"].contains(&device.name.as_str()) => 512.0,
            "hopper" if device.name == "h20" => 1024.0,
            "blackwell" if ["b200", "gb200", "jetson-agx-thor"].contains(&device.name.as_str()) => 8192.0,
            "pascal" | "vega20" | "m1" | "m2" | "m3" | "m4" => 256.0,
            "rdna3" | "rdna3.5" => 512.0,
            "volta" | "turing" | "ampere" | "ada" | "blackwell" | "cdna1" | "cdna2" | "rdna4" => 1024.0,
            "cdna3" | "xe-hpg" | "xe2" => 2048.0,
            "hopper" | "cdna4" | "xe-hpc" => 4096.0,
            "blackwell-ultra" => 8192.0,
            _ => return None,
        })
    }

    #[test]
    fn peaks_follow_from_multiprocessors_and_clock() {
        let mut checked = 0;
        for device in Catalogue::all() {
            let (Some(units), Some(clock), Some(a_clock)) =
                (device.multiprocessors, device.clock_mhz, operations_a_clock(device))
            else {
                // Gaudi publishes no clock.
                assert!(device.class == DeviceClass::Cpu || device.clock_mhz.is_none(), "{}", device.name);
                continue;
            };
            let peak = device.peaks.f16.or(device.peaks.bf16).or(device.peaks.f32).unwrap();
            let of_units = f64::from(units) * clock * 1e6 * a_clock * 1e-12;
            assert!((peak / of_units - 1.0).abs() < 0.15, "{}: {peak} and {of_units}", device.name);
            checked += 1;
        }
        assert!(checked > 90);
    }

    proptest! {
        #[test]
        fn a_name_is_found_however_it_is_written(
            place in 0..Catalogue::all().len(), separators in proptest::collection::vec("[ _-]", 8), upper: bool, maker: bool,
        ) {
            let device = &Catalogue::all()[place];
            let mut separators = separators.iter().cycle();
            let mut name: String = device.name.split('-').collect::<Vec<_>>().join("\0");
            while let Some(at) = name.find('\0') {
                name.replace_range(at..=at, separators.next().map_or("-", String::as_str));
            }
            let name = if upper { name.to_uppercase() } else { name };
            let name = if maker { format!("NVIDIA {name}") } else { name };
            prop_assert_eq!(&Catalogue::find(&name).unwrap().name, &device.name);
        }

        #[test]
        fn any_text_is_found_or_refused(name in ".{0,40}") {
            match Catalogue::find(&name) {
                Ok(device) => prop_assert!(!device.name.is_empty()),
                Err(error) => prop_assert!(error.to_string().contains("irene devices")),
            }
        }
    }
}
