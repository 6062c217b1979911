//! Who gets what, one rule a test.

mod prompts;

use std::time::{Duration, Instant};

use irene_attribution::{Error, Idle, IdlePower, Meter, Operation, Options, RequestInfo, Value, Weights};
use irene_sampler::{
    Channel, Metric, Pending, Provenance, Readings, Resource, Sampler, SamplerOptions, Sensor, Sensors,
};

use crate::scripted_time::{MS, Scripted, share};

/// 1 W is 1 nJ in a nanosecond.
fn given(watts: f64) -> Options {
    Options { idle_power: IdlePower::Given(watts), delay: Duration::ZERO, ..Options::default() }
}

#[test]
fn work_that_was_done_in_an_interval_shares_its_energy() {
    let mut scripted = Scripted::new(given(0.0));
    let [one, other] = ["one", "other"].map(|model| scripted.begin(model));
    scripted.look(10 * MS);
    one.tokens(1);
    other.tokens(3);
    scripted.reading(10 * MS, Some(4000));
    scripted.at(15 * MS);
    one.tokens(1);
    let (one, other) = (one.end(), other.end());
    scripted.reading(20 * MS, Some(500));
    assert_eq!((share(&one).decode_nj, share(&other).decode_nj), (1000 + 500, 3000));
    let accounts = scripted.meter.accounts();
    assert_eq!((accounts.models["one"].decode_nj, accounts.models["other"].decode_nj), (1500, 3000));
    assert_eq!((accounts.total_nj, accounts.nobody_nj), (4500, 0));
    assert_eq!((share(&one).covered, share(&one).intervals, share(&one).is_cancelled), (1.0, 2, false));
}

#[test]
fn idle_power_is_shared_evenly_at_each_moment_and_kept_apart_on_request() {
    for idle in [Idle::Shared, Idle::Apart] {
        let mut scripted = Scripted::new(Options { idle, ..given(3.0) });
        scripted.at(2 * MS);
        let first = scripted.begin("model");
        scripted.at(6 * MS);
        let second = scripted.begin("model");
        second.tokens(1);
        scripted.at(8 * MS);
        let (first, second) = (first.end(), second.end());
        scripted.reading(10 * MS, Some(100 * MS));
        let [first, second] = [share(&first), share(&second)];
        // 2 ms of nobody, 4 ms of the first one alone, 2 ms of both, 2 ms of nobody.
        let (alone, both) = (12 * MS, 3 * MS);
        let is_shared = idle == Idle::Shared;
        assert_eq!((first.idle_nj, second.idle_nj), if is_shared { (alone + both, both) } else { (0, 0) });
        assert_eq!((first.decode_nj, first.prompt_nj, second.decode_nj), (0, 0, 70 * MS));
        let nobody = scripted.meter.accounts().nobody_nj;
        assert_eq!(nobody, u128::from(if is_shared { 12 * MS } else { 30 * MS }));
    }
}

#[test]
fn a_request_that_did_nothing_gets_idle_power_alone() {
    let mut scripted = Scripted::new(given(2.0));
    let [idle, works] = ["idle", "works"].map(|model| scripted.begin(model));
    works.tokens(7);
    scripted.at(10 * MS);
    let (idle, works) = (idle.end(), works.end());
    scripted.reading(10 * MS, Some(500 * MS));
    let idle = share(&idle);
    assert_eq!((idle.prompt_nj, idle.decode_nj, idle.idle_nj), (0, 0, 10 * MS));
    assert_eq!(share(&works).decode_nj, 480 * MS);
    // With nobody who did anything the energy is nobody's.
    let idle = scripted.begin("idle").end();
    scripted.reading(20 * MS, Some(100 * MS));
    assert_eq!(share(&idle).joules(), None, "it took no time and did nothing");
    assert_eq!(scripted.meter.accounts().nobody_nj, u128::from(100 * MS));
}

#[test]
fn time_without_a_reading_is_unknown_and_never_zero() {
    let mut scripted = Scripted::new(given(0.0));
    let (partly, never) = (scripted.begin("model"), scripted.begin("model"));
    partly.tokens(1);
    never.tokens(1);
    scripted.at(10 * MS);
    let never = never.end();
    scripted.reading(10 * MS, None);
    scripted.at(15 * MS);
    partly.tokens(1);
    let partly = partly.end();
    scripted.reading(20 * MS, Some(70));
    let (partly, never) = (share(&partly), share(&never));
    assert_eq!((never.covered, never.joules(), never.decode_nj), (0.0, None, 0));
    assert!((partly.covered - 1.0 / 3.0).abs() < 1e-9 && partly.decode_nj == 70);
    assert_eq!(scripted.meter.accounts().unknown_ns, 10 * MS);
    assert_eq!(never.headers(), [("x-energy-covered", "0.0000".into()), ("x-energy-provenance", "measured".into())]);
}

