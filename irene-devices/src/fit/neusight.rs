use std::path::Path;

use irene_tree::Format;
use serde::Deserialize;

use super::{KernelMeasurement, Positive, read_measurements};
use crate::{Device, Result, Work, named_operation::NamedOperation};

#[derive(Deserialize)]
struct Row {
    op: String,
    device: String,
    latency_ms: Positive,
    b: Option<f64>,
    m: Option<f64>,
    n: Option<f64>,
    k: Option<f64>,
    h: Option<f64>,
}

/// The single kernels in 32-bit floats of NeuSight's measurements (`neusight_ops.csv`). Rows on devices that `find` does not know are
/// left out.
///
/// # Errors
/// [`Error::Measurements`](crate::Error::Measurements) if the file is not such a table;
/// [`Error::OperationName`](crate::Error::OperationName) and [`Error::OperationSize`](crate::Error::OperationSize) for a row.
pub fn read_neusight_ops(path: &Path, find: impl Fn(&str) -> Option<Device>) -> Result<Vec<KernelMeasurement>> {
    let mut measured = Vec::new();
    for row in read_measurements::<Row>(path)? {
        let Some(device) = find(&row.device) else { continue };
        let size = |size: Option<f64>| size.map(|size| size as u64);
        let [b, m, n, k, h] = [row.b, row.m, row.n, row.k, row.h].map(size);
        let operation = NamedOperation { op: &row.op, format: Format::F32, b, m, n, k, h }.operation()?;
        measured.push(KernelMeasurement {
            group: format!("neusight {}", row.op),
            works: vec![(Work::of(&operation), 1.0)],
            is_alone: true,
            seconds: row.latency_ms.get() * 1e-3,
            device,
        });
    }
    Ok(measured)
}
