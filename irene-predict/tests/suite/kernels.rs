//! The law of single kernels on public measurements, of kernels and of whole models in 32-bit floats, with each device left out of its fit.

use std::sync::LazyLock;

use irene_devices::{KernelLaw, KernelMeasurement, constants_of, fit_kernels};
use irene_numerics::{NORMAL_90, rank_quantile};
use irene_predict::{KernelsLeftOut, PublicData, PublicFile, training_steps};
use irene_requests::PercentErrors;

/// The public measurements.
struct Public {
    /// The measurements that the shipped constants are fitted to.
    fitted: Vec<KernelMeasurement>,
    /// Steps of training, of which nothing is in any fit.
    training: Vec<KernelMeasurement>,
    laws: KernelsLeftOut,
}

/// The laws are fitted once for all tests.
static PUBLIC: LazyLock<Public> = LazyLock::new(|| {
    let read = |file: &str| match PublicFile::read(&crate::machines::data(file)).unwrap().unwrap().data {
        PublicData::Kernels(measured) | PublicData::Passes(measured) => measured,
        other => panic!("{file}: {other:?}"),
    };
    let files = ["neusight_ops.csv", "vidur_layers.csv", "vidur_collectives.csv", "neusight_models.csv"];
    let (training, fitted): (Vec<_>, Vec<_>) =
        files.into_iter().flat_map(read).partition(KernelMeasurement::is_training);
    let laws = KernelsLeftOut::each(&fitted, &|| ());
    Public { fitted, training, laws }
});

/// The errors of groups.
fn errors(is_of_it: impl Fn(&str) -> bool) -> PercentErrors {
    PUBLIC.laws.errors(PUBLIC.fitted.iter().filter(|measured| is_of_it(&measured.group)))
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn devices_that_are_left_out_are_predicted() {
    let is_layer = |group: &str| group.starts_with("vidur") && !group.contains("all_reduce") && !group.contains("send");
    let is_product = |group: &str| is_layer(group) && group.contains("proj");
    let is_operation = |group: &str| group.starts_with("neusight") && !group.starts_with("neusight model");
    let is_element_wise =
        |group: &str| is_operation(group) && !["linear", "bmm", "ln", "softmax"].iter().any(|op| group.ends_with(op));
    type Groups<'a> = &'a dyn Fn(&str) -> bool;
    let reached: [(&str, Groups<'_>, [f64; 2]); 9] = [
        ("layers, f16", &is_layer, [9.0, 11.0]),
        ("products of layers, f16", &is_product, [6.0, 8.0]),
        ("element-wise, f32", &is_element_wise, [3.5, 5.5]),
        ("linear, f32", &|group| group.ends_with(" linear"), [11.0, 15.5]),
        ("bmm, f32", &|group| group.ends_with(" bmm"), [15.0, 19.0]),
        ("layer norm, f32", &|group| group.ends_with(" ln"), [9.0, 12.0]),
        ("softmax, f32", &|group| group.ends_with(" softmax"), [18.0, 21.0]),
        ("exchange", &|group| group.contains("all_reduce") || group.contains("send"), [29.0, 32.0]),
        ("whole models, f32", &|group| group.starts_with("neusight model"), [6.0, 9.0]),
    ];
    for (what, is_of_it, [most_median, most_mean]) in reached {
        let errors = errors(is_of_it);
        let (median, mean) = (errors.median().unwrap(), errors.mean().unwrap());
        println!("{what}: {median:.1} / {mean:.1}% of {}", errors.count());
        assert!(errors.count() > 40 && median <= most_median && mean <= most_mean, "{what}: {median:.1} / {mean:.1}%");
    }
    for (what, is_of_it) in [("layers", &is_layer as Groups<'_>), ("operations", &is_operation)] {
        let inside = errors(is_of_it).coverage().unwrap();
        println!("{what} inside their intervals of 90%: {:.1}%", 100.0 * inside);
        assert!((0.8..=0.97).contains(&inside), "{what}: {inside}");
    }
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn steps_of_training_on_devices_that_are_left_out_are_predicted() {
    let steps = training_steps(&PUBLIC.training);
    let ratios = |pick: fn(&[&'static KernelMeasurement; 2]) -> Vec<&'static KernelMeasurement>| -> Vec<f64> {
        steps.iter().map(|step| PUBLIC.laws.ratio(&pick(step)).unwrap()).collect()
    };
    let [forward, backward, step] =
        [ratios(|step| vec![step[0]]), ratios(|step| vec![step[1]]), ratios(|step| step.to_vec())];
    let summary = |part: &str, ratios: &[f64]| {
        let errors: PercentErrors = ratios.iter().copied().collect();
        let found = [errors.median().unwrap(), errors.mean().unwrap()];
        println!("training, f32, {part}: {:.1} / {:.1}% of {}", found[0], found[1], errors.count());
        found
    };
    summary("forward", &forward);
    let [of_backward, of_step] = [summary("backward", &backward), summary("step", &step)];
    let mut sizes: Vec<f64> = step.iter().map(|ratio| ratio.ln().abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let spread = rank_quantile(&sizes, 0.9).unwrap() / NORMAL_90;
    println!("spread of a step: {spread:.4}");
    assert!(step.len() == 25 && of_step[0] <= 9.0 && of_step[1] <= 13.0, "{of_step:?}");
    assert!(of_backward[0] <= 7.0 && of_backward[1] <= 7.0, "{of_backward:?}");
    assert!((spread / constants_of(KernelLaw::shipped())["spread.step"]).ln().abs() < 0.02, "{spread}");
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn a_fit_gives_the_shipped_constants() {
    let fitted = constants_of(&fit_kernels(&PUBLIC.fitted));
    for (name, shipped) in constants_of(KernelLaw::shipped()) {
        assert!((fitted[&name] / shipped).ln().abs() < 0.01, "{name}: {} is shipped as {shipped}", fitted[&name]);
    }
}
