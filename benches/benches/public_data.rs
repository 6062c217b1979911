//! How long do reading, training and cross-validation take on IrEne's public data? Skipped where `IRENE_DATA` is not set.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use irene_regress::{LeaveOut, PaperTrainer, Track, Trainer, crossvalidate};
use irene_tree::{Tree, jsonl::TreeReader};

fn public_data(criterion: &mut Criterion) {
    let Some(lines) = irene_benches::device_1() else {
        println!("skipped: IRENE_DATA does not lead to IrEne's device_1");
        return;
    };
    let read = || TreeReader::new("device_1", lines.as_bytes()).collect::<Result<Vec<Tree>, _>>().unwrap();
    let mut group = criterion.benchmark_group("device_1");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(lines.len() as u64));
    group.bench_function("read 166 trees", |bench| bench.iter(read));
    group.finish();

    let trees = read();
    let mut group = criterion.benchmark_group("device_1 leave one model out");
    group.sample_size(10);
    let mut method = |name: &str, trainer: &dyn Trainer| {
        group.bench_function(name, |bench| {
            bench.iter(|| crossvalidate(&trees, trainer, LeaveOut::Model, &|| ()).unwrap());
        });
    };
    method("End2End, 6 folds of 8 epochs", &PaperTrainer::default());
    for track in Track::ALL {
        method(&format!("{}, 6 folds", track.name()), &track);
    }
    group.finish();
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = public_data);
criterion_main!(benches);
