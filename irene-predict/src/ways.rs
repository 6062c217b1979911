//! Ways out for what does not fit a device: each was tried.

use irene_devices::{Catalogue, Device};
use irene_tree::Parallel;

/// More GPUs that share each layer.
pub(crate) fn more_gpus(parallel: Parallel, fits: impl Fn(Parallel) -> bool) -> Option<String> {
    let mut ways = (1..=6).map(|power| Parallel { tensor: parallel.tensor << power, ..parallel });
    let found = ways.find(|&parallel| fits(parallel))?;
    Some(format!("parallel.tensor {}", found.tensor))
}

/// The smallest device of the class that has the memory.
pub(crate) fn larger(device: &Device, fits: impl Fn(&Device) -> bool) -> Option<String> {
    let of_class = Catalogue::all().iter().filter(|other| other.class == device.class && fits(other));
    let smallest = of_class.min_by(|a, b| a.memory_gib.total_cmp(&b.memory_gib))?;
    Some(format!("{} and larger devices", smallest.name))
}
