//! NVIDIA GPUs, through the management library (NVML) of their driver.
//!
//! All readings are of whole cards, also where a MIG instance is used: what one instance draws, no sensor tells.

use std::time::Duration;

use nvml_wrapper::{Device, Nvml, enum_wrappers::device::Clock, error::NvmlError};

use crate::{Channel, Counter, Readings, Source, Unit};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind =
    Kind { name: "nvml", what: "NVIDIA GPUs: utilisation, memory, clocks, power and energy", open };

/// Drivers renew power and energy every 20 to 100 ms, by the card; NVML does not say which.
const UPDATE_PERIOD: Duration = Duration::from_millis(100);

/// A card draws more than its limit in spikes that are shorter than the limiter's reaction.
const HEADROOM: f64 = 2.0;

/// NVML gives milliwatts and millijoules.
pub(super) const MILLI: f64 = 1000.0;

/// Something to read of a card.
struct Quantity {
    name: &'static str,
    unit: Unit,
    read: fn(&Device<'_>) -> Result<f64, NvmlError>,
}

const QUANTITIES: [Quantity; 6] = [
    Quantity {
        name: "util",
        unit: Unit::Percent,
        read: |card| card.utilization_rates().map(|rates| f64::from(rates.gpu)),
    },
    Quantity {
        name: "mem",
        unit: Unit::Percent,
        read: |card| card.memory_info().map(|memory| 100.0 * memory.used as f64 / memory.total as f64),
    },
    Quantity { name: "sm_clock", unit: Unit::Megahertz, read: |card| card.clock_info(Clock::SM).map(f64::from) },
    Quantity { name: "mem_clock", unit: Unit::Megahertz, read: |card| card.clock_info(Clock::Memory).map(f64::from) },
    // From Ampere on (but for the A100's chip) the mean of the last second; those cards also count energy, which is exact.
    Quantity {
        name: "power",
        unit: Unit::Watts,
        read: |card| card.power_usage().map(|power| f64::from(power) / MILLI),
    },
    // Since the driver was loaded, on Volta and later.
    Quantity {
        name: "energy",
        unit: Unit::Joules,
        read: |card| card.total_energy_consumption().map(|energy| energy as f64 / MILLI),
    },
];

struct Sensor {
    read: fn(&Device<'_>) -> Result<f64, NvmlError>,
    /// Of energy.
    counter: Option<Counter>,
}

struct Card {
    /// By NVML. The handle itself borrows the library, and getting one is cheap.
    index: u32,
    sensors: Vec<Sensor>,
}

struct Gpus {
    nvml: Nvml,
    channels: Vec<Channel>,
    cards: Vec<Card>,
}

fn load(places: &Places) -> Result<Nvml, NvmlError> {
    match &places.nvml_library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    }
}

/// The library and the visible cards; None on a machine without NVIDIA's driver or GPU.
pub(super) fn library_if_any(places: &Places) -> Result<Option<(Nvml, Vec<u32>)>, Unavailable> {
    let nvml = match load(places) {
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded) => {
            return Ok(None);
        }
        nvml => nvml.map_err(|error| refusal("NVML", &error))?,
    };
    if nvml.device_count().is_ok_and(|count| count == 0) {
        return Ok(None);
    }
    let indices = visible(&nvml, places.visible_devices.as_deref())?;
    Ok(Some((nvml, indices)))
}

fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    let nvml = load(places).map_err(|error| refusal("NVML", &error))?;
    let indices = visible(&nvml, places.visible_devices.as_deref())?;
    let mut gpus = Gpus { nvml, channels: Vec::new(), cards: Vec::new() };
    // What cannot be asked cannot run a model either: one lost card does not hide the others.
    let mut refused = None;
    for index in indices {
        if let Err(error) = gpus.add_card(index) {
            refused.get_or_insert_with(|| refusal(&format!("GPU {index}"), &error));
        }
    }
    match refused {
        Some(refused) if gpus.cards.is_empty() => Err(refused),
        _ => Ok(Box::new(gpus)),
    }
}

impl Gpus {
    /// Adds the channels of a card that it supports, or says why there are none.
    fn add_card(&mut self, index: u32) -> Result<(), NvmlError> {
        let card = self.nvml.device_by_index(index)?;
        let mut readable = Vec::new();
        let mut refused = NvmlError::NotSupported;
        for quantity in &QUANTITIES {
            match (quantity.read)(&card) {
                Ok(_) => readable.push(quantity),
                Err(NvmlError::NotSupported) => {}
                Err(error) => refused = error,
            }
        }
        if readable.is_empty() {
            return Err(refused);
        }
        let limit = limit_watts(&card);
        let counts_energy = readable.iter().any(|quantity| quantity.unit == Unit::Joules);
        let mut sensors = Vec::new();
        for quantity in readable {
            let name = format!("gpu{index}.{}", quantity.name);
            let mut channel = Channel::gauge(name, quantity.unit);
            if quantity.unit.is_energy() {
                // Of both, only one counts.
                channel.is_total = quantity.unit == Unit::Joules || !counts_energy;
                channel.update_period = Some(UPDATE_PERIOD);
                channel.limit_watts = limit.unwrap_or(channel.limit_watts);
            }
            let counter = (quantity.unit == Unit::Joules).then(|| Counter::of(&channel, None));
            sensors.push(Sensor { read: quantity.read, counter });
            self.channels.push(channel);
        }
        self.cards.push(Card { index, sensors });
        Ok(())
    }
}

