//! Surrogates on ProTran's public measurements, the files of a folder `protran` below `IRENE_DATA`.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot be set up should stop, and say so

use std::path::PathBuf;

use irene_explore::{
    Candidate, Dataset, Describer, Measure,
    learning::{CostLawLearner, Errors, crossvalidate, diagnose},
    space::DesignSpace,
};

/// A device's records, if they are at hand.
fn read(device: &str) -> Option<(Dataset, Vec<Candidate>)> {
    let path = PathBuf::from(std::env::var_os("IRENE_DATA")?).join("protran").join(format!("{device}.json"));
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    let data = Dataset::read(&path).unwrap();
    let candidates = Describer::new(DesignSpace::published()).describe_all(&data).unwrap();
    Some((data, candidates))
}

fn errors(device: &str, measure: Measure) -> Option<Errors> {
    let (data, candidates) = read(device)?;
    let held_out = crossvalidate(&CostLawLearner, &candidates, &data.figures(measure).unwrap(), 5, 1, 0).unwrap();
    Errors::of(held_out.iter())
}

/// Loose bounds: what five times five folds give is in docs/exploring.md.
#[test]
fn the_law_is_as_good_as_it_is_said_to_be() {
    let bounds = [
        ("gpu_a100_b128_r3", Measure::Latency, 11.0),
        ("gpu_a100_b128_r3", Measure::Energy, 8.5),
        ("cpu_rpi_b1_r1", Measure::Latency, 12.0),
        ("cpu_m1-pro_b32_r1", Measure::Energy, 15.0),
    ];
    for (device, measure, most) in bounds {
        let Some(found) = errors(device, measure) else {
            println!("skipped: IRENE_DATA has no protran/{device}.json");
            continue;
        };
        assert!(found.mean < most, "{device}, {}: {found:?}", measure.name());
        assert!((75.0..=100.0).contains(&found.covered), "{device}, {}: {found:?}", measure.name());
    }
}

#[test]
fn known_defects_of_the_measurements_are_found() {
    let Some((data, candidates)) = read("cpu_rpi_b1_r1") else {
        println!("skipped: IRENE_DATA has no protran/cpu_rpi_b1_r1.json");
        return;
    };
    let found = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap();
    assert!((found.clock.unwrap().tick - 0.802).abs() < 0.01, "{:?}", found.clock);
    let orders: Vec<usize> = found.outliers.iter().filter_map(|outlier| outlier.order).collect();
    assert!([0, 6, 7, 8].iter().all(|order| orders.contains(order)), "{orders:?}");
    assert!(found.outliers.len() < 8, "{:?}", found.outliers);

    let Some((data, candidates)) = read("gpu_a100_b128_r3") else { return };
    let found = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap();
    let drift = found.drift.unwrap();
    assert!((0.25..0.7).contains(&drift.lag_one), "{drift:?}");
}
