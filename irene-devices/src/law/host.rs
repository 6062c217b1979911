use serde::{Deserialize, Serialize};

use crate::{Device, DeviceClass};

/// The power that the machine around its devices draws while they run: processors, memory, fans and the losses of the power supply. The
/// devices' own meters do not show it.
///
/// Servers: the least power at the wall during the runs of 15 systems of MLPerf Inference with 1 to 8 devices, less the devices' idle power,
/// fitted in logarithms. Desktops: an assumption for one socket with a core that starts kernels; no measurement is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLaw {
    /// A server, W.
    pub server_w: f64,
    /// A server, for each device in it beyond that, W.
    pub server_device_w: f64,
    /// A desktop or workstation, W.
    pub desktop_w: f64,
    /// The standard deviation of the logarithm of these.
    pub spread: f64,
}

impl HostLaw {
    /// The power of a machine with this many devices, W; None if the device is not a card in a machine.
    pub fn watts(&self, device: &Device, count: f64) -> Option<f64> {
        match device.class {
            DeviceClass::Datacenter => Some(self.server_w + self.server_device_w * count),
            DeviceClass::Workstation | DeviceClass::Consumer => Some(self.desktop_w),
            _ => None,
        }
    }
}
