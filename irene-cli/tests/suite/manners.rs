//! The manners of any command: several settings at once, formats, settings in a file, colours, a manual.

use irene_tree::{Quantity, jsonl};
use serde_json::Value;

use crate::command::{Folder, Says, command, good, irene, json, refused, said, text_of, training_data, words};

#[test]
fn a_sweep_has_a_row_a_setting_in_every_format() {
    let sweep = ["predict", "gpt2", "-b", "1,8", "-s", "32,64,128"];
    let text = good(&sweep);
    // The model, which all rows have, is no column.
    assert!(text.starts_with("gpt2, on gtx-1080-ti (predicted)\n\nbatch  seq"), "{text}");
    let begins_with_a_batch = |line: &&str| matches!(line.split_whitespace().next(), Some("1" | "8"));
    assert_eq!(text.lines().filter(begins_with_a_batch).count(), 6, "{text}");
    let csv = good(&[&sweep[..], &["--format", "csv"]].concat());
    assert_eq!(csv.lines().count(), 7, "{csv}");
    let rows = json(&[&sweep[..], &["--grid-intensity", "100"]].concat());
    assert_eq!(rows["schema_version"], 1);
    let rows = rows["settings"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    // Each is what it is alone.
    let alone = good(&["predict", "gpt2", "-b", "8", "-s", "64", "--format", "json"]);
    let alone = jsonl::parse_tree(alone.as_bytes(), "alone", 1).unwrap();
    let row = rows.iter().find(|row| row["batch_size"] == 8 && row["seq_len"] == 64).unwrap();
    let joules = alone.root().get(Quantity::PredictedEnergy).unwrap();
    assert_eq!(row["predicted_energy"].as_f64(), Some(joules));
    assert_eq!(row["energy_per_request"].as_f64(), Some(joules / 8.0));
    assert!((row["emissions_per_million_requests"].as_f64().unwrap() - 100.0 * joules / 8.0 / 3.6).abs() < 1e-9);
    assert!(row.get("ground_truth_energy").is_none(), "what is unknown is left out: {row}");
}

#[test]
fn several_models_are_compared_and_depth_shows_each() {
    let models = ["bert-base-uncased", "distilbert-base-uncased", "-b", "8", "-s", "128"];
    let predict = |more: &[&str]| good(&[&["predict"], &models[..], more].concat());
    let rows = predict(&[]);
    assert!(rows.starts_with("batch 8, sequence 128, on gtx-1080-ti (predicted)\n\nmodel  "), "{rows}");
    assert!(rows.lines().count() == 5 && rows.contains("\ndistilbert-base-uncased  "), "{rows}");
    let each = predict(&["--depth", "1"]);
    for model in &models[..2] {
        assert!(each.contains(&format!("{model}, batch 8, sequence 128, on gtx-1080-ti (predicted)")), "{each}");
    }
    assert!(each.contains("├─ encoder BertEncoder") && !each.contains("BertLayer"), "{each}");
    // Nothing that is shown is folded.
    assert!(!each.contains("--unfold") && each.lines().all(|line| line.trim_end() == line), "{each}");
    predict(&["--depth", "2"]).says("0-11 BertLayer x12").says("--unfold");
    let traced = json(&[&["trace"], &models[..]].concat());
    assert_eq!(traced["settings"][1]["num_parameters"], 66_362_880);
    refused(2, &[&["trace"], &models[..], &["--format", "dot"]].concat()).says("show one tree");
    refused(2, &["predict", "gpt2", "-b", "1", "8", "-s", "32"])
        .says("`8` is no model; several sizes stand in one option, with commas between: -b 1,8");
}

#[test]
fn measured_trees_are_shown_as_text_and_written_as_trees() {
    let folder = Folder::new("measured-text");
    let trees = training_data(&folder);
    let text = good(&["predict", &trees]);
    assert!(text.contains("measured") && text.contains("error"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("gpt2 ")).count(), 4, "{text}");
    let each = good(&["predict", &trees, "--depth", "1"]);
    assert_eq!(each.matches("root GPT2Model").count(), 4, "{each}");
    let one = folder.write("one.jsonl", std::fs::read_to_string(&trees).unwrap().lines().next().unwrap());
    let text = good(&["predict", &one]);
    assert!(text.starts_with("distilgpt2, batch 8, sequence 32, on gtx-1080-ti (predicted)\n"), "{text}");
    assert!(text.contains(" a token; measured "), "{text}");
    assert_eq!(good(&["predict", &trees, "--format", "json"]).lines().count(), 4);
    assert_eq!(good(&["predict", &trees, "--format", "csv"]).lines().count(), 5);
    let out = folder.path("out.jsonl");
    good(&["predict", &trees, "-o", &out]);
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written, good(&["predict", &trees, "--format", "json"]));
    // Trees are known by what they are, not by their file's name.
    let renamed = folder.write("trees.txt", &written);
    good(&["predict", &renamed]).says("distilgpt2");
    refused(2, &["predict", &trees, "gpt2"]).says("predict models apart");
}

