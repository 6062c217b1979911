//! Rails of NVIDIA's Jetson modules on made-up trees. Files: the kernel's Documentation/hwmon/ina3221.rst (mV, mA); labels: its
//! device trees tegra234-p3767.dtsi (Orin NX and Nano) and tegra234-p3701.dtsi (AGX Orin), and jetson_stats for older modules.

use std::time::Duration;

use irene_sampler::{Reach, sensors::Selection};

use crate::machine::{Machine, assert_close, at, channel, each_second, joules, names, totals, values};

/// A chip with rails (label, mV, mA).
fn chip(machine: &Machine, entry: &str, rails: &[(&str, u32, u32)]) {
    let write = |file: &str, text: &str| machine.write(&format!("sys/class/hwmon/{entry}/{file}"), format!("{text}\n"));
    write("name", "ina3221");
    for (channel, (label, volts, amperes)) in (1..).zip(rails) {
        write(&format!("in{channel}_label"), label);
        write(&format!("in{channel}_enable"), "1");
        write(&format!("in{channel}_input"), &volts.to_string());
        write(&format!("curr{channel}_input"), &amperes.to_string());
    }
    // The sums of the shunts are no rails.
    write("in7_label", "sum of shunt voltages");
    write("in7_input", "760");
    write("curr4_input", "360");
}

const ORIN_NX: [(&str, u32, u32); 3] = [("VDD_IN", 5000, 1400), ("VDD_CPU_GPU_CV", 5000, 400), ("VDD_SOC", 4990, 300)];

#[test]
fn volts_times_amperes_make_watts_and_the_input_covers_its_rails() {
    let machine = Machine::new();
    chip(&machine, "hwmon1", &ORIN_NX);
    machine.write("sys/class/hwmon/hwmon1/update_interval", "35\n");
    let mut recorder = machine.open("hwmon").unwrap();
    for sample in 0..30 {
        recorder.sample_at(at(0.1 * f64::from(sample)));
    }
    let expected = ["hwmon.ina3221.VDD_IN", "hwmon.ina3221.VDD_CPU_GPU_CV", "hwmon.ina3221.VDD_SOC"];
    assert_eq!(names(recorder.recording().channels()), expected);
    assert_close(values(&recorder, expected[0])[0], 7.0);
    assert_close(joules(&recorder, expected[0], 0.0, 2.0), 14.0);
    assert_close(values(&recorder, expected[2])[0], 1.497);
    assert_eq!(totals(&recorder), ["hwmon.ina3221.VDD_IN"]);
    let input = channel(&recorder, expected[0]);
    assert_eq!((&input.reach, input.update_period), (&Reach::Module, Some(Duration::from_millis(35))));
    let left_out = recorder.recording().total().sensors().filter_map(|(_, left_out)| left_out).next().unwrap();
    assert_eq!(left_out.to_string(), "part of hwmon.ina3221.VDD_IN");
}

