use std::path::Path;

use irene_devices::{Catalogue, Device, Law, Positive, read_measurements};
use serde::Deserialize;

use crate::{Error, forecast::IDLE_SHARE};

/// A server whose power at the wall was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its name in the results.
    pub system: String,
    /// Its accelerators.
    pub device: Device,
    /// How many it has.
    pub count: f64,
    /// The least power at the wall during its runs, W.
    pub least_w: f64,
}

impl Server {
    /// The least power without that of its devices when idle, W. A device whose idle power nobody has published is taken for a fifth of its TDP.
    pub fn host_w(&self) -> f64 {
        self.least_w - self.count * self.device.idle_w.unwrap_or(IDLE_SHARE * self.device.tdp_w)
    }

    /// The same by the shipped law, W.
    pub fn predicted_w(&self) -> Option<f64> {
        Law::shipped().host.watts(&self.device, self.count)
    }
}

#[derive(Deserialize)]
struct Row {
    system: String,
    accelerator: String,
    n_accelerators: Positive,
    min_power_w: Option<Positive>,
}

/// The servers of a table of MLPerf's results with power, in the order of their first rows. Rows on devices that the catalogue does not know, or
/// that are no card in a server, are left out.
///
/// # Errors
/// [`Error::Devices`] if the file is not such a table.
pub(super) fn read_servers(path: &Path) -> Result<Vec<Server>, Error> {
    let mut servers: Vec<Server> = Vec::new();
    for row in read_measurements::<Row>(path)? {
        let name = row.accelerator.trim_start_matches("NVIDIA ").trim_end_matches(" CTS");
        let (Ok(device), Some(watts)) = (Catalogue::find(name), row.min_power_w.map(Positive::get)) else { continue };
        let server = Server { system: row.system, device, count: row.n_accelerators.get(), least_w: watts };
        if server.predicted_w().is_none() {
            continue;
        }
        match servers.iter_mut().find(|known| known.system == server.system) {
            Some(known) => known.least_w = known.least_w.min(watts),
            None => servers.push(server),
        }
    }
    Ok(servers)
}