#[test]
fn a_measured_energy_of_0_has_no_percentage_error() {
    let folder = Folder::new("nothing-counted");
    let trees = std::fs::read_to_string(training_data(&folder)).unwrap();
    let nothing = |line: &str| {
        let mut tree: Value = serde_json::from_str(line).unwrap();
        tree["frontend_tree"]["ground_truth_energy"] = 0.into();
        format!("{tree}\n")
    };
    let path = folder.write("nothing.jsonl", &trees.lines().map(nothing).collect::<String>());
    let predicted = good(&["predict", &path, "--format", "csv"]);
    assert!(predicted.contains("distilgpt2") && predicted.split([',', '\n']).all(|cell| cell != "inf"), "{predicted}");
}

#[test]
fn an_error_that_no_number_can_hold_is_not_shown_and_trees_that_lack_a_figure_are_told_by_their_file() {
    let folder = Folder::new("tiny-truth");
    let data = training_data(&folder);
    let tiny = |line: &str| {
        let mut tree: Value = serde_json::from_str(line).unwrap();
        tree["frontend_tree"]["ground_truth_energy"] = 5e-324.into();
        format!("{tree}\n")
    };
    let text = std::fs::read_to_string(&data).unwrap();
    let truth = folder.write("tiny.jsonl", &text.lines().map(tiny).collect::<String>());
    let predicted = folder.path("predicted.jsonl");
    good(&["predict", &data, "-o", &predicted]);
    for format in ["text", "csv"] {
        let errors = good(&["evaluate", &truth, &predicted, "--format", format]);
        assert!(errors.contains("Attention") && !errors.contains("inf") && !errors.contains("NaN"), "{errors}");
    }
    refused(1, &["evaluate", &predicted, &data]).says("data.jsonl beside ").says("no predicted_energy");
}

#[test]
fn numbers_beyond_their_range_are_refused_in_a_short_line() {
    let requests = ["predict", "gpt2", "--device", "l4", "--prompt", "8", "--generate", "4"];
    let digits = "9".repeat(309);
    for number in ["1e308", "1e-320", &digits] {
        for flag in ["--rate", "--concurrency", "--power-limit", "--host-power", "--price-per-kwh", "--grid-intensity"]
        {
            let complaint = refused(2, &[&requests[..], &[flag, number]].concat());
            assert!(complaint.contains("expected a") && complaint.len() < 250, "{complaint}");
        }
    }
    refused(2, &["predict", "gpt2", "--train", "-b", "1", "-s", "8", "--device", "l4", "--steps", "1e308"])
        .says("at most 1e18");
}

#[test]
fn a_table_that_is_compressed_or_in_utf_16_or_empty_is_told_as_that() {
    let folder = Folder::new("no-table");
    let (table, out) = (folder.path("table.csv"), folder.path("out"));
    let no_texts: [(&[u8], &str); 3] = [
        (b"\x1f\x8b\x08\0", "is compressed by gzip: unpack it"),
        (b"\xff\xfem\0o\0d\0", "is text in UTF-16: save it in UTF-8"),
        (b"", "is empty"),
    ];
    for (bytes, fault) in no_texts {
        std::fs::write(&table, bytes).unwrap();
        for args in [
            &["predict", &table, "--device", "l4"][..],
            &["evaluate", &table, &table],
            &["operations", &table],
            &["import", &table, "-o", &out],
            &["import", "csv", &table, "--columns", "model,batch_size,seq_len,energy:J", "-o", &out],
        ] {
            refused(1, args).says(&format!("table.csv: {fault}"));
        }
    }
    refused(1, &["man", "-o", &table]).says("table.csv: it is a file; name a folder");
}