/// The energy counter of a card.
pub(super) fn energy_channel(card: &Device<'_>) -> Channel {
    let mut channel = Channel::energy("gpu", Unit::Joules);
    channel.update_period = Some(UPDATE_PERIOD);
    channel.limit_watts = limit_watts(card).unwrap_or(channel.limit_watts);
    channel
}

/// What a card can draw, watts, if it says so.
fn limit_watts(card: &Device<'_>) -> Option<f64> {
    // The enforced limit may be raised as far as the largest while a recording runs.
    let largest = card.power_management_limit_constraints().map(|limits| limits.max_limit);
    let limit = largest.into_iter().chain(card.enforced_power_limit()).max()?;
    Some(HEADROOM * f64::from(limit) / MILLI).filter(|&watts| watts > 0.0)
}

impl Source for Gpus {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let mut channel = 0;
        for card in &mut self.cards {
            let device = self.nvml.device_by_index(card.index);
            for sensor in &mut card.sensors {
                // A card that was lost, or cannot tell just now, leaves its readings out.
                let value = device.as_ref().ok().and_then(|device| (sensor.read)(device).ok());
                match (value, &mut sensor.counter) {
                    (Some(joules), Some(counter)) => readings.count(channel, counter, joules),
                    (Some(value), None) => readings.push(channel, value),
                    (None, _) => {}
                }
                channel += 1;
            }
        }
    }
}

/// The cards that CUDA shows, by NVML's index; as CUDA does, it stops at the first entry that is none. Numbers are those of
/// `nvidia-smi`, which are CUDA's own where the cards are alike or `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.
fn visible(nvml: &Nvml, list: Option<&str>) -> Result<Vec<u32>, Unavailable> {
    let count = nvml.device_count().map_err(|error| refusal("NVML", &error))?;
    if count == 0 {
        return Err(Unavailable::new("NVML: the driver finds no GPU"));
    }
    let Some(list) = list else { return Ok((0..count).collect()) };
    let mut indices = Vec::new();
    for entry in list.split(',').map(str::trim) {
        let index = if entry.starts_with("MIG-") {
            Some(card_of_instance(nvml, count, entry)?)
        } else if entry.starts_with("GPU-") {
            card_by_uuid(nvml, count, entry)
        } else {
            entry.parse().ok().filter(|&index| index < count)
        };
        match index {
            None => break,
            // Two instances may be of one card.
            Some(index) if indices.contains(&index) => {}
            Some(index) => indices.push(index),
        }
    }
    if indices.is_empty() {
        let reason = format!("CUDA_VISIBLE_DEVICES is `{list}`, which shows none of the {count} GPUs");
        return Err(Unavailable::new(reason).fixed_by("unset it, or name GPUs by a number or id of `nvidia-smi -L`"));
    }
    Ok(indices)
}

/// The card whose id begins so, if it is one.
fn card_by_uuid(nvml: &Nvml, count: u32, prefix: &str) -> Option<u32> {
    let uuid = |index: u32| nvml.device_by_index(index)?.uuid();
    let mut matches = (0..count).filter(|&index| uuid(index).is_ok_and(|uuid| uuid.starts_with(prefix)));
    matches.next().filter(|_| matches.next().is_none())
}

/// The card that a MIG instance is part of: `MIG-<id>`, or of drivers before 470 `MIG-<card's id>/<instance>/<instance>`.
fn card_of_instance(nvml: &Nvml, count: u32, id: &str) -> Result<u32, Unavailable> {
    if let Some((card, _)) = id["MIG-".len()..].split_once('/')
        && let Some(index) = card_by_uuid(nvml, count, card)
    {
        return Ok(index);
    }
    let parent = nvml.device_by_uuid(id).and_then(|instance| instance.mig_parent_device()?.index());
    parent.map_err(|error| {
        Unavailable::new(format!("CUDA_VISIBLE_DEVICES has {id}, whose card cannot be told: {error}"))
            .fixed_by("`nvidia-smi -L` lists the instances there are")
    })
}

/// What to do about an error of NVML.
pub(super) fn refusal(what: &str, error: &NvmlError) -> Unavailable {
    let unavailable = Unavailable::new(match error {
        NvmlError::LibloadingError(error) => format!("NVIDIA's management library cannot be loaded: {error}"),
        _ => format!("{what}: {error}"),
    });
    let fix = match error {
        NvmlError::LibloadingError(_) | NvmlError::FailedToLoadSymbol(_) | NvmlError::LibraryNotFound => {
            "install the NVIDIA driver, or point to its library libnvidia-ml.so.1 (on Windows nvml.dll)"
        }
        NvmlError::DriverNotLoaded => "`sudo modprobe nvidia`, or install the NVIDIA driver",
        NvmlError::NoPermission => {
            "`sudo chmod a+rw /dev/nvidiactl /dev/nvidia[0-9]*` until the next boot, or for good join the group that \
             `ls -l /dev/nvidiactl` shows: `sudo usermod -aG GROUP $USER`"
        }
        NvmlError::OperatingSystem => "start the container with the GPUs: `docker run --gpus all`",
        NvmlError::LibRmVersionMismatch => "reboot: the driver was updated while the old one is still loaded",
        NvmlError::GpuLost | NvmlError::ResetRequired => {
            "reboot, or `sudo nvidia-smi --gpu-reset` where nothing uses it"
        }
        _ => return unavailable,
    };
    unavailable.fixed_by(fix)
}
