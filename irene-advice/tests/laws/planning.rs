use std::collections::{BTreeMap, BTreeSet};

use irene_advice::{Bounds, Change, Plan, PlanOptions, PlanRow, Selection, hire_prices};
use irene_predict::{Load, Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_tree::Format;

use crate::selections::{LOOKUP, changes};

fn selection(model: &str, text: &str) -> Selection {
    Selection::batch(model, 1, 1).changed(&changes(text)).unwrap()
}

fn plan(model: &str, text: &str, options: &PlanOptions) -> Plan {
    LOOKUP.plan(&selection(model, text), options).unwrap()
}

const LLAMA: &str = "rate=8;seq_len=512;generate=128";

fn costs(row: &PlanRow) -> [f64; 4] {
    let known = |figure: Option<f64>| figure.unwrap_or(f64::INFINITY);
    [
        row.energy_per_token_j,
        known(row.ttft_s.or(row.figures.latency_s)),
        known(row.itl_s.or(row.figures.latency_s)),
        known(row.usd_per_million_tokens),
    ]
}

#[test]
fn a_row_of_a_plan_is_what_a_prediction_of_its_setting_says() {
    for (model, text) in [
        ("Llama-3.1-8B", LLAMA),
        ("Qwen3-30B-A3B", "rate=4;seq_len=300;generate=64"),
        ("bge-large-en-v1.5", "rate=20;seq_len=256"),
        // A way on fewer GPUs takes those back that the selection has.
        ("Llama-3.1-8B", "rate=8;seq_len=512;generate=128;tensor_parallel=2;data_parallel=2"),
    ] {
        let asked = selection(model, text);
        let found = LOOKUP.plan(
            &asked,
            &PlanOptions { devices: vec!["h100-sxm".into(), "l4".into(), "mi300x".into()], ..PlanOptions::default() },
        );
        let found = found.unwrap();
        assert!(found.plans.len() > 3, "{model}: {found:?}");
        for row in &found.plans {
            let set: BTreeMap<String, String> =
                changes(&row.set).into_iter().map(|Change { name, value }| (name, value)).collect();
            let request = RequestRow {
                model: Some(model.into()),
                device: Some(set["device"].clone()),
                weights: Some(set["weights"].parse().unwrap()),
                load: Some(Load::Rate(set["rate"].parse().unwrap())),
                prompt: Some(found.seq_len as f64),
                generated: Some(found.generate as f64),
                parallel: irene_tree::Parallel {
                    tensor: row.parallel.tensor,
                    pipeline: row.parallel.pipeline,
                    data: row.parallel.data,
                    expert: 1,
                },
                ..RequestRow::default()
            };
            let setting = Service::new(ServiceOptions::default()).setting(&request).unwrap();
            let forecast = setting.forecast().unwrap();
            assert_eq!(Some(forecast.figures.energy_per_request_j), row.figures.energy_per_request_j, "{row:?}");
            assert_eq!((forecast.figures.ttft_s, forecast.figures.itl_s), (row.ttft_s, row.itl_s), "{row:?}");
            let of_selection = LOOKUP.estimate(&asked.changed(&changes(&row.set)).unwrap()).unwrap();
            assert_eq!(of_selection.figures.energy_per_request_j, row.figures.energy_per_request_j, "{row:?}");
        }
    }
}

#[test]
fn rows_keep_to_their_bounds_and_the_front_is_not_beaten() {
    let bounds = Bounds { max_ttft_s: Some(0.1), max_itl_s: Some(0.03), max_latency_s: None };
    let prices = hire_prices("h100-sxm=2.5,l4:0.7,public").unwrap();
    assert_eq!(prices.get("l4"), irene_advice::Hire::of("l4").map(|hire| &hire.usd_per_hour));
    for gpu_hour_usd in [BTreeMap::new(), prices] {
        let options =
            PlanOptions { bounds, gpu_hour_usd: gpu_hour_usd.clone(), most_rows: 100_000, ..PlanOptions::default() };
        let found = plan("Llama-3.1-8B", LLAMA, &options);
        assert!(
            found.considered > 1000 && found.fitting > 100 && found.plans.len() == found.fitting,
            "{}",
            found.fitting
        );
        for row in &found.plans {
            assert!(row.ttft_s.unwrap() <= 0.1 && row.itl_s.unwrap() <= 0.03 && row.gpus <= 8, "{row:?}");
            assert_eq!(
                row.usd_per_million_tokens.is_some(),
                gpu_hour_usd.is_empty() || gpu_hour_usd.contains_key(&row.device)
            );
            let beats = |other: &&PlanRow| {
                let (a, b) = (costs(other), costs(row));
                a.iter().zip(&b).all(|(a, b)| a <= b) && a.iter().zip(&b).any(|(a, b)| a < b)
            };
            assert_eq!(row.is_on_front, !found.plans.iter().any(|other| beats(&other)), "{row:?}");
        }
        for kind in ["energy", "latency", "cost"] {
            assert_eq!(found.plans.iter().filter(|row| row.best_of.contains(&kind)).count(), 1, "{kind}");
        }
        let on_front = found.plans.iter().position(|row| !row.is_on_front).unwrap();
        assert!(found.plans[on_front..].iter().all(|row| !row.is_on_front));
    }
}

#[test]
fn every_way_is_in_the_plan_or_left_out() {
    let options = PlanOptions { most_rows: 100_000, ..PlanOptions::default() };
    for (model, text) in [("Llama-3.1-70B", LLAMA), ("bert-base-uncased", "rate=50;seq_len=128"), ("gpt2", LLAMA)] {
        let found = plan(model, text, &options);
        let left_out: usize = found.left_out.iter().map(|left_out| left_out.count).sum();
        assert_eq!(found.considered, found.fitting + left_out, "{model}");
        assert!(found.left_out.iter().all(|left_out| !left_out.reason.is_empty()));
    }
}

#[test]
fn the_format_that_a_model_is_served_in_is_tried_once() {
    let options = PlanOptions { devices: vec!["b200".into()], most_rows: 100_000, ..PlanOptions::default() };
    let found = plan("DeepSeek-V3", "rate=1;seq_len=512;generate=128", &options);
    let sets: BTreeSet<&str> = found.plans.iter().map(|row| row.set.as_str()).collect();
    assert!(!sets.is_empty() && sets.len() == found.plans.len(), "{:?}", found.plans);
}

#[test]
fn a_device_that_is_left_out_has_the_reason_of_the_nearest_way() {
    let reasons = |formats: &[Format]| -> Vec<String> {
        let (devices, formats) = (vec!["l4".into()], formats.to_vec());
        let options = PlanOptions { devices, formats, max_gpus: 1, ..PlanOptions::default() };
        plan("Llama-3.1-70B", LLAMA, &options).left_out.into_iter().map(|left_out| left_out.reason).collect()
    };
    let [narrow, wide] = [Format::Int4, Format::BF16].map(|format| reasons(&[format]));
    assert_eq!(reasons(&[Format::Int4, Format::BF16]), narrow);
    assert!(wide != narrow && narrow.len() == 1, "{wide:?} {narrow:?}");
}

#[test]
fn an_encoder_is_on_one_gpu_or_copies_of_it() {
    let found = plan(
        "bert-base-uncased",
        "rate=50;seq_len=128",
        &PlanOptions { devices: vec!["l4".into()], ..PlanOptions::default() },
    );
    assert_eq!(found.tokens, "read");
    assert!(!found.plans.is_empty() && found.plans.iter().all(|row| row.parallel.tensor == 1));
    assert!(
        found.left_out.iter().any(|left_out| left_out.reason.contains("`tensor_parallel`")),
        "{:?}",
        found.left_out
    );
}

#[test]
fn what_a_plan_lacks_is_said_by_its_name() {
    let error = |text: &str, options: &PlanOptions| LOOKUP.plan(&selection("Llama-3.1-8B", text), options).unwrap_err();
    let usual = PlanOptions::default();
    assert_eq!(error("batch_size=1;seq_len=8", &usual).field(), Some("rate"));
    let unknown = PlanOptions { devices: vec!["h100-smx".into()], ..PlanOptions::default() };
    let error_of_device = error(LLAMA, &unknown);
    assert!(error_of_device.to_string().contains("h100-sxm"), "{error_of_device}");
    for error in [error_of_device, hire_prices("foo=1").unwrap_err()] {
        assert!(error.to_string().ends_with("; `irene devices` lists all"), "{error}");
    }
    assert_eq!(error(LLAMA, &PlanOptions { max_gpus: 0, ..PlanOptions::default() }).field(), Some("max_gpus"));
    for wrong in ["l4", "l4=x", "l4=-1", "nothing=3"] {
        assert_eq!(hire_prices(wrong).unwrap_err().field(), Some("gpu_hour_usd"), "{wrong}");
    }
}
