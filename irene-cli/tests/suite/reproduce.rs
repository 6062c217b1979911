//! `irene reproduce` as a person uses it.

use std::fs;

use irene_baselines::Contest;
use irene_explore::{
    Dataset, Measure,
    learning::{CostLawLearner, Surrogates},
    search::Predicted,
    space::DesignSpace,
};

use crate::command::{Folder, Says, device_file, good, irene, records, refused, training_data};

const QUICK: [&str; 6] = ["--repeats", "1", "--seeds", "1", "--limit", "6"];

/// The faults of a report: a cell with nothing in it, a mark without its reason, a picture that is not there.
fn faults(folder: &Folder, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    for (place, block) in blocks.iter().enumerate() {
        let lines: Vec<&str> = block.lines().filter(|line| line.starts_with("| ")).collect();
        for line in &lines {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            if cells.iter().any(|cell| ["", "-", "NaN", "inf"].contains(cell)) {
                faults.push(format!("an empty cell: {line}"));
            }
            let number = |cell: &&str| cell.strip_prefix('(')?.strip_suffix(')')?.parse::<usize>().ok();
            for mark in cells.iter().filter_map(number) {
                let reasons = blocks.get(place + 1).copied().unwrap_or_default();
                if !reasons.contains(&format!("({mark}) ")) || !reasons.starts_with("(1) ") {
                    faults.push(format!("no reason ({mark}): {line}"));
                }
            }
        }
        let picture = block
            .strip_prefix("![")
            .and_then(|rest| rest.split_once("]("))
            .map(|(_, path)| path.trim_end().trim_end_matches(')'));
        if let Some(picture) = picture
            && !fs::read_to_string(folder.0.join("report").join(picture)).is_ok_and(|svg| svg.starts_with("<svg"))
        {
            faults.push(format!("no picture {picture}"));
        }
    }
    faults
}

#[test]
fn a_report_has_all_sections_and_no_cell_without_a_figure_or_a_reason() {
    let folder = Folder::new("reproduce");
    let trees = training_data(&folder);
    let device = device_file(&folder, "gpu_a100", &records("24", "flexibert"));
    let small = device_file(&folder, "mine", &records("8", "flexibert"));
    let report = folder.path("report");
    good(&[&["reproduce", &trees, &device, &small, "-o", &report][..], &QUICK].concat());
    let text = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(&folder, &text), Vec::<String>::new());
    for section in [
        "Errors by method",
        "ML-level errors by primitive",
        "Where the energy goes",
        "Accuracy of surrogates",
        "What searches find",
    ] {
        assert!(text.contains(&format!("\n### {section}\n")), "{section}");
    }
    // Figures of others are neither of these trees nor of these records.
    assert!(text.contains("these trees are not of the paper's machines") && !text.contains("8.54"), "{text}");
    assert!(
        text.contains("| gpu_a100 (24) |") && text.contains("| mine (8) |") && !text.contains("11.6 / 10.5 / 19.7"),
        "{text}"
    );
    assert_eq!(text.matches("![").count(), 4, "three pictures of trees, one of a device that has enough records");

    assert!(!text.contains("The published row is"), "there is none");

    // A second machine's trees have tables of their own in the same sections.
    let other = folder.write("other.jsonl", &format!("\n{}", fs::read_to_string(&trees).unwrap()));
    good(&["reproduce", &trees, &other, "-o", &report]);
    let text = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(&folder, &text), Vec::<String>::new());
    assert!(
        text.matches("\n**other.jsonl**\n").count() > 3 && text.contains("no records of ProTran's were given"),
        "{text}"
    );
    assert_eq!(text.matches("![").count(), 4);
}

#[test]
fn a_report_searches_at_the_length_of_the_records() {
    let folder = Folder::new("reproduce-length");
    let mut short = records("12", "flexibert");
    short.iter_mut().for_each(|record| record["seq_len"] = 16.into());
    let (device, report) = (device_file(&folder, "short", &short), folder.path("report"));
    good(&[&["reproduce", &device, "-o", &report][..], &QUICK].concat());
    let text = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();

    let data = Dataset::read(device.as_ref()).unwrap();
    let measures = data.measures();
    let surrogates = Surrogates::learn(&CostLawLearner, &data, &DesignSpace::published(), &measures, 0).unwrap();
    let worst = |measure: &Measure| data.figures(*measure).unwrap().into_iter().fold(0.0, f64::max);
    let reference: Vec<f64> = measures.iter().map(worst).collect();
    let describer = surrogates.describer();
    let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
    let found = Contest::hold(&predicted, &reference, 4000, 1).unwrap().evolution[0];
    assert!(text.contains(&format!("| short (12) | {found:.3} to {found:.3} |")), "{found} {text}");
}

