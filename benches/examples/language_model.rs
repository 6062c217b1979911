//! The side of compare_language_models.py that is not PyTorch: `language_model FOLDER f32|bf16` reads a word a line and answers with
//! milliseconds: `prompt`, `step1`, `step8`, or `read` (the weights' bytes once); `check` answers with logits of the prompt.
#![allow(clippy::unwrap_used, clippy::panic)] // a comparison that cannot be set up should stop, and say so
#![allow(clippy::print_stdout)]

use std::{io::BufRead, path::PathBuf, time::Instant};

use candle_core::{DType, Device};
use irene_benches::language_model::{HALF_A_BILLION, next_token, prompt, read_once, run};
use irene_models::{ModelFiles, ModelSpec, TaskHead};

/// As the `irene` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn milliseconds<T>(run: impl FnOnce() -> T) -> String {
    let start = Instant::now();
    std::hint::black_box(run());
    format!("{:.3}", start.elapsed().as_secs_f64() * 1e3)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, dtype] = &arguments[..] else { panic!("language_model FOLDER f32|bf16") };
    let (dtype, bytes) = if dtype == "bf16" { (DType::BF16, 2) } else { (DType::F32, 4) };
    let files: Vec<PathBuf> = ModelFiles::find(folder).unwrap().weights().unwrap();
    let model = ModelSpec::find(folder).unwrap().load(&files, TaskHead::Lm, dtype, &Device::Cpu).unwrap();
    let model = model.as_ref();
    let (prompt, one, eight) = (prompt(), next_token(model, 1), next_token(model, 8));
    let numbers: Vec<u64> = (0..(HALF_A_BILLION * bytes / 8) as u64).collect();
    for line in std::io::stdin().lock().lines() {
        let answer = match line.unwrap().as_str() {
            "prompt" => milliseconds(|| run(model, &prompt)),
            "step1" => milliseconds(|| run(model, &one)),
            "step8" => milliseconds(|| run(model, &eight)),
            "read" => milliseconds(|| read_once(&numbers)),
            _ => {
                let logits = run(model, &prompt).logits.unwrap();
                let logits = logits.candle().unwrap().to_dtype(DType::F32).unwrap().flatten_all().unwrap();
                let some: Vec<String> =
                    logits.to_vec1::<f32>().unwrap().iter().step_by(997).map(ToString::to_string).collect();
                some.join(" ")
            }
        };
        println!("{answer}");
    }
}