#[test]
fn the_outputs_name_says_the_format() {
    let folder = Folder::new("by-name");
    let written = |name: &str| {
        let path = folder.path(name);
        good(&["trace", "distilgpt2", "-b", "1", "-s", "8", "-o", &path]);
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(serde_json::from_str::<Value>(&written("t.json")).unwrap()["schema_version"], 1);
    assert!(written("t.csv").starts_with("scope,"));
    assert!(written("t.dot").starts_with("digraph"));
    assert!(written("t").starts_with("node "));
    let path = folder.path("given.csv");
    good(&["trace", "distilgpt2", "-b", "1", "-s", "8", "-o", &path, "--format", "text"]);
    assert!(std::fs::read_to_string(path).unwrap().starts_with("node "));
}

#[test]
fn settings_are_read_from_a_file_and_the_command_line_wins() {
    let folder = Folder::new("settings");
    let file = folder.write("config.toml", "device = \"gtx-1070\"\nprice_per_kwh = 2\ntop = 1\nformat = \"csv\"\n");
    let run = |args: &[&str]| text_of(&command(args).env("IRENE_CONFIG", &file).output().unwrap());
    let gpt2 = ["predict", "gpt2", "-b", "8", "-s", "64"];
    assert!(run(&gpt2).starts_with("scope,"));
    let text = run(&[&gpt2[..], &["--format", "text"]].concat());
    assert!(text.contains("on gtx-1070 (predicted)") && text.contains("at 2 USD/kWh"), "{text}");
    run(&[&gpt2[..], &["--format", "text", "--device", "gtx-1080-ti", "--price-per-kwh", "3"]].concat())
        .says("on gtx-1080-ti (predicted)")
        .says("at 3 USD/kWh");
    run(&["config"]).says("price_per_kwh = 2");
    let unknown = folder.write("unknown.toml", "device = \"abacus\"\n");
    let output = command(&gpt2).env("IRENE_CONFIG", &unknown).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    complaint.says("device of the configuration file (`irene config`): unknown device `abacus`");
    // The usual place.
    folder.write("home/irene/config.toml", "device = \"gtx-1070\"\n");
    let mut usual = command(&gpt2);
    let usual = usual.env_remove("IRENE_CONFIG").env("XDG_CONFIG_HOME", folder.path("home"));
    text_of(&usual.output().unwrap()).says("on gtx-1070");
    // A place that cannot be looked into, such as another user's home, has none.
    let mut hidden = command(&gpt2);
    let hidden = hidden.env_remove("IRENE_CONFIG").env("XDG_CONFIG_HOME", &file);
    assert!(hidden.output().unwrap().status.success());

    let wrong = folder.write("wrong.toml", "device = \"gtx-1070\"\ncolour = \"never\"\n");
    let output = command(&gpt2).env("IRENE_CONFIG", &wrong).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("wrong.toml: line 2: unknown field `colour`, expected one of"), "{complaint}");
    assert_eq!((output.status.code(), complaint.lines().count()), (Some(1), 1), "{complaint}");
    let missing = command(&gpt2).env("IRENE_CONFIG", folder.path("none.toml")).output().unwrap();
    String::from_utf8(missing.stderr).unwrap().says("none.toml: No such file");
}

#[test]
fn colours_are_as_asked_for() {
    let bold = |args: &[&str]| {
        text_of(&irene(&[&["predict", "gpt2", "-b", "8", "-s", "64"], args].concat())).contains('\u{1b}')
    };
    assert!(!bold(&[]) && !bold(&["--color", "never"]) && bold(&["--color", "always"]));
    refused(2, &["models", "--color", "red"]).says("[possible values: auto, always, never]");
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = Folder::new("man");
    good(&["man"]).says(".TH irene 1").says("irene\\-predict(1)");
    good(&["man", "-o", &folder.path("man1")]);
    let predict = std::fs::read_to_string(folder.path("man1/irene-predict.1")).unwrap();
    predict.says("\\-\\-batch\\-size").says("irene predict bert\\-base\\-uncased");
    assert!(folder.0.join("man1/irene-explore-search.1").is_file());
}

#[test]
fn a_tip_names_the_option_that_was_meant_and_never_two_dashes() {
    for args in [&["predict", "gpt2", "--bacth-size", "1"][..], &["sample", "--nothing"], &["run", "--frobnicate", "1"]]
    {
        let complaint = refused(2, args);
        assert!(!complaint.contains("'-- "), "{complaint}");
    }
    refused(2, &["predict", "gpt2", "--bacth-size", "1"]).says("'--batch-size'");
}

