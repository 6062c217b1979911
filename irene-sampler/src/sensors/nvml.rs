//! NVIDIA GPUs, through the management library (NVML) of their driver.
//!
//! All readings are of whole cards. No sensor tells the power of one MIG instance.

use std::time::Duration;

use nvml_wrapper::{
    Device, Nvml, enum_wrappers::device::Clock, enums::device::SampleValue, error::NvmlError, structs::device::FieldId,
};

use crate::{Averaging, Channel, Metric, Missing, Need, Readings, Resource, Sensor, channel::power_bound};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind =
    Kind { name: "nvml", what: "NVIDIA GPUs: utilisation, memory, clocks, power and energy", open };

/// Drivers renew power and energy every 20 to 100 ms, by the card; NVML does not say which.
const UPDATE_PERIOD: Duration = Duration::from_millis(100);

/// NVML counts in milliwatts and millijoules.
const MILLI: f64 = 1000.0;

type Read = fn(&Device<'_>) -> Result<f64, NvmlError>;

/// The metrics of a card. [`source_of_power`] may know a better power. Volta and later count energy, since the driver was loaded.
const METRICS: [(Metric, Read); 6] = [
    (Metric::Utilisation, |card| card.utilization_rates().map(|rates| f64::from(rates.gpu))),
    (Metric::Memory, |card| card.memory_info().map(|memory| 100.0 * memory.used as f64 / memory.total as f64)),
    (Metric::CoreClock, |card| card.clock_info(Clock::SM).map(f64::from)),
    (Metric::MemoryClock, |card| card.clock_info(Clock::Memory).map(f64::from)),
    (Metric::Power, power),
    (Metric::Energy, |card| card.total_energy_consumption().map(|energy| energy as f64 / MILLI)),
];

/// nvml.h's NVML_FI_DEV_POWER_INSTANT: the power of the moment, an unsigned number of mW.
const POWER_INSTANT: FieldId = FieldId(186);

fn instant_power(card: &Device<'_>) -> Result<f64, NvmlError> {
    let field = card.field_values_for(&[POWER_INSTANT])?.pop().ok_or(NvmlError::NotSupported)??;
    match field.value? {
        SampleValue::U32(milliwatts) => Ok(f64::from(milliwatts) / MILLI),
        _ => Err(NvmlError::NotSupported),
    }
}

fn power(card: &Device<'_>) -> Result<f64, NvmlError> {
    card.power_usage().map(|power| f64::from(power) / MILLI)
}

/// The best source of a card's power: that of the moment, which newer drivers tell. nvmlDeviceGetPowerUsage gives the mean of the last
/// second on Ampere and later, but for the A100's chip (GA100, of compute capability 8.0), and the moment's power on all others.
fn source_of_power(card: &Device<'_>) -> (Read, Averaging) {
    if instant_power(card).is_ok() {
        return (instant_power, Averaging::None);
    }
    let is_mean = card.cuda_compute_capability().map(|capability| (capability.major, capability.minor) > (8, 0));
    let averaging = match is_mean {
        Ok(true) => Averaging::Over(Duration::from_secs(1)),
        Ok(false) => Averaging::None,
        Err(_) => Averaging::Unknown,
    };
    (power, averaging)
}

struct Card {
    /// Its number in NVML. A handle borrows the library, and getting one is cheap.
    index: u32,
    reads: Vec<Read>,
}

struct Gpus {
    nvml: Nvml,
    channels: Vec<Channel>,
    cards: Vec<Card>,
    missing: Vec<Missing>,
}

fn load(places: &Places) -> Result<Nvml, NvmlError> {
    match &places.nvml_library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    }
}

/// The library; None on a machine without NVIDIA's driver or GPU.
pub(super) fn library_if_any(places: &Places) -> Result<Option<Nvml>, Unavailable> {
    match load(places) {
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(refusal("NVML", &error)),
        Ok(nvml) => Ok(Some(nvml).filter(|nvml| !nvml.device_count().is_ok_and(|count| count == 0))),
    }
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let nvml = load(places).map_err(|error| refusal("NVML", &error))?;
    let indices = visible(&nvml, places.visible_devices.as_deref())?;
    let mut gpus = Gpus { nvml, channels: Vec::new(), cards: Vec::new(), missing: Vec::new() };
    // One lost card does not hide the others, and the total says that it lacks this one.
    for index in indices {
        if let Err(error) = gpus.add_card(index) {
            gpus.lacks(index, refusal(&format!("GPU {index}"), &error));
        }
    }
    match gpus.missing.first() {
        Some(missing) if gpus.cards.is_empty() => Err(missing.why.clone()),
        _ => Ok(Box::new(gpus)),
    }
}

