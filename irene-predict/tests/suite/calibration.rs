//! Calibrations by a few measured requests.

use std::sync::Arc;

use irene_devices::{Catalogue, FROM_DATA_SHEET, constants_of, with_constants};
use irene_predict::{
    Calibration, Engine, Forecast, Law, LawsWithout, Measured, PublicData, PublicFile, RequestErrors, Service,
    ServiceOptions, Setting, prior_law, try_calibrations,
};
use irene_regress::Store;
use irene_requests::{Figures, Load, RequestRow};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) fn row(model: &str, engine: &str, load: Load, figures: Figures) -> RequestRow {
    RequestRow {
        model: Some(model.into()),
        device: Some("h100-sxm".into()),
        engine: Some(engine.into()),
        load: Some(load),
        prompt: Some(500.0),
        generated: Some(200.0),
        figures,
        ..RequestRow::default()
    }
}

pub(crate) const MODELS: [&str; 3] = ["Llama-3.1-8B", "Qwen3-30B-A3B", "gemma-2-2b"];

pub(crate) fn plain() -> Service {
    Service::new(ServiceOptions::default())
}

pub(crate) fn forecast(service: &Service, row: &RequestRow) -> Forecast {
    service.setting(row).unwrap().forecast().unwrap()
}

/// A row that takes so many times the time and the energy of the law.
fn off_the_law(service: &Service, model: &str, running: f64, [time, energy]: [f64; 2]) -> RequestRow {
    let asked = row(model, "vllm-0.11", Load::Concurrency(running), Figures::default());
    let figures = forecast(service, &asked).figures;
    let figures = Figures {
        energy_per_token_j: figures.energy_per_token_j.map(|joules| energy * joules),
        itl_s: figures.itl_s.map(|seconds| time * seconds),
        ..Figures::default()
    };
    RequestRow { figures, ..asked }
}

/// Rows that take so many times the time and the power of the law.
fn slower(time: f64, power: f64, count: usize) -> Vec<RequestRow> {
    let service = plain();
    let of = |place: usize| off_the_law(&service, MODELS[place % 3], (2 << place) as f64, [time, time * power]);
    (0..count).map(of).collect()
}

/// How far off a row's time the law is, in e-folds.
fn time_off(row: &RequestRow, service: &Service) -> f64 {
    let [time, ..] = Measured::of("", row, service).unwrap().residuals(Law::shipped());
    time.unwrap().abs()
}

pub(crate) fn calibration(rows: &[RequestRow]) -> Calibration {
    let service = plain();
    let measured: Vec<Measured> = rows.iter().map(|row| Measured::of("", row, &service).unwrap()).collect();
    Calibration::of(&measured).unwrap()
}

pub(crate) fn with(calibration: &Calibration) -> Service {
    Service::new(ServiceOptions { calibration: Some(Arc::new(calibration.clone())), ..ServiceOptions::default() })
}

