//! How do time and size grow: with a model's layers, with the trees of a file?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

#[path = "../../irene-regress/tests/made_up/mod.rs"]
mod made_up;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use irene_benches::gpt2_of;
use irene_regress::{DeviceProfile, LeaveOut, PaperTrainer, Track, Trainer, crossvalidate};
use irene_tree::{
    Size, Tree,
    jsonl::{self, TreeReader},
};

/// As the `irene` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A node a throughput's element.
fn layers(criterion: &mut Criterion) {
    let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
    let mut group = criterion.benchmark_group("layers");
    for layers in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
        let spec = gpt2_of(layers);
        let tree = made_up::traced(&spec, 8, 128);
        group.throughput(Throughput::Elements(spec.trace(Size::new(8, 128)).unwrap().nodes().len() as u64));
        group.bench_function(BenchmarkId::new("trace and cost", layers), |bench| {
            bench.iter(|| spec.trace(Size::new(8, 128)).unwrap());
        });
        group.throughput(Throughput::Elements(tree.nodes().len() as u64));
        group.bench_function(BenchmarkId::new("predict from specs", layers), |bench| {
            let predict = |tree: &mut Tree| profile.predictor.predict(tree).unwrap();
            bench.iter_batched_ref(|| tree.clone(), predict, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Four models at so many sizes, measured by a made-up law.
fn measured(trees: usize) -> Vec<Tree> {
    let models = ["google/bert_uncased_L-2_H-128_A-2", "google/bert_uncased_L-2_H-256_A-4", "distilgpt2", "openai-gpt"];
    let sizes = (0..).map(|at| (8 * (1 + at % 4), 32 * (1 + at / 4))).take(trees / models.len());
    let at_size =
        |(batch_size, seq_len)| models.map(|model| made_up::measured(&made_up::model(model), batch_size, seq_len));
    sizes.flat_map(at_size).collect()
}

/// A tree a throughput's element.
fn trees(criterion: &mut Criterion) {
    let all = measured(192);
    let mut group = criterion.benchmark_group("trees");
    group.sample_size(10);
    for count in [12, 24, 48, 96, 192] {
        let trees = &all[..count];
        let lines: String = trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("read", count), |bench| {
            bench.iter(|| {
                TreeReader::new("made up", lines.as_bytes()).map(|tree| tree.unwrap().nodes().len()).sum::<usize>()
            });
        });
        let references: Vec<&Tree> = trees.iter().collect();
        group.bench_function(BenchmarkId::new("train specs", count), |bench| {
            bench.iter(|| Track::Specs.train(&references).map(|_| ()).unwrap());
        });
        for (name, trainer) in [("End2End", &PaperTrainer::default() as &dyn Trainer), ("specs", &Track::Specs)] {
            group.bench_function(BenchmarkId::new(format!("cross-validate {name}"), count), |bench| {
                bench.iter(|| crossvalidate(trees, trainer, LeaveOut::Model, &|| ()).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = layers, trees);
criterion_main!(benches);