#[test]
fn idle_power_is_learned_while_nothing_runs() {
    let mut scripted = Scripted::new(Options::default());
    let early = scripted.begin("model");
    early.tokens(1);
    scripted.at(100 * MS);
    let early = early.end();
    scripted.reading(100 * MS, Some(900 * MS));
    assert_eq!((share(&early).idle_joules(), share(&early).idle_watts), (None, None));
    assert_eq!(share(&early).decode_joules(), Some(0.9));
    for at in 2..=11 {
        scripted.reading(at * 100 * MS, Some(500 * MS));
    }
    assert_eq!(scripted.meter.accounts().idle_watts, Some(5.0));
    let late = scripted.begin("model");
    late.tokens(1);
    scripted.at(1200 * MS);
    let late = late.end();
    scripted.reading(1200 * MS, Some(900 * MS));
    assert_eq!(
        (share(&late).idle_nj, share(&late).decode_nj, share(&late).idle_watts),
        (500 * MS, 400 * MS, Some(5.0))
    );
}

#[test]
fn one_that_is_dropped_is_cancelled_and_its_work_counts() {
    let mut scripted = Scripted::new(given(0.0));
    let (dropped, cancelled) = (scripted.begin("model"), scripted.begin("model"));
    dropped.tokens(1);
    cancelled.tokens(1);
    scripted.at(5 * MS);
    drop(dropped);
    let cancelled = cancelled.cancel();
    scripted.reading(10 * MS, Some(600));
    assert!(share(&cancelled).is_cancelled && share(&cancelled).decode_nj == 300);
    assert!(share(&cancelled).attributes().contains(&("error.type", Value::Text("cancelled".into()))));
    let account = &scripted.meter.accounts().models["model"];
    assert_eq!((account.decode_nj, account.cancelled, account.ended, account.running), (600, 2, 0, 0));
}

#[test]
fn when_the_meter_stops_all_shares_come() {
    let mut scripted = Scripted::new(given(0.0));
    let (running, ended) = (scripted.begin("model"), scripted.begin("model"));
    scripted.look(10 * MS);
    running.tokens(1);
    ended.tokens(1);
    scripted.reading(10 * MS, Some(100));
    scripted.at(15 * MS);
    ended.tokens(1);
    let ended = ended.end();
    scripted.reading(20 * MS, Some(100));
    assert_eq!(ended.try_get(), None, "the other one may tell more");
    let Scripted { feed, meter, .. } = scripted;
    drop(feed);
    assert_eq!(share(&ended).decode_nj, 50 + 100);
    let late = running.end();
    assert!(share(&late).is_cancelled && share(&late).decode_nj == 50, "{late:?}");
    let after = share(&meter.begin("model").end());
    assert_eq!((after.joules(), after.covered), (None, 0.0));
    assert_eq!(meter.accounts().models["model"].running, 0);
}

#[test]
fn readings_that_come_after_their_time_was_given_up_are_nobody_s() {
    let mut scripted = Scripted::new(Options { horizon: Duration::from_millis(50), ..given(0.0) });
    let request = scripted.begin("model");
    request.tokens(1);
    scripted.at(80 * MS);
    scripted.feed.tick();
    request.tokens(1);
    let request = request.end();
    // The first 30 ms of the 100 ms were given up.
    scripted.reading(100 * MS, Some(1000));
    scripted.reading(100 * MS, Some(7));
    let accounts = scripted.meter.accounts();
    assert_eq!((share(&request).decode_nj, accounts.nobody_nj, accounts.total_nj), (700, 307, 1007));
    assert_eq!((accounts.unknown_ns, share(&request).covered), (30 * MS, 50.0 / 80.0));
}