#[test]
fn lists_and_terms_come_as_text_csv_and_json() {
    let models = json(&["models"]);
    let of =
        |name: &str| models["models"].as_array().unwrap().iter().find(|model| model["model_name"] == name).cloned();
    assert_eq!(of("gpt2").unwrap()["num_parameters"], 124_439_808);
    good(&["models", "--format", "csv"]).says("\ngpt2,124439808,,gpt2,GPT-2,12,768,3072,f32,card: 124M\n");
    let devices = json(&["devices"]);
    assert_eq!(devices["devices"][0]["name"], "p4");
    let args = ["explain", "bert-base-uncased", "root.encoder.0-11.attention.self", "-b", "8", "-s", "128"];
    let explained = json(&args);
    assert_eq!(explained["scope"], "root.encoder.0.attention.self");
    let energies = explained["terms"].as_array().unwrap().iter().filter(|term| term["quantity"] == "energy");
    let sum: f64 = energies.map(|term| term["value"].as_f64().unwrap()).sum();
    assert!((sum - explained["predicted_energy"].as_f64().unwrap()).abs() < 1e-9, "{sum}");
    let folder = Folder::new("formats");
    let trees = training_data(&folder);
    let predicted = folder.path("predicted.jsonl");
    good(&["predict", &trees, "-o", &predicted]);
    let evaluated = good(&["evaluate", &trees, &predicted, "--format", "csv"]);
    assert!(evaluated.starts_with("group,name,nodes,mean (%),median (%),p90 (%)\nlevel,model,4,"), "{evaluated}");
}

#[test]
fn rows_of_trees_have_the_cost_that_is_asked_for_however_many_files_they_are_in() {
    let folder = Folder::new("costs");
    let several = training_data(&folder);
    let text = std::fs::read_to_string(&several).unwrap();
    let one = folder.write("one.jsonl", text.lines().next().unwrap());
    let csv = |file: &str, more: &[&str]| good(&[&["predict", file, "--format", "csv"][..], more].concat());
    for (file, count) in [(&several, text.lines().count()), (&one, 1)] {
        let rows = csv(file, &["--grid-intensity", "400"]);
        let (titles, rows) = rows.split_once('\n').unwrap();
        let place = titles.split(',').position(|title| title.starts_with("emissions_per_million")).unwrap();
        assert_eq!(rows.lines().count(), count);
        for row in rows.lines() {
            assert!(row.split(',').nth(place).unwrap().parse::<f64>().unwrap() > 0.0, "{row}");
        }
    }
    assert!(csv(&one, &[]).starts_with("scope,"));
}

#[test]
fn the_help_names_the_machine_that_has_no_name_as_the_file_does() {
    let usual = "a machine without a name";
    words(&good(&["calibrate", "--help"])).says(&format!("[default: {usual}]"));
    let folder = Folder::new("nameless");
    let (data, mine) = (training_data(&folder), folder.path("mine.safetensors"));
    said(&["calibrate", "--device", "gtx-1080-ti", &data, "-o", &mine]).says(&format!("carried over to {usual} by"));
}

#[test]
fn the_version_names_the_features_of_the_build_and_is_short_where_that_is_asked_for() {
    let version = good(&["--version"]);
    let (number, built) = version.trim_end().split_once(" (").unwrap();
    assert_eq!(number, format!("irene {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(good(&["-V"]), format!("{number}\n"));
    let built: Vec<&str> = built.strip_suffix(')').unwrap().split(", ").collect();
    assert_eq!(built.contains(&"candle"), cfg!(feature = "candle"), "{version}");
    assert_eq!(built.contains(&"nvml"), cfg!(feature = "nvml"), "{version}");
    assert!(built.is_sorted(), "{version}");
}

#[test]
fn what_a_command_reads_or_writes_is_not_replaced_by_its_other_output() {
    let folder = Folder::new("apart");
    let data = folder.write("data.jsonl", "measured\n");
    let (same, new) = (folder.path("./data.jsonl"), folder.path("new"));
    for command in [
        ["train", &data, "--method", "specs", "-o", &same],
        ["calibrate", &data, "--device", "gtx-1080-ti", "-o", &same],
        ["calibrate", "--requests", &data, "--device=l4", "-o", &same],
        ["calibrate", "trees.jsonl", "--predictor", &data, "-o", &same],
        ["explore", "fit", &data, "--space=small", "-o", &same],
        ["explore", "search", "mine.json", &format!("--accuracy={data}"), "--html", &same],
    ] {
        refused(2, &command).says("data.jsonl would be replaced");
    }
    for command in [
        ["explore", "search", "mine.json", &format!("--html={new}"), "-o", &new],
        ["bench", "localhost:1", "--meter=none", &format!("--split={new}"), "-o", &new],
    ] {
        refused(2, &command).says("new would be written twice");
    }
    assert_eq!(folder.files(), ["data.jsonl"]);
    assert_eq!(std::fs::read_to_string(&data).unwrap(), "measured\n");
}
