//! When work on a prompt counts, and for whom.

use std::time::Duration;

use irene_attribution::{Options, RequestInfo, Weights};

use super::given;
use crate::scripted_time::{MS, Scripted, all, share};

fn weighted(prompt_j: f64, token_j: f64) -> RequestInfo {
    RequestInfo { weights: Some(Weights::new(prompt_j, token_j).unwrap()), ..RequestInfo::from("model") }
}

#[test]
fn a_prompt_is_spread_from_its_start_to_the_first_token() {
    let mut scripted = Scripted::new(given(0.0));
    let request = scripted.begin(weighted(0.001, 0.1));
    request.prompt(300);
    let beside = scripted.begin(weighted(0.001, 0.1));
    for at in 1..=3 {
        scripted.at(at * 10 * MS);
        beside.tokens(1);
        scripted.reading(at * 10 * MS, Some(1000));
        assert_eq!(scripted.meter.accounts().total_nj, 0, "the prompt is not known to be over");
    }
    request.tokens(1);
    let (request, beside) = (request.end(), beside.end());
    scripted.reading(40 * MS, Some(0));
    // In each interval 100 tokens of the prompt, a third of the token and one token of the other: 0.1, 0.033 and 0.1 J expected.
    let (request, beside) = (share(&request), share(&beside));
    assert!((1284..=1287).contains(&request.prompt_nj) && (425..=429).contains(&request.decode_nj), "{request:?}");
    assert!((1284..=1287).contains(&beside.decode_nj), "{beside:?}");
    assert_eq!(scripted.meter.accounts().total_nj, 3000);
}

#[test]
fn tokens_that_a_cache_had_are_part_of_the_prompt_and_no_work() {
    let mut scripted = Scripted::new(given(0.0));
    let [cached, fresh] = ["cached", "fresh"].map(|model| scripted.begin(model));
    cached.prompt(8050);
    cached.prompt_cached(8000);
    fresh.prompt(150);
    scripted.at(10 * MS);
    cached.tokens(1);
    fresh.tokens(1);
    let (cached, fresh) = (cached.end(), fresh.end());
    scripted.reading(10 * MS, Some(202_000));
    let (cached, fresh) = (share(&cached), share(&fresh));
    assert_eq!((cached.prompt_nj, cached.decode_nj, cached.prompt_tokens), (50_000, 1000, 8050));
    assert_eq!((fresh.prompt_nj, fresh.decode_nj), (150_000, 1000));
}

#[test]
fn a_request_that_waits_in_a_queue_gets_no_work() {
    let mut scripted = Scripted::new(given(1.0));
    let [works, waits] = ["works", "waits"].map(|model| scripted.begin(model));
    waits.prompt(1000);
    works.prompt(10);
    scripted.at(10 * MS);
    works.tokens(1);
    waits.prompt_started();
    scripted.reading(10 * MS, Some(50 * MS));
    scripted.at(20 * MS);
    waits.tokens(1);
    let (works, waits) = (works.end(), waits.end());
    scripted.reading(20 * MS, Some(50 * MS));
    let (works, waits) = (share(&works), share(&waits));
    assert_eq!((works.idle_nj, waits.idle_nj), (10 * MS, 10 * MS));
    assert_eq!(
        works.prompt_nj + works.decode_nj,
        40 * MS - 1,
        "the first interval, but for what no whole number splits"
    );
    assert!(waits.prompt_nj + waits.decode_nj >= 40 * MS - 2);
}

#[test]
fn a_prompt_that_is_open_for_too_long_counts_by_time() {
    let mut scripted = Scripted::new(Options { horizon: Duration::from_secs(1), ..given(0.0) });
    let (prompt, steps, stalls) = (scripted.begin("model"), scripted.begin("model"), scripted.begin("model"));
    prompt.prompt(1_000_000);
    stalls.tokens(1);
    for at in 1..=30 {
        scripted.look(at * 100 * MS);
        steps.tokens(1);
        scripted.reading(at * 100 * MS, Some(3000));
    }
    // Time older than the horizon is settled, but for the newest: one third for the prompt, the rest for the one that works.
    let accounts = scripted.meter.accounts();
    let settled = (accounts.total_nj / 3000) as u64;
    assert!((15..20).contains(&settled), "{settled}");
    assert_eq!(accounts.models["model"].prompt_nj, u128::from(settled * 1000));
    scripted.at(3000 * MS);
    prompt.tokens(1);
    let shares = [prompt.end(), steps.end(), stalls.end()];
    scripted.reading(3100 * MS, Some(0));
    let [prompt, steps, stalls] = shares.each_ref().map(share);
    // All of its prompt is spread over the time that was not settled, where it is nearly all of the work.
    assert!(prompt.prompt_nj > settled * 1000 + (30 - settled) * 2990, "{prompt:?}");
    assert!(stalls.decode_nj < 2000, "{stalls:?}");
    assert_eq!(all(&prompt) + all(&steps) + all(&stalls), 90_000 - scripted.meter.accounts().nobody_nj as u64);
}

#[test]
fn an_answer_in_one_piece_parts_by_its_work_what_it_took_by_time() {
    let mut scripted = Scripted::new(Options { horizon: Duration::from_secs(1), ..given(0.0) });
    let info = RequestInfo { prompt_comes_late: true, tokens_come_late: true, ..RequestInfo::from("model") };
    let request = scripted.begin(info);
    for at in 1..=30 {
        scripted.reading(at * 100 * MS, Some(3000));
        let accounts = scripted.meter.accounts();
        assert_eq!((accounts.models["model"].prompt_nj, accounts.total_nj), (0, 0), "its end tells");
    }
    request.prompt(10);
    request.tokens(90);
    let request = request.end();
    scripted.reading(3100 * MS, Some(0));
    let request = share(&request);
    assert!((8950..=9000).contains(&request.prompt_nj), "{request:?}");
    assert!((80_900..=81_000).contains(&request.decode_nj), "{request:?}");
    let accounts = scripted.meter.accounts();
    assert_eq!((accounts.total_nj, accounts.shared_nj() + accounts.nobody_nj), (90_000, 90_000));
    assert_eq!(accounts.models["model"].decode_nj, u128::from(request.decode_nj));
}

#[test]
fn a_prompt_that_is_told_at_the_end_is_waited_for() {
    let mut scripted = Scripted::new(given(0.0));
    let late = RequestInfo { prompt_comes_late: true, ..RequestInfo::from("late") };
    let (late, beside) = (scripted.begin(late), scripted.begin("beside"));
    scripted.look(10 * MS);
    late.tokens(1);
    beside.tokens(1);
    scripted.reading(10 * MS, Some(1200));
    for at in 2..=5 {
        scripted.look(at * 10 * MS);
        late.tokens(1);
        beside.tokens(1);
        scripted.reading(at * 10 * MS, Some(200));
    }
    assert_eq!(scripted.meter.accounts().total_nj, 0);
    late.prompt(10);
    let (late, beside) = (late.end(), beside.end());
    scripted.reading(60 * MS, Some(0));
    let (late, beside) = (share(&late), share(&beside));
    assert_eq!((late.prompt_nj, late.decode_nj), (1000, 100 + 400));
    assert_eq!(beside.decode_nj, 100 + 400);
    assert_eq!((late.prompt_tokens, late.tokens), (10, 5));
}
