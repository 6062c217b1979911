use irene_advice::{Bounds, Kind, PlanOptions, Suggestions};

use crate::selections::{LOOKUP, anywhere, batch, changes, own_card, service};

fn suggest(selection: &irene_advice::Selection, bounds: Bounds) -> Suggestions {
    LOOKUP.suggest(selection, bounds).unwrap()
}

#[test]
fn what_is_suggested_saves_what_its_comparison_says() {
    let selections = [
        service("Llama-3.1-8B", "h100-sxm", 32),
        service("Qwen3-4B", "l40s", 4).changed(&changes("power_limit_w=300;tensor_parallel=2")).unwrap(),
        service("gpt2-large", "a100-sxm-80gb", 8).changed(&changes("engine=vllm-0.5")).unwrap(),
        batch("bert-base-uncased", "gtx-1080-ti", 8, 128),
        batch("ModernBERT-base", "l4", 4, 256),
        service("Llama-3.1-8B", "h100-sxm", 1).changed(&changes("rate=3")).unwrap(),
    ];
    for selection in selections {
        let found = suggest(&selection, Bounds::default());
        let mut compared = 0;
        for suggestion in &found.suggestions {
            assert!(suggestion.saved_share > 0.0 && suggestion.saved_share < 1.0, "{suggestion:?}");
            let [low, high] = [suggestion.saved_share_low.unwrap(), suggestion.saved_share_high.unwrap()];
            assert!(low <= suggestion.saved_share && suggestion.saved_share <= high, "{suggestion:?}");
            let Some(set) = &suggestion.set else {
                assert!(suggestion.assumed.is_some(), "{suggestion:?}");
                continue;
            };
            let energy = LOOKUP.what_if(&selection, &changes(set)).unwrap().energy;
            assert!((1.0 - energy.ratio - suggestion.saved_share).abs() < 1e-9, "{suggestion:?} {energy:?}");
            compared += 1;
        }
        assert!(compared >= 3, "{selection}: {found:?}");
        assert!(found.suggestions.is_sorted_by(|x, y| x.saved_share >= y.saved_share));
    }
}

#[test]
fn every_kind_is_suggested_or_left_out_with_a_reason() {
    let longer = service("Llama-3.1-8B", "h100-sxm", 32).changed(&changes("generate=256")).unwrap();
    let found = suggest(&longer, Bounds::default());
    let kinds: Vec<Kind> = found.suggestions.iter().map(|suggestion| suggestion.kind).collect();
    for kind in [
        Kind::Concurrency,
        Kind::Weights,
        Kind::CacheFormat,
        Kind::PrefixCache,
        Kind::Device,
        Kind::PowerLimit,
        Kind::SmallerModel,
        Kind::FewerLayers,
        Kind::Speculative,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
    }
    for kind in [Kind::Padding, Kind::Kernels, Kind::Gpus] {
        let left_out = found.left_out.iter().find(|left_out| left_out.kind == kind);
        assert!(left_out.is_some_and(|left_out| left_out.reason.len() > 10), "{kind:?} in {:?}", found.left_out);
    }
    assert!(found.suggestions.len() >= 10, "{}", found.suggestions.len());
    let encoder = suggest(&batch("bert-base-uncased", "gtx-1080-ti", 8, 128), Bounds::default());
    let kinds: Vec<Kind> = encoder.suggestions.iter().map(|suggestion| suggestion.kind).collect();
    assert!(
        kinds.contains(&Kind::Padding) && kinds.contains(&Kind::Kernels) && kinds.contains(&Kind::Batch),
        "{kinds:?}"
    );
}

#[test]
fn a_data_sheet_of_ones_own_has_its_own_limit_and_no_other_device() {
    let found = own_card().suggest(&anywhere(32), Bounds::default()).unwrap();
    let limit = found.suggestions.iter().find(|idea| idea.kind == Kind::PowerLimit).unwrap();
    assert!(limit.title.ends_with("instead of 400 W"), "{}", limit.title);
    assert!(found.suggestions.iter().all(|idea| idea.kind != Kind::Device), "{:?}", found.suggestions);
    let devices = found.left_out.iter().find(|left_out| left_out.kind == Kind::Device).unwrap();
    assert!(devices.reason.contains("the data sheet of my-card answers alone"), "{devices:?}");
}

