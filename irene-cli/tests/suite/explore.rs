//! `irene explore` as a person uses it.

use irene_explore::space::DesignSpace;
use serde_json::{Value, json};

use crate::command::{Folder, Says, device_file, good, irene, json, refused, words};

/// Six designs of the small space with figures by a simple law.
fn records() -> Vec<Value> {
    crate::command::records("6", "small")
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn curves_of_two_devices_do_not_go_to_one_file() {
    let folder = Folder::new("one-name");
    let write =
        |name: &str, device: &str| folder.write(name, &json!({ "device": device, "records": records() }).to_string());
    let (one, other) = (write("a.json", "my gpu"), write("b.json", "my_gpu"));
    refused(1, &["explore", "replay", &one, &other, "--space", "small", "-o", &folder.path("curves")])
        .says("a.json and ")
        .says("my_gpu.csv; name their devices apart");
    assert_eq!(folder.files(), ["a.json", "b.json"]);
}

#[test]
fn numbers_that_fill_the_memory_are_refused() {
    for command in [
        &["explore", "sample", "1000000000", "--space", "small"][..],
        &["explore", "replay", "records.json", "--seeds", "1000000000"],
        #[cfg(feature = "candle")]
        &["explore", "profile", "--samples", "1000000000", "-b", "1", "-s", "1", "-o", "records.jsonl"],
    ] {
        refused(2, command).says("expected a whole number of at most ");
    }
}

#[test]
fn a_space_is_shown_with_its_count() {
    let published = good(&["explore", "space"]);
    assert!(published.contains("layers                 2 4 6 8 10 12\n"), "{published}");
    assert!(published.contains("designs                10^88.227\n"), "{published}");
    let published = json(&["explore", "space"]);
    assert_eq!(
        published["designs"],
        "16858908734132497780908867493333806257614075489378357347998921892214947867599639413377600"
    );
    let small = good(&["explore", "space", "small", "--format", "json"]);
    let small: Value = serde_json::from_str(&small).unwrap();
    assert_eq!(small["architecture"]["encoder_layers"], json!([1, 2, 3, 4]));
    assert_eq!(small["designs"], "17033770647818400");
    refused(1, &["explore", "space", "no-such"]).says("neither a file nor a design space that comes along");
}

#[test]
fn samples_are_repeatable_and_can_be_written() {
    let folder = Folder::new("explore-sample");
    let path = folder.path("designs.jsonl");
    for method in ["uniform", "sobol", "latin-hypercube", "halton", "hammersley"] {
        good(&["explore", "sample", "5", "--method", method, "--seed", "7", "-o", &path]);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(good(&["explore", "sample", "5", "--method", method, "--seed", "7"]), written);
        assert_eq!(json_lines(&written).len(), 5);
    }
    refused(2, &["explore", "sample", "5", "--method", "grid"]).says("latin-hypercube");
    refused(2, &["explore", "sample", "0"]).says("at least 1");
}

#[test]
fn surrogates_are_learned_and_asked() {
    let folder = Folder::new("explore-fit");
    let data = device_file(&folder, "toy", &records());
    let surrogates = folder.path("toy.surrogates.json");
    good(&["explore", "fit", &data, "-o", &surrogates, "--space", "small"]);
    let text = good(&["explore", "predict", &surrogates, &data]);
    assert!(text.starts_with("toy, learned from 6 records"), "{text}");
    assert!(text.contains("peak power") && text.contains(" mJ") && text.contains(" to "), "{text}");
    // The first sentence takes two lines.
    assert_eq!(text.lines().count(), 4 + 6, "{text}");
    // A record without a figure is not learned from, and the space is that of the records where they say it.
    let mut lacking = records();
    lacking[3].as_object_mut().unwrap().remove("energy_J");
    for record in &mut lacking {
        record["measuring"] = json!({ "space": DesignSpace::find("small").unwrap().digest() });
    }
    let told = irene(&[
        "explore",
        "fit",
        &device_file(&folder, "lacking", &lacking),
        "-o",
        &folder.path("lacking.surrogates.json"),
    ]);
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(told.status.success() && said.contains("1 of 6 records have no energy, which is learned from"), "{said}");
    lacking[0]["measuring"]["space"] = json!("00");
    let unknown = device_file(&folder, "unknown", &lacking);
    refused(1, &["explore", "fit", &unknown, "-o", &folder.path("unknown.surrogates.json")])
        .says("give its file, --space FILE.yaml");
    // Files by the papers' learners are read too.
    let theirs = concat!(env!("CARGO_MANIFEST_DIR"), "/../irene-baselines/tests/fixtures/adaboost.json");
    assert!(good(&["explore", "predict", theirs, &data]).starts_with("toy, learned from 6 records"));
    let one = folder.write("model.json", &records()[2]["model_dict"].to_string());
    let line = &json_lines(&good(&["explore", "predict", &surrogates, &one, "--format", "json"]))[0];
    assert_eq!((&line["hash"], &line["energy"]["unit"]), (&records()[2]["hash"], &json!("J")));
    let figure = |name: &str| line["latency"][name].as_f64().unwrap();
    assert!(figure("at_least") <= figure("value") && figure("value") <= figure("at_most"), "{line}");
    // A design that is predicted is measured later.
    let same = &json_lines(&good(&["explore", "predict", &surrogates, &one, "--same-campaign", "--format", "json"]))[0];
    assert!(same["latency"]["value"] == line["latency"]["value"], "{same}");
    assert!(same["latency"]["at_most"].as_f64().unwrap() < figure("at_most"), "{same}");

    good(&["explore", "fit", &data, "-o", &surrogates, "--space", "small", "--measure", "latency"]);
    assert!(!good(&["explore", "predict", &surrogates, &one]).contains("energy"));
    // Its space is the one that it learned in.
    let large = folder.path("large.jsonl");
    good(&["explore", "sample", "1", "-o", &large]);
    refused(1, &["explore", "predict", &surrogates, &large]).says("is outside the design space");
    refused(1, &["explore", "predict", &data, &one]).says("toy.json: ");
}

#[test]
fn surrogates_of_estimated_energies_say_so_wherever_they_are_asked() {
    let folder = Folder::new("explore-estimated");
    let mut records = crate::command::records("12", "small");
    records[3]["energy_provenance"] = json!("estimated");
    let data = device_file(&folder, "toy", &records);
    let [all, times, front, page] =
        ["all.json", "times.json", "front.json", "front.html"].map(|name| folder.path(name));
    good(&["explore", "fit", &data, "--space", "small", "-o", &all]);
    good(&["explore", "fit", &data, "--space", "small", "--measure", "latency", "-o", &times]);
    let said = "predicted from estimated energies";
    let text = good(&["explore", "predict", &all, &data]);
    // Whatever the width.
    words(&text).says(&format!("({said})"));
    assert_eq!(json_lines(&good(&["explore", "predict", &all, &data, "--format", "json"]))[0]["provenance"], said);
    // Times need no power model.
    good(&["explore", "predict", &times, &data]).says("(predicted)");
    good(&["explore", "search", &all, "--budget", "200", "-o", &front, "--html", &page])
        .says(&format!("figures of a sequence ({said})"));
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&front).unwrap()).unwrap();
    assert_eq!(found["provenance"], said);
    std::fs::read_to_string(&page).unwrap().says(&format!("All figures are {said}"));
}