#[test]
fn data_that_cannot_be_is_refused_in_a_line_before_anything_is_written() {
    let folder = Folder::new("reproduce-refused");
    let report = folder.path("report");
    let device = device_file(&folder, "a", &records("6", "flexibert"));
    let error = |data: &[&str]| refused(1, &[&["reproduce"], data, &["-o", &report]].concat());
    error(&[&device, &device]).says("two files have records of a");
    error(&[&folder.path("none")]).says("none");
    fs::create_dir(folder.0.join("empty")).unwrap();
    error(&[&folder.path("empty")]).says("neither IrEne's model_level_features.csv nor a file of records");
    let text = folder.write("text.json", "hello");
    error(&[&text]).says("text.json");
    assert!(!folder.0.join("report").exists());
    let usage = irene(&["reproduce", &device]);
    assert_eq!(usage.status.code(), Some(2));
}

/// A folder of small public files of language models, and a table that is none.
fn public_files(folder: &Folder) -> String {
    let at = folder.0.join("llm");
    fs::create_dir(&at).unwrap();
    let mut requests = String::from("task,model,engine,gpu,avg_batch,avg_out_tokens,energy_per_token_j,tput_tok_s\n");
    for (gpu, factor) in [("H100", 1.0), ("A100-SXM4-40GB", 1.4)] {
        for (model, size) in [("gpt2", 1.0), ("distilgpt2", 0.6)] {
            for batch in [2, 8, 32] {
                let (joules, rate) =
                    (factor * size * (0.05 + 1.0 / f64::from(batch)), f64::from(90 * batch) / factor / size);
                requests += &format!("gpqa,{model},vllm-0.5.x,{gpu},{batch},100,{joules},{rate}\n");
            }
        }
    }
    let mut kernels = String::from("op,device,latency_ms,b,m,n,k,h\n");
    let mut models = String::from("device,model,mode,seq,batch,variant,e2e_ms,fw_ms,bw_ms\n");
    for (device, factor) in [("Tesla_T4", 8.0), ("NVIDIA_H100_80GB_HBM3", 1.0)] {
        for rows in [512, 4096] {
            kernels += &format!("linear,{device},{},1,{rows},1024,1024,\n", factor * f64::from(rows) * 5e-5);
            kernels += &format!("add,{device},{},{rows},,,,1024\n", factor * f64::from(rows) * 5e-6);
        }
        models += &format!("{device},bert_large,inf,128,1,,{0},{0},0\n", factor * 3.0);
        models += &format!("{device},bert_large,train,128,1,,{},{},{}\n", factor * 9.0, factor * 3.0, factor * 6.0);
    }
    let servers = "round,model,scenario,system,accelerator,n_accelerators,samples_per_s,avg_power_w,min_power_w\n\
                   v1.0,bert-99,offline,one,NVIDIA A100-PCIe-40GB,8,8645,2300,746\n";
    let sheets = "gpu_db_name,memory_size_gb,memory_bandwidth_gb_s,streaming_multiprocessors,thermal_design_power_w,tensor_tflops\n\
                  L4,24,300.1,60,72,121\nnone,1,1,1,1,1\n";
    let other = "name,layers\ngpt2,12\n";
    for (name, text) in [
        ("requests.csv", requests.as_str()),
        ("kernels.csv", &kernels),
        ("models.csv", &models),
        ("servers.csv", servers),
        ("sheets.csv", sheets),
        ("other.csv", other),
    ] {
        fs::write(at.join(name), text).unwrap();
    }
    folder.path("llm")
}