#[test]
fn a_draft_is_written_for_as_many_as_run_at_once_and_takes_memory() {
    let drafts = |selection: &irene_advice::Selection| {
        let found = suggest(selection, Bounds::default());
        let idea = found.suggestions.into_iter().find(|idea| idea.kind == Kind::Speculative);
        idea.ok_or_else(|| {
            found.left_out.into_iter().find(|left_out| left_out.kind == Kind::Speculative).unwrap().reason
        })
    };
    let by_rate = service("Llama-3.1-8B", "h100-sxm", 1).changed(&changes("rate=8;generate=256")).unwrap();
    let running = LOOKUP.estimate(&by_rate).unwrap().running.unwrap();
    assert!(running > 8.0, "something runs all the time: {running}");
    let at_once = by_rate.changed(&changes(&format!("concurrency={running}"))).unwrap();
    let [by_rate, at_once] = [by_rate, at_once].map(|selection| drafts(&selection).unwrap());
    assert!((by_rate.saved_share - at_once.saved_share).abs() < 0.01, "{by_rate:?} {at_once:?}");
    assert!(at_once.price.memory_ratio.unwrap() > 1.05, "{at_once:?}");
    let full = service("Llama-3.1-8B", "l4", 400).changed(&changes("generate=256")).unwrap();
    let reason = drafts(&full).unwrap_err();
    assert!(reason.contains("both models need"), "{reason}");
}

#[test]
fn more_at_once_keeps_to_the_bound_and_is_as_much_as_it_allows() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 4);
    let bounds = Bounds { max_itl_s: Some(0.02), ..Bounds::default() };
    let found = suggest(&selection, bounds);
    let idea = found.suggestions.iter().find(|idea| idea.kind == Kind::Concurrency).unwrap();
    let set = changes(idea.set.as_ref().unwrap());
    let count: f64 = set[0].value.parse().unwrap();
    let itl = |running: f64| {
        let changed = selection.changed(&changes(&format!("concurrency={running}"))).unwrap();
        LOOKUP.estimate(&changed).unwrap().figures.itl_s.unwrap()
    };
    assert!(itl(count) <= 0.02 && itl(1.2 * count) > 0.02, "{count}: {} {}", itl(count), itl(1.2 * count));
    for idea in &found.suggestions {
        if let Some(set) = &idea.set {
            let estimate = LOOKUP.estimate(&selection.changed(&changes(set)).unwrap()).unwrap();
            assert!(estimate.figures.itl_s.unwrap() <= 0.02, "{idea:?}");
        }
    }
    let none = suggest(&selection, Bounds { max_ttft_s: Some(1e-6), ..Bounds::default() });
    assert!(none.suggestions.iter().all(|idea| idea.set.is_none()), "{:?}", none.suggestions);
    assert!(none.left_out.iter().any(|left_out| left_out.reason.contains("more than")), "{:?}", none.left_out);
}

#[test]
fn a_bound_that_is_none_is_refused_by_its_name() {
    let bounds = Bounds { max_latency_s: Some(-1.0), ..Bounds::default() };
    let error = LOOKUP.suggest(&service("gpt2-large", "l4", 1), bounds).unwrap_err();
    assert_eq!(error.field(), Some("max_latency_s"), "{error}");
}

#[test]
fn bounds_on_tokens_are_refused_where_none_are_generated() {
    let selection = batch("bert-base-uncased", "l4", 1, 128).changed(&changes("rate=50")).unwrap();
    let first = Bounds { max_ttft_s: Some(1.0), ..Bounds::default() };
    let between = Bounds { max_itl_s: Some(1.0), ..Bounds::default() };
    for (bounds, name) in [(first, "max_ttft_s"), (between, "max_itl_s")] {
        let options = PlanOptions { bounds, ..PlanOptions::default() };
        let errors = [LOOKUP.suggest(&selection, bounds).unwrap_err(), LOOKUP.plan(&selection, &options).unwrap_err()];
        for error in errors {
            assert!(error.field() == Some(name) && error.to_string().contains("max_latency_s"), "{error}");
        }
    }
}