impl Gpus {
    /// Adds the channels that a card supports, or says why there are none.
    fn add_card(&mut self, index: u32) -> Result<(), NvmlError> {
        let card = self.nvml.device_by_index(index)?;
        let mut reads = Vec::new();
        let mut refused = NvmlError::NotSupported;
        let source = source_of_power(&card);
        for (metric, read) in METRICS {
            let (read, averaging) = if metric == Metric::Power { source } else { (read, Averaging::None) };
            match read(&card) {
                Ok(_) => {
                    reads.push(read);
                    self.channels.push(Channel { averaging, ..channel(&card, index, metric) });
                }
                Err(NvmlError::NotSupported) => {}
                Err(error) => refused = error,
            }
        }
        if reads.is_empty() {
            return Err(refused);
        }
        self.cards.push(Card { index, reads });
        let is_metered =
            |channel: &Channel| channel.id.resource == Resource::Gpu(index) && channel.id.metric.is_energy();
        if !self.channels.iter().any(is_metered) {
            self.lacks(index, Unavailable::new(format!("GPU {index} tells neither its power nor its energy")));
        }
        Ok(())
    }

    fn lacks(&mut self, index: u32, why: Unavailable) {
        self.missing.push(Missing { resource: Resource::Gpu(index), why, need: Need::Part });
    }
}

/// A metric of a card, with the limits of the card for power and energy.
fn channel(card: &Device<'_>, index: u32, metric: Metric) -> Channel {
    let mut channel = Channel::new(Resource::Gpu(index), metric);
    if metric.is_energy() {
        channel.update_period = Some(UPDATE_PERIOD);
        channel.limit_watts = limit_watts(card).unwrap_or(channel.limit_watts);
        channel.cap_watts = card.enforced_power_limit().ok().map(|limit| f64::from(limit) / MILLI);
    }
    channel
}

/// The power above which a reading of a card cannot be true, watts, if the card tells limits.
fn limit_watts(card: &Device<'_>) -> Option<f64> {
    // While a recording runs, somebody may raise the enforced limit as far as the largest.
    let largest = card.power_management_limit_constraints().map(|limits| limits.max_limit);
    let limit = largest.into_iter().chain(card.enforced_power_limit()).max()?;
    Some(power_bound([f64::from(limit) / MILLI]))
}

impl Sensor for Gpus {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let mut channel = 0;
        for card in &self.cards {
            let device = self.nvml.device_by_index(card.index);
            for read in &card.reads {
                // A card that was lost, or does not answer now, has no reading.
                if let Some(value) = device.as_ref().ok().and_then(|device| read(device).ok()) {
                    readings.push(channel, value);
                }
                channel += 1;
            }
        }
    }

    fn missing(&self) -> &[Missing] {
        &self.missing
    }
}

/// The cards that CUDA shows, by NVML's index. Like CUDA it stops at the first entry that names no card. Numbers are those of
/// `nvidia-smi`; CUDA counts the same way if the cards are alike or `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.
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
            // Two instances may belong to one card.
            Some(index) if indices.contains(&index) => {}
            Some(index) => indices.push(index),
        }
    }
    if indices.is_empty() {
        let reason = format!("CUDA_VISIBLE_DEVICES is `{list}`, which shows none of the {count} GPUs");
        let why = Unavailable::new(reason).fixed_by("unset it, or name GPUs by a number or id of `nvidia-smi -L`");
        return Err(Unavailable { is_there: true, ..why });
    }
    Ok(indices)
}

/// The card whose id begins with this, if there is exactly one.
fn card_by_uuid(nvml: &Nvml, count: u32, prefix: &str) -> Option<u32> {
    let uuid = |index: u32| nvml.device_by_index(index)?.uuid();
    let mut matches = (0..count).filter(|&index| uuid(index).is_ok_and(|uuid| uuid.starts_with(prefix)));
    matches.next().filter(|_| matches.next().is_none())
}

/// The card of a MIG instance: `MIG-<id>`, or before driver 470 `MIG-<card's id>/<instance>/<instance>`.
fn card_of_instance(nvml: &Nvml, count: u32, id: &str) -> Result<u32, Unavailable> {
    if let Some((card, _)) = id["MIG-".len()..].split_once('/')
        && let Some(index) = card_by_uuid(nvml, count, card)
    {
        return Ok(index);
    }
    let parent = nvml.device_by_uuid(id).and_then(|instance| instance.mig_parent_device()?.index());
    parent.map_err(|error| {
        let why = Unavailable::new(format!("CUDA_VISIBLE_DEVICES has {id}, whose card cannot be told: {error}"))
            .fixed_by("`nvidia-smi -L` lists the instances there are");
        Unavailable { is_there: true, ..why }
    })
}

/// Whether an error says that the machine has no GPU of NVIDIA, or not its driver.
fn is_absent(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded)
}

/// An error of NVML, with what to do about it.
pub(super) fn refusal(what: &str, error: &NvmlError) -> Unavailable {
    let reason = match error {
        NvmlError::LibloadingError(error) => format!("NVIDIA's management library cannot be loaded: {error}"),
        _ => format!("{what}: {error}"),
    };
    let unavailable = Unavailable { is_there: !is_absent(error), ..Unavailable::new(reason) };
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
