//! The predictions of a calibration: whose energy, which times, and how far it trusts one measurement.

use irene_devices::Catalogue;
use irene_predict::{Calibration, Forecast, Measured, Note, Service};
use irene_requests::{Figures, Load, RequestRow};

use crate::calibration::{MODELS, calibration, forecast, other, plain, row, with};

/// Rows of one model on a device, of several loads, with the figures of its data sheet changed.
fn changed(device: &str, loads: &[f64], change: impl Fn(irene_predict::Figures) -> Figures) -> Vec<RequestRow> {
    let service = plain();
    let of = |load: &f64| {
        let asked = row(MODELS[0], "vllm-0.11", Load::Concurrency(*load), Figures::default());
        let asked = RequestRow { device: Some(device.into()), ..asked };
        let figures = change(forecast(&service, &asked).figures);
        RequestRow { figures, ..asked }
    };
    loads.iter().map(of).collect()
}

#[test]
fn energies_of_the_whole_machine_are_predicted_as_its_meter_counts_them() {
    const HOST_W: f64 = 150.0;
    let with_host = |figures: irene_predict::Figures| Figures {
        power_w: Some(figures.power_w + HOST_W),
        tokens_per_s: figures.tokens_per_s,
        ..Figures::default()
    };
    let metered = |meter: &str, mut row: RequestRow| {
        row.set_further("meter", meter);
        row
    };
    // The GPU draws 72 W at most.
    let rows: Vec<RequestRow> =
        changed("l4", &[1.0, 4.0, 16.0], with_host).into_iter().map(|row| metered("log", row)).collect();
    let calibration = calibration(&rows);
    assert_eq!(calibration.provenance.meter.as_deref(), Some("log"));
    assert!((calibration.beside_w().unwrap() / HOST_W - 1.0).abs() < 0.02, "{:?}", calibration.beside_w());
    let service = with(&calibration);
    for asked in changed("l4", &[1.0, 2.0, 8.0, 16.0], with_host) {
        let found = forecast(&service, &asked);
        let (watts, measured) = (found.figures.power_w, asked.figures.power_w.unwrap());
        assert!((watts / measured - 1.0).abs() < 0.03, "{watts} {measured}");
        let [low, high] = found.interval;
        assert!(low.power_w < 0.99 * measured && high.power_w > 1.01 * measured, "{low:?} {high:?}");
        assert_eq!(found.notes, [Note::Meter { meter: "log".into() }]);
    }
    // Another engine of the machine has the same around it, another device has not.
    let on = |device: &str, engine: &str| RequestRow { device: Some(device.into()), ..other(engine) };
    let beside = |asked: &RequestRow, service: &Service| {
        forecast(service, asked).figures.power_w - forecast(&plain(), asked).figures.power_w
    };
    assert!((beside(&on("l4", "tensorrt-llm"), &service) / HOST_W - 1.0).abs() < 0.02);
    assert_eq!(beside(&on("h100-sxm", "vllm-0.11"), &service), 0.0);
    // A calibration is read as it was written.
    let read = Calibration::from_bytes("mine", &calibration.to_bytes().unwrap()).unwrap().unwrap();
    assert_eq!(forecast(&with(&read), &on("l4", "vllm-0.11")), forecast(&service, &on("l4", "vllm-0.11")));
    // Figures of two meters are no machine's.
    let mixed = [rows[0].clone(), metered("nvml", rows[1].clone())];
    let figures = Figures { power_w: Some(60.0), ..mixed[1].figures };
    let mixed = [mixed[0].clone(), RequestRow { figures, ..mixed[1].clone() }];
    let measured = mixed.map(|row| Measured::of("", &row, &plain()).unwrap());
    let error = Calibration::of(&measured).unwrap_err().to_string();
    assert!(error.contains("of the GPUs alone") && error.contains("`log`"), "{error}");
}

