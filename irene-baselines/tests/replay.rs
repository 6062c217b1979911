//! Active learning on made-up devices and, where `IRENE_DATA` leads to them, on recorded ones.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use irene_explore::{
    Candidate, Dataset, Describer, Error, Measure, Measures, Record, Result,
    active::*,
    features::Feature,
    space::{DesignSpace, ModelHash, Sampling},
    surrogate::{DecisionTreeLearner, LawLearner},
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
    let latency =
        0.01 + 2e-6 * get(Feature::Flops) + 4e-10 * get(Feature::WordParameters) + 1e-5 * get(Feature::Kernels);
    let energy = 0.2 + 9e-5 * get(Feature::Flops) + 6e-9 * get(Feature::Parameters);
    Measures {
        latency: Some(latency * (0.1 * drawn(0)).exp()),
        energy: Some(energy * (0.1 * drawn(2)).exp()),
        peak_power: Some((8.0 + energy / latency / 20.0) * (0.1 * drawn(4)).exp()),
    }
}

fn plan(source: Source<'_>, acquisition: Acquisition) -> Plan<'_> {
    Plan {
        learner: &LawLearner,
        acquisition,
        source,
        measures: &Measure::ALL,
        scales: None,
        start: 4,
        batch: 1,
        seed: 3,
    }
}

fn learn(plan: &Plan<'_>, rules: &[Stopping], measured: Vec<Measured>) -> Result<Learning> {
    run(plan, rules, measured, &mut |candidate: &Candidate| Ok(device(candidate)), &NEVER, &mut |_| Ok(()))
}

fn hashes(learning: &[Measured]) -> Vec<String> {
    learning.iter().map(|measured| ModelHash::of(&measured.candidate.design).to_string()).collect()
}

fn dataset(candidates: &[Candidate]) -> Dataset {
    let record = |(order, candidate): (usize, &Candidate)| -> Record {
        Measured { candidate: candidate.clone(), measures: device(candidate) }.record(order)
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
        Way::new(Box::new(LawLearner), Acquisition::Random),
        Way::new(Box::new(DecisionTreeLearner), Acquisition::MaxDeviation { drawn: 64 }),
    ];
    // Close to what the noise leaves: at the published error both are there from the start.
    let options = ReplayOptions { ways, seeds: 6, limit: Some(24), error: 0.0004, ..ReplayOptions::default() };
    let replay = replay(&data, &describer, &options, &|_, _| {}, &NEVER).unwrap();
    let mean = |way: usize| replay.curves[way].samples().mean;
    assert!(mean(0) < mean(1) && mean(1) < mean(2), "{}", replay.summary());
    let (ours, trees) = (&replay.curves[0], &replay.curves[2]);
    assert!(replay.samples_to_match(ours, trees).is_some_and(|samples| samples <= 12));
    assert_eq!(replay.samples_to_match(trees, ours), None);
    // As a file and as a picture.
    let csv = replay.to_csv();
    assert_eq!(csv.lines().count(), 1 + 3 * 3 * 21, "{csv}");
    assert!(csv.contains("\nmade-up,\"law, open-variance\",4,latency,"), "{csv}");
    assert_eq!(replay.samples_csv().lines().count(), 1 + 3 * 6);
    let svg = replay.to_svg();
    assert!(svg.contains("peak power") && svg.contains("decision-tree, max-deviation") && !svg.contains("NaN"));
}

#[test]
fn a_replay_repeats_and_can_be_stopped() {
    let describer = describer();
    let data = dataset(&candidates(&describer, 24, 2));
    let options = |judged| ReplayOptions {
        ways: vec![Way::ours(), Way::new(Box::new(LawLearner), Acquisition::RelativeDeviation)],
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
fn it_goes_on_from_what_was_measured_as_if_never_interrupted() {
    let describer = describer();
    let pool = candidates(&describer, 30, 5);
    let space = Source::Space { describer: &describer, sampling: Sampling::Uniform, fresh: 12 };
    for acquisition in Acquisition::ALL {
        for source in [Source::Listed(&pool), space] {
            let plan = Plan { batch: 3, ..plan(source, acquisition) };
            let whole = learn(&plan, &[Stopping::Budget(12)], Vec::new()).unwrap();
            assert_eq!((whole.measured.len(), whole.stopped), (12, Stopped::Rule(Stopping::Budget(12))));
            // In the start, at its end, in a batch, and between two.
            for cut in [0, 2, 4, 5, 7] {
                let rest = learn(&plan, &[Stopping::Budget(12)], whole.measured[..cut].to_vec()).unwrap();
                assert_eq!(hashes(&rest.measured), hashes(&whole.measured), "{acquisition:?} cut at {cut}");
            }
            let other = learn(&Plan { seed: 4, ..plan }, &[Stopping::Budget(12)], Vec::new()).unwrap();
            assert_ne!(hashes(&other.measured), hashes(&whole.measured));
        }
    }
}

#[test]
fn the_flag_stops_it_and_the_oracle_can_fail() {
    let describer = describer();
    let pool = candidates(&describer, 12, 5);
    let plan = plan(Source::Listed(&pool), Acquisition::OpenVariance);
    let stop = AtomicBool::new(false);
    let mut told = 0;
    let mut tell = |_: &Measured| {
        told += 1;
        stop.store(told == 6, Ordering::Relaxed);
        Ok(())
    };
    let mut oracle = |candidate: &Candidate| Ok(device(candidate));
    let learning = run(&plan, &[], Vec::new(), &mut oracle, &stop, &mut tell).unwrap();
    assert_eq!((learning.measured.len(), learning.stopped), (6, Stopped::Asked));
    // The same goes on to the end of the list.
    let all = learn(&plan, &[], learning.measured).unwrap();
    assert_eq!((all.measured.len(), all.stopped), (12, Stopped::Exhausted));
    assert_eq!(all.learned.unwrap().measures, Measure::ALL);
    let mut broken = |_: &Candidate| Err(Error::Data("the meter is off".into()));
    let failed = run(&plan, &[], Vec::new(), &mut broken, &NEVER, &mut |_| Ok(()));
    assert_eq!(refused(failed), "the meter is off");
    let mut silent = |_: &Candidate| Ok(Measures { energy: None, ..device(&pool[0]) });
    let missing = refused(run(&plan, &[], Vec::new(), &mut silent, &NEVER, &mut |_| Ok(())));
    assert!(missing.contains("has no energy"), "{missing}");
}

#[test]
fn rules_stop_it_when_they_hold_and_across_an_interruption() {
    let describer = describer();
    let pool = candidates(&describer, 40, 7);
    let plan = plan(Source::Listed(&pool), Acquisition::OpenVariance);
    let rule = Stopping::Expected { error: 0.08, rounds: 3 };
    let learning = learn(&plan, &[rule, Stopping::Budget(36)], Vec::new()).unwrap();
    let samples = learning.measured.len();
    assert_eq!(learning.stopped, Stopped::Rule(rule));
    assert!((6..36).contains(&samples) && learning.expected_error.unwrap() <= 0.08, "{samples}");
    // What it expects is about what it is.
    let known = hashes(&learning.measured);
    let is_rest = |candidate: &&Candidate| !known.contains(&ModelHash::of(&candidate.design).to_string());
    let of = |candidate: &Candidate| Measured { candidate: candidate.clone(), measures: device(candidate) };
    let rest: Vec<Measured> = pool.iter().filter(is_rest).map(of).collect();
    let errors = learning.learned.unwrap().errors(&rest).unwrap();
    assert!(errors.iter().all(|errors| errors.relative < 0.12), "{errors:?}");
    // Three rounds in a row are counted across an interruption.
    let cut = learning.measured[..samples - 1].to_vec();
    assert_eq!(learn(&plan, &[rule], cut).unwrap().measured.len(), samples);
    // As published: not before there are 16.
    let published = learn(&plan, &[Stopping::published()], Vec::new()).unwrap();
    assert_eq!((published.measured.len(), published.stopped), (16, Stopped::Rule(Stopping::published())));
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
    let tiny = ReplayOptions { judged: Judged::Rest(1), ..few(2) };
    assert!(of(&data, tiny).contains("at least 3 designs"));
    data.records[5].measures.energy = None;
    assert!(of(&data, ReplayOptions { judged: Judged::Rest(2), ..few(4) }).contains("has no energy"));
    let listed = plan(Source::Listed(&pool[..3]), Acquisition::OpenVariance);
    assert!(refused(learn(&listed, &[], Vec::new())).contains("4 designs to start with"));
    let space = Source::Space { describer: &describer, sampling: Sampling::Uniform, fresh: 2 };
    let greedy = Plan { batch: 3, ..plan(space, Acquisition::OpenVariance) };
    assert!(refused(greedy.next(&[])).contains("3 designs a round"));
    assert!(refused(Acquisition::named("best")).contains("open-variance, expected-reduction"));
}

#[test]
fn recorded_devices_converge_within_the_bound() {
    let Some(folder) = std::env::var_os("IRENE_DATA") else {
        println!("IRENE_DATA is not set; skipped");
        return;
    };
    let file = Path::new(&folder).join("protran/gpu_m1-pro_b32_r3.json");
    if !file.exists() {
        println!("no folder protran below IRENE_DATA; skipped");
        return;
    }
    let data = Dataset::read(&file).unwrap();
    let options = ReplayOptions { ways: vec![Way::ours()], seeds: 3, limit: Some(24), ..ReplayOptions::default() };
    let replay = replay(&data, &describer(), &options, &|_, _| {}, &NEVER).unwrap();
    // Their way needs more than 32.
    let samples = replay.curves[0].samples();
    assert!(samples.missed == 0 && samples.mean <= 16.0, "{}", replay.summary());
    let by_samples: HashMap<usize, _> =
        replay.curves[0].means().into_iter().map(|(samples, errors, _)| (samples, errors)).collect();
    assert!(by_samples[&24].iter().all(|errors| errors.squared <= 0.005), "{by_samples:?}");
}