#[test]
fn attributes_have_opentelemetry_s_names() {
    let mut scripted = Scripted::new(given(1.0));
    let info = RequestInfo { operation: Operation::TextCompletion, ..RequestInfo::from("llama") };
    let request = scripted.begin(info);
    request.prompt(12);
    scripted.at(10 * MS);
    request.tokens(3);
    let request = request.end();
    scripted.reading(10 * MS, Some(25 * MS));
    let share = share(&request);
    let text = |text: &str| Value::Text(text.into());
    let expected = [
        ("gen_ai.operation.name", text("text_completion")),
        ("gen_ai.request.model", text("llama")),
        ("gen_ai.usage.input_tokens", Value::Int(12)),
        ("gen_ai.usage.output_tokens", Value::Int(3)),
        ("irene.energy.covered_ratio", Value::Float(1.0)),
        ("irene.energy.provenance", text("measured")),
        ("irene.energy.joules", Value::Float(0.025)),
        ("irene.energy.prompt_joules", Value::Float(0.012)),
        ("irene.energy.decode_joules", Value::Float(0.003)),
        ("irene.energy.idle_joules", Value::Float(0.01)),
    ];
    assert_eq!(share.attributes(), expected);
    assert_eq!(share.headers()[0], ("x-energy-joules", "0.025000000".into()));
    let json = serde_json::to_value(&share).unwrap();
    assert_eq!(json["model"], "llama");
    assert_eq!(json["operation"], "text_completion");
    assert_eq!(json["prompt_nj"], 12 * MS);
    let accounts = serde_json::to_value(scripted.meter.accounts()).unwrap();
    assert_eq!(accounts["models"]["llama"]["decode_nj"], 3 * MS);
}

#[test]
fn settings_that_are_no_energies_are_refused_with_the_reason() {
    let refused = |prompt, token| Weights::new(prompt, token).unwrap_err().to_string();
    assert_eq!(refused(-1.0, 1.0), "the energy of a prompt token must be from 0 to 1000 J, not -1 J");
    assert!(refused(1.0, f64::NAN).contains("generated token") && refused(1.0, 1e9).contains("1000000000 J"));
    assert_eq!(refused(0.0, 0.0), "the tokens of a prompt or those generated must have an energy");
    for watts in [-1.0, f64::INFINITY, f64::NAN] {
        let refused = Meter::fed(|| 0, Provenance::Measured, given(watts)).unwrap_err();
        assert!(matches!(refused, Error::IdlePower(_)), "{refused}");
    }
}

#[test]
fn without_a_meter_shares_come_with_the_end_and_know_no_energy() {
    let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
    let meter = Meter::new(sampler.into(), Options::default()).unwrap();
    let request = meter.begin("model");
    request.tokens(5);
    let pending = request.end();
    let share = pending.try_get().unwrap();
    assert_eq!((share.joules(), share.tokens, share.is_cancelled), (None, 5, false));
    drop(meter.begin("model"));
    let account = &meter.accounts().models["model"];
    assert_eq!((account.ended, account.cancelled, account.running), (1, 1, 0));
}

/// A counter that goes on by a gigajoule at each reading.
struct Gigajoules([Channel; 1], f64);

impl Sensor for Gigajoules {
    fn channels(&self) -> &[Channel] {
        &self.0
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.1 += 1e9;
        readings.push(0, self.1);
    }
}

#[test]
fn energies_go_on_beyond_the_nanojoules_that_64_bits_count() {
    let channel = Channel { limit_watts: f64::INFINITY, ..Channel::new(Resource::Gpu(0), Metric::Energy) };
    let sensors = vec![Box::new(Gigajoules([channel], 0.0)) as Box<dyn Sensor>];
    let options = SamplerOptions { period: Duration::from_millis(1), ..SamplerOptions::default() };
    let meter = Meter::new(Sampler::start(sensors, options).unwrap().into(), given(0.0)).unwrap();
    let start = Instant::now();
    while meter.accounts().total_nj <= u128::from(u64::MAX) {
        assert!(start.elapsed() < Duration::from_secs(60), "it stands at {:?}", meter.accounts());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn models_beyond_some_hundreds_share_an_account() {
    let mut scripted = Scripted::new(given(0.0));
    let shares: Vec<Pending<_>> = (0..300).map(|model| scripted.begin(format!("model {model}")).end()).collect();
    scripted.reading(MS, Some(0));
    let accounts = scripted.meter.accounts();
    assert_eq!((accounts.models.len(), accounts.models["other"].ended), (257, 44));
    assert!(shares.iter().all(|pending| pending.try_get().is_some()));
}
