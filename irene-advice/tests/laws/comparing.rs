use irene_advice::{By, Comparison, Direction, Lookup, LookupOptions, Selection, compare};
use irene_predict::Host;
use proptest::prelude::*;

use crate::selections::{DECODERS, DEVICES, LOOKUP, MODELS, anywhere, batch, changes, own_card, service};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn what_if(selection: &Selection, text: &str) -> Comparison {
    LOOKUP.what_if(selection, &changes(text)).unwrap()
}

fn sums(comparison: &Comparison) {
    let energy = &comparison.energy;
    let sum = |of: fn(&irene_advice::ComponentPair) -> f64| comparison.components.iter().map(of).sum::<f64>();
    assert!(close(sum(|part| part.a_j), energy.a_j), "{:?}", comparison.components);
    assert!(close(sum(|part| part.b_j), energy.b_j), "{:?}", comparison.components);
    let types: f64 = comparison.by_type.iter().map(|pair| pair.a_j).sum();
    assert!(close(types, energy.a_j), "{types} {energy:?}");
    assert!(close(comparison.nodes[0].a_j.unwrap(), energy.a_j) && close(comparison.nodes[0].b_j.unwrap(), energy.b_j));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_a_change_the_ratio_is_1(model in 0..MODELS.len(), device in 0..DEVICES.len(), size in 1..9_usize, tokens in 8..400_usize) {
        let comparison = what_if(&batch(MODELS[model], DEVICES[device], size, tokens), "");
        prop_assert_eq!(comparison.energy.ratio, 1.0);
        prop_assert!(comparison.energy.is_within_intervals && comparison.nodes.iter().all(|node| node.difference_j == Some(0.0)));
        sums(&comparison);
    }

    #[test]
    fn a_change_and_its_reverse_multiply_to_1(
        model in 0..MODELS.len(), device in 0..DEVICES.len(), size in 1..9_usize, other in 1..33_usize, tokens in 8..200_usize,
    ) {
        let selection = batch(MODELS[model], DEVICES[device], size, tokens);
        let there = what_if(&selection, &format!("batch_size={other}"));
        let changed = selection.changed(&changes(&format!("batch_size={other}"))).unwrap();
        let back = what_if(&changed, &format!("batch_size={size}"));
        prop_assert!(close(there.energy.ratio * back.energy.ratio, 1.0));
        prop_assert_eq!(there.energy.by, if size == other { By::Request } else { By::Token });
        sums(&there);
    }

    #[test]
    fn parts_of_a_generation_sum_to_the_whole(model in 0..DECODERS.len(), device in 0..4_usize, running in 1..64_usize) {
        let device = if DECODERS[model] == "Qwen3-30B-A3B" { "h100-sxm" } else { DEVICES[device] };
        sums(&what_if(&service(DECODERS[model], device, running), "weights=f8_e4m3;generate=32"));
    }
}

#[test]
fn half_the_layers_take_half_of_what_the_layers_take() {
    for model in MODELS {
        for device in ["h100-sxm", "gtx-1080-ti"] {
            let selection = batch(model, device, 8, 128);
            let layers = LOOKUP.model(&selection).unwrap().field("num_hidden_layers").unwrap().as_u64().unwrap();
            let comparison = what_if(&selection, &format!("num_hidden_layers={}", layers / 2));
            let part = |name| comparison.components.iter().find(|part| part.component == name).unwrap();
            let ratio = part("feed_forward").b_j / part("feed_forward").a_j;
            // The first layer may differ, and a device at its power limit takes less for each kernel the more of them follow.
            let expected = (layers / 2) as f64 / layers as f64;
            assert!((ratio / expected - 1.0).abs() < 0.1, "{model} on {device}: {ratio} for {expected}");
        }
    }
}

#[test]
fn another_activation_changes_nothing_and_the_reason_tells_why() {
    let fused = service("gpt2-large", "h100-sxm", 8);
    let comparison = what_if(&fused, "hidden_act=relu");
    let effect = &comparison.changes[0];
    assert_eq!((effect.effect, effect.from.as_deref()), (Direction::None, Some("gelu_new")), "{effect:?}");
    assert!(effect.reason.as_ref().unwrap().contains("relu in place of gelu"), "{effect:?}");
    let eager = batch("bert-base-uncased", "h100-sxm", 8, 128);
    let effect = &what_if(&eager, "hidden_act=relu").changes[0];
    assert_eq!(effect.effect, Direction::None, "{effect:?}");
    let reason = effect.reason.as_ref().unwrap();
    assert!(reason.contains("relu in place of gelu") && reason.contains("the same"), "{reason}");
}

