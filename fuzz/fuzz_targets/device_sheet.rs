//! A data sheet: the device comes back from a calibration's form, and the law has a time and an energy for it.
#![no_main]

use irene_devices::{Device, KernelLaw, Law, Work};
use irene_tree::{Format, OpKind, Operand, Operation};

irene_fuzz::fuzz_text!(|text| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(device) = Device::from_toml("sheet", text) else { return };
    let json = serde_json::to_string(&device).expect("a device is written");
    assert_eq!(serde_json::from_str::<Device>(&json).expect("and read"), device, "{json}");
    for format in [Format::F32, Format::BF16, Format::F8E4M3, Format::Int8] {
        let square = Operand::activation([64, 64], format);
        let work = Work::of(&Operation::new(OpKind::MatMul, &[square, square], square));
        let time = KernelLaw::shipped().time(&work, &device);
        let joules = Law::shipped().power.dynamic_joules(&work, &device);
        assert!(time.seconds.is_finite() && time.seconds > 0.0, "{time:?}");
        assert!(joules.is_finite() && joules >= 0.0, "{joules}");
    }
});
