//! How much does attribution cost a server: a request that enters and leaves, a token, and settling an interval?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use irene_attribution::{IdlePower, Meter, Options, Request, RequestInfo};
use irene_sampler::{Channel, Metric, Provenance, Readings, Resource, Sampler, SamplerOptions, Sensor};

const OPTIONS: Options = Options {
    idle_power: IdlePower::Given(10.0),
    idle: irene_attribution::Idle::Shared,
    weights: irene_attribution::Weights::EVEN,
    horizon: Duration::from_secs(30),
    lookahead: Duration::from_secs(1),
    delay: Duration::from_millis(10),
};

/// A counter of 50 W.
struct Counter(Channel);

impl Sensor for Counter {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.0)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let time = readings.stamp().time;
        readings.push(0, 50.0 * time);
    }
}

fn sampler() -> Sampler {
    let counter = Box::new(Counter(Channel::new(Resource::Gpu(0), Metric::Energy))) as Box<dyn Sensor>;
    let options = SamplerOptions { period: Duration::from_millis(10), ..SamplerOptions::default() };
    Sampler::start(vec![counter], options).unwrap()
}

/// Begins and ends while a sampler is read every 10 ms, 64 requests run and three other threads do the same.
fn events(criterion: &mut Criterion) {
    let meter = Meter::new(Arc::new(sampler()), OPTIONS).unwrap();
    let model: Arc<str> = "model".into();
    let running: Vec<Request> = (0..64).map(|_| meter.begin(Arc::clone(&model))).collect();
    let stop = AtomicBool::new(false);
    let begin = || meter.begin(RequestInfo::from(Arc::clone(&model)));
    for others in [0, 3] {
        std::thread::scope(|threads| {
            stop.store(false, Ordering::Relaxed);
            for _ in 0..others {
                threads.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(begin().end());
                        // A thousand requests a second each.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            criterion.bench_function(&format!("a request enters, beside {others} threads"), |bench| {
                bench.iter_batched(|| (), |()| begin(), BatchSize::SmallInput);
            });
            criterion.bench_function(&format!("a request leaves, beside {others} threads"), |bench| {
                bench.iter_batched(begin, Request::end, BatchSize::SmallInput);
            });
            criterion.bench_function(&format!("a token, beside {others} threads"), |bench| {
                bench.iter(|| running[0].tokens(1));
            });
            stop.store(true, Ordering::Relaxed);
        });
    }
}

/// An interval of 10 ms in which 64 requests got a token each.
fn settling(criterion: &mut Criterion) {
    let clock = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&clock);
    let (meter, mut feed) = Meter::fed(move || theirs.load(Ordering::Relaxed), Provenance::Measured, OPTIONS).unwrap();
    let running: Vec<Request> = (0..64).map(|_| meter.begin("model")).collect();
    criterion.bench_function("an interval in which 64 requests ran", |bench| {
        bench.iter(|| {
            let now = clock.fetch_add(10_000_000, Ordering::Relaxed) + 10_000_000;
            running.iter().for_each(|request| request.tokens(1));
            feed.reading(now, Some(700_000_000));
            feed.tick();
        });
    });
}

/// A span, whose energy nobody waits for.
fn spans(criterion: &mut Criterion) {
    let sampler = sampler();
    criterion.bench_function("a span begins and ends", |bench| {
        bench.iter(|| drop(sampler.span().end()));
    });
    // Both ends of a span, and of a request, read the clock.
    criterion.bench_function("the clock is read", |bench| bench.iter(|| sampler.clock().now()));
}

criterion_group!(benches, events, settling, spans);
criterion_main!(benches);