#[test]
fn learners_are_compared_by_the_same_folds() {
    let folder = Folder::new("explore-evaluate");
    let (one, other) = (device_file(&folder, "one", &records()), device_file(&folder, "other", &records()));
    let args = ["explore", "evaluate", &one, &other, "--space", "small", "--folds", "2", "--repeats", "2"];
    let some = [&args[..], &["--learner", "law,adaboost,gp-rbf"]].concat();
    let text = good(&some);
    assert!(text.contains("one, 6 records") && text.contains("other, 6 records"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("law (ours)")).count(), 6, "{text}");
    let scores = json(&some);
    let scores = &scores["devices"];
    assert_eq!(scores[0]["scores"].as_array().unwrap().len(), 9);
    // The same records give the same figures.
    assert_eq!(scores[0]["scores"], scores[1]["scores"]);
    let csv = folder.path("scores.csv");
    good(&[&args[..], &["--measure", "latency,energy", "--format", "csv", "-o", &csv]].concat());
    let csv = std::fs::read_to_string(csv).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 2 * 7, "{csv}");
    assert!(csv.starts_with("device,records,measure,learner,is_ours,") && csv.contains("latency,law,true,"), "{csv}");

    let many = device_file(&folder, "many", &crate::command::records("24", "small"));
    for (protocol, words) in [
        ("later", "each later fifth of the campaign from what was before it"),
        ("hidden-size", "each hidden size from the others"),
        ("depth", "each depth from the others"),
        ("few", "all others from 8, 5 times"),
    ] {
        let text =
            good(&["explore", "evaluate", &many, "--space", "small", "--learner", "law", "--protocol", protocol]);
        assert!(text.starts_with(words) && text.contains("half width") && text.contains("law (ours)"), "{text}");
    }
    refused(1, &["explore", "evaluate", &one, "--space", "small", "--protocol", "later"])
        .says("one: too few records, or all of one group, for --protocol later");
    refused(2, &["explore", "evaluate", &one, "--protocol", "lore"]).says("random, later, hidden-size");

    for (protocol, flag, with) in [
        ("later", "--folds", "--protocol random"),
        ("few", "--folds", "--protocol random"),
        ("later", "--repeats", "--protocol random or few"),
        ("depth", "--repeats", "--protocol random or few"),
    ] {
        refused(2, &["explore", "evaluate", &many, "--protocol", protocol, flag, "2"])
            .says(&format!("{flag} works only with {with}"));
    }

    refused(1, &["explore", "evaluate", &one, "--learner", "lore"]).says("unknown learner `lore`; there are law");
    refused(1, &["explore", "evaluate", &one]).says("is outside the design space");
    refused(2, &["explore", "evaluate", &one, "--folds", "1"]).says("--folds");
}

