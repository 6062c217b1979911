//! Laws that hold for any readings and any requests, whatever their order, their threads and their ends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::scope,
    time::{Duration, Instant},
};

use irene_attribution::{Feed, Idle, IdlePower, Meter, Options, Request, RequestInfo, Share, Weights};
use irene_sampler::{Pending, Provenance};
use proptest::prelude::*;

use crate::scripted_time::{MS, Scripted, all};

/// The actions of one request, each at a millisecond.
#[derive(Clone, Debug)]
struct Doing {
    model: usize,
    weights: Option<(f64, f64)>,
    comes_late: bool,
    begin: u64,
    /// When its prompt is told, and its tokens.
    prompt: Option<(u64, u64)>,
    started: Option<u64>,
    /// Times after its begin, and tokens.
    tokens: Vec<(u64, u64)>,
    /// The time after its begin, and whether it ends, is cancelled or is dropped; none runs until the meter stops.
    end: Option<(u64, usize)>,
}

impl Doing {
    /// Tells what is due so long after its begin.
    fn tell(&self, request: &Request, after: u64, pieces: fn(u64) -> Vec<u64>) {
        if let Some((_, tokens)) = self.prompt.filter(|(time, _)| *time == after) {
            request.prompt(tokens);
        }
        if self.started == Some(after) {
            request.prompt_started();
        }
        for (_, tokens) in self.tokens.iter().filter(|(time, _)| *time == after) {
            pieces(*tokens).into_iter().for_each(|piece| request.tokens(piece));
        }
    }
}

const END: u64 = 300;

fn doing() -> impl Strategy<Value = Doing> {
    let weights = prop::option::of((0.0..0.1, 0.001..1.0));
    let tokens = prop::collection::vec((0..200_u64, prop_oneof![0..5_u64, Just(1_000_000)]), 0..12);
    let prompt = prop::option::of((0..150_u64, prop_oneof![0..600_u64, Just(u64::MAX)]));
    let end = prop::option::weighted(0.9, (0..200_u64, 0..3_usize));
    ((0..3_usize, weights, any::<bool>()), 0..END, prompt, prop::option::of(0..50_u64), tokens, end).prop_map(
        |((model, weights, comes_late), begin, prompt, started, tokens, end)| Doing {
            model,
            weights,
            comes_late,
            begin,
            prompt,
            started,
            tokens,
            end,
        },
    )
}

/// A reading: none, an unknown energy, or one.
fn readings() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    let energy = prop_oneof![1 => Just(None), 8 => (0..50_000_000_u64).prop_map(Some), 1 => Just(Some(7))];
    prop::collection::vec((1..40_u64, energy), 1..40)
}

fn options() -> impl Strategy<Value = Options> {
    let power = prop_oneof![Just(IdlePower::Learned), (0.0..3.0).prop_map(IdlePower::Given)];
    (any::<bool>(), power, 20..2000_u64).prop_map(|(is_shared, idle_power, horizon)| Options {
        idle: if is_shared { Idle::Shared } else { Idle::Apart },
        idle_power,
        horizon: Duration::from_millis(horizon),
        ..Options::default()
    })
}

/// The outcome: the shares, in the order of the requests, and the meter.
struct Happened {
    shares: Vec<Share>,
    read_nj: u128,
    meter: Meter,
}

