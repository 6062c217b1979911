//! Requests as Rust code writes them: with the crate's own names alone, filled in, and refused where they cannot be.

use irene_predict::{
    Catalogue, Device, Load, ModelSpec, Parallel, Request, RequestRow, Service, forecast, usual_engine,
};

use crate::forecast::{Case, MODELS, request};

#[test]
fn what_no_request_and_no_device_can_be_is_refused() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let refused = |device: &Device, request: &Request| {
        forecast(&case.spec, device, case.engine, request, &case.law).unwrap_err().to_string()
    };
    let loads = [
        Load::Rate(-1.0),
        Load::Rate(f64::NAN),
        Load::Concurrency(0.0),
        Load::Concurrency(f64::INFINITY),
        Load::Sequences(0),
    ];
    for load in loads {
        let said = refused(&case.device, &request(load, 100, 10));
        assert_eq!(said, format!("load: expected a finite number above 0, found {load:?}"));
    }
    let one = request(Load::Sequences(1), 100, 10);
    let none = Request { parallel: Parallel { data: 0, ..Parallel::default() }, ..one };
    assert_eq!(refused(&case.device, &none), "parallel: expected degrees from 1 to 1048576, found 0");
    let device = Device { bandwidth_gb_s: -1.0, ..case.device.clone() };
    let said = refused(&device, &one);
    assert!(said.starts_with("device: bandwidth_gb_s: expected 10⁹ bytes a second"), "{said}");
    let row = RequestRow {
        model: Some(MODELS[0].into()),
        device: Some("h100-sxm".into()),
        load: Some(Load::Sequences(1)),
        prompt: Some(-5.0),
        ..RequestRow::default()
    };
    let fault = Service::default().setting(&row).unwrap_err();
    assert_eq!(
        (fault.column, fault.to_string().as_str()),
        ("prompt", "expected from 0 to 1000000000 tokens, found -5")
    );
}

#[test]
fn a_request_is_made_as_a_row_that_names_nothing_else() {
    let service = Service::default();
    for (model, name) in [(MODELS[0], "t4"), (MODELS[0], "h100-sxm"), ("gpt2", "m2-ultra"), ("bert-base-uncased", "l4")]
    {
        let (spec, device) = (ModelSpec::find(model).unwrap(), Catalogue::find(name).unwrap());
        let engine = usual_engine(&spec, &device).unwrap();
        let made = Request::new(&spec, &device, engine, Load::Sequences(4), 100, 0).unwrap();
        let row = RequestRow {
            model: Some(model.into()),
            device: Some(name.into()),
            load: Some(Load::Sequences(4)),
            prompt: Some(100.0),
            ..RequestRow::default()
        };
        // Several threads ask one service.
        let ask = || service.setting(&row).unwrap();
        let [one, other] =
            std::thread::scope(|scope| [(); 2].map(|()| scope.spawn(ask)).map(|asked| asked.join().unwrap()));
        assert_eq!((made, engine.name), (one.request, one.engine.name), "{model} on {name}");
        assert_eq!(one.request, other.request);
    }
}
