//! A data sheet: the device comes back from a calibration's form, and the law has a time and an energy for it.
#![no_main]

use irene_devices::{Device, KernelLaw, Law, NamedOperation, Work};
use irene_tree::Format;

irene_fuzz::fuzz_text!(|text| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(device) = Device::from_toml(text, "sheet") else { return };
    let json = serde_json::to_string(&device).expect("a device is written");
    assert_eq!(serde_json::from_str::<Device>(&json).expect("and read"), device, "{json}");
    for format in [Format::F32, Format::BF16, Format::F8E4M3, Format::Int8] {
        let size = |size| Some(size);
        let operation =
            NamedOperation { op: "linear", format, b: None, m: size(64), n: size(64), k: size(64), h: None };
        let work = Work::of(&operation.operation().expect("an operation"));
        let time = KernelLaw::shipped().time(&work, &device);
        let joules = Law::shipped().power.dynamic_joules(&work, &device);
        assert!(time.seconds.is_finite() && time.seconds > 0.0, "{time:?}");
        assert!(joules.is_finite() && joules >= 0.0, "{joules}");
    }
});
