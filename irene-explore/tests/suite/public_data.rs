//! Surrogates on ProTran's public measurements, the files of a folder `protran` below `IRENE_DATA`.

use std::path::PathBuf;

use irene_explore::{
    Candidate, Dataset, Describer, Measure,
    learning::{CostLawLearner, Protocol, SurrogateErrors, crossvalidate, diagnose},
    space::DesignSpace,
};

/// A device's records.
fn read(device: &str) -> (Dataset, Vec<Candidate>) {
    let data = PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA is not set"));
    let data = Dataset::read(&data.join("protran").join(format!("{device}.json"))).unwrap();
    let candidates = Describer::new(DesignSpace::published()).describe_all(&data).unwrap();
    (data, candidates)
}

fn errors(device: &str, measure: Measure) -> SurrogateErrors {
    let (data, candidates) = read(device);
    let held_out = crossvalidate(&CostLawLearner, &candidates, &data.figures(measure).unwrap(), 5, 1, 0).unwrap();
    SurrogateErrors::of(held_out.iter()).unwrap()
}

/// Loose bounds: what five times five folds give is in docs/surrogates.md.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_law_is_as_good_as_it_is_said_to_be() {
    let bounds = [
        ("gpu_a100_b128_r3", Measure::Latency, 11.0),
        ("gpu_a100_b128_r3", Measure::Energy, 8.5),
        ("cpu_rpi_b1_r1", Measure::Latency, 12.0),
        ("cpu_m1-pro_b32_r1", Measure::Energy, 15.0),
    ];
    for (device, measure, most) in bounds {
        let found = errors(device, measure);
        assert!(found.mean < most, "{device}, {}: {found:?}", measure.name());
        assert!((85.0..=95.5).contains(&found.covered), "{device}, {}: {found:?}", measure.name());
    }
}

/// The Raspberry Pi and the A100 are what the intervals were chosen on; the others check them. The share over devices is held to 85 to
/// 95%, but for a campaign whose records of few layers alone are from a session that is unlike the others (M1 Pro CPU).
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn intervals_hold_by_every_protocol() {
    let devices =
        ["cpu_jetson-nano_b1_r1", "cpu_m1-pro_b32_r1", "cpu_rpi_b1_r1", "gpu_a100_b128_r3", "gpu_m1-pro_b32_r3"]
            .map(read);
    for protocol in Protocol::ALL {
        let mut covered = Vec::new();
        for (data, candidates) in &devices {
            for measure in Measure::INFERENCE {
                let figures = data.figures(measure).unwrap();
                let held_out = protocol.hold_out(&CostLawLearner, (candidates, &figures), measure, 5, 0).unwrap();
                let found = SurrogateErrors::of(held_out.iter()).unwrap();
                assert!(found.covered > 75.0, "{}, {}, {}: {found:?}", data.device, measure.name(), protocol.name());
                covered.push(found.covered);
            }
        }
        let mean = covered.iter().sum::<f64>() / covered.len() as f64;
        assert!((85.0..=95.0).contains(&mean), "{}: {mean:.1}, {covered:.0?}", protocol.name());
    }
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn known_defects_of_the_measurements_are_found() {
    let (data, candidates) = read("cpu_rpi_b1_r1");
    let found = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap();
    assert!((found.clock.unwrap().tick - 0.802).abs() < 0.01, "{:?}", found.clock);
    let orders: Vec<usize> = found.outliers.iter().filter_map(|outlier| outlier.order).collect();
    assert!([0, 6, 7, 8].iter().all(|order| orders.contains(order)), "{orders:?}");
    assert!(found.outliers.len() < 8, "{:?}", found.outliers);

    let (data, candidates) = read("gpu_a100_b128_r3");
    let found = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap();
    let drift = found.drift.unwrap();
    assert!((0.25..0.7).contains(&drift.lag_one), "{drift:?}");
}
