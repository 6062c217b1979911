//! `irene devices`.

use crate::command::{Folder, Says, command, good, json, refused};

#[test]
fn the_list_has_the_catalogue_and_each_profile_with_what_it_was_trained_on() {
    let output = command(&["devices"]).env("COLUMNS", "120").output().unwrap();
    let devices = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| devices.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(&line("h100-sxm ")),
        ["h100-sxm", "nvidia", "hopper", "datacenter", "2022", "989.4", "3352", "79.65", "700"]
    );
    assert!(line("gtx-1070 ").ends_with("measured") && !line("gtx-1080 ").ends_with("measured"), "{devices}");
    let place = |text: &str| devices.find(text).unwrap_or_else(|| panic!("no {text} in {devices}"));
    // Each card has the data that it was measured with.
    let places = ["gtx-1070\n", "device_1", "166 trees", "gtx-1080-ti\n", "device_2", "192 trees"].map(place);
    assert!(places.is_sorted(), "{devices}");
}

#[test]
fn words_filter_and_one_device_is_shown_whole() {
    let names = |words: &[&str]| -> Vec<String> {
        let found = json(&[&["devices"], words].concat());
        found["devices"].as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["H100"]), ["h100-sxm", "h100-pcie", "h100-nvl"]);
    assert_eq!(names(&["l40"]), ["l40"]);
    assert_eq!(names(&["Tesla V100-SXM2-16GB"]), ["v100-sxm2"]);
    assert_eq!(names(&["amd", "cdna3"]), ["mi300a", "mi300x", "mi325x"]);
    assert!(names(&[]).len() >= 75);
    let one = good(&["devices", "l40s"]);
    for expected in ["NVIDIA L40S data sheet, 2023", "102.1 W  Model Parking Tax", "PCIe 4.0 x16", "733 TFLOP/s"] {
        assert!(one.contains(expected), "no {expected} in {one}");
    }
    good(&["devices", "gtx-1080-ti"]).says("\nmeasured profile\n").says("192 trees");
    refused(1, &["devices", "h1000"]).says("did you mean `h100-sxm`");
    refused(1, &["devices", "amd", "hopper"]).says("`amd hopper`");
}

#[test]
fn the_data_have_every_figure_its_source_and_the_profile() {
    let devices = json(&["devices", "pascal", "consumer"]);
    let of = |place: usize| &devices["devices"][place];
    assert_eq!((of(0)["name"].as_str(), of(0)["peaks"]["f32"].as_f64()), (Some("gtx-1070"), Some(6.463)));
    assert_eq!(of(0)["profile"]["training_data"].as_str().map(|data| &data[..9]), Some("166 trees"));
    assert_eq!(of(0)["sources"]["link_gb_s"], "PCIe 3.0 x16");
    assert!(of(1)["profile"].is_null() && of(0)["idle_w"].is_null());
    let csv = good(&["devices", "--format", "csv"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert!(
        rows[0].starts_with("name,title,vendor,architecture,class,year,f32_tflop_s,tf32_tflop_s,f16_tflop_s,"),
        "{}",
        rows[0]
    );
    csv.says("\nt4,NVIDIA T4,nvidia,turing,datacenter,2018,8.1,,65,,,130,,320,15,4,40,1590,70,,,15.75,,,,,,\n");
}

#[test]
fn a_data_sheet_of_ones_own_is_checked_and_shown() {
    let folder = Folder::new("device-spec");
    let text = "name = \"mine\"\ntitle = \"Mine\"\nvendor = \"other\"\narchitecture = \"new\"\nclass = \"datacenter\"\nyear = 2026
peaks = { bf16 = 500 }\nbandwidth_gb_s = 2000\nmemory_gib = 64\ntdp_w = 400\n";
    let file = folder.write("mine.toml", text);
    let shown = good(&["devices", "--device-spec", &file]);
    let bf16 = shown.lines().find(|line| line.starts_with("bf16")).unwrap_or_default();
    assert!(bf16.contains(" 500 TFLOP/s ") && bf16.ends_with("mine.toml"), "{shown}");
    folder.write("mine.toml", &text.replace("tdp_w = 400", "tdp_w = 0"));
    refused(1, &["devices", "--device-spec", &file])
        .says("mine.toml, line 10: tdp_w: expected W, from 0.5 to 100000; found 0");
    refused(2, &["devices", "l4", "--device-spec", &file]).says("cannot be used with");
}

#[test]
fn a_device_of_the_catalogue_is_printed_as_a_data_sheet_that_is_read_again() {
    let folder = Folder::new("device-toml");
    for name in ["h100-sxm", "gtx-1080-ti", "mi300x", "m4-max", "gaudi2"] {
        let sheet = good(&["devices", name, "--format", "toml"]);
        let file = folder.write("sheet.toml", &sheet);
        assert_eq!(json(&["devices", "--device-spec", &file]), json(&["devices", name]), "{sheet}");
        let request = ["predict", "gpt2", "-b", "1", "-s", "8", "--format", "json"];
        let by = |more: &[&str]| good(&[&request[..], more].concat());
        assert_eq!(by(&["--device-spec", &file]), by(&["--device", name, "--method", "data-sheet"]));
    }
    refused(2, &["devices", "amd", "--format", "toml"]).says("--format toml is the data sheet of one device");
}
