use super::*;
use crate::{
    Candidate,
    made_up::{candidates, latency, noise},
};

/// A device that takes so many times as long as the first, and has its own noise.
fn device(name: &str, candidates: &[Candidate], times: f64) -> (String, Vec<Candidate>, Vec<f64>) {
    let figures =
        candidates.iter().enumerate().map(|(at, one)| times * latency(one) * noise(at + name.len())).collect();
    (name.to_owned(), candidates.to_vec(), figures)
}

#[test]
fn a_device_without_records_is_ranked_and_with_one_its_level_is_known() {
    let three = [
        device("board", &candidates(30, 0), 400.0),
        device("laptop", &candidates(30, 1), 20.0),
        device("server", &candidates(24, 2), 1.0),
    ];
    let found = leave_one_device_out(&three).unwrap();
    assert_eq!(found.iter().map(|transfer| &transfer.device[..]).collect::<Vec<_>>(), ["board", "laptop", "server"]);
    for Transfer { device, rank_correlation, points } in &found {
        assert!(rank_correlation.unwrap() > 0.9, "{device}: {rank_correlation:?}");
        let [one, two, four, ..] = &points[..] else { unreachable!("{points:?}") };
        assert_eq!((one.records, two.records, four.records), (1, 2, 4));
        assert!(one.alone.is_none() && four.alone.is_some());
        // Orders of magnitude lie between the devices.
        assert!(one.with_others < 25.0 && four.with_others < 15.0, "{device}: {points:?}");
        assert!(four.with_others < four.alone.unwrap(), "{device}: {points:?}");
    }
    // Half of a device's records at most are its own.
    assert_eq!(found[2].points.last().unwrap().records, 8);
}

#[test]
fn a_device_with_records_is_surer_of_itself_than_one_without() {
    let measured = candidates(20, 0);
    let features: Vec<&DesignFeatures> = measured.iter().map(|one| &one.features).collect();
    let records = DeviceRecords { features, figures: measured.iter().map(latency).collect() };
    let several = MultiDevice::fit(&[records, DeviceRecords::default()]).unwrap();
    for one in &candidates(10, 1) {
        let [known, unknown] = [0, 1].map(|device| several.predict(device, &one.features));
        assert!((known.value / latency(one) - 1.0).abs() < 0.1, "{known:?} for {}", latency(one));
        assert!(unknown.deviation / unknown.value > 5.0 * known.deviation / known.value, "{known:?} {unknown:?}");
    }
}

#[test]
fn figures_that_are_equal_or_impossible_are_survived() {
    let two = candidates(12, 0);
    let (varied, mut equal) = (device("varied", &two, 1.0), device("equal", &two, 1.0));
    equal.2.fill(3.0);
    let found = leave_one_device_out(&[varied.clone(), equal]).unwrap();
    assert_eq!(found[1].rank_correlation, None);
    assert!(found.iter().flat_map(|transfer| &transfer.points).all(|point| point.with_others.is_finite()));
    let one = (varied.0.clone(), varied.1[..1].to_vec(), varied.2[..1].to_vec());
    assert!(leave_one_device_out(&[varied.clone(), one]).unwrap()[1].points.is_empty());

    assert!(MultiDevice::fit(&[]).is_err());
    assert!(leave_one_device_out(std::slice::from_ref(&varied)).is_err());
    for figure in [0.0, -1.0, f64::NAN, 1e-305] {
        let records = DeviceRecords { features: vec![&two[0].features], figures: vec![figure] };
        assert!(MultiDevice::fit(&[records]).is_err(), "{figure}");
    }
}

#[test]
fn ranks_agree_turn_round_and_take_ties() {
    use super::evaluate::rank_correlation;
    assert_eq!(rank_correlation(&[1.0, 5.0, 9.0], &[2.0, 3.0, 40.0]), Some(1.0));
    assert_eq!(rank_correlation(&[1.0, 5.0, 9.0], &[3.0, 2.0, 1.0]), Some(-1.0));
    // scipy.stats.spearmanr([1, 2, 2, 3], [1, 2, 3, 4]) = 0.9487
    let tied = rank_correlation(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert!((tied - 0.948_683_298_050_513_8).abs() < 1e-12, "{tied}");
    assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
    assert_eq!(rank_correlation(&[], &[]), None);
}
