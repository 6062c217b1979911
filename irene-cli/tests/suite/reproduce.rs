//! `irene reproduce` as a person uses it.

use std::fs;

use crate::command::{Folder, device_file, good, irene, records, refused, training_data};

const QUICK: [&str; 6] = ["--repeats", "1", "--seeds", "1", "--limit", "6"];

/// What is wrong with a report: a cell with nothing in it, a mark without its reason, a picture that is not there.
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
        assert!(text.contains(&format!("\n## {section}\n")), "{section}");
    }
    // Figures of others are neither of these trees nor of these records.
    assert!(text.contains("these trees are not of the paper's machines") && !text.contains("8.54"), "{text}");
    assert!(
        text.contains("| gpu_a100 (24) |") && text.contains("| mine (8) |") && !text.contains("11.6 / 10.5 / 19.7"),
        "{text}"
    );
    assert_eq!(text.matches("![").count(), 4, "three pictures of trees, one of a device that has enough records");

    // A second machine's trees have tables of their own in the same sections.
    let other = folder.path("other.jsonl");
    fs::copy(&trees, &other).unwrap();
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
fn data_that_cannot_be_is_refused_in_a_line_before_anything_is_written() {
    let folder = Folder::new("reproduce-refused");
    let report = folder.path("report");
    let device = device_file(&folder, "a", &records("6", "flexibert"));
    let error = |data: &[&str]| refused(1, &[&["reproduce"], data, &["-o", &report]].concat());
    assert!(error(&[&device, &device]).contains("two files have records of a"));
    assert!(error(&[&folder.path("none")]).contains("none"));
    fs::create_dir(folder.0.join("empty")).unwrap();
    assert!(error(&[&folder.path("empty")]).contains("neither IrEne's model_level_features.csv nor a file of records"));
    let text = folder.write("text.json", "hello");
    assert!(error(&[&text]).contains("text.json"));
    assert!(!folder.0.join("report").exists());
    let usage = irene(&["reproduce", &device]);
    assert_eq!(usage.status.code(), Some(2));
}

/// The numbers of a text, and the text without them.
fn apart(text: &str) -> (String, Vec<f64>) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let numbers = text.split(|c| !is_number(c)).filter_map(|number| number.trim_end_matches('.').parse().ok());
    (text.replace(is_number, ""), numbers.collect())
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_documentation_has_what_the_public_measurements_give() {
    let [one, two] = ["device_1", "device_2"].map(|device| {
        irene_tree::irene_csv::device_dir_from_env(device)
            .unwrap_or_else(|| panic!("IRENE_DATA does not lead to IrEne's {device}"))
    });
    let folder = Folder::new("reproduce-public");
    let report = folder.path("report");
    good(&["reproduce", one.to_str().unwrap(), two.to_str().unwrap(), "-o", &report]);
    let made = fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    assert_eq!(faults(&folder, &made), Vec::<String>::new());
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reproduction.md")).unwrap();
    let trees = |text: &str| {
        let from = text.find("\n## The machines").unwrap();
        let end = text.find("\n## Accuracy of surrogates").unwrap_or(text.len());
        apart(text[from..end].trim_end())
    };
    let ((words, numbers), (documented_words, documented_numbers)) = (trees(&made), trees(&documented));
    assert_eq!(words, documented_words, "docs/reproduction.md is not what `irene reproduce` writes");
    // Another processor adds in another order, which Unstructured, that diverges, makes much of.
    for (made, documented) in numbers.iter().zip(&documented_numbers) {
        let share = if *documented > 90.0 { 0.5 } else { 0.02 };
        assert!(
            (made - documented).abs() <= 0.02 + share * documented.abs(),
            "{made} here, {documented} in docs/reproduction.md"
        );
    }
    assert!(numbers.len() == documented_numbers.len() && numbers.len() > 2000);
}
