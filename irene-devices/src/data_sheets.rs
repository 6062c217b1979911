use std::path::Path;

use serde::Deserialize;

use crate::{Catalogue, Device, Result, read_measurements};

/// A data sheet that somebody else wrote down, beside that of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetCheck {
    /// The device by its name there.
    pub name: String,
    /// The device of the catalogue, if it has one of that name.
    pub device: Option<Device>,
    /// Figures by their names in [`Device::figures`]: the catalogue's, and theirs.
    pub figures: Vec<(&'static str, f64, f64)>,
}

#[derive(Deserialize)]
struct Row {
    gpu_db_name: String,
    memory_size_gb: f64,
    memory_bandwidth_gb_s: f64,
    streaming_multiprocessors: f64,
    thermal_design_power_w: f64,
    tensor_tflops: f64,
}

/// The data sheets of WattGPU (`gpus_wattgpu.csv`) beside those of the catalogue.
///
/// # Errors
/// [`Error::Measurements`](crate::Error::Measurements) if the file is not such a table.
pub fn read_data_sheets(path: &Path) -> Result<Vec<SheetCheck>> {
    let check = |row: Row| {
        let device = Catalogue::find(&row.gpu_db_name).ok();
        let theirs = [
            ("f16", row.tensor_tflops),
            ("bandwidth_gb_s", row.memory_bandwidth_gb_s),
            ("memory_gib", row.memory_size_gb),
            ("multiprocessors", row.streaming_multiprocessors),
            ("tdp_w", row.thermal_design_power_w),
        ];
        let ours = device.as_ref().map(Device::figures).unwrap_or_default();
        let beside = |(name, theirs): (&'static str, f64)| {
            let (_, ours) = ours.iter().find(|(known, _)| *known == name)?;
            Some((name, *ours, theirs))
        };
        SheetCheck { figures: theirs.into_iter().filter_map(beside).collect(), name: row.gpu_db_name, device }
    };
    Ok(read_measurements::<Row>(path)?.into_iter().map(check).collect())
}
