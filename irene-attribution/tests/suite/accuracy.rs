//! How near are the shares to the truth? Servers in scripted time, whose energy of each request is known.

use irene_attribution::{Options, Share};

use crate::simulated::{KINDS, Server, Truth, Work, serve, weights_of};

/// The errors of a kind of requests, as shares of the truth.
#[derive(Debug)]
struct Errors {
    kind: &'static str,
    /// The error of all together.
    mean: f64,
    /// The median and the 95th percentile of single requests, without their signs.
    median: f64,
    most: f64,
}

/// The errors of each kind of request that has such an energy.
fn errors(served: &[(Truth, Share)], energies: fn(&Truth, &Share) -> (f64, f64)) -> Vec<Errors> {
    let mut found = Vec::new();
    for (kind, about) in KINDS.iter().enumerate() {
        let own = served.iter().filter(|(truth, _)| truth.kind == kind).map(|(truth, share)| energies(truth, share));
        let pairs: Vec<(f64, f64)> = own.filter(|(_, truth)| *truth > 0.0).collect();
        if pairs.is_empty() {
            continue;
        }
        let sum = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>();
        let mut single: Vec<f64> = pairs.iter().map(|(found, truth)| (found / truth - 1.0).abs()).collect();
        single.sort_by(f64::total_cmp);
        let at = |share: f64| single[((single.len() - 1) as f64 * share) as usize];
        let mean = sum(|pair| pair.0) / sum(|pair| pair.1) - 1.0;
        found.push(Errors { kind: about.name, mean, median: at(0.5), most: at(0.95) });
    }
    found
}

fn whole(truth: &Truth, share: &Share) -> (f64, f64) {
    (share.joules().unwrap(), truth.prompt_j + truth.decode_j + truth.idle_j)
}

fn prompt(truth: &Truth, share: &Share) -> (f64, f64) {
    (share.prompt_joules().unwrap(), truth.prompt_j)
}

fn decode(truth: &Truth, share: &Share) -> (f64, f64) {
    (share.decode_joules().unwrap(), truth.decode_j)
}

#[test]
fn each_kind_of_request_is_within_two_percent() {
    let server = Server::default();
    let options = Options { weights: weights_of(&server), ..Options::default() };
    for clients in [1, 8, 64] {
        for (period_ms, tells_start) in [(10, true), (10, false), (30, false), (100, true), (100, false)] {
            let work = Work { clients, period_ms, tells_start, ..Work::default() };
            let served = serve(&server, &work, options);
            for (what, energies) in [("all", whole as fn(&_, &_) -> _), ("prompt", prompt), ("decode", decode)] {
                for errors in errors(&served, energies) {
                    println!("{clients} at a time, {period_ms} ms, start {tells_start}, {what}: {errors:.4?}");
                    // Who goes away does not see the last of its 30 to 60 tokens.
                    let unseen = if errors.kind == "cancelled" && what == "decode" { 0.025 } else { 0.0 };
                    assert!(errors.mean.abs() <= 0.02 + unseen, "{work:?}, {what}: {errors:?}");
                    let single = if what == "all" { 0.02 } else { 0.03 };
                    assert!(errors.median <= single + unseen, "{work:?}, {what}: {errors:?}");
                    assert!(errors.most <= 0.12, "{work:?}, {what}: {errors:?}");
                }
            }
        }
    }
}

#[test]
fn one_at_a_time_needs_no_weights() {
    let server = Server::default();
    let served = serve(&server, &Work { clients: 1, ..Work::default() }, Options::default());
    for errors in errors(&served, whole) {
        assert!(errors.mean.abs() <= 0.02 && errors.median <= 0.02, "{errors:?}");
    }
}

#[test]
fn energy_of_steps_is_shared_by_those_in_them() {
    // Half of a token's energy is that of the step, among eight.
    let server = Server { step_j: 8.0 * 0.1, token_j: 0.1, ..Server::default() };
    let weights = irene_attribution::Weights::new(server.prompt_j, 0.2).unwrap();
    let served = serve(&server, &Work::default(), Options { weights, ..Options::default() });
    for errors in errors(&served, whole) {
        assert!(errors.mean.abs() <= 0.03, "{errors:?}");
    }
}