#[test]
fn a_device_that_draws_less_than_its_published_idle_power_is_predicted_as_it_was_measured() {
    let idle_w = Catalogue::find("h100-sxm").unwrap().idle_w.unwrap();
    let low = |figures: irene_predict::Figures| Figures {
        power_w: Some(0.8 * idle_w),
        tokens_per_s: figures.tokens_per_s,
        ..Figures::default()
    };
    let rows = changed("h100-sxm", &[1.0, 2.0, 4.0, 8.0], low);
    let service = with(&calibration(&rows));
    for asked in rows {
        let found = forecast(&service, &asked).figures.power_w;
        assert!((found / (0.8 * idle_w) - 1.0).abs() < 0.06, "{found} {idle_w}");
    }
}

#[test]
fn the_times_of_tokens_are_learned_from_what_was_measured_of_them() {
    let of = |with_tokens: bool| {
        let figures = |figures: irene_predict::Figures| Figures {
            tokens_per_s: figures.tokens_per_s,
            ttft_s: figures.ttft_s.filter(|_| with_tokens).map(|seconds| 0.4 * seconds),
            itl_s: figures.itl_s.filter(|_| with_tokens).map(|seconds| 1.3 * seconds),
            ..Figures::default()
        };
        with(&calibration(&changed("h100-sxm", &[1.0, 4.0, 16.0, 64.0], figures)))
    };
    let known = forecast(&plain(), &other("vllm-0.11"));
    let [learned, unknown] = [true, false].map(|with_tokens| forecast(&of(with_tokens), &other("vllm-0.11")));
    let moved = |found: &Forecast, figure: fn(&irene_predict::Figures) -> f64| {
        let [at, low, high] = [&found.figures, &found.interval[0], &found.interval[1]].map(figure);
        assert!(low < at && at < high, "{low} {at} {high}");
        (at / figure(&known.figures), (high / at).ln())
    };
    let (first, first_width) = moved(&learned, |figures| figures.ttft_s.unwrap());
    let (between, _) = moved(&learned, |figures| figures.itl_s.unwrap());
    assert!((first / 0.4 - 1.0).abs() < 0.15 && (between / 1.3 - 1.0).abs() < 0.1, "{first} {between}");
    let (first, width) = moved(&unknown, |figures| figures.ttft_s.unwrap());
    assert!((first - 1.0).abs() < 0.05 && width > first_width, "{first} {width} {first_width}");
    let of_data_sheet = (known.interval[1].ttft_s.unwrap() / known.figures.ttft_s.unwrap()).ln();
    assert!((width / of_data_sheet - 1.0).abs() < 1e-6, "{width} {of_data_sheet}");
}

#[test]
fn one_request_that_departs_far_from_its_data_sheet_says_little_of_other_models() {
    let asked = |model: &str, running: usize, tensor: usize| {
        let mut asked = row(model, "vllm-0.5", Load::Sequences(running), Figures::default());
        asked.parallel.tensor = tensor;
        asked
    };
    let latency = |service: &Service, asked: &RequestRow| forecast(service, asked).figures.latency_s;
    let slow = asked("Llama-3.1-70B", 16, 4);
    let figures = Figures { latency_s: Some(2.7 * latency(&plain(), &slow)), ..Figures::default() };
    let service = with(&calibration(&[RequestRow { figures, ..slow.clone() }]));
    let moved = |service: &Service, asked: &RequestRow| latency(service, asked) / latency(&plain(), asked);
    assert!(moved(&service, &slow) > 2.2);
    for model in MODELS {
        let found = moved(&service, &asked(model, 16, 1));
        assert!((0.8..1.5).contains(&found), "{model}: {found}");
    }
}

#[test]
fn a_request_that_is_as_predicted_makes_no_interval_wider() {
    // An engine that is known well.
    let asked = row(MODELS[0], "vllm-0.5", Load::Sequences(16), Figures::default());
    let known = forecast(&plain(), &asked);
    let figures = Figures { latency_s: Some(known.figures.latency_s), ..Figures::default() };
    let service = with(&calibration(&[RequestRow { figures, ..asked }]));
    for sequences in [16, 64] {
        let asked = row(MODELS[0], "vllm-0.5", Load::Sequences(sequences), Figures::default());
        let width = |found: Forecast| (found.interval[1].latency_s / found.figures.latency_s).ln();
        let [before, after] = [width(forecast(&plain(), &asked)), width(forecast(&service, &asked))];
        assert!(after < 1.1 * before, "{sequences}: {before} {after}");
    }
}
