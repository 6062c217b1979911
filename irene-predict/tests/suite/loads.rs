//! How many requests run at once: waves of a batch, prompts among steps, copies with nothing to do.

use irene_predict::{Figures, Load, Request, forecast};
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
        let request = Request { parallel, ..request(Load::Concurrency(1.0), 512, 256) };
        forecast(&case.spec, &case.device, case.engine, &request, &case.law).unwrap().figures.power_w
    };
    let waiting = (case.law.power.loaded_share * case.device.tdp_w).max(case.device.idle_w.unwrap());
    assert!((watts(8) / (watts(1) + 7.0 * waiting) - 1.0).abs() < 1e-9, "{} {} {waiting}", watts(8), watts(1));
}
