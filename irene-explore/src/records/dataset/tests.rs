use serde_json::{Value, json};

use super::*;

/// One layer of so many hidden units, with its own hash.
fn record(hidden: usize) -> Value {
    let head = format!("sa_sdp_{}", hidden / 2);
    let design = json!({ "l": 1, "o": [[&head, &head]], "h": [hidden], "f": [[64]] });
    let hash = ModelHash::of(&serde_json::from_value(design.clone()).unwrap()).to_string();
    json!({ "hash": hash, "model_dict": design, "latency_s": 0.5, "energy_J": 2.0 })
}

fn parse(records: &[Value]) -> Result<Dataset> {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    Dataset::parse("mine.jsonl", "mine", &lines.join("\n"))
}

fn refused(change: impl Fn(&mut Vec<Value>)) -> String {
    let mut records = vec![record(32), record(64)];
    change(&mut records);
    parse(&records).unwrap_err().to_string()
}

#[test]
fn a_hash_that_is_not_the_designs_is_refused_with_both() {
    let (mine, other) = (record(32)["hash"].clone(), record(64)["hash"].clone());
    let (mine, other) = (mine.as_str().unwrap(), other.as_str().unwrap());
    assert_eq!(
        refused(|records| records[0]["hash"] = other.into()),
        format!(
            "mine.jsonl, record {other}: its `model_dict` has the hash {mine}; correct whichever of the two is wrong"
        )
    );
    assert_eq!(
        refused(|records| records[1]["hash"] = "0d6c".into()),
        "mine.jsonl, record 0d6c: `0d6c` is no hash of 32 digits from 0 to 9 and a to f"
    );
}

#[test]
fn a_design_stands_once_and_the_order_is_that_of_the_campaign() {
    let mut records = vec![record(64), record(32), record(64)];
    (records[0]["order"], records[1]["order"]) = (1.into(), 0.into());
    let data = parse(&records).unwrap();
    assert_eq!(data.records.iter().map(|record| record.order).collect::<Vec<_>>(), [Some(0), Some(1)]);
    for field in ["latency_s", "accuracy"] {
        records[2][field] = json!(0.75);
        let error = parse(&records).unwrap_err().to_string();
        assert!(error.ends_with("stands twice with different figures; keep one of them"), "{error}");
        records[2] = record(64);
    }
}

#[test]
fn figures_that_cannot_be_are_refused() {
    assert!(refused(|records| records[1]["energy_J"] = json!(-1.0)).ends_with("energy is -1 J, which is not above 0"));
    assert!(refused(|records| records[1]["accuracy"] = json!(84)).ends_with("accuracy is 84, which is no share of 1"));
    assert!(refused(Vec::clear).ends_with("mine.jsonl: has no records"));
    let cut = format!("{}\n{{\"hash\":", record(32));
    assert!(Dataset::parse("mine.jsonl", "", &cut).unwrap_err().to_string().starts_with("mine.jsonl, line 2: EOF"));
    let one = Dataset::parse("mine.json", "", "{\"records\": []}").unwrap_err().to_string();
    assert!(one.contains("missing field `device`"), "{one}");
    let tree = Dataset::parse("tree.jsonl", "", "{\"node\": \"root\"}").unwrap_err().to_string();
    assert!(tree.starts_with("tree.jsonl, line 1: no records of measured designs"), "{tree}");
}

#[test]
fn records_of_different_sizes_do_not_go_together() {
    let sized = |records: &mut Vec<Value>, field: &str| (records[0][field], records[1][field]) = (8.into(), 16.into());
    let first = record(32)["hash"].as_str().unwrap().to_owned();
    let error = refused(|records| sized(records, "batch_size"));
    assert!(error.contains(&format!("has a batch size of 16, record {first} of 8")), "{error}");
    assert!(refused(|records| sized(records, "seq_len")).contains("has a length in tokens of 16"));
    // Also where the first record does not say its own.
    let error = refused(|records| {
        sized(records, "seq_len");
        records.insert(0, record(96));
    });
    assert!(error.contains(&format!("has a length in tokens of 16, record {first} of 8")), "{error}");
}

#[test]
fn records_measured_in_other_ways_do_not_go_together_and_those_of_other_meters_are_told() {
    let measured = |setting: &str, theirs: Value, ours: Value| {
        let mut records = vec![record(32), record(64), record(96)];
        (records[0]["measuring"], records[2]["measuring"]) = (json!({ setting: theirs }), json!({ setting: ours }));
        parse(&records)
    };
    for (setting, told) in
        [("dtype", "has a dtype of"), ("device", "a device of"), ("training", "a step of training of")]
    {
        let error = measured(setting, json!("one"), json!("other")).unwrap_err().to_string();
        assert!(error.contains(&format!("{told} \"other\", record ")), "{error}");
        assert_eq!(measured(setting, json!("one"), json!("one")).unwrap().mixed_meters(), None);
    }
    for (setting, theirs, ours) in
        [("meters", json!(["rapl"]), json!(["tdp"])), ("tdp_watts", json!(65.0), json!(15.0))]
    {
        let told = measured(setting, theirs.clone(), ours.clone()).unwrap().mixed_meters().unwrap();
        assert!(
            told.contains(&format!("`measuring.{setting}` of record ")) && told.contains(&ours.to_string()),
            "{told}"
        );
        assert_eq!(measured(setting, theirs.clone(), theirs).unwrap().mixed_meters(), None);
    }
}

#[test]
fn a_missing_figure_is_named_and_a_measure_that_none_has_is_not_there() {
    let mut records = vec![record(32), record(64)];
    records[1].as_object_mut().unwrap().remove("energy_J");
    let data = parse(&records).unwrap();
    assert_eq!(data.measures(), [Measure::Latency, Measure::Energy]);
    records[0]["training_energy_J"] = json!(7);
    assert_eq!(parse(&records).unwrap().measures(), [Measure::Latency, Measure::Energy, Measure::TrainingEnergy]);
    records[0]["training_energy_J"] = json!(0);
    let error = parse(&records).unwrap_err().to_string();
    assert!(error.ends_with("training_energy is 0 J, which is not above 0"), "{error}");
    let error = data.figures(Measure::Energy).unwrap_err().to_string();
    assert!(error.contains(records[1]["hash"].as_str().unwrap()) && error.contains("has no energy"), "{error}");
    assert!(data.accuracies().unwrap_err().to_string().ends_with("has no accuracy"));
}
