use irene_models::TaskHead;
use irene_requests::{PercentErrors, RequestRow};
use irene_tree::{Format, Quantity, Tree};

use crate::{Fault, Figures, Forecast, Host, Load, Service, ServiceOptions};

/// How far off forecasts from a data sheet are on measured trees: whole models in 32-bit floats under transformers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeErrors {
    /// The time.
    pub time: PercentErrors,
    /// The energy by the device's own meter.
    pub gpu_energy: PercentErrors,
    /// The energy at the wall of a usual machine.
    pub wall_energy: PercentErrors,
}

/// The errors of forecasts of trees that were measured on a device of the catalogue.
///
/// # Errors
/// A [`Fault`] for a model or a device that is unknown.
pub fn check_trees<'a>(trees: impl IntoIterator<Item = &'a Tree>, device: &str) -> Result<TreeErrors, Fault> {
    let options = ServiceOptions { head: Some(TaskHead::None), ..ServiceOptions::default() };
    let of_gpu = Service::new(options.clone());
    let at_the_wall = Service::new(ServiceOptions { host: Some(Host::Usual), ..options });
    let mut errors = TreeErrors::default();
    for tree in trees {
        let row = pass(tree, device);
        let batch = tree.size.sequences as f64;
        let joules = |figures: &Figures| batch * figures.energy_per_request_j;
        let forecast = of_gpu.setting(&row)?.forecast().map_err(Fault::of(""))?;
        add(&mut errors.time, &forecast, tree.root().get(Quantity::Latency), |figures| figures.latency_s);
        add(&mut errors.gpu_energy, &forecast, tree.root().get(Quantity::GpuEnergy), joules);
        let forecast = at_the_wall.setting(&row)?.forecast().map_err(Fault::of(""))?;
        add(&mut errors.wall_energy, &forecast, tree.root().get(Quantity::GroundTruthEnergy), joules);
    }
    Ok(errors)
}

/// The request that the measured pass is.
fn pass(tree: &Tree, device: &str) -> RequestRow {
    RequestRow {
        model: Some(tree.model_name.clone()),
        device: Some(device.into()),
        engine: Some("transformers".into()),
        weights: Some(Format::F32),
        load: Some(Load::Sequences(tree.size.sequences)),
        prompt: Some(tree.size.new as f64),
        ..RequestRow::default()
    }
}

fn add(errors: &mut PercentErrors, forecast: &Forecast, measured: Option<f64>, of: impl Fn(&Figures) -> f64) {
    let Some(measured) = measured.filter(|measured| *measured > 0.0) else { return };
    let ratio = of(&forecast.figures) / measured;
    let [low, high] = forecast.interval.map(|end| of(&end));
    errors.add_with_interval(ratio, (low..=high).contains(&measured));
}
