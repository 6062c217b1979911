//! How many requests run at once: waves of a batch, prompts among steps, copies with nothing to do.

use irene_predict::{Error, Figures, Host, Load, ModelSpec, Request, Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_tree::Parallel;

use crate::forecast::{Case, MODELS, is_at_least, request};

#[test]
fn the_rest_of_a_batch_runs_after_its_full_waves() {
    let case = Case::new(MODELS[0], "l4", "transformers");
    let most = case.good(Load::Sequences(1), 1000, 200).memory.most_sequences;
    let of = |sequences: usize| case.good(Load::Sequences(sequences), 1000, 200).figures;
    let [one, full, more, two_full] = [1, most, most + 1, 2 * most].map(of);
    let is_near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    assert!(is_near(more.latency_s, full.latency_s + one.latency_s), "{more:?} {full:?} {one:?}");
    assert!(is_near(two_full.latency_s, 2.0 * full.latency_s));
    let all = |figures: &Figures, count: usize| figures.energy_per_request_j * count as f64;
    assert!(is_near(all(&more, most + 1), all(&full, most) + all(&one, 1)), "{more:?} {full:?} {one:?}");
    let first = |figures: &Figures| figures.ttft_s.unwrap();
    let waited = most as f64 * first(&full) + full.latency_s + first(&one);
    assert!(is_near(first(&more), waited / (most + 1) as f64), "{more:?} {full:?} {one:?}");
    // As many are there all the time: each waits for all waves but its own.
    let served = case.good(Load::Concurrency(3.0 * most as f64), 1000, 200).figures;
    assert!(is_near(first(&served) + 199.0 * served.itl_s.unwrap(), served.latency_s), "{served:?}");
}

#[test]
fn one_request_more_than_tokens_changes_little() {
    for (engine, generated, running) in
        [("vllm-0.11", 128, [128, 129]), ("vllm-0.5", 128, [127, 128]), ("vllm-0.11", 8, [16, 17])]
    {
        for model in &MODELS[..2] {
            let case = Case::new(model, "h100-sxm", engine);
            let [less, more] =
                running.map(|running| case.good(Load::Concurrency(f64::from(running)), 512, generated).figures);
            let share = f64::from(running[1]) / f64::from(running[0]);
            for (less, more) in [(less.itl_s, more.itl_s), (less.ttft_s, more.ttft_s)] {
                let (less, more) = (less.unwrap(), more.unwrap());
                assert!(is_at_least(more, less) && more < 1.2 * share * less, "{case:?}: {more} and {less}");
            }
            let all = share * more.energy_per_request_j / less.energy_per_request_j;
            assert!((0.97..1.2 * share).contains(&all), "{case:?}: {more:?} {less:?}");
            assert!(is_at_least(more.tokens_per_s.unwrap(), 0.98 * less.tokens_per_s.unwrap()), "{case:?}");
        }
    }
}

#[test]
fn a_mean_near_a_whole_number_of_requests_is_not_taken_for_it() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let found = [25.0, 25.2, 25.49, 25.51, 25.8, 26.0].map(|running| case.good(Load::Concurrency(running), 512, 256));
    for pair in found.windows(2) {
        let [less, more] = [&pair[0].figures, &pair[1].figures];
        assert!(more.tokens_per_s > less.tokens_per_s && more.itl_s >= less.itl_s, "{less:?} {more:?}");
        assert!(more.energy_per_request_j < less.energy_per_request_j, "{less:?} {more:?}");
    }
}

#[test]
fn a_lone_request_waits_for_no_step_of_others() {
    for engine in ["vllm-0.11", "vllm-0.5", "tensorrt-llm"] {
        let found = Case::new(MODELS[0], "h100-sxm", engine).good(Load::Concurrency(1.0), 16, 64).figures;
        let by_parts = found.ttft_s.unwrap() + 63.0 * found.itl_s.unwrap();
        assert!((by_parts / found.latency_s - 1.0).abs() < 1e-9, "{engine}: {found:?}");
    }
}