#[test]
fn public_measurements_of_language_models_are_known_by_their_columns() {
    let folder = Folder::new("reproduce-llm");
    let llm = public_files(&folder);
    let report = folder.path("report");
    good(&["reproduce", &llm, "--choices", "1", "-o", &report]);
    let text = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(&folder, &text), Vec::<String>::new());
    for line in [
        "| ML.ENERGY | 12 | 12 requests |",
        "| NeuSight, whole models | 4 | 6 passes |",
        "| vllm-0.5 | 12 |",
        "| h100-sxm | 6 |",
        "| distilgpt2 | 6 |",
        "| kernels, 32-bit: linear | 4 |",
        "| one | 8 x a100-pcie-40gb |",
        "| L4 | l4 | 121",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("\n## Language models\n") && !text.contains("\n## IrEne\n") && !text.contains("other.csv"));

    let of = |name: &str| format!("{llm}/{name}");
    let error = |data: &[&str]| refused(1, &[&["reproduce"], data, &["-o", &folder.path("none")]].concat());
    error(&[&of("other.csv")]).says("no public measurements of language models that are known");
    error(&[&llm, &of("servers.csv")]).says("two files have MLPerf Inference, power");
    // One file alone has the sections of its kind, and one device leaves none out.
    fs::write(
        folder.0.join("llm/requests.csv"),
        "task,model,gpu,avg_batch,avg_out_tokens,energy_per_token_j,tput_tok_s\ngpqa,gpt2,H100,8,100,0.1,800\n",
    )
    .unwrap();
    good(&["reproduce", &of("requests.csv"), "--choices", "1", "-o", &report]);
    let text = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(&folder, &text), Vec::<String>::new());
    text.says("no file of that kind was given").says("another device has to be measured");
}

/// The numbers of a text, and the text without them.
fn apart(text: &str) -> (String, Vec<f64>) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let numbers = text.split(|c| !is_number(c)).filter_map(|number| number.trim_end_matches('.').parse().ok());
    (text.replace(is_number, ""), numbers.collect())
}

/// The documented report, of which a part is what `irene reproduce` writes: the same words, and numbers within a hundredth and a share.
fn assert_is_documented(made: &str, part: [&str; 2], least: usize, share: impl Fn(f64) -> f64) {
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reproduction.md")).unwrap();
    let cut = |text: &str| {
        let from = text.find(part[0]).unwrap();
        let end = text[from..].find(part[1]).map_or(text.len(), |end| from + end);
        apart(text[from..end].trim_end())
    };
    let ((words, numbers), (documented_words, documented_numbers)) = (cut(made), cut(&documented));
    assert_eq!(words, documented_words, "docs/reproduction.md is not what `irene reproduce` writes");
    for (made, documented) in numbers.iter().zip(&documented_numbers) {
        let near = 0.02 + share(*documented) * documented.abs();
        assert!((made - documented).abs() <= near, "{made} here, {documented} in docs/reproduction.md");
    }
    assert!(numbers.len() == documented_numbers.len() && numbers.len() > least);
}

fn made_from(folder: &Folder, data: &[&str]) -> String {
    let report = folder.path("report");
    good(&[&["reproduce"], data, &["-o", &report]].concat());
    let made = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(folder, &made), Vec::<String>::new());
    made
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_documentation_has_what_the_public_measurements_give() {
    let [one, two] = ["device_1", "device_2"].map(|device| {
        irene_tree::irene_csv::device_dir_from_env(device)
            .unwrap_or_else(|| panic!("IRENE_DATA does not lead to IrEne's {device}"))
    });
    let folder = Folder::new("reproduce-public");
    let made = made_from(&folder, &[one.to_str().unwrap(), two.to_str().unwrap()]);
    // Another processor adds in another order, which Unstructured, that diverges, makes much of.
    let share = |documented: f64| if documented > 90.0 { 0.5 } else { 0.02 };
    assert_is_documented(&made, ["\n### The machines", "\n## ProTran"], 2000, share);
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_documentation_has_what_public_measurements_of_language_models_give() {
    let folder = std::path::PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA names the folder of data"));
    let made = made_from(&Folder::new("reproduce-public-llm"), &[folder.join("llm").to_str().unwrap()]);
    assert_is_documented(&made, ["\n## Language models", "\n## End"], 1000, |_| 0.03);
}
