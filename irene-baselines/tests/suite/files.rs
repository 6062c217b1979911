//! Files of surrogates by learners from outside irene-explore. The fixtures were written by an irene whose learners were all in
//! irene-explore, with what it predicted by them.

use std::{collections::BTreeMap, path::Path};

use irene_baselines::{READERS, learners};
use irene_explore::{Dataset, Describer, Measure, learning::Surrogates};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn files_of_before_are_read_and_predict_the_same() {
    type Expected = BTreeMap<String, Vec<[f64; 3]>>;
    let expected: Expected = serde_json::from_slice(&std::fs::read(fixture("predictions.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 4);
    let records = Dataset::read(&fixture("records.jsonl")).unwrap();
    for (name, expected) in expected {
        let surrogates = Surrogates::read_with(&fixture(&format!("{name}.json")), READERS).unwrap();
        assert_eq!(surrogates.seq_len, 128);
        let candidates = surrogates.describer().describe_all(&records).unwrap();
        for (candidate, expected) in candidates.iter().zip(expected) {
            let prediction = surrogates.predict(Measure::Latency, candidate).unwrap();
            let (low, high) = prediction.interval();
            for (found, expected) in [prediction.value, low, high].into_iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{name}: {found} {expected}");
            }
        }
    }
}

#[test]
fn every_learners_file_is_read_by_whoever_has_the_readers() {
    let records = Dataset::read(&fixture("records.jsonl")).unwrap();
    let space = irene_explore::space::DesignSpace::find("small").unwrap();
    let candidates = Describer::new(space.clone()).describe_all(&records).unwrap();
    for learner in learners(&space) {
        let learned = Surrogates::learn(learner.as_ref(), &records, &space, &[Measure::Latency], 0).unwrap();
        let text = learned.to_json().unwrap();
        let read = Surrogates::parse_with("file", &text, READERS).unwrap();
        assert_eq!(read.to_json().unwrap(), text, "{}", learner.name());
        for one in &candidates {
            assert_eq!(read.predict(Measure::Latency, one), learned.predict(Measure::Latency, one));
        }
        let without = Surrogates::parse_with("file", &text, &[]);
        assert_eq!(without.is_ok(), learner.name() == "law", "{}", learner.name());
    }
}