#[test]
fn the_inputs_of_a_module_without_one_of_its_own_add_up() {
    let machine = Machine::new();
    chip(&machine, "hwmon3", &[("VDD_GPU_SOC", 20_000, 200), ("VDD_CPU_CV", 20_000, 100), ("VIN_SYS_5V0", 4968, 950)]);
    chip(&machine, "hwmon4", &[("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 4968, 80), ("NC", 0, 0)]);
    let recorder = machine.open("hwmon").unwrap();
    assert_eq!(recorder.recording().channels().len(), 4, "nothing is connected to the others");
    let inputs = ["hwmon.ina3221.VDD_GPU_SOC", "hwmon.ina3221.VDD_CPU_CV", "hwmon.ina3221.VIN_SYS_5V0"];
    assert_eq!(totals(&recorder), inputs);
    let memory = channel(&recorder, "hwmon.ina3221.VDDQ_VDD2_1V8AO");
    assert!(matches!(&memory.reach, Reach::PartOf(outer) if outer.to_string() == inputs[2]), "{memory:?}");
}

#[test]
fn some_inputs_are_not_the_module() {
    let machine = Machine::new();
    chip(&machine, "hwmon3", &[("VDD_GPU_SOC", 20_000, 200), ("VDD_CPU_CV", 20_000, 100), ("VIN_SYS_5V0", 4968, 950)]);
    // Root reads every file; a directory in its place it cannot read either.
    let current = machine.path("sys/class/hwmon/hwmon3/curr2_input");
    std::fs::remove_file(&current).unwrap();
    std::fs::create_dir(&current).unwrap();
    let recorder = machine.open("hwmon").unwrap();
    assert_eq!(totals(&recorder), [""; 0]);
    let [missing] = recorder.recording().total().missing() else { unreachable!() };
    assert!(missing.why.reason.contains("curr2_input: Is a directory"), "{missing:?}");
}

#[test]
fn a_rail_that_is_off_or_gives_no_number_has_no_reading() {
    let machine = Machine::new();
    chip(&machine, "hwmon1", &ORIN_NX);
    machine.write("sys/class/hwmon/hwmon1/in3_enable", "0\n");
    let recorder = each_second(machine.open("hwmon").unwrap(), ["1400\n", "", "-\n", "1500\n"], |amperes| {
        machine.write("sys/class/hwmon/hwmon1/curr1_input", amperes);
    });
    assert_eq!(recorder.recording().channels().len(), 2);
    assert_eq!(values(&recorder, "hwmon.ina3221.VDD_IN"), [7.0, 7.5]);
}

#[test]
fn rails_that_nobody_knows_are_not_added_to_the_module() {
    let machine = Machine::new();
    chip(&machine, "hwmon1", &ORIN_NX);
    chip(&machine, "hwmon2", &[("FAN_AND_USB", 12_000, 100)]);
    let recorder = machine.open("hwmon").unwrap();
    assert_eq!(totals(&recorder), ["hwmon.ina3221.VDD_IN"]);
    let remark = &recorder.recording().total().remarks()[0];
    assert!(remark.starts_with("hwmon.ina3221.FAN_AND_USB is left out: may overlap with"), "{remark}");
    // The input of the board that carries a TX2 has both behind it.
    chip(&machine, "hwmon2", &[("VDD_MUX", 19_000, 900)]);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.ina3221.VDD_MUX"]);
}

/// JetPack 4 shows the chip as a device of iio, with `in_power0_input` in mW.
#[test]
fn an_older_kernel_shows_them_in_iio() {
    let machine = Machine::new();
    machine.write("sys/class/hwmon/hwmon0/name", "thermal-fan-est\n");
    let write = |file: &str, text: &str| machine.write(&format!("sys/bus/iio/devices/iio:device0/{file}"), text);
    write("name", "ina3221x\n");
    for (rail, (label, milliwatts)) in
        [("POM_5V_IN", "1750"), ("POM_5V_GPU", "0"), ("POM_5V_CPU", "366")].iter().enumerate()
    {
        write(&format!("rail_name_{rail}"), &format!("{label}\n"));
        write(&format!("in_power{rail}_input"), &format!("{milliwatts}\n"));
    }
    let mut recorder = machine.open("hwmon").unwrap();
    recorder.sample_at(at(0.0));
    assert_eq!(values(&recorder, "hwmon.ina3221.POM_5V_IN"), [1.75]);
    assert_eq!(totals(&recorder), ["hwmon.ina3221.POM_5V_IN"]);
}

#[test]
fn a_jetson_without_the_driver_of_its_rails_is_told_how_to_load_it() {
    let machine = Machine::new();
    machine.write("sys/class/hwmon/hwmon0/name", "pwmfan\n");
    machine.write("proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711");
    assert!(machine.refusal("hwmon").reason.ends_with("no sensor of power or energy"));
    machine.write("proc/device-tree/compatible", "nvidia,p3767-0000\0nvidia,tegra234\0");
    let refusal = machine.refusal("hwmon");
    assert!(refusal.reason.ends_with("this is a Jetson module, and Linux shows none of its rails"), "{refusal}");
    assert_eq!(refusal.fix.unwrap(), "`sudo modprobe ina3221` loads the driver of their chip");
    machine.write("sys/class/hwmon/hwmon1/power1_input", "50000000\n");
    let recorder = machine.open("hwmon").unwrap();
    assert_eq!(recorder.recording().total().missing()[0].resource.to_string(), "hwmon.ina3221.VDD_IN");
    chip(&machine, "hwmon2", &ORIN_NX);
    assert!(machine.open("hwmon").unwrap().recording().total().missing().is_empty());
}

#[test]
fn a_module_is_the_meter_before_a_part_of_it() {
    let machine = Machine::new();
    chip(&machine, "hwmon1", &ORIN_NX);
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000000\n");
    let _counting = machine.count_up("sys/class/powercap/intel-rapl:0/energy_uj", 3.0);
    let selection = Selection::automatic(&machine.places());
    assert_eq!(
        (selection.meters, selection.sensors.total().names()),
        (vec!["hwmon"], vec!["hwmon.ina3221.VDD_IN".into()])
    );
    machine.write("meter.csv", "time,watts\n");
    let places = irene_sampler::sensors::Places { power_log: Some(machine.path("meter.csv")), ..machine.places() };
    assert_eq!(Selection::automatic(&places).meters, ["log"]);
}
