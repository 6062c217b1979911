use std::sync::Arc;

use irene_advice::{Basis, Lookup, LookupOptions};
use irene_predict::{Calibration, Load, Measured, Service, ServiceOptions};
use irene_requests::{Figures, RequestRow};

use crate::selections::{changes, service};

/// By requests that a server with vLLM took on an H100.
fn calibration() -> Calibration {
    let row = RequestRow {
        model: Some("Llama-3.1-8B".into()),
        device: Some("h100-sxm".into()),
        engine: Some("vllm-0.11".into()),
        load: Some(Load::Concurrency(16.0)),
        prompt: Some(500.0),
        generated: Some(250.0),
        figures: Figures { energy_per_token_j: Some(0.36), itl_s: Some(0.0105), ..Figures::default() },
        ..RequestRow::default()
    };
    let measured = Measured::of("", &row, &Service::new(ServiceOptions::default())).unwrap();
    Calibration::of(&[measured]).unwrap()
}

#[test]
fn only_the_device_and_the_engine_that_were_measured_are_said_to_be_calibrated() {
    let calibration = Some(Arc::new(calibration()));
    let lookup = Lookup::new(LookupOptions { calibration, ..LookupOptions::default() });
    for (set, basis) in [
        ("", Basis::Calibrated),
        ("seq_len=300", Basis::Calibrated),
        ("device=l4", Basis::DataSheet),
        ("engine=tensorrt-llm", Basis::DataSheet),
        // A batch of a script is none of the server's requests.
        ("batch_size=8", Basis::DataSheet),
    ] {
        let asked = service("Llama-3.1-8B", "h100-sxm", 8).changed(&changes(set)).unwrap();
        assert_eq!(lookup.estimate(&asked).unwrap().basis, basis, "{set}");
    }
}
