//! The cost of running through the context, beside BERT written straight against candle, and the cost of a call at all.
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use std::borrow::Cow;

use candle_core::{DType, Device};
use criterion::{Criterion, criterion_group, criterion_main};
use irene_benches::{PlainBert, model};
use irene_models::{Batch, Cx, Label, Labelled, Module, RandomWeights, Result, Tensor};
use irene_tree::{Kernels, Level, Size};

/// As the `irene` command has it, for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A module of one operation; a tensor of two numbers leaves little but the call.
struct Relu(Label);

impl Labelled for Relu {
    fn label(&self) -> &Label {
        &self.0
    }
}

impl Module for Relu {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        cx.relu(x)
    }
}

fn call(criterion: &mut Criterion) {
    let plain = candle_core::Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    let x = Tensor::from_candle(plain.clone()).unwrap();
    let relu = Relu(Label { name: Cow::Borrowed("relu"), instance_type: "Relu", level: Level::Module });
    let mut group = criterion.benchmark_group("relu of two numbers");
    group.bench_function("candle", |bench| bench.iter(|| plain.relu().unwrap()));
    group.bench_function("a module through the context", |bench| {
        bench.iter(|| Cx::silent().call(&relu, &x).unwrap());
    });
    group.finish();
}

fn forward(criterion: &mut Criterion) {
    let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
    let ours = model("bert-base-uncased").build(&weights).unwrap();
    let plain = PlainBert::new().unwrap();
    let mut group = criterion.benchmark_group("bert-base, batch 1, sequence 32");
    group.sample_size(30);
    let ids: Vec<i64> = (1000..1032).collect();
    let batch = Batch::of_ids(ids.clone(), None, Size::new(1, 32), &Device::Cpu).unwrap();
    let ids = candle_core::Tensor::from_vec(ids, (1, 32), &Device::Cpu).unwrap();
    group.bench_function("straight against candle", |bench| bench.iter(|| plain.forward(&ids).unwrap()));
    for (name, kernels) in [("operation by operation", Kernels::Eager), ("fused", Kernels::Fused)] {
        group.bench_function(name, |bench| {
            bench.iter(|| ours.run(&mut Cx::silent().with_kernels(kernels), &batch).unwrap());
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = call, forward);
criterion_main!(benches);
