//! How long do a prompt and a step of a language model take, and how long does it take to read its weights once?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use candle_core::{DType, Device};
use criterion::{Criterion, criterion_group, criterion_main};
use irene_benches::language_model::{HALF_A_BILLION, half_a_billion, next_token, prompt, read_once, run};
use irene_models::{RandomWeights, TaskHead};

/// As the `irene` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn language_model(criterion: &mut Criterion) {
    for (name, dtype, bytes) in [("f32", DType::F32, 4), ("bf16", DType::BF16, 2)] {
        let weights = RandomWeights { seed: 1, dtype, device: Device::Cpu };
        let model = half_a_billion().build_with_head(&weights, TaskHead::Lm).unwrap();
        let mut group = criterion.benchmark_group(format!("half a billion parameters, {name}"));
        group.sample_size(10);
        let numbers: Vec<u64> = (0..(HALF_A_BILLION * bytes / 8) as u64).collect();
        group.bench_function("read the weights once", |bench| bench.iter(|| read_once(&numbers)));
        drop(numbers);
        for sequences in [1, 8] {
            let next = next_token(model.as_ref(), sequences);
            let name = format!("a step of {sequences} behind 256");
            group.bench_function(name, |bench| bench.iter(|| run(model.as_ref(), &next)));
        }
        let prompt = prompt();
        group.bench_function("a prompt of 8x128", |bench| bench.iter(|| run(model.as_ref(), &prompt)));
        group.finish();
    }
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = language_model);
criterion_main!(benches);
