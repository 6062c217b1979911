//! Spans: what they give, when they give it, and that nobody waits for a sensor.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::scope,
    time::Duration,
};

use irene_sampler::{
    Channel, Metric, Pending, Promise, Provenance, Resource, Sensor, Sensors, SpanError, Spent, Stamp, WindowError,
};

use crate::scripted::{LONG, WATTS, counter, sampler, samples, sensor};

fn meter(metric: Metric, reading: impl FnMut(Stamp) -> Option<f64> + Send + 'static) -> Box<dyn Sensor> {
    sensor(Channel::new(Resource::Meter("meter".into()), metric), reading)
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn check(spent: Spent) {
    assert!((spent.joules - WATTS * spent.seconds).abs() < 1e-6 * spent.joules, "{spent:?}");
    assert!((spent.watts - WATTS).abs() < 1e-6 && spent.readings >= 2, "{spent:?}");
    assert_eq!(spent.provenance, Provenance::Measured);
}

#[test]
fn a_span_has_the_energy_of_its_time_for_tasks_and_for_threads() {
    let sampler = sampler(vec![counter()]);
    samples(&sampler, 1);
    for how in 0..3 {
        let span = sampler.span();
        samples(&sampler, 5);
        let pending = span.end();
        check(match how {
            0 => block_on(pending).unwrap(),
            1 => pending.wait(LONG).unwrap().unwrap(),
            _ => {
                while pending.try_get().is_none() {
                    samples(&sampler, 1);
                }
                pending.try_get().unwrap().unwrap()
            }
        });
    }
}

#[test]
fn work_is_measured_and_its_result_comes_at_once() {
    let sampler = sampler(vec![counter()]);
    samples(&sampler, 1);
    let (sum, pending) = sampler.measure(|| {
        samples(&sampler, 4);
        2 + 2
    });
    assert_eq!(sum, 4);
    check(block_on(pending).unwrap());
}

#[test]
fn a_span_with_too_few_readings_is_refused_with_the_reason() {
    // Readings that do not differ tell nothing.
    let sampler = sampler(vec![meter(Metric::Energy, |_| Some(7.0))]);
    samples(&sampler, 1);
    let refused = sampler.span().end().wait(LONG).unwrap().unwrap_err();
    assert!(matches!(&refused, SpanError::NoEnergy(no) if matches!(no.error, WindowError::TooFew(0))), "{refused:?}");
    assert_eq!(refused.to_string(), "meter: it holds 0 readings, which is too few");
}

#[test]
fn without_a_meter_there_is_none() {
    let sampler = sampler(Sensors::default());
    samples(&sampler, 1);
    let span = sampler.span();
    samples(&sampler, 3);
    assert_eq!(block_on(span.end()), Err(SpanError::NoMeter));
}

#[test]
fn one_that_a_silent_meter_never_reaches_is_refused_after_some_seconds() {
    let silent = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&silent);
    let meter = meter(Metric::Energy, move |stamp| (!theirs.load(Ordering::Relaxed)).then_some(WATTS * stamp.time));
    let sampler = sampler(vec![meter]);
    samples(&sampler, 2);
    silent.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(200));
    samples(&sampler, 2);
    let pending = sampler.span().end();
    assert_eq!(pending.try_get(), None);
    let refused = pending.wait(LONG).unwrap();
    assert!(matches!(&refused, Err(SpanError::Late { waited, .. }) if *waited >= 3.0), "{refused:?}");
}

/// Tells when it is being read, and is read until it is let go.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, change: impl FnOnce(&mut (bool, bool))) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn((bool, bool)) -> bool) {
        let waited = self.changed.wait_timeout_while(self.state.lock().unwrap(), LONG, |state| !until(*state)).unwrap();
        assert!(!waited.1.timed_out());
    }
}

