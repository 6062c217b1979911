//! Whole models in 32-bit floats on public measurements, with each device left out of the fit of the kernels' law.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{collections::BTreeSet, path::PathBuf};

use irene_devices::{
    Catalogue, Device, KernelFit, KernelLaw, KernelMeasurement, constants_of, read_neusight_ops,
    read_vidur_collectives, read_vidur_layers,
};
use irene_predict::read_neusight_models;

fn data(file: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA names the folder of data")).join("llm").join(file)
}

fn find(name: &str) -> Option<Device> {
    Catalogue::find(&name.replace('_', " ")).ok()
}

/// Everything that the shipped constants are fitted on.
fn measurements() -> Vec<KernelMeasurement> {
    let mut all = read_neusight_ops(&data("neusight_ops.csv"), find).unwrap();
    all.extend(read_vidur_layers(&data("vidur_layers.csv"), find).unwrap());
    all.extend(read_vidur_collectives(&data("vidur_collectives.csv"), find).unwrap());
    all.extend(read_neusight_models(&data("neusight_models.csv"), find).unwrap());
    all
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn models_on_devices_that_are_left_out_are_predicted() {
    let all = measurements();
    let is_model = |measured: &&KernelMeasurement| measured.group.starts_with("neusight model");
    let devices: BTreeSet<&str> = all.iter().filter(is_model).map(|measured| measured.device.name.as_str()).collect();
    let mut errors = Vec::new();
    for device in devices {
        let (left_out, others): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|measured| measured.device.name == device);
        let law = KernelFit::default().fit(&others);
        let error = |measured: &KernelMeasurement| 100.0 * (measured.predicted(&law) / measured.seconds - 1.0).abs();
        errors.extend(left_out.iter().filter(is_model).map(error));
    }
    errors.sort_by(f64::total_cmp);
    let (median, mean) = (errors[errors.len() / 2], errors.iter().sum::<f64>() / errors.len() as f64);
    println!("whole models, f32: {median:.1} / {mean:.1}% of {}", errors.len());
    assert!(errors.len() > 40 && median <= 6.0 && mean <= 9.0, "{median:.1} / {mean:.1}%");
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn a_fit_gives_the_shipped_constants() {
    let fitted = constants_of(&KernelFit::default().fit(&measurements()));
    for (name, shipped) in constants_of(KernelLaw::shipped()) {
        assert!((fitted[&name] / shipped).ln().abs() < 0.01, "{name}: {} is shipped as {shipped}", fitted[&name]);
    }
}