#[test]
fn records_that_cannot_be_are_refused_in_a_line() {
    let folder = Folder::new("explore-hostile");
    let output = folder.path("surrogates.json");
    let refuse = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut records = records();
        change(&mut records);
        let data = device_file(&folder, "toy", &records);
        let complaint = refused(1, &["explore", "fit", &data, "-o", &output, "--space", "small"]);
        assert!(!std::path::Path::new(&output).exists());
        complaint
    };
    refuse(&|records| records[1]["model_dict"]["h"][0] = json!(48)).says("have a width of");
    // A layer with widths of its own, under the hash of the design that it was.
    let other = refuse(&|records| records[1]["model_dict"]["f"][0] = json!([65]));
    let hash = records()[1]["hash"].as_str().unwrap().to_owned();
    assert!(other.contains(&format!("record {hash}: its `model_dict` has the hash ")), "{other}");
    let outside = refuse(&|records| {
        records[1]["model_dict"]["f"][0] = json!([65]);
        let design = serde_json::from_value(records[1]["model_dict"].clone()).unwrap();
        records[1]["hash"] = json!(irene_explore::space::ModelHash::of(&design).to_string());
    });
    assert!(outside.contains("is outside the design space") && outside.contains("65"), "{outside}");
    refuse(&|records| records[1]["hash"] = json!("b1")).says("`b1` is no hash of 32 digits");
    refuse(&|records| (records[0]["batch_size"], records[3]["batch_size"]) = (json!(1), json!(32)))
        .says("has a batch size of 32, record");
    let twice = refuse(&|records| {
        let mut again = records[0].clone();
        again["latency_s"] = json!(9.0);
        records.push(again);
    });
    assert!(twice.contains("stands twice with different figures"), "{twice}");
    refuse(&|records| records[0]["latency_s"] = json!(0.0)).says("is not above 0");
    refuse(&|records| records[0]["latency_s"] = json!(1e-305)).says("a figure is 1e-305");
    refuse(&|records| records.truncate(2)).says("at least 3 designs");
    refuse(&Vec::clear).says("has no records");
    refuse(&|records| {
        for record in records.iter_mut().filter_map(Value::as_object_mut) {
            record.retain(|field, _| !["latency_s", "energy_J", "peak_power_W"].contains(&field.as_str()));
        }
    })
    .says("no record has a latency, an energy or a peak power");
    let data = device_file(&folder, "toy", &records());
    refused(2, &["explore", "fit", &data, "-o", &output, "--measure", "mass"]).says("latency, energy, peak_power");
}

