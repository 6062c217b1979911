//! Energies against the truth of a scripted server, with faults on the way. The energy follows the work, so that a busy machine changes
//! how long a test takes and not what it finds.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot be set up should stop, and say so; how close it came is of interest

mod machine;

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use irene_bench::{
    Bench, Error, FindOptions, Identity, Limits, Mark, Measured, Prompts, Server, Setting, SheetFile, Target, split,
};
use irene_requests::{Figures, Load, RequestRow};
use irene_sampler::{
    Sampler, SamplerOptions,
    sensors::{Places, Selection},
};
use irene_scripted_server::{Fault, Misdeed, Script, ScriptedServer, Served};

use crate::machine::{Machine, lasting, options, short, within};

fn grid(prompts: [usize; 2], generate: [usize; 2], concurrency: usize) -> Vec<Setting> {
    let setting = |prompt: usize| generate.map(|generate| Setting { prompt, generate, concurrency });
    prompts.into_iter().flat_map(setting).collect()
}

/// Everything that can go wrong, in about one of six requests; one of eight fails.
fn faults() -> Vec<Fault> {
    // The first requests ask for the API and the lengths of prompts, the lines after them count from there.
    vec![
        Fault::every(23, 40, Misdeed::Status(500)),
        Fault::every(29, 41, Misdeed::Disconnect(2)),
        Fault::every(67, 42, Misdeed::Stall(Duration::from_secs(10))),
        Fault::every(37, 43, Misdeed::Slow(Duration::from_micros(50))),
        Fault::every(41, 44, Misdeed::Garbage),
        Fault::every(31, 45, Misdeed::WrongUsage),
    ]
}

/// Measures a grid with faults on the way, and compares the parts of its energy with the script.
fn parts_are_found(script: Script, prompts: [usize; 2], lengths: [usize; 2], (concurrency, timeout_s): (usize, f64)) {
    let script = Script {
        joules_per_prompt_token: 1e-3,
        joules_per_token: 0.015,
        joules_per_step: 0.025,
        seconds_per_prompt_token: 5e-6,
        idle_watts: 0.5,
        faults: faults(),
        ..script
    };
    let machine = Machine::new(script.clone());
    let (timeout, least) = (Duration::from_secs_f64(timeout_s), Duration::from_millis(1200));
    let limits = Limits { timeout, least, ..short() };
    let settings = grid(prompts, lengths, concurrency);
    let measured = machine.measure(&machine.server(), limits, &settings);

    let sheet = tempfile::tempdir().unwrap();
    let mut sheet = SheetFile::open(&sheet.path().join("sheet.csv"), Identity::default(), false).unwrap();
    for one in &measured {
        sheet.add(one).unwrap();
        assert_eq!(one.no_energy, None);
        within(0.02, one.prompt, one.setting.prompt as f64, "tokens of the prompt");
        within(0.001, one.generated, one.setting.generate as f64, "generated tokens");
        // One that stalls is not running: alone, it leaves long gaps.
        let least = if concurrency == 1 { 0.0 } else { 0.5 * concurrency as f64 };
        assert!(one.concurrency > least && one.concurrency <= concurrency as f64 + 1e-6, "{one:?}");
    }
    let errors = |kind: &str| measured.iter().filter_map(|one| one.errors.get(kind)).sum::<usize>();
    assert!(errors("status_500") > 0 && errors("disconnect") > 0 && errors("usage") > 0, "{measured:?}");

    // The truth, parted in the same way: what whole requests took that left in the windows.
    let truths: Vec<RequestRow> = measured.iter().map(|one| truth(&machine.scripted, one)).collect();
    let (found, truth) = (&split(sheet.rows())[0], &split(&truths)[0]);
    println!("{concurrency} at once: {found:?}, truth {truth:?}");
    within(0.03, found.prompt_token.unwrap().mean, truth.prompt_token.unwrap().mean, "a token of the prompt");
    within(0.03, found.token.unwrap().mean, truth.token.unwrap().mean, "a generated token");
    // Short answers spend more of their steps with few others, which a straight line gives to the request.
    within(0.05, truth.prompt_token.unwrap().mean, script.joules_per_prompt_token, "the script's own");
}