#[test]
fn a_request_for_one_token_is_its_prompt() {
    for engine in ["vllm-0.11", "vllm-0.5"] {
        let case = Case::new(MODELS[0], "h100-sxm", engine);
        let found = case.good(Load::Concurrency(4.0), 100, 1);
        assert_eq!((found.figures.itl_s, found.token, found.sizes().count()), (None, None, 1), "{engine}: {found:?}");
        assert!((found.prompt.joules / found.figures.energy_per_request_j - 1.0).abs() < 1e-9, "{engine}");
        assert!(found.tree(&case.spec, &case.device, case.engine, &case.law, false).unwrap().check().is_ok());
    }
}

#[test]
fn copies_with_nothing_to_do_draw_what_a_loaded_model_draws() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let watts = |data: usize| {
        let parallel = Parallel { data, ..Parallel::default() };
        case.asked(&Request { parallel, ..request(Load::Concurrency(1.0), 512, 256) }).figures.power_w
    };
    let waiting = (case.law.power.loaded_share * case.device.tdp_w).max(case.device.idle_w.unwrap());
    assert!((watts(8) / (watts(1) + 7.0 * waiting) - 1.0).abs() < 1e-9, "{} {} {waiting}", watts(8), watts(1));
}

#[test]
fn arrivals_wait_for_room_and_a_device_that_is_full_never_idles() {
    let case = Case::new(MODELS[0], "l4", "vllm-0.11");
    let (prompt, generated) = (14_000, 200);
    let full = case.good(Load::Concurrency(1e3), prompt, generated);
    let most = full.running;
    let Err(Error::Overload { greatest, .. }) = case.of(Load::Rate(1e3), prompt, generated) else { panic!("served") };
    let found = [0.3, 0.6, 0.9, 0.98, 0.999].map(|share| case.good(Load::Rate(share * greatest), prompt, generated));
    for pair in found.windows(2) {
        let [less, more] = [&pair[0].figures, &pair[1].figures];
        assert!(more.latency_s > less.latency_s && more.ttft_s > less.ttft_s, "{less:?} {more:?}");
        assert!(is_at_least(more.power_w, less.power_w) && is_at_least(full.figures.power_w, more.power_w), "{more:?}");
    }
    let last = &found[4].figures;
    assert!(last.latency_s > 10.0 * most / greatest, "{last:?}");
    assert!((last.power_w / full.figures.power_w - 1.0).abs() < 0.01, "{last:?} {full:?}");
}

#[test]
fn a_rate_that_is_told_as_the_greatest_is_served() {
    for (device, prompt, generated) in [("l4", 20_000, 200), ("m2-ultra", 100_000, 20_000)] {
        let case = Case::new(MODELS[0], device, if device == "l4" { "vllm-0.11" } else { "llama.cpp" });
        let refused = case.of(Load::Rate(1e3), prompt, generated).unwrap_err().to_string();
        let told = refused.split("at most ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
        let rate: f64 = told.parse().unwrap();
        assert!(rate > 0.0 && case.of(Load::Rate(rate), prompt, generated).is_ok(), "{refused}");
        assert!(case.of(Load::Rate(1.02 * rate), prompt, generated).is_err(), "{refused}");
    }
}

#[test]
fn a_tiny_model_that_has_room_for_millions_is_served_at_a_rate() {
    let spec = ModelSpec::find("../irene-models/tests/fixtures/llm/llama").unwrap();
    let found = Case { spec, ..Case::new(MODELS[0], "h100-sxm", "vllm-0.11") }.good(Load::Rate(1.0), 16, 8);
    assert!(found.running < 2.0, "{found:?}");
}

#[test]
fn energy_at_a_rate_is_power_by_rate_also_at_the_ends_of_its_interval() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    for rate in [0.01, 1.0, 8.0] {
        let of_gpu = case.good(Load::Rate(rate), 512, 256);
        let wall = of_gpu.clone().at_the_wall(Host::Watts(300.0), &case.device, &case.law).unwrap();
        for found in [&of_gpu, &wall] {
            let [low, high] = found.interval;
            for figures in [low, found.figures, high] {
                let watts = figures.energy_per_request_j * rate;
                assert!((watts / figures.power_w - 1.0).abs() < 1e-9, "{rate}: {figures:?}");
            }
            assert!(low.power_w < found.figures.power_w && found.figures.power_w < high.power_w, "{rate}");
        }
        let [low, _] = of_gpu.interval;
        // The power of a device that has nothing to do was measured.
        assert!(rate > 0.1 || low.power_w > 0.9 * case.device.idle_w.unwrap(), "{low:?}");
    }
}

