//! How long does it take to follow a model by its shapes, to cost it, and to predict its energy?
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use irene_tree::{Kernels, Parallel, Size};
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use irene_benches::{annotated, gpt2_7b, model};
use irene_models::{
    ModelSpec, Run, TaskHead,
    flexibert::{Design, Head, LayerDesign},
};
use irene_regress::DeviceProfile;

fn trace(criterion: &mut Criterion) {
    let bert = model("bert-base-uncased");
    criterion.bench_function("trace bert-base by shape alone", |bench| {
        bench.iter(|| bert.trace(Size::new(8, 128)).unwrap());
    });
    let large = gpt2_7b();
    criterion.bench_function("trace a 7-billion-parameter gpt2", |bench| {
        bench.iter(|| large.trace(Size::new(8, 128)).unwrap());
    });
    // The costliest to follow that the published space has: 12 layers of 12 heads that convolve.
    let layer = LayerDesign { hidden: 768, heads: vec![Head::Convolution(9); 12], feed_forward: vec![1024; 3] };
    let design = Design::new(vec![layer; 12]).unwrap();
    criterion.bench_function("trace 144 convolving heads of FlexiBERT from their design", |bench| {
        bench.iter(|| ModelSpec::from_design("design", black_box(&design)).unwrap().trace(Size::new(8, 128)).unwrap());
    });
    let tree = bert.trace(Size::new(8, 128)).unwrap();
    criterion.bench_function("cost every node of bert-base", |bench| {
        bench.iter_batched_ref(|| tree.clone(), irene_features::annotate, criterion::BatchSize::SmallInput);
    });
}

/// 1,000 tokens of each of 64 sequences after 1,000 of the prompt, as an engine on 8 GPUs runs it.
fn generation(criterion: &mut Criterion) {
    let tensor = Parallel { tensor: 8, ..Parallel::default() };
    for (name, parallel) in [("Llama-3.1-405B", tensor), ("DeepSeek-V3", Parallel { expert: 8, ..tensor })] {
        let spec = model(name);
        for kernels in [Kernels::Fused, Kernels::Eager] {
            let precision = spec.config().precision().unwrap();
            let size = Size::new(64, 1000);
            let run = Run { generate: 1000, head: TaskHead::Lm, precision, kernels, parallel, ..size.into() };
            criterion.bench_function(
                &format!("trace 64x1000 + 1000 tokens of {name}, {} kernels", kernels.name()),
                |bench| {
                    bench.iter(|| spec.trace(black_box(run)).unwrap());
                },
            );
        }
    }
}

fn predict(criterion: &mut Criterion) {
    criterion.bench_function("load the bundled profile", |bench| {
        bench.iter(|| DeviceProfile::bundled(black_box("gtx-1080-ti")).map(|profile| profile.provenance).unwrap());
    });
    let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
    let tree = annotated("bert-base-uncased", 8, 128).without_math();
    criterion.bench_function("predict every node of bert-base from specs", |bench| {
        bench.iter_batched_ref(
            || tree.clone(),
            |tree| profile.predictor.predict(tree).unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = trace, generation, predict);
criterion_main!(benches);