/// The mean of the whole requests that left in the window of a setting.
fn truth(scripted: &ScriptedServer, one: &Measured) -> RequestRow {
    let window = one.began_unix_s..one.began_unix_s + one.window_s;
    let served: Vec<Served> = scripted.served();
    let inside = served.iter().filter(|served| served.is_whole && window.contains(&scripted.unix_s(served.ended_s)));
    let joules: Vec<f64> = inside.map(|served| served.joules).collect();
    let mean = joules.iter().sum::<f64>() / joules.len() as f64;
    let figures = Figures { energy_per_request_j: Some(mean), ..Figures::default() };
    let load = Some(Load::Concurrency(one.setting.concurrency as f64));
    RequestRow { prompt: Some(one.prompt), generated: Some(one.generated), load, figures, ..RequestRow::default() }
}

#[test]
fn one_at_a_time_gives_the_energies_of_the_script() {
    parts_are_found(Script::default(), [32, 768], [4, 24], (1, 1.0));
}

#[test]
fn eight_at_a_time_give_the_energies_of_the_script() {
    parts_are_found(Script { seconds_per_step: 4e-3, ..Script::default() }, [32, 768], [4, 24], (8, 1.0));
}

#[test]
fn sixty_four_at_a_time_give_the_energies_of_the_script() {
    let script = Script { seconds_per_step: 16e-3, ..Script::default() };
    parts_are_found(script, [32, 512], [4, 36], (64, 3.0));
}

#[test]
fn energies_and_times_of_a_setting_are_those_of_the_script_even_across_wraps() {
    // The counter begins again soon after the load has begun.
    let (wraps_at_uj, begins_at_uj) = (262_143_328_850, 262_143_328_850 - 12_000_000);
    let script = Script { wraps_at_uj, begins_at_uj, idle_watts: 3.0, ..Script::default() };
    let machine = Machine::new(script.clone());
    let setting = Setting { prompt: 64, generate: 16, concurrency: 4 };
    let one = &machine.measure(&machine.server(), short(), &[setting])[0];
    let energy = one.energy.as_ref().unwrap();
    assert!(machine.scripted.joules() > 24.0);
    within(0.03, one.idle_w.unwrap(), 3.0, "idle power");
    let work = 64.0 * script.joules_per_prompt_token + 16.0 * script.joules_per_token;
    let request = one.figures.energy_per_request_j.unwrap();
    let idle = 3.0 * one.window_s / (one.whole + one.broken);
    within(0.03, request, work + idle, "energy of a request");
    within(1e-9, one.figures.energy_per_token_j.unwrap() * one.generated, request, "energy of a token");
    within(1e-9, one.figures.power_w.unwrap() * one.window_s, energy.joules, "power");
    assert_eq!(energy.channels.len(), 1);
    assert!(one.errors.is_empty() && one.marks.is_empty(), "{one:?}");
    assert!(one.window_s >= 0.8 && one.rounds >= 4);
    // 16 steps and the prompts of others between them.
    let [ttft, itl, latency] = [one.figures.ttft_s, one.figures.itl_s, one.figures.latency_s].map(Option::unwrap);
    assert!(ttft > 64.0 * 2e-5 && itl > 2e-3 && latency > 15.0 * itl && latency > ttft);
    within(
        0.05,
        one.figures.tokens_per_s.unwrap(),
        16.0 * one.concurrency / latency,
        "tokens a second by Little's law",
    );
}

#[test]
fn idling_is_left_out_where_that_is_asked_for() {
    let machine = Machine::new(Script { idle_watts: 5.0, ..Script::default() });
    let (server, stop) = (machine.server(), AtomicBool::new(false));
    let idle_w = Bench::idle_power(&machine.sampler, Duration::from_millis(500), &stop).unwrap();
    let bench = Bench { idle_w, subtracts_idle: true, ..machine.bench(&server, short(), &stop) };
    let prompts = Prompts::of_tokens(&server, 32, true, Duration::from_secs(5)).unwrap();
    let one = bench.measure(Setting { prompt: 32, generate: 8, concurrency: 2 }, &prompts).unwrap();
    within(0.03, one.figures.energy_per_request_j.unwrap(), 32.0 * 0.001 + 8.0 * 0.02, "work alone");
    assert_eq!(one.marks, [Mark::IdleSubtracted, Mark::SharedPrefix]);
}

