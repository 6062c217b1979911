//! How long does it take to forecast what requests take on a device?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use irene_predict::{Load, Service, ServiceOptions, Setting};
use irene_requests::RequestRow;
use irene_tree::Parallel;

fn setting(load: Load) -> Setting {
    let row = RequestRow {
        model: Some("meta-llama/Llama-3.1-70B".into()),
        device: Some("h100-sxm".into()),
        prompt: Some(512.0),
        generated: Some(256.0),
        load: Some(load),
        parallel: Parallel { tensor: 4, ..Parallel::default() },
        ..RequestRow::default()
    };
    Service::new(ServiceOptions::default()).setting(&row).unwrap()
}

/// Llama-3.1-70B on four H100s, prompts of 512 tokens and 256 generated. Each model is new, so that it is built as in the first forecast.
fn forecast(criterion: &mut Criterion) {
    for (name, load) in [
        ("a batch of 8", Load::Sequences(8)),
        ("64 at once", Load::Concurrency(64.0)),
        ("8 requests a second", Load::Rate(8.0)),
    ] {
        criterion.bench_function(&format!("find and forecast {name} of Llama-3.1-70B"), |bench| {
            bench.iter(|| setting(black_box(load)).forecast().unwrap());
        });
        let known = setting(load);
        criterion.bench_function(&format!("forecast {name} of Llama-3.1-70B again"), |bench| {
            bench.iter(|| black_box(&known).forecast().unwrap());
        });
    }
    let known = setting(Load::Concurrency(64.0));
    let found = known.forecast().unwrap();
    criterion.bench_function("the tree of 64 at once of Llama-3.1-70B", |bench| {
        bench.iter(|| known.tree(black_box(&found), false).unwrap());
    });
}

/// A thousand rows of different lengths and loads, of four models on two devices, on one core.
fn sheet(criterion: &mut Criterion) {
    let models = ["Llama-3.1-8B", "Mistral-7B-v0.1", "Qwen/Qwen3-30B-A3B", "google/gemma-2-9b"];
    let row = |place: usize| RequestRow {
        model: Some(models[place % models.len()].into()),
        device: Some(if place.is_multiple_of(3) { "h200-sxm" } else { "h100-sxm" }.into()),
        prompt: Some((50 + place) as f64),
        generated: Some((20 + place % 700) as f64),
        load: Some(Load::Concurrency((1 + place % 128) as f64)),
        ..RequestRow::default()
    };
    let rows: Vec<RequestRow> = (0..1000).map(row).collect();
    criterion.bench_function("a sheet of a thousand requests", |bench| {
        bench.iter(|| {
            let service = Service::new(ServiceOptions::default());
            rows.iter().map(|row| service.setting(row).unwrap().forecast().unwrap().figures.latency_s).sum::<f64>()
        });
    });
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = forecast, sheet);
criterion_main!(benches);