#[test]
fn reasons_follow_from_what_was_computed() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 8);
    for (change, part) in [
        ("rms_norm_eps=0.001", "no shape"),
        ("bos_token_id=7", "reads no `bos_token_id`"),
        ("num_hidden_layers=32", "already"),
        ("power_limit_w=700", "above"),
        ("weights=bf16", "already"),
    ] {
        let changed = LOOKUP.what_if(&selection, &changes(change));
        let Ok(comparison) = changed else {
            assert!(change.starts_with("bos"), "{change}: {:?}", changed.err());
            continue;
        };
        let effect = &comparison.changes[0];
        assert_eq!(effect.effect, Direction::None, "{effect:?}");
        assert!(effect.reason.as_ref().unwrap().contains(part), "{change}: {effect:?}");
    }
    let full = what_if(&service("Llama-3.1-8B", "rtx-4090", 100), "concurrency=400").changes.remove(0);
    assert_eq!(full.effect, Direction::None);
    assert!(full.reason.as_ref().unwrap().contains("room for"), "{full:?}");
}

#[test]
fn each_change_has_its_own_ratio() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 16);
    let comparison = what_if(&selection, "weights=int4;num_hidden_layers=16;hidden_act=relu");
    let ratios: Vec<f64> = comparison.changes.iter().map(|effect| effect.energy_ratio.unwrap()).collect();
    assert!(ratios[0] < 0.9 && ratios[1] < 0.7 && (ratios[2] - 1.0).abs() < 0.03, "{ratios:?}");
    assert!(
        comparison.energy.ratio < ratios[0] * ratios[1] * 1.3 && comparison.energy.ratio < ratios[1],
        "{comparison:?}"
    );
    assert!(comparison.changes[1].reason.as_ref().unwrap().contains("feed-forward"), "{:?}", comparison.changes[1]);
}

#[test]
fn energies_of_two_kinds_are_not_compared_without_a_word() {
    let bert = batch("bert-base-uncased", "gtx-1080-ti", 8, 128);
    let has_note = |text: &str| what_if(&bert, text).b.notes.iter().any(|note| note.contains("at the wall"));
    assert!(has_note("device=l4") && !has_note("device=gtx-1070"));
    let at_the_wall = Lookup::new(LookupOptions { host: Some(Host::Usual), ..LookupOptions::default() });
    let notes = at_the_wall.what_if(&bert, &changes("device=l4")).unwrap().b.notes;
    assert!(notes.iter().all(|note| !note.contains("a measured profile")), "{notes:?}");
}

#[test]
fn a_data_sheet_of_ones_own_is_compared_with_no_other_device() {
    let lookup = own_card();
    let what_if = |text: &str| lookup.what_if(&anywhere(8), &changes(text));
    assert!(what_if("concurrency=16").is_ok() && what_if("device=my-card").is_ok());
    for device in ["l4", "gtx-1070"] {
        let error = what_if(&format!("device={device}")).unwrap_err();
        assert!(error.field() == Some("device") && error.to_string().contains("my-card"), "{error}");
    }
}

#[test]
fn requests_that_generate_nothing_are_compared_with_others_by_request() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 8);
    let without = what_if(&selection, "generate=0");
    assert!(without.energy.by == By::Request && without.energy.ratio < 1.0, "{:?}", without.energy);
    assert_eq!(what_if(&selection, "generate=32").energy.by, By::Token);
}

#[test]
fn families_are_compared_by_their_parts() {
    let [bert, distil] =
        ["bert-base-uncased", "distilbert-base-uncased"].map(|model| batch(model, "gtx-1080-ti", 8, 128));
    let comparison = compare(&LOOKUP.answer(&bert).unwrap(), &LOOKUP.answer(&distil).unwrap()).unwrap();
    for name in ["embeddings", "attention", "feed_forward", "norms"] {
        let part = comparison.components.iter().find(|part| part.component == name).unwrap();
        assert!(part.a_j > 0.0 && part.b_j > 0.0, "{part:?}");
    }
    assert!((0.4..0.6).contains(&comparison.energy.ratio), "{:?}", comparison.energy);
}

#[test]
fn two_sizes_by_a_measured_profile_share_less_of_their_error_than_by_a_data_sheet() {
    let selection = batch("bert-base-uncased", "gtx-1070", 8, 128);
    let changed = selection.changed(&changes("batch_size=16")).unwrap();
    let half = |of: &Selection| {
        let [low, high] = LOOKUP.estimate(of).unwrap().energy_interval_j(By::Request).unwrap();
        (high / low).ln() / 2.0
    };
    let energy = what_if(&selection, "batch_size=16").energy;
    let ratio = (energy.ratio_high.unwrap() / energy.ratio).ln();
    // √(2 (1 - 0.35)) of the half interval; √(2 (1 - 0.67)) would be less than it.
    assert!(ratio > half(&selection).min(half(&changed)), "{ratio}");
}

#[test]
fn what_two_answers_share_of_their_error_narrows_their_ratio() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 32);
    let width = |text: &str| {
        let energy = what_if(&selection, text).energy;
        energy.ratio_high.unwrap() / energy.ratio
    };
    let (same, device, model) = (width("concurrency=33"), width("device=h200-sxm"), width("model=Qwen3-8B"));
    assert!(1.0 < same && same < device && device < model, "{same} {device} {model}");
    assert!(what_if(&selection, "concurrency=33").energy.is_within_intervals);
    assert!(!what_if(&selection, "concurrency=256").energy.is_within_intervals);
}