#[test]
fn a_program_that_has_a_runtime_finds_the_server_and_counts_its_prompts() {
    let machine = Machine::new(Script::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tokens = runtime.block_on(async {
        let server = machine.find(&FindOptions::default()).unwrap();
        Prompts::of_tokens(&server, 16, false, Duration::from_secs(5)).unwrap().tokens()
    });
    within(0.1, tokens, 16.0, "tokens of a prompt");
}

#[test]
fn a_sheet_says_its_meter_with_what_the_energies_depend_on() {
    let machine = Machine::new(Script::default());
    let server = machine.server();
    let of = |meters: &[&str], places: Places| {
        let places = Places { sys: machine.sys.path().to_owned(), ..places };
        Identity::of(&server, &Selection::of(meters, &places).unwrap(), &places)
    };
    let counted = of(&["rapl"], Places::here());
    assert_eq!((counted.meter.as_str(), counted.api.as_str()), ("rapl.package-0", "completions"));
    assert!(counted.channels.contains(&counted.meter), "{:?}", counted.channels);
    assert_eq!(counted.model.as_deref(), server.model());
    assert_eq!(of(&[], Places::here()).meter, "");
    let estimated = Places { tdp_watts: Some(65.0), power_log_ahead: -1.5, ..Places::here() };
    assert_eq!(of(&["tdp"], estimated).meter, "tdp 65 W -1.5 s ahead");
}

#[test]
fn every_api_is_found_and_measured() {
    for (path, name, generate) in [
        ("/v1/chat/completions", "chat", 8),
        ("/generate_stream", "tgi", 8),
        ("/completion", "llama.cpp", 8),
        ("/v1/embeddings", "embeddings", 0),
    ] {
        let machine = Machine::new(Script { paths: vec![path.into()], ..Script::default() });
        let server = machine.server();
        assert_eq!((server.api(), server.generates()), (name, generate > 0));
        let one = &machine.measure(&server, lasting(300), &[Setting { prompt: 200, generate, concurrency: 2 }])[0];
        let work = one.prompt * 0.001 + generate as f64 * 0.02;
        let idle = 2.0 * one.window_s / one.whole;
        within(0.05, one.figures.energy_per_request_j.unwrap(), work + idle, name);
        assert_eq!(one.figures.energy_per_token_j.is_some(), generate > 0);
        assert_eq!(one.figures.ttft_s.is_some(), generate > 0);
    }
}

#[test]
fn servers_that_refuse_fields_or_tell_counts_in_whole_answers_alone_are_measured_too() {
    let refused = ["ignore_eos", "min_tokens", "generation_config"].map(str::to_owned).to_vec();
    let machine = Machine::new(Script {
        refused_fields: refused,
        ends_after: Some(5),
        paths: vec!["/v1/completions".into(), "/v1/models".into()],
        ..Script::default()
    });
    let server = machine.server();
    assert_eq!(server.model(), Some("scripted"));
    let one = &machine.measure(&server, lasting(300), &[Setting { prompt: 40, generate: 8, concurrency: 2 }])[0];
    // Its answers end after five tokens, whatever is asked for, and without stream_options it streams no counts.
    within(1e-9, one.generated, 5.0, "tokens that came");
    assert_eq!(one.marks, [Mark::EndedEarly, Mark::PromptSampled]);
}

#[test]
fn whole_answers_have_no_time_to_the_first_token() {
    let machine = Machine::new(Script::default());
    let server = machine.find(&FindOptions { whole: true, ..options() }).unwrap();
    let one = &machine.measure(&server, lasting(300), &[Setting { prompt: 200, generate: 8, concurrency: 2 }])[0];
    let work = one.prompt * 0.001 + 8.0 * 0.02;
    within(
        0.1,
        one.figures.energy_per_request_j.unwrap(),
        work + 2.0 * one.window_s / one.whole,
        "energy of a request",
    );
    assert!(one.figures.ttft_s.is_none() && one.figures.itl_s.is_none() && one.figures.latency_s.is_some());
    assert_eq!((one.generated, &one.marks[..]), (8.0, &[][..]));
}

#[test]
fn without_a_meter_there_are_times_alone() {
    let machine = Machine::new(Script::default());
    let places = Places { sys: "/nothing".into(), ..Places::here() };
    let sampler = Sampler::start(Selection::of(&[], &places).unwrap().sensors, SamplerOptions::default()).unwrap();
    let (server, stop) = (machine.server(), AtomicBool::new(false));
    assert_eq!(Bench::idle_power(&sampler, Duration::ZERO, &stop).unwrap(), None);
    let bench = Bench { sampler: &sampler, subtracts_idle: true, ..machine.bench(&server, lasting(200), &stop) };
    let prompts = Prompts::of_tokens(&server, 16, false, Duration::from_secs(5)).unwrap();
    let one = bench.measure(Setting { prompt: 16, generate: 4, concurrency: 1 }, &prompts).unwrap();
    assert!(one.energy.is_none() && one.no_energy.is_none() && one.figures.energy_per_request_j.is_none());
    assert!(one.figures.latency_s.is_some() && one.figures.ttft_s.is_some() && one.marks.is_empty());
}

#[test]
fn a_server_that_fails_is_refused_and_not_measured() {
    let faults = vec![Fault::every(2, 20, Misdeed::Status(503))];
    let machine = Machine::new(Script { faults, ..Script::default() });
    let (server, stop) = (machine.server(), AtomicBool::new(false));
    let limits = Limits { most_failures: 0.1, ..short() };
    let bench = machine.bench(&server, limits, &stop);
    let prompts = Prompts::of_tokens(&server, 16, false, Duration::from_secs(5)).unwrap();
    let error = bench.measure(Setting { prompt: 16, generate: 4, concurrency: 4 }, &prompts).unwrap_err().to_string();
    assert!(error.contains("requests failed") && error.contains("status 503: "), "{error}");
    stop.store(true, Ordering::Relaxed);
    let stopped = bench.measure(Setting { prompt: 16, generate: 4, concurrency: 4 }, &prompts);
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[test]
fn the_number_of_requests_is_bounded() {
    let machine = Machine::new(Script::default());
    let limits = Limits { most_requests: 12, least: Duration::from_secs(30), ..short() };
    let before = machine.scripted.served().len();
    let one = &machine.measure(&machine.server(), limits, &[Setting { prompt: 16, generate: 40, concurrency: 2 }])[0];
    assert_eq!((&one.marks[..], &one.no_energy), (&[Mark::NotSteady][..], &None));
    let served = machine.scripted.served().iter().filter(|one| one.prompt > 10 && one.generated > 1).count() - before;
    assert!(served <= 12, "{served}");
}

#[test]
fn too_few_requests_are_told_as_those_that_came_while_all_ran() {
    let machine = Machine::new(Script::default());
    let (server, stop) = (machine.server(), AtomicBool::new(false));
    let limits = Limits { most_requests: 9, least: Duration::from_secs(30), ..short() };
    let bench = machine.bench(&server, limits, &stop);
    let prompts = Prompts::of_tokens(&server, 16, false, Duration::from_secs(5)).unwrap();
    let error = bench.measure(Setting { prompt: 16, generate: 40, concurrency: 4 }, &prompts).unwrap_err().to_string();
    assert!(error.contains(" whole answers came while 4 requests ran, which is too few; give it"), "{error}");
}

#[test]
fn a_setting_that_does_not_become_steady_has_its_energy_and_not_the_server_s_emptying() {
    let machine = Machine::new(Script::default());
    let most = Duration::from_secs(4);
    let limits = Limits { most, least: Duration::from_secs(30), ..short() };
    // An answer takes more than half a second.
    let setting = Setting { prompt: 16, generate: 300, concurrency: 4 };
    let one = &machine.measure(&machine.server(), limits, &[setting])[0];
    assert_eq!((&one.marks[..], &one.no_energy), (&[Mark::NotSteady][..], &None));
    assert!(one.figures.energy_per_request_j.is_some());
    assert!(one.warm_up_s + one.window_s < most.as_secs_f64() + 0.2, "{one:?}");
}

/// A listener that counts who comes.
fn elsewhere() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1/completions", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&count);
    std::thread::spawn(move || listener.incoming().for_each(|_| _ = theirs.fetch_add(1, Ordering::Relaxed)));
    (address, count)
}

#[test]
fn nothing_but_the_address_is_contacted() {
    let (address, visits) = elsewhere();
    let redirects = vec![Fault::every(1, 0, Misdeed::Redirect(address.clone()))];
    let machine = Machine::new(Script { faults: redirects, ..Script::default() });
    let error = machine.find(&options()).unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("not contacted"), "{error}");
    drop(machine);

    let some = vec![Fault::every(9, 20, Misdeed::Redirect(address))];
    let machine = Machine::new(Script { faults: some, ..Script::default() });
    let one =
        &machine.measure(&machine.server(), lasting(300), &[Setting { prompt: 16, generate: 4, concurrency: 4 }])[0];
    assert!(one.errors["redirect"] > 0);
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[test]
fn an_api_that_is_not_there_is_named() {
    let machine = Machine::new(Script { paths: vec!["/v1/models".into()], ..Script::default() });
    let error = machine.find(&options()).unwrap_err().to_string();
    assert!(error.contains("/v1/completions: status 404") && error.contains("/v1/embeddings"), "{error}");
    let error = machine.find(&FindOptions { api: Some("grpc".into()), ..options() }).unwrap_err().to_string();
    assert!(error.contains("there are completions, chat, tgi, llama.cpp, embeddings"), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let error = Server::find(Target::parse(&free.to_string()).unwrap(), &options()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
