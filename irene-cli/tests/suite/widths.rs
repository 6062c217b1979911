//! No line is wider than the terminal, whichever command prints it.

use irene_scripted_server::{Script, ScriptedServer};

use crate::command::{Folder, command, device_file, good, training_data};

const WIDTHS: [usize; 3] = [80, 100, 200];

/// Files that the commands read.
struct Files {
    trees: String,
    predicted: String,
    records: String,
    other_records: String,
    surrogates: String,
    designs: String,
    server: String,
    sheet: String,
}

impl Files {
    fn new(folder: &Folder, server: &ScriptedServer) -> Self {
        let records = crate::command::records("16", "small");
        let files = Self {
            trees: training_data(folder),
            predicted: folder.path("predicted.jsonl"),
            records: device_file(folder, "one-device-with-a-long-name", &records),
            other_records: device_file(folder, "other", &records),
            surrogates: folder.path("surrogates.json"),
            designs: folder.path("designs.jsonl"),
            server: server.url(),
            sheet: folder.path("sheet.csv"),
        };
        good(&["predict", &files.trees, "-o", &files.predicted]);
        good(&["explore", "fit", &files.records, "--space", "small", "-o", &files.surrogates]);
        good(&["explore", "sample", "4", "--space", "small", "-o", &files.designs]);
        files
    }

    /// A call of every command that prints a table.
    fn calls(&self) -> Vec<String> {
        let Self { trees, predicted, records, other_records, surrogates, designs, server, sheet } = self;
        // Candle adds to them.
        #[cfg_attr(not(feature = "candle"), allow(unused_mut))]
        let mut calls = vec![
            "models".into(),
            "models --family bert".into(),
            "devices".into(),
            "devices amd datacenter".into(),
            "devices gtx-1070".into(),
            "config".into(),
            "doctor --watch 1 --tdp-watts 50".into(),
            "sample --duration 1 --tdp-watts 50".into(),
            format!(
                "bench {server} --prompt 16,64 --generate 4,16 --seconds 1 --warm-up 0 --tdp-watts 50 -o {sheet} --resume"
            ),
            "trace bert-base-uncased -b 8 -s 128".into(),
            "trace bert-base-uncased -b 8 -s 128 --math --unfold".into(),
            "trace gpt2 -b 1 -s 128 --generate 100".into(),
            "trace bert-base-uncased google/bert_uncased_L-12_H-768_A-12 -b 1,8 -s 32,128".into(),
            "predict bert-base-uncased -b 8 -s 128 --grid-intensity 400".into(),
            "predict gpt2 -b 1 -s 1024 --unfold --math --dtype bf16".into(),
            "predict gpt2 -b 1 -s 128 --generate 100".into(),
            "predict gpt2 google/bert_uncased_L-12_H-768_A-12 -b 1,8 -s 32,512 --grid-intensity 400".into(),
            format!("predict {trees}"),
            format!("predict {trees} --depth 1"),
            "whatif bert-base-uncased --set num_hidden_layers=6 --set hidden_act=relu --set device=gtx-1070".into(),
            "whatif Llama-3.1-8B --set weights=int4 --set kernels=eager".into(),
            "suggest Llama-3.1-8B".into(),
            "plan Llama-3.1-8B --prompt 512 --generate 256 --rate 20 --gpu-hour-price public".into(),
            "explain bert-base-uncased root.encoder.0.attention.self -b 8 -s 128".into(),
            "explain gpt2 root.0.mlp.c_fc -b 1 -s 1024".into(),
            format!("explain {trees} root.0 --method measured"),
            format!("evaluate {trees} {predicted}"),
            format!("crossvalidate {trees} --method specs"),
            format!("crossvalidate {trees} --method primitives --protocol leave-size-out"),
            "explore space".into(),
            format!("explore predict {surrogates} {designs}"),
            format!("explore evaluate {records} --space small --learner law,gp-rbf --repeats 1 --in-campaign"),
            format!("explore diagnose {records} --space small"),
            format!("explore transfer {records} {other_records} --space small"),
            format!("explore replay {records} --space small --way ours --seeds 1 --limit 6"),
            format!("explore search {surrogates} --budget 300 --constraint energy<=1J"),
        ];
        #[cfg(feature = "candle")]
        calls.extend([
            "run google/bert_uncased_L-2_H-128_A-2 --random-weights 1 -b 2 -s 8".to_owned(),
            "run gpt2 --random-weights 1 -b 2 -s 8 --generate 3".to_owned(),
        ]);
        calls
    }
}

/// The lines that a terminal of this width would break.
fn too_wide(call: &str, width: usize) -> Vec<String> {
    let args: Vec<&str> = call.split(' ').collect();
    let output = command(&args).env("COLUMNS", width.to_string()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{call}: {complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 1, "{call}: {text}");
    let is_wide = |line: &&str| line.chars().count() > width;
    text.lines().filter(is_wide).map(|line| format!("{call} at {width}: {line}")).collect()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let folder = Folder::new("widths");
    let server = ScriptedServer::start(Script::default(), &folder.0.join("server")).unwrap();
    let calls = Files::new(&folder, &server).calls();
    let wide: Vec<String> =
        calls.iter().flat_map(|call| WIDTHS.into_iter().flat_map(move |width| too_wide(call, width))).collect();
    assert!(wide.is_empty(), "{} lines are too wide\n{}", wide.len(), wide.join("\n"));
}

/// Every command is either in the list above or prints no table.
#[test]
fn every_command_with_a_table_is_tried() {
    const WITHOUT: [&str; 14] = [
        "profile",
        "import",
        "operations",
        "train",
        "calibrate",
        "reproduce",
        "serve",
        "report",
        "man",
        "completions",
        "help",
        "explore fit",
        "explore sample",
        "explore profile",
    ];
    let names = Files {
        trees: String::new(),
        predicted: String::new(),
        records: String::new(),
        other_records: String::new(),
        surrogates: String::new(),
        designs: String::new(),
        server: String::new(),
        sheet: String::new(),
    };
    let calls = names.calls();
    let listed = |args: &[&str]| -> Vec<String> {
        let help = good(args);
        let before = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
        let own = before.filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()));
        own.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let explore = listed(&["explore", "--help"]).into_iter().map(|name| format!("explore {name}"));
    let all = listed(&["--help"]).into_iter().filter(|name| name != "explore").chain(explore);
    for name in all.filter(|name| !WITHOUT.contains(&name.as_str()) && name != "explore help") {
        assert!(calls.iter().any(|call| call.starts_with(&name)), "`irene {name}` is not tried");
    }
}

/// A terminal that is told of is heeded, and a width that is none is not.
#[test]
fn columns_say_how_wide_it_is() {
    let lines = |columns: &str| {
        let output = command(&["trace", "bert-base-uncased", "-b", "8", "-s", "128"]).env("COLUMNS", columns).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(!lines("80").contains("memory traffic") && lines("120").contains("memory traffic"));
    assert_eq!(lines("0"), lines("80"));
    assert_eq!(lines("wide"), lines("80"));
}
