//! The `irene` binary, and folders for what it writes.
#![allow(dead_code)] // each test takes what it needs

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use irene_tree::{Quantity, jsonl};
use serde_json::Value;

/// A folder of its own for each test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("irene-cli-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.path(name)
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command without the settings of whoever runs the tests, and without a terminal.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irene"));
    command.args(args).env("IRENE_CONFIG", "").env_remove("COLUMNS").stdin(Stdio::null());
    command
}

pub(crate) fn irene(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Its output when it reads this from standard input.
pub(crate) fn fed(args: &[&str], text: &str) -> Output {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It may have refused before it read all.
    let _ = writer.join().unwrap();
    output
}

/// The command's output; fails if the command did.
pub(crate) fn good(args: &[&str]) -> String {
    let output = irene(args);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// The command's messages beside its results; fails if the command did.
pub(crate) fn said(args: &[&str]) -> String {
    let output = irene(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

/// A text that a test looks into.
pub(crate) trait Says {
    /// Fails with all of the text where this is no part of it.
    fn says(&self, part: &str) -> &Self;
}

impl Says for str {
    #[track_caller]
    fn says(&self, part: &str) -> &Self {
        assert!(self.contains(part), "no `{part}` in {self}");
        self
    }
}

/// The same in JSON.
pub(crate) fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(&[args, &["--format", "json"]].concat())).unwrap()
}

/// A text's words, wherever its lines end.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The one line it says when something is wrong; `code` is 1 for a failure and 2 for wrong usage.
pub(crate) fn refused(code: i32, args: &[&str]) -> String {
    let output = irene(args);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{args:?} printed results");
    assert!(complaint.starts_with("error: "), "{args:?}: {complaint}");
    if code == 1 {
        assert_eq!(complaint.trim_end().lines().count(), 1, "{args:?}: {complaint}");
    }
    complaint
}

/// The tiny checkpoints and configs of irene-models' tests.
pub(crate) fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../irene-models/tests/fixtures").join(name).display().to_string()
}

/// Its output; fails if the command did.
pub(crate) fn text_of(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Trees of two models at two sizes with energies and features by a simple law.
pub(crate) fn training_data(folder: &Folder) -> String {
    training_data_at(folder, &["8", "16"])
}

/// The same at other batches.
pub(crate) fn training_data_at(folder: &Folder, batches: &[&str]) -> String {
    let mut lines = String::new();
    for (model, size) in
        ["distilgpt2", "gpt2"].into_iter().flat_map(|model| batches.iter().map(move |size| (model, *size)))
    {
        let json = good(&["trace", model, "-b", size, "-s", "32", "--format", "json"]);
        let mut tree = jsonl::parse_tree(json.trim_end().as_bytes(), "trace", 1).unwrap();
        for node in tree.nodes_mut() {
            let work = node.get(Quantity::Flops).unwrap() * 1e-4 + node.get(Quantity::Kernels).unwrap() * 1e-3;
            node.set(Quantity::GroundTruthEnergy, work + 1e-3);
            for quantity in [Quantity::Cpu, Quantity::Mem, Quantity::Gpu, Quantity::GpuMem, Quantity::GpuClk] {
                node.set(quantity, 50.0);
            }
            node.set(Quantity::GpuMemClk, 3802.0);
            node.set(Quantity::Latency, work / 200.0);
            node.set(Quantity::GpuEnergy, work * 0.7);
        }
        lines += &(jsonl::to_json(&tree) + "\n");
    }
    folder.write("data.jsonl", &lines)
}

/// So many designs of a space with figures by a simple law.
pub(crate) fn records(count: &str, space: &str) -> Vec<Value> {
    let lines = good(&["explore", "sample", count, "--space", space, "--balanced"]);
    let record = |(order, line): (usize, &str)| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let sizes = record["model_dict"]["h"].as_array().unwrap();
        let work: f64 = sizes.iter().map(|size| size.as_f64().unwrap().powi(2)).sum();
        record["order"] = order.into();
        record["latency_s"] = (1e-3 + 1e-7 * work).into();
        record["energy_J"] = (1e-2 + 2e-6 * work).into();
        record["peak_power_W"] = (10.0 + work.ln()).into();
        record
    };
    lines.lines().enumerate().map(record).collect()
}

/// A device's file as ProTran's data is laid out, the records as they are.
pub(crate) fn device_file(folder: &Folder, name: &str, records: &[Value]) -> String {
    folder.write(&format!("{name}.json"), &serde_json::json!({ "device": name, "records": records }).to_string())
}