#[test]
fn nobody_waits_for_a_sensor_that_is_being_read() {
    let gate = Arc::new(Gate::default());
    let theirs = Arc::clone(&gate);
    let slow = meter(Metric::Energy, move |stamp| {
        theirs.set(|state| state.0 = true);
        theirs.wait(|(_, is_open)| is_open);
        Some(WATTS * stamp.time)
    });
    let sampler = sampler(vec![slow]);
    gate.wait(|(is_read, _)| is_read);
    // The sensor is held fast here: each of these would never return if it waited for it.
    let pending = sampler.span().end();
    assert_eq!(pending.try_get(), None);
    assert_eq!(pending.wait(Duration::ZERO), None);
    assert_eq!(sampler.look(|recording| recording.series(0).pushed()), 0);
    assert!(!sampler.wait_past(0.0, Duration::ZERO));
    gate.set(|state| state.1 = true);
    assert!(pending.wait(LONG).unwrap().is_err(), "it began before the first reading");
}

#[test]
fn spans_that_are_open_when_the_sampler_stops_tell_so() {
    let sampler = sampler(vec![counter()]);
    samples(&sampler, 1);
    let (before, after) = (sampler.span(), sampler.span());
    let left = before.end();
    let recording = sampler.stop();
    assert!(recording.series(0).pushed() >= 1);
    assert!(left.wait(Duration::ZERO).is_some(), "whatever the readings had reached");
    assert_eq!(after.end().try_get(), Some(Err(SpanError::Stopped)));
}

#[test]
fn a_sensor_that_panics_leaves_no_span_open() {
    let fails = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&fails);
    let sampler = sampler(vec![meter(Metric::Energy, move |stamp| {
        assert!(!theirs.load(Ordering::Relaxed), "a sensor that panics");
        Some(stamp.time)
    })]);
    samples(&sampler, 1);
    let span = sampler.span();
    fails.store(true, Ordering::Relaxed);
    assert_eq!(block_on(span.end()), Err(SpanError::Stopped));
}

#[test]
fn spans_of_many_threads_all_come_while_the_sampler_runs_and_stops() {
    let sampler = sampler(vec![counter()]);
    samples(&sampler, 1);
    let given = AtomicUsize::new(0);
    let (spans, stopped): (Vec<_>, Vec<_>) = scope(|threads| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                threads.spawn(|| {
                    let open = sampler.span();
                    let spans: Vec<_> = (0..200)
                        .map(|i| {
                            let span = sampler.span();
                            if i % 20 == 0 {
                                samples(&sampler, 3);
                            }
                            span.end()
                        })
                        .collect();
                    given.fetch_add(spans.len(), Ordering::Relaxed);
                    (spans, open)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).unzip()
    });
    let spans: Vec<Pending<_>> = spans.into_iter().flatten().collect();
    assert_eq!(spans.len(), given.into_inner());
    let (mut measured, mut refused, mut short) = (0, 0, 0);
    for outcome in spans.into_iter().map(block_on) {
        match outcome {
            Ok(spent) => {
                check(spent);
                measured += 1;
            }
            // The sampler was held up before, so that its three samples came faster than it was seen to take them.
            Err(SpanError::NoEnergy(no)) if matches!(no.error, WindowError::TooShort(_)) => short += 1,
            Err(SpanError::NoEnergy(_)) => refused += 1,
            Err(other) => unreachable!("{other}"),
        }
    }
    assert!(measured + short >= 80, "each that took three samples: {measured}, {short} and {refused}");
    drop(sampler);
    for span in stopped {
        assert_eq!(block_on(span.end()), Err(SpanError::Stopped));
    }
}

mod pending {
    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_task_that_asked_is_woken_once() {
        let (promise, pending) = Promise::new();
        let mut pending = pin!(pending);
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let wakers = counts.clone().map(Waker::from);
        for waker in [&wakers[0], &wakers[0], &wakers[1]] {
            assert_eq!(pending.as_mut().poll(&mut Context::from_waker(waker)), Poll::Pending);
        }
        assert_eq!(pending.try_get(), None);
        promise.keep(7);
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
        assert_eq!(pending.as_mut().poll(&mut Context::from_waker(&wakers[0])), Poll::Ready(7));
        assert_eq!((pending.try_get(), pending.wait(Duration::ZERO)), (Some(7), Some(7)), "it stays");
    }

    #[test]
    fn a_value_that_nobody_waits_for_is_dropped() {
        let (promise, pending) = Promise::new();
        drop(pending);
        let value = Arc::new(7);
        promise.keep(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