#[test]
fn no_low_end_is_below_the_idle_power_that_was_measured() {
    let case = Case::new(MODELS[0], "mi300x", "vllm-0.11");
    let parallel = Parallel { tensor: 4, ..Parallel::default() };
    let idle_w = 4.0 * case.device.idle_w.unwrap();
    for load in [Load::Rate(3.0), Load::Concurrency(1.0)] {
        let found = case.asked(&Request { parallel, ..request(load, 512, 256) });
        let [low, figures] = [&found.interval[0], &found.figures];
        assert!(is_at_least(low.power_w, idle_w) && low.power_w < figures.power_w, "{load:?}: {low:?}");
        assert!(load != Load::Rate(3.0) || is_at_least(low.energy_per_request_j, idle_w / 3.0), "{low:?}");
        // Tokens cost as much less as requests.
        let [of_request, of_token] = [figures.energy_per_request_j, figures.energy_per_token_j.unwrap()];
        let [lower, token] = [low.energy_per_request_j, low.energy_per_token_j.unwrap()];
        assert!((lower / of_request / (token / of_token) - 1.0).abs() < 1e-9, "{low:?}");
    }
}

#[test]
fn a_generation_beyond_the_models_positions_is_refused() {
    let case = Case::new("gpt2", "l4", "vllm-0.11");
    for load in [Load::Sequences(1), Load::Concurrency(4.0), Load::Rate(1.0)] {
        assert!(case.of(load, 256, 769).is_ok(), "{load:?}");
        let refused = case.of(load, 256, 770).unwrap_err().to_string();
        assert!(refused.contains("1024 positions") && refused.ends_with("shorten either"), "{refused}");
    }
}

#[test]
fn a_fraction_of_a_batch_is_said_to_be_rounded() {
    let case = Case::new("bert-base-uncased", "h100-sxm", "transformers");
    let [between, three] = [2.5, 3.0].map(|running| case.good(Load::Concurrency(running), 100, 0));
    assert_eq!(between.figures, three.figures);
    assert!(between.notes.iter().any(|note| note.mark() == "rounded"), "{:?}", between.notes);
    assert!(three.notes.iter().all(|note| note.mark() != "rounded"), "{:?}", three.notes);
    let server = Case::new(MODELS[0], "h100-sxm", "vllm-0.11").good(Load::Concurrency(2.5), 100, 10);
    assert!(server.notes.is_empty(), "{:?}", server.notes);
}

#[test]
fn what_a_cached_beginning_saves_is_what_a_shorter_prompt_takes_less() {
    for host in [None, Some(Host::Watts(300.0))] {
        let of = |prompt: f64| {
            let asked = RequestRow {
                model: Some(MODELS[0].into()),
                device: Some("h100-sxm".into()),
                load: Some(Load::Concurrency(32.0)),
                prompt: Some(prompt),
                generated: Some(16.0),
                ..RequestRow::default()
            };
            let setting = Service::new(ServiceOptions { host, ..ServiceOptions::default() }).setting(&asked).unwrap();
            let found = setting.forecast().unwrap();
            (setting, found)
        };
        let (setting, found) = of(64.0);
        let whole = setting.prompt_after(&found, 0).unwrap();
        assert!((whole.joules / found.prompt.joules - 1.0).abs() < 1e-9, "{whole:?} {:?}", found.prompt);
        assert!((whole.seconds / found.prompt.seconds - 1.0).abs() < 1e-9, "{whole:?} {:?}", found.prompt);
        let (rest, half) = (setting.prompt_after(&found, 32).unwrap(), of(32.0).1.prompt);
        assert!((0.8..1.3).contains(&(rest.joules / half.joules)), "{rest:?} {half:?}");
    }
}