#[test]
fn what_is_wrong_with_measurements_is_told() {
    let folder = Folder::new("explore-diagnose");
    let mut records = crate::command::records("24", "small");
    records[5]["latency_s"] = json!(0.5);
    for (order, record) in records.iter_mut().enumerate() {
        // A clock of 2 mJ shows the energy in whole ticks.
        record["energy_J"] = json!(2e-3 * (record["energy_J"].as_f64().unwrap() / 2e-3).round());
        record["peak_power_W"] = json!(record["peak_power_W"].as_f64().unwrap() * (1.0 + 0.01 * (order as f64).sin()));
    }
    let data = device_file(&folder, "toy", &records);
    let text = good(&["explore", "diagnose", &data, "--space", "small"]);
    let hash = records[5]["hash"].as_str().unwrap();
    assert!(text.starts_with("toy, 24 records\n"), "{text}");
    assert!(
        text.lines().any(|line| line.contains("latency") && line.contains(&format!("{hash}, order 5 is "))),
        "{text}"
    );
    assert!(text.contains("energy      clock ticks every 2 mJ"), "{text}");
    let latency = ["explore", "diagnose", &data, &data, "--space", "small", "--measure", "latency", "--format", "json"];
    let found: Value = serde_json::from_str(&good(&latency)).unwrap();
    let found = &found["diagnoses"];
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!(found[0], found[1]);
    let outliers = found[0]["diagnosis"]["outliers"].as_array().unwrap();
    assert!(outliers.iter().any(|outlier| outlier["hash"] == hash && outlier["factor"].as_f64().unwrap() > 10.0));
    assert_eq!(found[0]["diagnosis"]["measure"], "latency");

    let few = device_file(&folder, "few", &records[..2]);
    refused(1, &["explore", "diagnose", &few, "--space", "small"]).says("at least 3 designs");
    for record in &mut records {
        record.as_object_mut().unwrap().retain(|field, _| field == "hash" || field == "model_dict");
    }
    let none = device_file(&folder, "none", &records);
    for command in ["diagnose", "evaluate"] {
        refused(1, &["explore", command, &none, "--space", "small"])
            .says("none: no record has a latency, an energy or a peak power");
    }
    refused(2, &["explore", "diagnose"]).says("DATA");
}

#[test]
fn other_devices_records_are_worth_something() {
    let folder = Folder::new("explore-transfer");
    let mut records = crate::command::records("12", "small");
    let one = device_file(&folder, "one", &records);
    for record in &mut records {
        record["latency_s"] = json!(30.0 * record["latency_s"].as_f64().unwrap());
        record.as_object_mut().unwrap().remove("peak_power_W");
    }
    let other = device_file(&folder, "other", &records);
    let text = good(&["explore", "transfer", &one, &other, "--space", "small"]);
    for measure in ["\nlatency ", "\nenergy "] {
        assert!(text.contains(measure), "{text}");
    }
    // A measure that one of them lacks is left out.
    assert!(!text.contains("peak power"), "{text}");
    let args = ["explore", "transfer", &one, &other, "--space", "small", "--measure", "latency", "--format", "json"];
    let found: Value = serde_json::from_str(&good(&args)).unwrap();
    let found = &found["measures"];
    assert_eq!((found.as_array().unwrap().len(), &found[0]["measure"]), (1, &json!("latency")));
    for (device, name) in found[0]["devices"].as_array().unwrap().iter().zip(["one", "other"]) {
        assert_eq!(device["device"], name);
        assert!(device["rank_correlation"].as_f64().unwrap() > 0.8, "{device}");
        let records: Vec<u64> =
            device["points"].as_array().unwrap().iter().map(|point| point["records"].as_u64().unwrap()).collect();
        assert_eq!(records, [1, 2, 4]);
    }
    refused(1, &["explore", "transfer", &one]).says("two devices at least, found one file");
    refused(1, &["explore", "transfer", &one, &other, &one, "--space", "small"]).says("two files have records of one");
    refused(1, &["explore", "transfer", &one, &other, "--space", "small", "--measure", "peak_power"])
        .says("has no peak_power");
}

#[cfg(feature = "candle")]
mod profile;
mod search;