/// Plays requests against readings. Requests that do something in the same millisecond do it in the given order; `pieces` says how a
/// report of tokens is cut.
fn play(
    options: Options,
    requests: &[Doing],
    readings: &[(u64, Option<u64>)],
    order: &[usize],
    pieces: fn(u64) -> Vec<u64>,
    names: [&str; 3],
) -> Happened {
    let mut scripted = Scripted::new(options);
    let mut running: Vec<Option<Request>> = requests.iter().map(|_| None).collect();
    let mut shares: Vec<Option<Pending<Share>>> = requests.iter().map(|_| None).collect();
    let mut at = 0;
    let mut due: Vec<(u64, Option<u64>)> = Vec::new();
    for &(pause, energy) in readings {
        at += pause;
        due.push((at, energy));
    }
    for ms in 0..=2 * END {
        scripted.at(ms * MS);
        for &place in order {
            let doing = &requests[place];
            if doing.begin == ms {
                let info = RequestInfo {
                    weights: doing.weights.map(|(prompt, token)| Weights::new(prompt, token).unwrap()),
                    prompt_comes_late: doing.comes_late,
                    tokens_come_late: doing.comes_late,
                    ..RequestInfo::from(names[doing.model])
                };
                running[place] = Some(scripted.begin(info));
            }
            let after = ms.wrapping_sub(doing.begin);
            if let Some(request) = &running[place] {
                doing.tell(request, after, pieces);
            }
            if let Some(request) = running[place].take_if(|_| doing.end.is_some_and(|(time, _)| time == after)) {
                shares[place] = match doing.end {
                    Some((_, 0)) => Some(request.end()),
                    Some((_, 1)) => Some(request.cancel()),
                    _ => None,
                };
            }
        }
        for &(at, energy) in due.iter().filter(|(at, _)| *at == ms) {
            scripted.feed.reading(at * MS, energy);
        }
        if ms % 3 == 0 {
            scripted.feed.tick();
        }
    }
    let Scripted { feed, meter, .. } = scripted;
    drop(feed);
    let last = running.into_iter().zip(shares).map(|(running, share)| running.map(Request::end).or(share));
    let shares = last.flatten().map(|pending| pending.try_get().unwrap()).collect();
    let read_nj = due.iter().filter(|(at, _)| *at <= 2 * END).filter_map(|(_, energy)| *energy).map(u128::from).sum();
    Happened { shares, read_nj, meter }
}

fn whole(tokens: u64) -> Vec<u64> {
    vec![tokens]
}

