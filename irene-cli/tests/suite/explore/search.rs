//! Searches: bounds, objectives, and what the winner is compared with.

use super::*;

#[test]
fn a_step_of_training_is_learned_and_bounded_beside_a_sequence() {
    let folder = Folder::new("explore-training");
    let mut records = crate::command::records("12", "small");
    for record in &mut records {
        let of = |name: &str| record[name].as_f64().unwrap();
        let (latency, energy) = (3.0 * of("latency_s"), 3.5 * of("energy_J"));
        (record["training_latency_s"], record["training_energy_J"]) = (json!(latency), json!(energy));
    }
    let data = device_file(&folder, "toy", &records);
    let [surrogates, training, front] = ["all.json", "training.json", "front.json"].map(|name| folder.path(name));
    good(&["explore", "fit", &data, "-o", &surrogates, "--space", "small"]);
    good(&["explore", "predict", &surrogates, &data]).says("; a sequence, training of a step, with 90%");
    let line = &json_lines(&good(&["explore", "predict", &surrogates, &data, "--format", "json"]))[0];
    assert_eq!((&line["training_energy"]["unit"], &line["training_peak_power"]), (&json!("J"), &Value::Null));
    good(&["explore", "predict", &surrogates, &data, "--format", "csv"])
        .says(",training_energy (J),training_energy_at_least (J),training_energy_at_most (J)");
    good(&["explore", "evaluate", &data, "--space", "small", "--learner", "law", "--format", "csv"])
        .says("\ntoy,12,training_energy,law,true,");

    let bound = |amount: &str| format!("training_energy<={amount}");
    let search = |bound: &str| {
        let args = ["--objective", "pareto(latency, training_latency)", "--constraint", bound, "--budget", "400"];
        good(&[&["explore", "search", &surrogates, "-o", &front, "--seq-len", "16"][..], &args].concat())
    };
    search(&bound("150 mJ")).says("figures of a sequence, training of a step (predicted)");
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&front).unwrap()).unwrap();
    let designs = found["search"]["front"].as_array().unwrap();
    let energies = designs.iter().map(|design| design["figures"]["training_energy_J"]["value"].as_f64().unwrap());
    assert!(!designs.is_empty() && energies.fold(0.0, f64::max) <= 0.15, "{found}");
    refused(2, &["explore", "search", &surrogates, "--constraint", &bound("1 uJ")])
        .says("'uJ' is no unit of training_energy");
    refused(1, &["explore", "search", &surrogates, "--constraint", &bound("1 mJ"), "--budget", "100"])
        .says("training_energy")
        .says("(bound 0.001 J, ");
    good(&["explore", "fit", &data, "-o", &training, "--space", "small", "--measure", "training_energy"]);
    good(&["explore", "predict", &training, &data]).says("; a step of training, with 90%");
}

#[test]
fn a_space_is_searched_under_constraints() {
    let folder = Folder::new("explore-search");
    let data = device_file(&folder, "a<b>&c", &crate::command::records("16", "small"));
    let (surrogates, json, html) =
        (folder.path("surrogates.json"), folder.path("front.json"), folder.path("front.html"));
    good(&["explore", "fit", &data, "--space", "small", "-o", &surrogates]);
    let search = |more: &[&str]| good(&[&["explore", "search", &surrogates, "--budget", "400"], more].concat());
    let text = search(&["--constraint", "energy<=30 mJ", "-o", &json, "--html", &html]);
    assert!(text.starts_with("pareto(latency, energy), evolution: "), "{text}");
    assert!(text.contains("feasible") && text.contains("Parts of design "), "{text}");
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let front = found["search"]["front"].as_array().unwrap();
    assert!(!front.is_empty() && found["search"]["evaluations"] == 400, "{}", found["search"]);
    for design in front {
        assert!(design["figures"]["energy_J"]["value"].as_f64().unwrap() <= 0.03, "{design}");
    }
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("designs for a&lt;b&gt;&amp;c</h1>") && !page.contains("a<b>"), "the device's name");
    assert!(page.contains("energy &lt;= 0.03 J") && page.ends_with("</html>\n"), "the constraint");

    assert_eq!(search(&["--seed", "3"]), search(&["--seed", "3"]));
    search(&["--objective", "energy", "--method", "climb"]).says("energy, climb: 1 design of 400");
    let mut accurate = crate::command::records("16", "small");
    for (order, record) in accurate.iter_mut().enumerate() {
        record["accuracy"] = json!(0.7 + 0.01 * order as f64);
    }
    let accuracy = device_file(&folder, "glue", &accurate);
    assert!(search(&["--objective", "protran", "--accuracy", &accuracy]).contains('%'));
    let refuse =
        |code, more: &[&str]| refused(code, &[&["explore", "search", &surrogates, "--budget", "300"], more].concat());
    refuse(2, &["--objective", "speed"]).says("'speed' is no objective");
    refuse(2, &["--constraint", "latency<1"]).says("has to read latency <= 20 ms");
    refuse(2, &["--method", "guess"]).says("evolution");
    refuse(2, &["--caution", "11"]).says("from 0 to 10");
    refuse(1, &["--constraint", "latency<=1 us"])
        .says("none of 300 designs evaluated keeps latency")
        .says("the nearest has");
    refuse(1, &["--objective", "protran"]).says("accuracy is asked for: give records that have it, --accuracy DATA");
    refuse(1, &["--objective", "accuracy", "--accuracy", &data]).says("has no accuracy");
    refuse(1, &["--method", "climb"]).says("climbing follows one cost");
    refuse(1, &["--device", "abacus"]).says("unknown device `abacus`");
    refuse(1, &["--seq-len", "900"]).says("longer than the model's 514 positions");
    let one = folder.path("one.json");
    good(&["explore", "fit", &data, "--space", "small", "--measure", "energy", "-o", &one]);
    refused(1, &["explore", "search", &one, "--objective", "latency"])
        .says("latency is asked for, but")
        .says("has no surrogate of it");
    let broken = folder
        .write("broken.json", &std::fs::read_to_string(&surrogates).unwrap().replace("\"trust\":[", "\"trust\":[9.0,"));
    refused(1, &["explore", "search", &broken]).says("broken.json: ");
}

#[test]
fn a_small_space_is_compared_with_as_many_designs_as_it_has() {
    let folder = Folder::new("explore-small-space");
    let mut space = include_str!("../../../../irene-explore/spaces/small.yaml").to_owned();
    for (choices, one) in [
        ("[1, 2, 3, 4]", "[1]"),
        ("num_heads: [2, 4]", "num_heads: [2]"),
        ("[5, 9, 13]", "[5]"),
        ("[64, 128, 256]", "[64]"),
        ("stacks: [1, 2]", "stacks: [1]"),
    ] {
        space = space.replace(choices, one);
    }
    let space = folder.write("space.yaml", &space);
    let counted = json(&["explore", "space", &space]);
    let there_are: usize = counted["designs"].as_str().unwrap().parse().unwrap();
    assert!((20..101).contains(&there_are), "{there_are}");
    let data = device_file(&folder, "toy", &crate::command::records("12", &space));
    let surrogates = folder.path("surrogates.json");
    good(&["explore", "fit", &data, "--space", &space, "-o", &surrogates]);
    let text = good(&["explore", "search", &surrogates, "--budget", "20", "--seq-len", "16"]);
    words(&text).says(&format!("beside the middle one of {there_are} random designs"));
}
