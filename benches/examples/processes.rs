//! Time and memory of whole commands: `cargo build --release -p irene-cli && cargo run --release -p irene-benches --example processes -- 10`
//! runs each so often, and says the median time and the greatest memory. Where memory grows with a file, it does so for files of several
//! sizes. The machine has to be Linux, for the memory.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what it is for; what cannot be set up should stop, and say so

#[path = "../../irene-regress/tests/made_up/mod.rs"]
mod made_up;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use irene_tree::jsonl;

fn main() {
    let runs = std::env::args().nth(1).map_or(10, |runs| runs.parse().unwrap());
    let irene = std::env::current_exe().unwrap().with_file_name("../irene").canonicalize().unwrap();
    let folder = std::env::temp_dir().join(format!("irene-processes-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let measure = |what: &str, arguments: &str, runs: usize| {
        let mut times: Vec<Duration> = Vec::new();
        let mut peak = 0;
        for run in 0..=runs {
            let (time, memory) = run_once(&irene, &folder, arguments);
            // The first warms up.
            if run > 0 {
                times.push(time);
                peak = peak.max(memory);
            }
        }
        times.sort();
        let [least, median, most] = [0, runs / 2, runs - 1].map(|at| times[at].as_secs_f64() * 1e3);
        let mebibytes = peak as f64 / 1024.0;
        println!("{what} irene {arguments}: {median:.0} ms ({least:.0} to {most:.0}), {mebibytes:.0} MiB");
    };
    measure("", "predict bert-base-uncased --batch-size 8 --seq-len 128", runs);
    match irene_benches::device_1() {
        Some(lines) => {
            fs::write(folder.join("device_1.jsonl"), lines).unwrap();
            for method in ["irene", "measured", "primitives", "specs"] {
                measure("", &format!("crossvalidate device_1.jsonl --method {method}"), runs);
            }
            measure("", "train device_1.jsonl --method specs -o mine.safetensors", runs);
        }
        None => println!("skipped: IRENE_DATA does not lead to IrEne's device_1"),
    }
    for trees in [50, 100, 200, 400, 800] {
        let size = write_trees(&folder.join("trees.jsonl"), trees);
        let what = format!("{trees} trees, {:.1} MiB:", size as f64 / f64::from(1 << 20));
        for arguments in ["predict trees.jsonl -o predicted.jsonl", "evaluate predicted.jsonl predicted.jsonl"] {
            measure(&what, arguments, 3);
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Trees of DistilGPT-2 at so many sizes, measured by a made-up law.
fn write_trees(path: &Path, trees: usize) -> u64 {
    let spec = made_up::model("distilgpt2");
    let mut file = File::create(path).unwrap();
    for tree in 0..trees {
        writeln!(file, "{}", jsonl::to_json(&made_up::measured(&spec, 1 + tree % 40, 8 * (1 + tree / 40)))).unwrap();
    }
    file.metadata().unwrap().len()
}

/// The time, and the greatest resident memory, KiB, that is seen by looking twice a millisecond.
fn run_once(irene: &PathBuf, folder: &Path, arguments: &str) -> (Duration, u64) {
    let mut command = Command::new(irene);
    command.args(arguments.split(' ')).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kibibytes.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    assert!(ended.success(), "irene {arguments}: {ended}");
    (start.elapsed(), peak)
}
