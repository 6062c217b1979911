//! Lists of what there is.

use serde::Serialize;
use utoipa::ToSchema;

/// Built-in models.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models {
    pub(crate) models: Vec<Model>,
}

/// A built-in model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// The config's `model_type`.
    pub(crate) architecture: String,
    /// The authors' name for the model and its like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) series: Option<String>,
    /// `decoder`, `embedder` or `encoder`.
    pub(crate) task: &'static str,
    pub(crate) num_parameters: Option<f64>,
    /// Parameters that one token meets, where experts leave out the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active_parameters: Option<u64>,
    pub(crate) layers: Option<usize>,
    pub(crate) hidden_size: Option<usize>,
    /// Positions that the model has; a sequence may be no longer.
    pub(crate) max_seq_len: Option<usize>,
}

/// Machines that can be predicted for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Devices {
    pub(crate) devices: Vec<DeviceEntry>,
}

/// How a device's energies are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeviceKind {
    /// By a predictor that was made from measurements on it.
    Measured,
    /// By its data sheet.
    DataSheet,
}

/// A machine, and what its predictor was made from, or its data sheet.
#[derive(Serialize, ToSchema)]
#[schema(title = "Device")]
pub(crate) struct DeviceEntry {
    pub(crate) name: String,
    pub(crate) kind: DeviceKind,
    pub(crate) description: String,
    pub(crate) method: String,
    /// The measurements, or the address of the data sheet.
    pub(crate) training_data: String,
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    pub(crate) estimated: bool,
    /// Least and greatest batch size of the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_sizes: Option<[usize; 2]>,
    /// Least and greatest sequence length of the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq_lens: Option<[usize; 2]>,
    #[serde(flatten)]
    pub(crate) sheet: Option<DataSheet>,
}

/// The figures of a device's data sheet; of a measured machine, those of its GPU.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataSheet {
    /// The name that its maker gives it.
    title: String,
    vendor: &'static str,
    /// The generation of its processor.
    architecture: String,
    class: &'static str,
    /// The year in which it came out.
    year: u16,
    memory_gib: f64,
    /// 10⁹ bytes a second.
    bandwidth_gb_s: f64,
    tdp_w: f64,
    /// Power when idle, where it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_w: Option<f64>,
    /// A price at which it is let, where one is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    hire: Option<&'static irene_advice::Hire>,
}

impl DataSheet {
    pub(crate) fn of(device: &irene_devices::Device) -> Self {
        Self {
            title: device.title.clone(),
            vendor: device.vendor.name(),
            architecture: device.architecture.clone(),
            class: device.class.name(),
            year: device.year,
            memory_gib: device.memory_gib,
            bandwidth_gb_s: device.bandwidth_gb_s,
            tdp_w: device.tdp_w,
            idle_w: device.idle_w,
            hire: irene_advice::Hire::of(&device.name),
        }
    }
}

/// Engines that serve models.
#[derive(Serialize, ToSchema)]
pub(crate) struct Engines {
    pub(crate) engines: Vec<EngineEntry>,
}

/// An engine of one generation.
#[derive(Serialize, ToSchema)]
#[schema(title = "Engine")]
pub(crate) struct EngineEntry {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) program: &'static str,
    /// Its usual kernels.
    pub(crate) kernels: &'static str,
    /// Whether it replaces sequences that have ended while others run: whether it takes a concurrency or a rate.
    pub(crate) is_continuous: bool,
}

/// Electricity grids.
#[derive(Serialize, ToSchema)]
pub(crate) struct Grids {
    pub(crate) grids: &'static [irene_advice::Grid],
}
