//! How long do a sample, and a window over a full ring, take?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use irene_sampler::{
    Channel, Clock, Metric, Recorder, Resource, Sensor, Series,
    sensors::{Places, kind},
};

/// The readings that a sampler keeps by default.
const CAPACITY: usize = 1 << 13;

fn sample(criterion: &mut Criterion) {
    let places = Places { tdp_watts: Some(65.0), ..Places::here() };
    let clock = Clock::new();
    for names in [&["utilisation"][..], &["tdp"], &["utilisation", "tdp"]] {
        let sensors: Vec<Box<dyn Sensor>> =
            names.iter().map(|name| (kind(name).unwrap().open)(&places).unwrap()).collect();
        let mut recorder = Recorder::new(sensors, CAPACITY);
        criterion.bench_function(&format!("a sample of {}", names.join(" and ")), |bench| {
            bench.iter(|| recorder.sample_at(clock.stamp()));
        });
    }
}

fn window(criterion: &mut Criterion) {
    for metric in [Metric::Utilisation, Metric::Power, Metric::Energy] {
        let mut series = Series::new(&Channel::new(Resource::Host, metric), CAPACITY);
        // More than it keeps, so that the ring does not lie in one piece; a step that differs each time.
        for i in 0..CAPACITY + CAPACITY / 2 {
            let reading = if metric == Metric::Energy { i as f64 * 8.5 } else { 50.0 + (i % 7) as f64 };
            series.push(i as f64 * 0.17, reading);
        }
        let (from, to) = (series.points().next().unwrap().0, series.points().next_back().unwrap().0);
        criterion.bench_function(&format!("a window over {CAPACITY} readings in {}", metric.unit()), |bench| {
            bench.iter(|| series.window(black_box(from), black_box(to)).unwrap());
        });
    }
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = sample, window);
criterion_main!(benches);
