//! Replays of made-up devices and, where `IRENE_DATA` leads to them, of recorded ones.

use std::{collections::HashMap, path::Path, sync::atomic::AtomicBool};

use irene_baselines::{Acquisition, Judged, ReplayOptions, Way, learner, replay};
use irene_explore::{
    Candidate, Dataset, Describer, Measure, Measures, Record, Result,
    learning::{CostLawLearner, DesignFeature},
    space::{DesignSpace, ModelHash, Sampling},
};

static NEVER: AtomicBool = AtomicBool::new(false);

fn describer() -> Describer {
    Describer::new(DesignSpace::published())
}

fn candidates(describer: &Describer, count: usize, seed: u64) -> Vec<Candidate> {
    let designs = describer.space().sample_balanced(Sampling::Uniform, count, seed).unwrap();
    designs.into_iter().map(|design| describer.describe(design).unwrap()).collect()
}

/// A device whose time is a price for work, weights and kernels, a few percent off by the design's hash.
fn device(candidate: &Candidate) -> Measures {
    let hash = ModelHash::of(&candidate.design).to_string();
    let drawn = |at: usize| f64::from(u8::from_str_radix(&hash[at..at + 2], 16).unwrap()) / 255.0 - 0.5;
    let get = |feature| candidate.features.get(feature);
    let latency = 0.01
        + 2e-6 * get(DesignFeature::Flops)
        + 4e-10 * get(DesignFeature::WordParameters)
        + 1e-5 * get(DesignFeature::Kernels);
    let energy = 0.2 + 9e-5 * get(DesignFeature::Flops) + 6e-9 * get(DesignFeature::Parameters);
    Measures::default()
        .with(Measure::Latency, latency * (0.1 * drawn(0)).exp())
        .with(Measure::Energy, energy * (0.1 * drawn(2)).exp())
        .with(Measure::PeakPower, (8.0 + energy / latency / 20.0) * (0.1 * drawn(4)).exp())
}

fn dataset(candidates: &[Candidate]) -> Dataset {
    let record = |(order, candidate): (usize, &Candidate)| -> Record {
        Record::new(order, candidate.design.clone(), device(candidate))
    };
    Dataset { device: "made-up".into(), records: candidates.iter().enumerate().map(record).collect() }
}

fn refused<T>(result: Result<T>) -> String {
    let text = result.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    text
}

#[test]
fn ours_needs_fewer_designs_than_chance_and_than_trees() {
    let describer = describer();
    let data = dataset(&candidates(&describer, 48, 9));
    let ways = vec![
        Way::ours(),
        Way::new(Box::new(CostLawLearner), Acquisition::Random),
        Way::new(learner("decision-tree", describer.space()).unwrap(), Acquisition::MaxDeviation { drawn: 64 }),
    ];
    // Close to what the noise leaves: at the published error both are there from the start.
    let options = ReplayOptions { ways, seeds: 6, limit: Some(24), error: 0.0004, ..ReplayOptions::default() };
    let replay = replay(&data, &describer, &options, &|_, _| {}, &NEVER).unwrap();
    let mean = |way: usize| replay.curves[way].samples().mean;
    assert!(mean(0) < mean(1) && mean(1) < mean(2), "{}", replay.summary());
    // As a file.
    let csv = replay.to_csv();
    assert_eq!(csv.lines().count(), 1 + 3 * 3 * 21, "{csv}");
    assert!(csv.contains("\nmade-up,\"law, open-variance\",4,latency,"), "{csv}");
    assert_eq!(replay.samples_csv().lines().count(), 1 + 3 * 6);
}

#[test]
fn a_replay_repeats_and_can_be_stopped() {
    let describer = describer();
    let data = dataset(&candidates(&describer, 24, 2));
    let options = |judged| ReplayOptions {
        ways: vec![Way::ours(), Way::new(Box::new(CostLawLearner), Acquisition::MaxDeviation { drawn: 0 })],
        seeds: 2,
        batch: 3,
        judged,
        ..ReplayOptions::default()
    };
    for judged in [Judged::Rest(10), Judged::HeldOut(0.25)] {
        let once = || replay(&data, &describer, &options(judged), &|_, _| {}, &NEVER).unwrap();
        let first = once();
        assert_eq!(first, once());
        let samples: Vec<usize> = first.curves[0].means().iter().map(|mean| mean.0).collect();
        let expected: &[usize] = if judged == Judged::Rest(10) { &[4, 7, 10, 13] } else { &[4, 7, 10, 13, 16, 18] };
        assert_eq!(samples, expected);
    }
    let stop = AtomicBool::new(true);
    let stopped = refused(replay(&data, &describer, &options(Judged::Rest(10)), &|_, _| {}, &stop));
    assert!(stopped.starts_with("stopped"), "{stopped}");
}

#[test]
fn what_cannot_work_is_refused_in_a_line() {
    let describer = describer();
    let pool = candidates(&describer, 12, 5);
    let mut data = dataset(&pool);
    let of = |data: &Dataset, options: ReplayOptions| refused(replay(data, &describer, &options, &|_, _| {}, &NEVER));
    let few = |start| ReplayOptions { ways: vec![Way::ours()], start, ..ReplayOptions::default() };
    assert!(of(&data, few(4)).starts_with("made-up: a replay from 4 records"));
    assert!(of(&data, few(0)).starts_with("made-up: a replay from 0 records"));
    assert!(of(&data, ReplayOptions { judged: Judged::HeldOut(0.9), ..few(4) }).contains("does not work with 12"));
    assert!(of(&data, ReplayOptions { judged: Judged::HeldOut(f64::NAN), batch: 0, ..few(4) }).contains("0 a round"));
    let early = of(&data, ReplayOptions { judged: Judged::Rest(2), limit: Some(3), ..few(4) });
    assert!(early.starts_with("made-up: a replay from 4 records cannot end at 3"), "{early}");
    let tiny = ReplayOptions { judged: Judged::Rest(1), ..few(2) };
    assert!(of(&data, tiny).contains("at least 3 designs"));
    data.records[5].measures = data.records[5].measures.with(Measure::Energy, None);
    assert!(of(&data, ReplayOptions { judged: Judged::Rest(2), ..few(4) }).contains("has no energy"));
    let none = ReplayOptions { measures: Vec::new(), ..few(4) };
    assert!(of(&data, none).contains("at least one measure"));
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn recorded_devices_converge_within_the_bound() {
    let folder = std::env::var_os("IRENE_DATA").expect("IRENE_DATA is not set");
    let data = Dataset::read(&Path::new(&folder).join("protran/gpu_m1-pro_b32_r3.json")).unwrap();
    let options = ReplayOptions { ways: vec![Way::ours()], seeds: 3, limit: Some(24), ..ReplayOptions::default() };
    let replay = replay(&data, &describer(), &options, &|_, _| {}, &NEVER).unwrap();
    // Their way needs more than 32.
    let samples = replay.curves[0].samples();
    assert!(samples.missed == 0 && samples.mean <= 16.0, "{}", replay.summary());
    let by_samples: HashMap<usize, _> =
        replay.curves[0].means().into_iter().map(|(samples, errors, _)| (samples, errors)).collect();
    assert!(by_samples[&24].iter().all(|errors| errors.squared <= 0.005), "{by_samples:?}");
}