fn cut(tokens: u64) -> Vec<u64> {
    vec![0, tokens / 3, tokens - tokens / 3]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

proptest! {
    #[test]
    fn shares_and_nobody_add_up_to_the_meter(
        options in options(), requests in prop::collection::vec(doing(), 0..20), readings in readings()
    ) {
        let order: Vec<usize> = (0..requests.len()).collect();
        let Happened { shares, read_nj, meter } = play(options, &requests, &readings, &order, whole, NAMES);
        let accounts = meter.accounts();
        prop_assert_eq!(accounts.total_nj, read_nj);
        prop_assert_eq!(accounts.shared_nj() + accounts.nobody_nj, read_nj);
        // Those that were dropped have no share to look at, and are in the accounts.
        let shown: u128 = shares.iter().map(|share| u128::from(all(share))).sum();
        prop_assert!(shown <= accounts.shared_nj());
        if requests.iter().all(|doing| doing.end.is_none_or(|(_, how)| how < 2)) {
            prop_assert_eq!(shown, accounts.shared_nj());
        }
        for share in &shares {
            prop_assert!((0.0..=1.0).contains(&share.covered), "{:?}", share);
            prop_assert!(share.joules().is_none_or(|joules| joules >= 0.0));
            prop_assert!(share.covered > 0.0 || all(share) == 0 , "{:?}", share);
        }
        let through: u64 = accounts.models.values().map(|model| model.ended + model.cancelled).sum();
        prop_assert_eq!(through as usize, requests.len());
        prop_assert!(accounts.models.values().all(|model| model.running == 0));
    }

    #[test]
    fn a_request_that_did_nothing_gets_idle_power_alone(
        options in options(), mut requests in prop::collection::vec(doing(), 1..12), readings in readings()
    ) {
        let mut idler = requests[0].clone();
        (idler.prompt, idler.comes_late) = (None, false);
        idler.tokens.clear();
        idler.end = idler.end.map(|(time, _)| (time, 0));
        requests[0] = idler;
        let order: Vec<usize> = (0..requests.len()).collect();
        let share = play(options, &requests, &readings, &order, whole, NAMES).shares.remove(0);
        prop_assert_eq!((share.prompt_nj, share.decode_nj), (0, 0));
        prop_assert!(options.idle == Idle::Shared || share.idle_nj == 0);
    }

    #[test]
    fn neither_order_nor_names_nor_the_cutting_of_reports_matter(
        options in options(), requests in prop::collection::vec(doing(), 1..12), readings in readings(),
        keys in prop::collection::vec(any::<u32>(), 12)
    ) {
        let order: Vec<usize> = (0..requests.len()).collect();
        let mut shuffled = order.clone();
        shuffled.sort_by_key(|&place| keys[place]);
        let energies = |happened: Happened| {
            let energies = |share: Share| (share.prompt_nj, share.decode_nj, share.idle_nj, share.covered, share.tokens);
            happened.shares.into_iter().map(energies).collect::<Vec<_>>()
        };
        let plain = energies(play(options, &requests, &readings, &order, whole, NAMES));
        prop_assert_eq!(&energies(play(options, &requests, &readings, &shuffled, whole, NAMES)), &plain);
        prop_assert_eq!(&energies(play(options, &requests, &readings, &order, whole, ["z", "y", "z"])), &plain);
        prop_assert_eq!(&energies(play(options, &requests, &readings, &order, cut, NAMES)), &plain);
    }
}

/// A meter of 40 W that a thread reads as fast as it can, until `work` is over.
fn read_while<T>(mut feed: Feed, start: Instant, work: impl FnOnce() -> T + Send) -> (T, u128)
where
    T: Send,
{
    let is_over = AtomicBool::new(false);
    scope(|threads| {
        let reader = threads.spawn(|| {
            let (mut last, mut sum) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let now = start.elapsed().as_nanos() as u64;
                feed.reading(now, Some(40 * (now - last)));
                feed.tick();
                sum += u128::from(40 * (now - last));
                last = now;
                std::thread::yield_now();
            }
            drop(feed);
            sum
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, reader.join().unwrap())
    })
}

#[test]
fn threads_and_cancellations_lose_nothing() {
    let start = Instant::now();
    let options = Options { idle_power: IdlePower::Given(10.0), ..Options::default() };
    let now = move || start.elapsed().as_nanos() as u64;
    let (meter, feed) = Meter::fed(now, Provenance::Measured, options).unwrap();
    let serve = |thread: u64| {
        let mut shares = Vec::new();
        for i in 0..500 {
            let request = meter.begin(if thread.is_multiple_of(2) { "even" } else { "odd" });
            request.prompt(i % 7);
            // Two threads report of one request.
            scope(|threads| {
                if i % 50 == 0 {
                    threads.spawn(|| (0..20).for_each(|_| request.tokens(1)));
                }
                (0..i % 30).for_each(|_| request.tokens(1));
            });
            match i % 5 {
                0 => drop(request),
                1 => shares.push(request.cancel()),
                _ => shares.push(request.end()),
            }
        }
        shares
    };
    let (shares, read_nj) = read_while(feed, start, || {
        scope(|threads| {
            let workers: Vec<_> = (0..8).map(|thread| threads.spawn(move || serve(thread))).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        })
    });
    let accounts = meter.accounts();
    assert_eq!(accounts.total_nj, read_nj);
    assert_eq!(accounts.shared_nj() + accounts.nobody_nj, read_nj);
    assert_eq!(shares.len(), 8 * 400);
    let shares: Vec<Share> = shares.iter().map(|pending| pending.try_get().unwrap()).collect();
    let tokens: u64 = shares.iter().map(|share| share.tokens).sum();
    // Requests 0, 50, 100 ... are those that are dropped.
    let told: u64 = (0..500_u64).filter(|i| !i.is_multiple_of(5)).map(|i| i % 30).sum();
    assert_eq!(tokens, 8 * told);
    let [even, odd] = ["even", "odd"].map(|name| &accounts.models[name]);
    assert_eq!((even.ended, even.cancelled, odd.ended, odd.cancelled), (1200, 800, 1200, 800));
    assert_eq!(even.running + odd.running, 0);
}
