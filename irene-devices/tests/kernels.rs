//! The law of single kernels on public measurements, with each device left out of its fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{collections::BTreeSet, path::PathBuf};

use irene_devices::{
    Catalogue, Device, KernelFit, KernelMeasurement, read_neusight_ops, read_vidur_collectives, read_vidur_layers,
};
use irene_numerics::NORMAL_90;

fn data(file: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA names the folder of data")).join("llm").join(file)
}

fn find(name: &str) -> Option<Device> {
    Catalogue::find(name).ok()
}

fn measurements() -> Vec<KernelMeasurement> {
    let mut all = read_neusight_ops(&data("neusight_ops.csv"), find).unwrap();
    all.extend(read_vidur_layers(&data("vidur_layers.csv"), find).unwrap());
    all.extend(read_vidur_collectives(&data("vidur_collectives.csv"), find).unwrap());
    all
}

/// A measurement with what a law says that was fitted without its device.
struct LeftOut {
    group: String,
    /// Predicted over measured.
    ratio: f64,
    is_inside: bool,
}

fn left_out(all: &[KernelMeasurement]) -> Vec<LeftOut> {
    let devices: BTreeSet<&str> = all.iter().map(|measured| measured.device.name.as_str()).collect();
    let of_device = |device: &&str| {
        let (left_out, others): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|measured| measured.device.name == *device);
        let law = KernelFit::default().fit(&others);
        let of_one = move |measured: KernelMeasurement| {
            let ratio = measured.predicted(&law) / measured.seconds;
            let spread = law.spread(&measured.device, &measured.works[0].0);
            LeftOut { ratio, is_inside: ratio.ln().abs() <= NORMAL_90 * spread, group: measured.group }
        };
        left_out.into_iter().map(of_one).collect::<Vec<_>>()
    };
    devices.iter().flat_map(of_device).collect()
}

/// Median and mean of the absolute errors of groups, %.
fn errors(left_out: &[LeftOut], is_of_it: impl Fn(&str) -> bool) -> [f64; 2] {
    let of_it = left_out.iter().filter(|measured| is_of_it(&measured.group));
    let mut errors: Vec<f64> = of_it.map(|measured| 100.0 * (measured.ratio - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    [errors[errors.len() / 2], errors.iter().sum::<f64>() / errors.len() as f64]
}

/// How many measurements of groups lie inside their intervals, %.
fn inside(left_out: &[LeftOut], is_of_it: impl Fn(&str) -> bool) -> f64 {
    let of_it: Vec<bool> =
        left_out.iter().filter(|measured| is_of_it(&measured.group)).map(|measured| measured.is_inside).collect();
    100.0 * of_it.iter().filter(|is_inside| **is_inside).count() as f64 / of_it.len() as f64
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn devices_that_are_left_out_are_predicted() {
    let left_out = left_out(&measurements());
    let is_layer = |group: &str| group.starts_with("vidur") && !group.contains("all_reduce") && !group.contains("send");
    let is_product = |group: &str| is_layer(group) && group.contains("proj");
    let is_element_wise = |group: &str| {
        group.starts_with("neusight") && !["linear", "bmm", "ln", "softmax"].iter().any(|op| group.ends_with(op))
    };
    type Groups<'a> = &'a dyn Fn(&str) -> bool;
    let reached: [(&str, Groups<'_>, [f64; 2]); 8] = [
        ("layers, f16", &is_layer, [9.0, 11.0]),
        ("products of layers, f16", &is_product, [6.0, 8.0]),
        ("element-wise, f32", &is_element_wise, [3.0, 5.5]),
        ("linear, f32", &|group| group.ends_with(" linear"), [11.0, 15.5]),
        ("bmm, f32", &|group| group.ends_with(" bmm"), [15.0, 19.0]),
        ("layer norm, f32", &|group| group.ends_with(" ln"), [9.0, 12.0]),
        ("softmax, f32", &|group| group.ends_with(" softmax"), [18.0, 21.0]),
        ("exchange", &|group| group.contains("all_reduce") || group.contains("send"), [29.0, 32.0]),
    ];
    let errors = reached.map(|(what, is_of_it, most)| (what, errors(&left_out, is_of_it), most));
    for (what, [median, mean], _) in errors {
        println!("{what}: {median:.1} / {mean:.1}%");
    }
    for (what, is_of_it) in
        [("layers", &is_layer as Groups<'_>), ("operations", &|group| group.starts_with("neusight"))]
    {
        let inside = inside(&left_out, is_of_it);
        println!("{what} inside their intervals of 90%: {inside:.1}%");
        assert!((85.0..=95.0).contains(&inside), "{what}: {inside:.1}%");
    }
    for (what, [median, mean], [most_median, most_mean]) in errors {
        assert!(median <= most_median && mean <= most_mean, "{what}: {median:.1} / {mean:.1}%");
    }
}