pub(crate) fn other(engine: &str) -> RequestRow {
    row(MODELS[0], engine, Load::Concurrency(24.0), Figures::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn predictions_move_towards_what_was_measured_and_know_it_better(time in 0.7..1.4f64, power in 0.8..1.2f64) {
        let before = forecast(&plain(), &other("vllm-0.11"));
        let (mut off, mut width) = (f64::INFINITY, f64::INFINITY);
        for count in [1, 3, 8] {
            let after = forecast(&with(&calibration(&slower(time, power, count))), &other("vllm-0.11"));
            let moved = (after.figures.itl_s.unwrap() / before.figures.itl_s.unwrap()).ln();
            let left = (moved - time.ln()).abs();
            prop_assert!(left <= off + 0.02, "{left} of {}, {off} before, with {count}", time.ln());
            let [low, high] = after.interval;
            let wide = (high.energy_per_request_j / low.energy_per_request_j).ln();
            prop_assert!(wide < width, "{wide} {width} with {count}");
            (off, width) = (left, wide);
        }
        prop_assert!(off < 0.25 * time.ln().abs() + 0.02, "{off}");
    }
}

/// A machine on which a weight's bytes cost several times the energy, and engine and kernels take others times, than the data sheet's law has it.
fn unusual() -> Law {
    let moved = constants_of(Law::shipped()).into_iter().filter_map(|(name, value)| {
        let factor = match name.as_str() {
            "power.weight_pj" => 4.0,
            "power.arithmetic_share" => 0.3,
            "power.loaded_share" => 0.5,
            name if name.starts_with("engines.vllm-0.11.served.") && name.ends_with("_s") => 3.0,
            name if name.starts_with("engines.vllm-0.11.served.") && name.ends_with("kernels") => 0.5,
            _ => return None,
        };
        Some((name, factor * value))
    });
    let moved: Vec<(String, f64)> = moved.collect();
    assert!(moved.len() >= 5, "{moved:?}");
    with_constants(Law::shipped(), moved.iter().map(|(name, value)| (name.as_str(), *value))).unwrap()
}

/// The power and the tokens a second of a setting by a law.
fn measured_by(law: &Law, asked: &RequestRow) -> RequestRow {
    let Setting { spec, device, engine, request, .. } = plain().setting(asked).unwrap();
    let figures = irene_predict::forecast(&spec, &device, engine, &request, law).unwrap().figures;
    let figures = Figures { power_w: Some(figures.power_w), tokens_per_s: figures.tokens_per_s, ..Figures::default() };
    RequestRow { figures, ..asked.clone() }
}

#[test]
fn a_grid_of_repeatable_measurements_finds_the_constants_of_an_unusual_machine() {
    let law = unusual();
    let setting = |prompt: f64, generated: f64, running: f64| {
        let asked = row(MODELS[0], "vllm-0.11", Load::Concurrency(running), Figures::default());
        measured_by(&law, &RequestRow { prompt: Some(prompt), generated: Some(generated), ..asked })
    };
    let grid = [64.0, 1024.0].into_iter().flat_map(|prompt| [16.0, 256.0].map(|generated| (prompt, generated)));
    let grid: Vec<_> = grid
        .flat_map(|(prompt, generated)| [1.0, 8.0, 64.0].map(|running| setting(prompt, generated, running)))
        .collect();
    let calibrated = with(&calibration(&grid));
    let mut off = Vec::new();
    for asked in
        [setting(256.0, 64.0, 1.0), setting(256.0, 64.0, 24.0), setting(512.0, 128.0, 8.0), setting(64.0, 64.0, 64.0)]
    {
        let found = forecast(&calibrated, &asked).figures;
        let known = forecast(&plain(), &asked).figures;
        let measured = asked.figures;
        let apart = |figure: f64, measured: Option<f64>| (figure / measured.unwrap()).ln().abs();
        assert!(
            apart(known.power_w, measured.power_w) > 0.1
                || apart(known.tokens_per_s.unwrap(), measured.tokens_per_s) > 0.1
        );
        off.extend([apart(found.power_w, measured.power_w), apart(found.tokens_per_s.unwrap(), measured.tokens_per_s)]);
    }
    assert!(off.iter().all(|off| *off < 0.03), "{off:?}");
}

/// Rows of one model that take what the law says, but for factors on the energy.
fn at_loads(loads: &[f64], energy: impl Fn(usize) -> f64) -> Vec<RequestRow> {
    let service = plain();
    let of = |(place, load): (usize, &f64)| off_the_law(&service, MODELS[0], *load, [1.0, energy(place)]);
    loads.iter().enumerate().map(of).collect()
}

/// The energy of a token at a load by a calibration, over that of the data sheet.
fn moved_at(calibration: &Calibration, load: f64) -> f64 {
    let asked = row(MODELS[0], "vllm-0.11", Load::Concurrency(load), Figures::default());
    let energy = |service: &Service| forecast(service, &asked).figures.energy_per_token_j.unwrap();
    energy(&with(calibration)) / energy(&plain())
}

#[test]
fn of_more_rows_than_count_none_of_two_loads_in_turn_is_dropped() {
    let loads: Vec<f64> = (0..402).map(|place| if place % 2 == 0 { 1.0 } else { 8.0 }).collect();
    let calibration = calibration(&at_loads(&loads, |place| if place % 2 == 0 { 1.0 } else { 1.3 }));
    assert_eq!(calibration.provenance.to_string(), "calibrated on 400 measured requests of h100-sxm");
    let (one, eight) = (moved_at(&calibration, 1.0), moved_at(&calibration, 8.0));
    // Two settings are little evidence, however often each was measured.
    assert!((one - 1.0).abs() < 0.06 && (eight - 1.3).abs() < 0.12, "{one} {eight}");
}

#[test]
fn repeats_of_one_setting_say_nothing_more_of_others() {
    let of = |repeats: usize| {
        let rows = at_loads(&vec![32.0; repeats], |place| 1.15 * if place % 2 == 0 { 1.02 } else { 0.98 });
        let calibration = calibration(&rows);
        [1.0, 4.0, 32.0, 128.0].map(|load| moved_at(&calibration, load))
    };
    for (few, many) in of(4).into_iter().zip(of(20)) {
        assert!((many / few - 1.0).abs() < 0.01, "{few} {many}");
    }
}

#[test]
fn a_row_that_all_others_contradict_does_not_move_its_neighbours() {
    let loads = [1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0];
    let calibration = calibration(&at_loads(&loads, |place| if place == 5 { 0.1 } else { 1.1 }));
    for load in loads {
        let moved = moved_at(&calibration, load);
        assert!((moved / 1.1 - 1.0).abs() < 0.05, "{load}: {moved}");
    }
}

#[test]
fn errors_of_rows_that_are_left_out_are_those_of_calibrations_on_the_others() {
    let rows = slower(1.2, 0.9, 6);
    let service = plain();
    let measured: Vec<Measured> = rows.iter().map(|row| Measured::of("", row, &service).unwrap()).collect();
    let all = Calibration::of(&measured).unwrap().left_out();
    assert_eq!(all.each_ref().map(Vec::len), [6, 6, 6, 0, 6]);
    for (figure, found) in all.iter().take(3).enumerate() {
        for (place, found) in found.iter().enumerate() {
            let others = [&measured[..place], &measured[place + 1..]].concat();
            let law = Calibration::of(&others).unwrap();
            let expected = measured[place].residuals(&law.law_of(&measured[place]))[figure].unwrap();
            assert!((found.residual - expected).abs() < 0.04, "{figure} {place}: {found:?} {expected}");
        }
    }
}

#[test]
fn energy_or_time_alone_is_enough() {
    let all = slower(1.3, 1.1, 3);
    let only = |keep: fn(Figures) -> Figures| {
        let rows: Vec<RequestRow> =
            all.iter().map(|row| RequestRow { figures: keep(row.figures), ..row.clone() }).collect();
        forecast(&with(&calibration(&rows)), &other("vllm-0.11")).figures
    };
    let before = forecast(&plain(), &other("vllm-0.11")).figures;
    let by_time = only(|figures| Figures { itl_s: figures.itl_s, ..Figures::default() });
    assert!(by_time.itl_s.unwrap() > 1.15 * before.itl_s.unwrap(), "{by_time:?}");
    let by_energy = only(|figures| Figures { energy_per_token_j: figures.energy_per_token_j, ..Figures::default() });
    assert!(by_energy.energy_per_token_j.unwrap() > 1.15 * before.energy_per_token_j.unwrap(), "{by_energy:?}");
}

#[test]
fn other_engines_and_devices_keep_to_their_data_sheets() {
    let service = with(&calibration(&slower(1.3, 1.1, 3)));
    let calibrated = forecast(&service, &other("vllm-0.11"));
    assert_eq!(calibrated.provenance, "calibrated on 3 measured requests of h100-sxm");
    let on_l4 = RequestRow { device: Some("l4".into()), ..other("vllm-0.11") };
    for row in [other("tensorrt-llm"), on_l4] {
        let mut found = forecast(&service, &row);
        assert_eq!(found.provenance, FROM_DATA_SHEET);
        found.provenance.clear();
        let mut plain = forecast(&plain(), &row);
        plain.provenance.clear();
        assert_eq!(found, plain);
    }
    let unnamed = RequestRow { device: None, ..other("vllm-0.11") };
    assert_eq!(forecast(&service, &unnamed), calibrated);
}

#[test]
fn an_engine_of_ones_own_is_calibrated_apart_from_the_one_that_it_is_like() {
    let mine: &'static Engine = Box::leak(Box::new(Engine::named("mistral.rs", Engine::find("vllm").unwrap())));
    let served_by_mine = |mut service: Service| {
        service.add_engine(mine);
        service
    };
    let service = served_by_mine(plain());
    let rows = slower(1.3, 1.1, 3).into_iter().map(|row| RequestRow { engine: Some("mistral.rs".into()), ..row });
    let measured: Vec<Measured> = rows.map(|row| Measured::of("", &row, &service).unwrap()).collect();
    let calibration = Calibration::of(&measured).unwrap();
    assert_eq!(calibration.provenance.engines, ["mistral.rs"]);
    let service = served_by_mine(with(&calibration));
    let provenance = |engine: &str| forecast(&service, &other(engine)).provenance;
    assert_eq!(provenance("mistral.rs"), "calibrated on 3 measured requests of h100-sxm");
    assert_eq!(provenance("vllm-0.11"), FROM_DATA_SHEET);
}

#[test]
fn requests_at_a_rate_are_those_of_the_server_that_was_measured() {
    let with_load = |row: RequestRow, load: Load| RequestRow { load: Some(load), ..row };
    let rows = slower(1.3, 1.1, 3).into_iter().map(|row| RequestRow { engine: Some("transformers".into()), ..row });
    let rows: Vec<RequestRow> = rows.map(|row| with_load(row, Load::Concurrency(1.0))).collect();
    let service = with(&calibration(&rows));
    for load in [Load::Concurrency(1.0), Load::Rate(1e-3)] {
        let found = forecast(&service, &with_load(other("transformers"), load));
        assert_eq!(found.provenance, "calibrated on 3 measured requests of h100-sxm", "{load:?}");
    }
    let batch = forecast(&service, &with_load(other("transformers"), Load::Sequences(1)));
    assert_eq!(batch.provenance, FROM_DATA_SHEET);
}

#[test]
fn a_limit_on_the_power_takes_as_long_in_a_measurement_as_in_a_forecast() {
    let options = ServiceOptions { power_limit_w: Some(220.0), ..ServiceOptions::default() };
    let service = Service::new(options);
    let asked = row(MODELS[0], "vllm-0.11", Load::Sequences(8), Figures::default());
    let [limited, free] = [&service, &plain()].map(|by| forecast(by, &asked).figures.latency_s);
    assert!(limited > 1.2 * free, "{limited} {free}");
    let figures = Figures { latency_s: Some(limited), ..Figures::default() };
    let off = time_off(&RequestRow { figures, ..asked }, &service);
    assert!(off < 0.05, "{off}");
}

#[test]
fn the_first_token_of_a_batch_is_off_by_itself() {
    let asked = row(MODELS[0], "vllm-0.11", Load::Sequences(8), Figures::default());
    let predicted = forecast(&plain(), &asked).figures;
    let ttft_s = predicted.ttft_s.map(|seconds| 2.0 * seconds);
    let figures = Figures { latency_s: Some(predicted.latency_s), ttft_s, ..Figures::default() };
    let with_load = |load: Load| RequestRow { load: Some(load), figures, ..asked.clone() };
    let of = |load: Load| Measured::of("", &with_load(load), &plain()).unwrap();
    let batch = of(Load::Sequences(8));
    let [time, ..] = batch.residuals(Law::shipped());
    let first = batch.residual_of_first_token(Law::shipped()).unwrap();
    assert!(time.unwrap().abs() < 1e-6 && (first + 2f64.ln()).abs() < 1e-6, "{time:?} {first}");
    assert_eq!(of(Load::Concurrency(8.0)).residual_of_first_token(Law::shipped()), None);
}

#[test]
fn passes_of_a_server_are_calibrated_apart_from_a_batch() {
    let with_load =
        |load: Load| RequestRow { generated: None, ..row(MODELS[0], "vllm-0.11", load, Figures::default()) };
    let asked = with_load(Load::Concurrency(1.0));
    let latency_s = Some(1.2 * forecast(&plain(), &asked).figures.latency_s);
    let service = with(&calibration(&[RequestRow { figures: Figures { latency_s, ..Figures::default() }, ..asked }]));
    let found = forecast(&service, &with_load(Load::Rate(1e-3)));
    assert_eq!(found.provenance, "calibrated on 1 measured request of h100-sxm");
    let batch = forecast(&service, &with_load(Load::Sequences(1)));
    assert_eq!(batch.provenance, FROM_DATA_SHEET);
}

#[test]
fn a_file_predicts_as_what_it_was_written_from() {
    let made = calibration(&slower(1.2, 0.9, 4));
    let bytes = made.to_bytes().unwrap();
    assert_eq!(bytes, calibration(&slower(1.2, 0.9, 4)).to_bytes().unwrap());
    let read = Calibration::from_bytes("mine", &bytes).unwrap().unwrap();
    assert_eq!((&read.device, &read.provenance), (&Catalogue::find("h100-sxm").unwrap(), &made.provenance));
    let [a, b] = [&made, &read].map(|of| forecast(&with(of), &other("vllm-0.11")));
    assert_eq!(a, b);
    assert!(Calibration::from_bytes("mine", &bytes[..bytes.len() / 2]).is_err());
}

#[test]
fn a_file_whose_device_cannot_be_is_refused() {
    let bytes = calibration(&slower(1.2, 0.9, 4)).to_bytes().unwrap();
    let store = Store::from_bytes("mine", &bytes).unwrap();
    let refused = |field: &str, value: Value| {
        let mut device = store.get_value("device").unwrap().clone();
        device[field] = value;
        let mut store = store.clone();
        store.set("device", device);
        Calibration::from_bytes("mine", &store.to_bytes().unwrap()).unwrap_err().to_string()
    };
    for (field, value) in [("bandwidth_gb_s", json!(0.0)), ("peaks", json!({})), ("tdp_w", json!(1e308))] {
        let error = refused(field, value);
        assert!(
            error.contains("mine") && error.contains(&format!("header field `device`: {field}: expected")),
            "{error}"
        );
    }
}

#[test]
fn rows_that_tell_nothing_are_refused_with_the_way_out() {
    let refused = |row: RequestRow| Measured::of("", &row, &plain()).unwrap_err();
    let fault = refused(other("vllm-0.11"));
    assert!(fault.to_string().contains("no measured energy, power or time"), "{fault}");
    let by_rate = RequestRow { load: Some(Load::Rate(2.0)), ..slower(1.0, 1.0, 1).remove(0) };
    let alone = Figures { energy_per_token_j: Some(1.0), ..Figures::default() };
    let fault = refused(RequestRow { figures: alone, ..by_rate });
    assert!(fault.column == "rate" && fault.to_string().contains("latency_s"), "{fault}");
    let wrong = Figures { energy_per_token_j: Some(-1.0), ..Figures::default() };
    let fault = refused(RequestRow { figures: wrong, ..other("vllm-0.11") });
    assert!(fault.to_string().contains("above 0"), "{fault}");
    assert!(Calibration::of(&[]).unwrap_err().to_string().contains("one is the least"));
}

#[test]
fn the_latency_of_a_request_tells_more_than_the_time_between_its_tokens() {
    let asked = other("vllm-0.11");
    let known = forecast(&plain(), &asked).figures;
    let itl_s = known.itl_s.map(|seconds| 2.0 * seconds);
    let figures = Figures { latency_s: Some(known.latency_s), itl_s, ..Figures::default() };
    let off = time_off(&RequestRow { figures, ..asked }, &plain());
    assert!(off < 1e-6, "{off}");
}

#[test]
fn arrivals_at_a_rate_are_as_many_at_once_as_their_latency_tells() {
    let service = plain();
    let asked = row(MODELS[0], "vllm-0.11", Load::Rate(8.0), Figures::default());
    let found = forecast(&service, &asked);
    let figures = Figures { latency_s: Some(found.figures.latency_s), ..Figures::default() };
    let off = time_off(&RequestRow { figures, ..asked }, &service);
    assert!(off < 0.05, "{off}");
}

#[test]
fn a_server_that_fell_behind_ran_as_many_requests_as_its_tokens_tell() {
    let known = Figures::from(forecast(&plain(), &other("vllm-0.11")).figures);
    let figures =
        Figures { latency_s: Some(100.0), itl_s: known.itl_s, tokens_per_s: known.tokens_per_s, ..Figures::default() };
    let late = row(MODELS[0], "vllm-0.11", Load::Rate(1000.0), figures);
    let off = time_off(&late, &plain());
    assert!(off < 0.3, "{off}");
    let queue_alone = RequestRow { figures: Figures { itl_s: None, ..figures }, ..late };
    let fault = Measured::of("", &queue_alone, &plain()).unwrap_err();
    assert!(fault.column == "rate" && fault.to_string().contains("itl_s"), "{fault}");
}

/// The public measurements that the law is fitted to.
fn measurements() -> Vec<Measured> {
    let of_file = |file: &str| match PublicFile::read(&crate::machines::data(file)).unwrap().unwrap().data {
        PublicData::Requests(measured, _) => measured,
        other => panic!("{file}: {other:?}"),
    };
    ["mlenergy.csv", "llm_inference_bench.csv", "splitwise.csv", "ecocompute_a800.csv"]
        .into_iter()
        .flat_map(of_file)
        .collect()
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn three_requests_of_a_device_tell_most_of_what_its_data_sheet_does_not() {
    let all = measurements();
    let everything: Vec<&Measured> = all.iter().collect();
    let prior = prior_law(&everything);
    let of_file: Vec<&Measured> = all.iter().filter(|one| one.source == PublicFile::ML_ENERGY).collect();
    let laws = LawsWithout::each(
        |one| if one.source == PublicFile::ML_ENERGY { &one.device.name } else { "" },
        &everything,
        &prior,
        Some(Law::shipped()),
        &|| (),
    );
    let laws = laws.clone().with_spreads(&everything, &[laws]);
    // Median and mean of absolute percentage errors of energy a token, and the share of them in the intervals.
    for (requests, median, mean) in [(1, 11.5, 14.0), (3, 10.0, 13.0), (10, 8.3, 11.0), (30, 6.0, 8.5)] {
        let errors = try_calibrations(&of_file, |one| laws.law(one).unwrap(), requests, 10).unwrap();
        let found: RequestErrors = errors.iter().map(|(_, error)| error).collect();
        let figures = [found.energy.median().unwrap(), found.energy.mean().unwrap()];
        let inside = found.energy.coverage().unwrap();
        println!("{requests} requests: {figures:.1?}, {:.1}% inside", 100.0 * inside);
        assert!(figures[0] < median && figures[1] < mean, "{requests}: {figures:?}");
        assert!((0.85..0.99).contains(&inside), "{requests}: {inside}");
    }
}
