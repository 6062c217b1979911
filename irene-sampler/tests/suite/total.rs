//! The machine's power as the sum of its sensors.

use irene_sampler::{
    Channel, ChannelId, Findings, LeftOut, Metric, NoEnergy, Provenance, Recorder, Resource, Sensor, Total, WindowError,
};

use crate::{machine::at, scripted::sensor};

/// A card that draws 50 W, and one whose counter is renewed every other second by an estimate of 30 W.
fn cards() -> Vec<Box<dyn Sensor>> {
    let estimate = Channel { provenance: Provenance::Estimated, ..Channel::new(Resource::Gpu(1), Metric::Energy) };
    let is_renewed = |time: f64| time % 2.0 == 0.0;
    vec![
        sensor(estimate, move |stamp| is_renewed(stamp.time).then_some(30.0 * stamp.time)),
        sensor(Channel::new(Resource::Gpu(0), Metric::Power), |_| Some(50.0)),
    ]
}

/// Eight seconds of some sensors, read every second.
fn recorder(sensors: Vec<Box<dyn Sensor>>) -> Recorder {
    let mut recorder = Recorder::new(sensors, 16);
    (0..=8).for_each(|second| recorder.sample_at(at(f64::from(second))));
    recorder
}

#[test]
fn a_total_is_the_sum_of_its_sensors_and_as_good_as_the_least_of_them() {
    let recorder = recorder(cards());
    let (recording, total) = (recorder.recording(), recorder.recording().total());
    let window = total.window(recording, 1.0, 7.0).unwrap().unwrap();
    assert_eq!((window.joules, window.watts, window.peak_watts, window.readings), (480.0, 80.0, 80.0, 3));
    assert_eq!(window.provenance, Provenance::Estimated);
    assert_eq!((total.joules(recording), total.provenance(recording)), (Some(640.0), Some(Provenance::Estimated)));
    let none = Total::default();
    assert_eq!((none.window(recording, 1.0, 7.0), none.joules(recording)), (Ok(None), None));
    assert_eq!(none.provenance(recording), None);
}

#[test]
fn a_part_is_not_reported_as_the_total() {
    let silent = sensor(Channel::new(Resource::Gpu(2), Metric::Power), |_| None);
    let recorder = recorder(cards().into_iter().chain([silent]).collect());
    let (recording, total) = (recorder.recording(), recorder.recording().total());
    assert_eq!(total.taken().len(), 3);
    assert_eq!(total.joules(recording), None);
    let id = ChannelId { resource: Resource::Gpu(2), metric: Metric::Power };
    assert_eq!(total.window(recording, 1.0, 7.0), Err(NoEnergy { id, error: WindowError::NotCovered }));
}

/// A reader expects a sensor to count unless the name of what is taken in its place says why it does not.
#[test]
fn a_sensor_that_is_left_out_as_it_should_be_needs_no_remark() {
    let channels = [Metric::Energy, Metric::Power].map(|metric| Channel::new(Resource::Gpu(0), metric));
    let [counter, power] = channels.clone().map(|channel| channel.id);
    let left_out = |findings: &Findings| {
        let total = Total::of(&channels, 0, findings, &[]);
        let reasons: Vec<String> =
            total.sensors().filter_map(|(id, left_out)| Some(format!("{id}: {}", left_out?))).collect();
        (reasons.join("; "), total.remarks().len())
    };
    assert_eq!(left_out(&Findings::default()), ("gpu0.power: gpu0.energy tells the same".into(), 0));
    for (reason, words, remarks) in [
        (LeftOut::NotNamed, "others were named", 0),
        (LeftOut::PartOf(power.clone()), "part of gpu0.power", 0),
        (LeftOut::StandsStill(2.0), "stands still: the same reading for 2.0 s", 1),
        (LeftOut::Mirrors(power.clone()), "shows the counter of gpu0.power again", 1),
    ] {
        let findings = Findings { left_out: vec![(counter.clone(), reason)], ..Findings::default() };
        assert_eq!(left_out(&findings), (format!("gpu0.energy: {words}"), remarks));
    }
}
