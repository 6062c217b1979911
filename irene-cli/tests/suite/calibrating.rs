//! `irene calibrate` on requests that were measured, and what its files predict.

use irene_requests::{Figures, RequestReader, RequestRow};
use serde_json::Value;

use crate::{
    command::{Folder, Says, command, good, irene, json, refused, said, training_data, words},
    serving::of,
};

const MEASURED: &str = "model,device,engine,concurrency,prompt,generated,energy_per_token_j,itl_s
Llama-3.1-8B,h100-sxm,vllm-0.11,16,500,250,0.36,0.0105
Llama-3.1-8B,H100 SXM5 80GB,vllm-0.11,64,500,250,0.12,0.0128
Qwen3-8B,h100-sxm,vllm-0.11,32,500,250,0.22,0.0118
";

#[test]
fn requests_that_were_measured_move_what_a_data_sheet_says() {
    let folder = Folder::new("own-requests");
    let (sheet, mine) = (folder.write("measured.csv", MEASURED), folder.path("mine.safetensors"));
    let told = said(&["calibrate", "--device", "h100-sxm", "--requests", &sheet, "-o", &mine]);
    for words in [
        "calibrated on 3 measured requests of h100-sxm (vllm-0.11: 3), written to",
        "energy of these requests: off by",
        "% by a calibration on the others",
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    let energy = |tree: &Value| tree["forecast"]["energy_per_token_j"].as_f64().unwrap();
    let asked = of(&["--concurrency", "16"]);
    let calibrated = json(&[&asked[..], &["--predictor", &mine]].concat());
    let plain = json(&[&asked[..], &["--device", "h100-sxm"]].concat());
    assert!(
        (energy(&calibrated) - 0.36).abs() < 0.5 * (energy(&plain) - 0.36).abs(),
        "{} {}",
        energy(&calibrated),
        energy(&plain)
    );
    assert_eq!(calibrated["forecast"]["provenance"], "calibrated on 3 measured requests of h100-sxm");
    assert_eq!(calibrated["predictor"]["provenance"], "calibrated on 3 measured requests of h100-sxm");
    let tree = calibrated["frontend_tree"]["predicted_energy"].as_f64().unwrap();
    let request = calibrated["forecast"]["energy_per_request_j"].as_f64().unwrap();
    assert!((tree / (16.0 * request) - 1.0).abs() < 1e-6, "{tree} {request}");
    // Sheets take it too, and a row may name another device.
    let asked =
        "model,device,engine,concurrency,prompt,generated\nLlama-3.1-8B,,,16,500,250\nLlama-3.1-8B,l4,,4,500,250\n";
    let text = good(&["predict", &folder.write("asked.csv", asked), "--predictor", &mine]);
    let provenance: Vec<&str> = text.lines().skip(1).collect();
    assert!(provenance[0].contains("calibrated on 3 measured requests of h100-sxm"), "{text}");
    assert!(provenance[1].contains("estimated from its data sheet"), "{text}");
}

#[test]
fn times_alone_leave_the_power_to_the_data_sheet() {
    let folder = Folder::new("times-alone");
    let sheet = "model,device,engine,concurrency,prompt,generated,latency_s
Llama-3.1-8B,h100-sxm,vllm-0.11,16,500,250,2.6
Llama-3.1-8B,h100-sxm,vllm-0.11,64,500,250,3.5
";
    let (sheet, mine) = (folder.write("times.csv", sheet), folder.path("mine.safetensors"));
    said(&["calibrate", "--device", "h100-sxm", "--requests", &sheet, "-o", &mine])
        .says("energy: in no row, so that its power is still the data sheet's");
    let asked = of(&["--concurrency", "16", "--predictor", &mine]);
    words(&good(&asked)).says("energy is that of the device alone");
    assert_eq!(json(&asked)["forecast"]["meter"], "gpu");
}

#[test]
fn a_plan_takes_what_was_measured_on_its_device() {
    let folder = Folder::new("measured-plan");
    let (sheet, mine) = (folder.write("measured.csv", MEASURED), folder.path("mine.safetensors"));
    good(&["calibrate", "--device", "h100-sxm", "--requests", &sheet, "-o", &mine]);
    let plan =
        ["plan", "Llama-3.1-8B", "--prompt", "512", "--generate", "256", "--rate", "1", "--device", "h100-sxm,l4"];
    let plan = [&plan[..], &["--weights", "bf16", "--max-gpus", "1", "--predictor", &mine]].concat();
    let found = json(&plan);
    let row = |device: &str| {
        let mut rows = found["plans"].as_array().unwrap().iter();
        rows.find(|row| row["device"] == device).unwrap_or_else(|| panic!("no {device} in {found}")).clone()
    };
    assert_eq!(row("h100-sxm")["basis"], "calibrated");
    assert_eq!(row("l4")["basis"], "data_sheet");
    let predicted = json(&of(&["--rate", "1", "--weights", "bf16", "--predictor", &mine]));
    let joules = |of: &Value| of["energy_per_token_j"].as_f64().unwrap();
    assert!((joules(&row("h100-sxm")) / joules(&predicted["forecast"]) - 1.0).abs() < 1e-9, "{found}");
    let told = "ways on h100-sxm are calibrated on 3 measured requests of h100-sxm, the others are by data sheets";
    words(&good(&plan)).says(told);
    // The configuration file's, beside devices too.
    let file = folder.write("config.toml", &format!("predictor = {mine:?}\n"));
    let plain = &plan[..plan.len() - 2];
    let by_settings = command(plain).env("IRENE_CONFIG", &file).output().unwrap();
    words(&String::from_utf8(by_settings.stdout).unwrap()).says(told);
    let elsewhere = [&plan[..9], &["l4", "--max-gpus", "1", "--weights", "bf16"]].concat();
    words(&good(&[&elsewhere[..], &["--predictor", &mine]].concat()))
        .says("none of these ways is calibrated on 3 measured requests of h100-sxm");
    let trees = folder.path("trees.safetensors");
    let data = training_data(&folder);
    good(&["train", &data, "--method", "specs", "-o", &trees]);
    refused(1, &["plan", "gpt2", "--prompt", "8", "--rate", "1", "--predictor", &trees])
        .says("a plan takes what `irene calibrate --requests` makes");
    let file = folder.write("config.toml", &format!("predictor = {trees:?}\n"));
    let by_settings = command(&elsewhere).env("IRENE_CONFIG", &file).output().unwrap();
    assert!(by_settings.status.success());
    words(&String::from_utf8(by_settings.stderr).unwrap()).says("is left out: it knows single nodes");
}

#[test]
fn measured_requests_that_cannot_count_are_named() {
    let folder = Folder::new("wrong-requests");
    let mine = folder.path("mine.safetensors");
    let calibrate = |device: &str, sheet: &str| {
        let said = irene(&["calibrate", "--device", device, "--requests", &folder.write("m.csv", sheet), "-o", &mine]);
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    let sheet = MEASURED.to_owned()
        + "gpt-17,h100-sxm,vllm-0.11,8,500,250,1,0.01\ngpt2,l4,vllm-0.11,8,500,250,1,0.01\ngpt2,h100-sxm,vllm-0.11,8,500,250,,\n";
    let (code, told) = calibrate("h100-sxm", &sheet);
    assert_eq!(code, Some(1), "{told}");
    for words in [
        "m.csv, line 5, column `model`: unknown model `gpt-17`",
        "m.csv, line 7: has no measured energy, power or time",
        "1 row of other devices left out",
        "calibrated on 3 measured requests of h100-sxm",
        "error: 2 of 6 rows left out",
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    std::fs::remove_file(&mine).unwrap();
    let none = "model,device,concurrency,prompt,generated\ngpt2,h100-sxm,8,500,250\n";
    let without_idle = "model,device,engine,concurrency,prompt,generated,energy_per_token_j,marks\ngpt2,h100-sxm,vllm-0.11,8,500,250,1,failures idle_subtracted\n";
    for (device, sheet, words) in [
        ("t4", MEASURED, "no row of t4"),
        ("h100-sxm", without_idle, "m.csv, line 2, column `marks`: its energies leave idling out"),
        ("h100-sxm", none, "no measured request to calibrate on"),
        ("h10x", MEASURED, "unknown device `h10x`"),
        ("h100-sxm", "model,device\n", "no rows"),
    ] {
        let (code, told) = calibrate(device, sheet);
        assert!(code == Some(1) && told.contains(words), "{device}: {told}");
        assert!(!folder.files().contains(&"mine.safetensors".to_owned()), "{told}");
    }
    let (code, told) = calibrate("h100-sxm", &MEASURED.replace(",0.0105", ",10.5"));
    assert!(
        code == Some(0) && told.contains("line 2: the measured time is") && told.contains("check its unit"),
        "{told}"
    );
    let (code, told) = calibrate("h100-sxm", &MEASURED.replace(",0.36,", ",360,"));
    assert!(
        code == Some(1) && told.contains("line 2: the measured power is") && told.contains("check the units"),
        "{told}"
    );
    assert!(told.contains("error: 1 of 3 rows left out"), "{told}");
}

/// The sheet with one more column, of the same cell in each row.
fn with_column(title: &str, cell: &str) -> String {
    let cell = |place: usize| if place == 0 { title } else { cell };
    MEASURED.lines().enumerate().map(|(place, line)| format!("{line},{}\n", cell(place))).collect()
}

#[test]
fn what_rows_say_of_their_measurement_is_heeded() {
    let folder = Folder::new("marked-requests");
    let mine = folder.path("mine.safetensors");
    let calibrate = |title: &str, cell: &str| {
        let sheet = folder.write("m.csv", &with_column(title, cell));
        let said = irene(&["calibrate", "--device", "h100-sxm", "--requests", &sheet, "-o", &mine]);
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    for (title, cell, words) in [
        ("marks", "failures shared_prefix", "line 2, column `marks`: its prompts were in the server's cache"),
        ("provenance", "estimated from its data sheet", "column `provenance`: its figures were predicted"),
        ("provenance", "calibrated on 2 measured requests of t4", "column `provenance`: its figures were predicted"),
    ] {
        let (code, told) = calibrate(title, cell);
        assert!(code == Some(1) && told.contains(words), "{told}");
    }
    for (title, cell, words) in [
        ("marks", "not_steady failures", "m.csv: 3 rows with the mark `failures`"),
        ("marks", "not_steady failures", "m.csv: 3 rows with the mark `not_steady`"),
        ("assumed", "prompt", "m.csv: 3 rows with settings that are assumed"),
        ("provenance", "measured", "calibrated on 3 measured requests of h100-sxm"),
        ("provenance", "estimated", "calibrated on 3 requests of h100-sxm with estimated energies"),
    ] {
        let (code, told) = calibrate(title, cell);
        assert!(code == Some(0) && told.contains(words), "{told}");
    }
    let asked = [&of(&["--concurrency", "16"])[..], &["--predictor", &mine]].concat();
    let estimated = "calibrated on 3 requests of h100-sxm with estimated energies";
    assert_eq!(json(&asked)["forecast"]["provenance"], estimated);
}

#[test]
fn a_measured_row_keeps_its_marks_beside_its_prediction() {
    let folder = Folder::new("predicted-marks");
    let [once, twice] = ["once.csv", "twice.csv"].map(|name| folder.path(name));
    let sheet = with_column("provenance,marks", "measured,idle_subtracted");
    let sheet = folder.write("m.csv", &sheet);
    good(&["predict", &sheet, "-o", &once]);
    good(&["predict", &once, "-o", &twice]);
    for path in [once, twice] {
        for row in rows_of(&path) {
            let [now, then, marks] =
                ["provenance", "measured_provenance", "measured_marks"].map(|title| row.further(title));
            assert_eq!(
                [now, then, marks],
                [Some("estimated from its data sheet"), Some("measured"), Some("idle_subtracted")]
            );
        }
    }
    said(&["evaluate", &sheet, &folder.path("once.csv")]).says("m.csv: 3 of 3 rows with the mark `idle_subtracted`");
}

#[test]
fn energies_of_more_than_the_gpus_are_told() {
    let folder = Folder::new("whole-machines");
    let mine = folder.path("mine.safetensors");
    let told = |meter: &str| {
        let sheet = folder.write("m.csv", &with_column("meter", meter));
        said(&["calibrate", "--device", "h100-sxm", "--requests", &sheet, "-o", &mine])
    };
    for alone in ["", "gpu0.energy + gpu1.power", "card1.energy", "NVML every 0.25 s"] {
        assert!(!told(alone).contains("counts more"), "{alone}");
    }
    for whole in ["gpu0.energy + rapl.package-0", "wall", "my-plug"] {
        told(whole).says(&format!("the meter `{whole}` counts more than the GPUs"));
    }
    let asked = [&of(&["--concurrency", "16"])[..], &["--predictor", &mine]].concat();
    good(&asked).says("energy and power are what the meter `my-plug` counts");
    for flags in [&["--meter", "wall"][..], &["--host-power", "100"]] {
        let error = refused(2, &[&asked[..], flags].concat());
        assert!(error.contains(flags[0]) && error.contains("`my-plug`"), "{error}");
    }
}

pub(crate) fn rows_of(path: &str) -> Vec<RequestRow> {
    RequestReader::new(path, std::fs::File::open(path).unwrap()).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_server_with_its_host_is_predicted_with_its_host() {
    let folder = Folder::new("host-of-a-server");
    let [sheet, mine, predicted] = ["m.csv", "mine.safetensors", "p.csv"].map(|name| folder.path(name));
    let mut asked = String::from("model,device,engine,concurrency,prompt,generated\n");
    for load in [1, 4, 8, 16] {
        asked += &format!("Llama-3.1-8B,l4,vllm-0.11,{load},64,128\nLlama-3.1-8B,l4,vllm-0.11,{load},512,128\n");
    }
    good(&["predict", &folder.write("asked.csv", &asked), "-o", &sheet]);
    // The data sheet's own figures, with 150 W of the machine around a GPU that draws 72 W at most.
    let with_host = |mut row: RequestRow| {
        let Figures { power_w, latency_s, tokens_per_s, .. } = row.figures;
        let power_w = power_w.map(|watts| watts + 150.0);
        row.figures = Figures { power_w, latency_s, tokens_per_s, ..Figures::default() };
        (row.low, row.high) = (Figures::default(), Figures::default());
        row.set_further("meter", "log");
        row.set_further("provenance", "measured");
        row
    };
    let measured: Vec<RequestRow> = rows_of(&sheet).into_iter().map(with_host).collect();
    irene_requests::write(std::fs::File::create(&sheet).unwrap(), &measured).unwrap();
    said(&["calibrate", "--device", "l4", "--requests", &sheet, "-o", &mine])
        .says("the meter `log` counts more than the GPUs (150 W beside them)")
        .says("energy of these requests")
        .says("hold 8 of 8");
    good(&["predict", &sheet, "--predictor", &mine, "-o", &predicted]);
    for (row, measured) in rows_of(&predicted).iter().zip(&measured) {
        let (found, watts) = (row.figures.power_w.unwrap(), measured.figures.power_w.unwrap());
        assert!((found / watts - 1.0).abs() < 0.03, "{found} {watts}");
        let [low, high] = [row.low, row.high].map(|end| end.power_w.unwrap());
        assert!(low <= watts && watts <= high, "{low} {watts} {high}");
        assert_eq!(row.further("marks"), Some("whole_machine"));
    }
    // Other devices are known without a machine around them.
    let plan = [
        "plan",
        "Llama-3.1-8B",
        "--prompt",
        "512",
        "--generate",
        "128",
        "--rate",
        "0.5",
        "--max-gpus",
        "1",
        "--predictor",
        &mine,
    ];
    let alone = [&plan[..], &["--device", "l4"]].concat();
    let watts = json(&alone)["plans"][0]["power_w"].as_f64().unwrap();
    assert!(watts < 100.0, "{watts}");
    let told = words(&good(&alone));
    told.says("; energy is that of the GPUs alone, without what the meter `log` counts beside them");
    assert!(!told.contains("the others are by data sheets"), "{told}");
}

#[test]
fn a_calibration_by_requests_answers_for_requests_alone() {
    let folder = Folder::new("requests-alone");
    let (sheet, mine) = (folder.write("measured.csv", MEASURED), folder.path("mine.safetensors"));
    good(&["calibrate", "--requests", &sheet, "--device", "h100-sxm", "-o", &mine]);
    let explained = ["explain", "gpt2", "root", "--concurrency", "8", "--prompt", "64", "--generate", "8"];
    words(&good(&[&explained[..], &["--predictor", &mine]].concat()))
        .says(", on h100-sxm: ")
        .says("(calibrated on 3 measured requests");
    refused(1, &["explain", &training_data(&folder), "root", "--predictor", &mine])
        .says("calibrated on 3 measured requests of h100-sxm and knows nothing of measured trees");
    refused(2, &["calibrate", "trees.jsonl", "--requests", &sheet, "-o", &mine]).says("calibrate twice");
    refused(2, &["calibrate", "trees.jsonl", "--engine", "vllm", "-o", &mine])
        .says("--engine works only with --requests");
    refused(2, &["calibrate", "--requests", &sheet, "--predictor", &mine, "-o", &mine])
        .says("--predictor works only with trees");
    let other = folder.write("other.safetensors", "nothing");
    refused(1, &of(&["--concurrency", "8", "--predictor", &other])).says("not a predictor file");
}
