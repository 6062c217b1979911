//! Whole models in 32-bit floats on public measurements, with each device left out of the fit of the kernels' law.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use irene_devices::{
    Catalogue, Device, KernelFit, KernelLaw, KernelMeasurement, constants_of, read_neusight_ops,
    read_vidur_collectives, read_vidur_layers,
};
use irene_numerics::{NORMAL_90, quantile};
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
    all.extend(models().into_iter().filter(is_inference));
    all
}

fn models() -> Vec<KernelMeasurement> {
    read_neusight_models(&data("neusight_models.csv"), find).unwrap()
}

fn is_inference(measured: &KernelMeasurement) -> bool {
    measured.group.starts_with("neusight model")
}

/// The law that is fitted without a device, by its name.
fn laws_without(all: &[KernelMeasurement], devices: &BTreeSet<&str>) -> BTreeMap<String, KernelLaw> {
    let without = |device: &str| {
        let others: Vec<_> = all.iter().filter(|measured| measured.device.name != device).cloned().collect();
        (device.to_owned(), KernelFit::default().fit(&others))
    };
    devices.iter().map(|device| without(device)).collect()
}

/// The median and the mean, %.
fn summary(mut errors: Vec<f64>) -> (f64, f64) {
    errors.sort_by(f64::total_cmp);
    (100.0 * errors[errors.len() / 2], 100.0 * errors.iter().sum::<f64>() / errors.len() as f64)
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn models_on_devices_that_are_left_out_are_predicted() {
    let all = measurements();
    let models: Vec<&KernelMeasurement> = all.iter().filter(|measured| is_inference(measured)).collect();
    let laws = laws_without(&all, &models.iter().map(|measured| measured.device.name.as_str()).collect());
    let error = |measured: &&KernelMeasurement| {
        (measured.predicted(&laws[&measured.device.name]) / measured.seconds - 1.0).abs()
    };
    let (median, mean) = summary(models.iter().map(error).collect());
    println!("whole models, f32: {median:.1} / {mean:.1}% of {}", models.len());
    assert!(models.len() > 40 && median <= 6.0 && mean <= 9.0, "{median:.1} / {mean:.1}%");
}

/// Nothing of training is in any fit.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn steps_of_training_on_devices_that_are_left_out_are_predicted() {
    let all = measurements();
    let rows: Vec<KernelMeasurement> = models().into_iter().filter(|measured| !is_inference(measured)).collect();
    let laws = laws_without(&all, &rows.iter().map(|measured| measured.device.name.as_str()).collect());
    let (mut errors, mut sizes) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
    for pair in rows.chunks(2) {
        let [forward, backward] = pair else { panic!("a forward pass has its backward pass") };
        assert!(forward.group.starts_with("neusight forward") && backward.group.starts_with("neusight backward"));
        let law = &laws[&forward.device.name];
        let [predicted_f, predicted_b] = [forward, backward].map(|measured| measured.predicted(law));
        let [measured_f, measured_b] = [forward, backward].map(|measured| measured.seconds);
        let step = (predicted_f + predicted_b) / (measured_f + measured_b);
        let ratios = [predicted_f / measured_f, predicted_b / measured_b, step];
        println!("{:16} {:28} {:.2} {:.2} {:.2}", forward.device.name, forward.group, ratios[0], ratios[1], ratios[2]);
        errors.iter_mut().zip(ratios).for_each(|(errors, ratio)| errors.push((ratio - 1.0).abs()));
        sizes.push(step.ln().abs());
    }
    let [forward, backward, step] = errors.map(summary);
    for (part, (median, mean)) in [("forward", forward), ("backward", backward), ("step", step)] {
        println!("training, f32, {part}: {median:.1} / {mean:.1}% of {}", sizes.len());
    }
    sizes.sort_by(f64::total_cmp);
    let spread = quantile(&sizes, 0.9).unwrap() / NORMAL_90;
    println!("spread of a step: {spread:.4}");
    assert!(sizes.len() == 25 && step.0 <= 9.0 && step.1 <= 13.0, "{step:?}");
    assert!(backward.0 <= 7.0 && backward.1 <= 7.0, "{backward:?}");
    assert!((spread / constants_of(KernelLaw::shipped())["spread.step"]).ln().abs() < 0.02, "{spread}");
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn a_fit_gives_the_shipped_constants() {
    let fitted = constants_of(&KernelFit::default().fit(&measurements()));
    for (name, shipped) in constants_of(KernelLaw::shipped()) {
        assert!((fitted[&name] / shipped).ln().abs() < 0.01, "{name}: {} is shipped as {shipped}", fitted[&name]);
    }
}
