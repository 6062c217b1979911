//! Sensors of boards, supplies and batteries.

use std::time::Duration;

use irene_sampler::{Averaging, Metric, Reach, Recorder, WindowError, sensors::Selection};

use crate::machine::{Machine, assert_close, at, channel, each_second, joules, names, series, totals, values, window};

fn write(machine: &Machine, file: &str, text: &str) {
    machine.write(&format!("sys/class/hwmon/{file}"), text);
}

/// A sample each second of files that do not change.
fn recorded(machine: &Machine, samples: u32) -> Recorder {
    each_second(machine.open("hwmon").unwrap(), 0..samples, |_| {})
}

#[test]
fn a_moment_is_taken_over_an_average() {
    let machine = Machine::new();
    let sensors = [("power1_average", "", 50_000_000), ("power1_input", "slow PPT", 70_000_000)];
    chip(&machine, "hwmon0", "amdgpu", &sensors);
    write(&machine, "hwmon0/power1_cap", "90000000\n");
    write(&machine, "hwmon0/temp1_input", "41000\n");
    let recorder = recorded(&machine, 4);
    assert_eq!(recorder.recording().channels().len(), 1);
    let found = channel(&recorder, "hwmon.amdgpu.slow-PPT");
    assert_eq!((found.id.metric, found.averaging, found.cap_watts), (Metric::Power, Averaging::None, Some(90.0)));
    assert_close(joules(&recorder, "hwmon.amdgpu.slow-PPT", 0.5, 2.5), 140.0);
}

/// Documentation/hwmon/sysfs-interface.rst: `power1_average_interval` in ms, `update_interval` of the chip in ms.
#[test]
fn an_average_says_over_which_time_as_far_as_the_chip_tells() {
    let machine = Machine::new();
    write(&machine, "hwmon0/name", "power_meter\n");
    write(&machine, "hwmon0/power1_average", "312000000\n");
    write(&machine, "hwmon0/update_interval", "500\n");
    let averaging = |machine: &Machine| {
        let found = machine.open("hwmon").unwrap();
        let channel = channel(&found, "hwmon.power_meter.power1").clone();
        (channel.averaging, channel.update_period)
    };
    let period = Some(Duration::from_millis(500));
    assert_eq!(averaging(&machine), (Averaging::Unknown, period));
    write(&machine, "hwmon0/power1_average_interval", "1500\n");
    assert_eq!(averaging(&machine), (Averaging::Over(Duration::from_millis(1500)), period));
    let mut recorder = machine.open("hwmon").unwrap();
    (0..40).for_each(|sample| recorder.sample_at(at(0.1 * f64::from(sample))));
    let short = window(&recorder, "hwmon.power_meter.power1", 0.5, 3.4);
    assert_eq!(short, Err(WindowError::Averaged(1.5)));
    assert_close(joules(&recorder, "hwmon.power_meter.power1", 0.5, 3.5), 3.0 * 312.0);
}

#[test]
fn a_moment_that_cannot_be_read_leaves_the_average_and_an_average_the_moment() {
    for (broken, read) in [("power1_input", "power1_average"), ("power1_average", "power1_input")] {
        let machine = Machine::new();
        chip(&machine, "hwmon0", "psu", &[(read, "", 70_000_000)]);
        std::fs::create_dir_all(machine.path("sys/class/hwmon/hwmon0").join(broken)).unwrap();
        let recorder = recorded(&machine, 1);
        assert_eq!(values(&recorder, "hwmon.psu.power1"), [70.0], "{broken}");
        assert!(recorder.recording().total().missing().is_empty(), "{broken}");
    }
}

#[test]
fn a_sensor_that_counts_energy_is_read_for_energy_alone() {
    let machine = Machine::new();
    write(&machine, "hwmon3/name", "xe\n");
    write(&machine, "hwmon3/energy1_input", "0\n");
    write(&machine, "hwmon3/power1_input", "30000000\n");
    let recorder = each_second(machine.open("hwmon").unwrap(), 0..5, |second| {
        write(&machine, "hwmon3/energy1_input", &format!("{}\n", 7_000_000 + 20_000_000 * second));
    });
    assert_close(joules(&recorder, "hwmon.xe.energy1", 1.0, 3.0), 40.0);
    assert_eq!(names(recorder.recording().channels()), ["hwmon.xe.energy1"]);
}

#[test]
fn two_supplies_of_one_make_are_told_apart() {
    let machine = Machine::new();
    for entry in ["hwmon0", "hwmon1"] {
        chip(&machine, entry, "psu", &[("power1_input", "", 70_000_000)]);
    }
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.psu@hwmon0.power1", "hwmon.psu@hwmon1.power1"]);
}

/// A chip with sensors `(file, label, microwatts)`.
fn chip(machine: &Machine, entry: &str, name: &str, sensors: &[(&str, &str, u32)]) {
    write(machine, &format!("{entry}/name"), name);
    for (file, label, value) in sensors {
        write(machine, &format!("{entry}/{file}"), &format!("{value}\n"));
        if !label.is_empty() {
            write(machine, &format!("{entry}/{}_label", file.split('_').next().unwrap()), label);
        }
    }
}

#[test]
fn a_supply_s_total_counts_and_its_rails_are_in_it() {
    let machine = Machine::new();
    let rails = [
        ("power1_input", "power total", 174_000_000),
        ("power2_input", "power +12v", 134_000_000),
        ("power3_input", "power +5v", 24_500_000),
        ("power4_input", "power +3.3v", 11_500_000),
    ];
    chip(&machine, "hwmon3", "corsairpsu", &rails);
    let recorder = recorded(&machine, 4);
    let recording = recorder.recording();
    assert_eq!(recording.judged().names(), ["hwmon.corsairpsu.power-total"]);
    assert_close(recording.judged().window(recording, 0.0, 2.0).unwrap().unwrap().joules, 348.0);
    let left_out = recording.total().sensors().filter_map(|(_, left_out)| left_out).next().unwrap().to_string();
    assert_eq!(left_out, "part of hwmon.corsairpsu.power-total");
}

#[test]
fn the_power_of_the_whole_server_covers_its_supplies() {
    let machine = Machine::new();
    let supply = [("power1_input", "pin", 158_000_000), ("power2_input", "pout1", 147_000_000)];
    chip(&machine, "hwmon2", "dps650ab", &supply);
    chip(&machine, "hwmon3", "dps650ab", &supply);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.dps650ab@hwmon2.pin", "hwmon.dps650ab@hwmon3.pin"]);
    chip(&machine, "hwmon1", "power_meter", &[("power1_average", "", 312_000_000)]);
    let recorder = recorded(&machine, 4);
    assert_eq!(recorder.recording().judged().names(), ["hwmon.power_meter.power1"]);
    // A meter that reads nothing is not believed.
    write(&machine, "hwmon1/power1_average", "0\n");
    let recorder = recorded(&machine, 4);
    let total = recorder.recording().judged();
    assert_eq!(total.names(), ["hwmon.dps650ab@hwmon2.pin", "hwmon.dps650ab@hwmon3.pin"]);
    assert!(total.remarks()[0].contains("reads 0.0 W, which cannot be"), "{:?}", total.remarks());
}

/// Drivers that register without a name of their own have their files in the device's directory; some kernels have the name apart.
#[test]
fn a_power_meter_is_found_where_its_driver_has_its_files() {
    for name in ["hwmon1/device/name", "hwmon1/name"] {
        let machine = Machine::new();
        write(&machine, name, "power_meter\n");
        write(&machine, "hwmon1/power/control", "auto\n");
        write(&machine, "hwmon1/device/power1_average", "312000000\n");
        write(&machine, "hwmon1/device/power1_average_interval", "1000\n");
        let recorder = recorded(&machine, 1);
        assert_eq!(totals(&recorder), ["hwmon.power_meter.power1"], "{name}");
        assert_eq!(values(&recorder, "hwmon.power_meter.power1"), [312.0], "{name}");
        let found = channel(&recorder, "hwmon.power_meter.power1");
        assert_eq!((&found.reach, found.averaging), (&Reach::Computer, Averaging::Over(Duration::from_secs(1))));
    }
}

/// Four seconds of ACPI's power meters, by what each says of itself and its watts.
fn power_meters(meters: &[(&str, u32)]) -> Recorder {
    let machine = Machine::new();
    for (number, (info, watts)) in (1..).zip(meters) {
        let file = |name: &str, text: &str| write(&machine, &format!("hwmon{number}/device/{name}"), text);
        file("name", "power_meter\n");
        file("power1_oem_info", &format!("{info}\n"));
        file("power1_average", &format!("{watts}000000\n"));
    }
    recorded(&machine, 4)
}

/// The names of the sensors that count, without their beginning, and their power.
fn counted(recorder: &Recorder) -> (Vec<String>, f64) {
    let recording = recorder.recording();
    let total = recording.judged();
    let names = total.names().iter().map(|name| name.replace("hwmon.power_meter.", "")).collect();
    (names, total.window(recording, 0.0, 2.0).unwrap().map_or(0.0, |window| window.watts))
}

#[test]
fn the_meters_of_a_grace_processor_lie_inside_one_another_by_socket() {
    let of = |names: [&str; 2], watts: f64| (names.map(|name| format!("{name}-Power-Socket")), watts);
    let superchip = [
        ("Grace Power Socket 0", 200),
        ("CPU Power Socket 0", 150),
        ("SysIO Power Socket 0", 40),
        ("Grace Power Socket 1", 210),
        ("CPU Power Socket 1", 155),
        ("SysIO Power Socket 1", 42),
    ];
    let modules = |first: u32| {
        [
            ("Module Power Socket 0", first),
            ("Grace Power Socket 0", 200),
            ("CPU Power Socket 0", 150),
            ("SysIO Power Socket 0", 40),
            ("Grace Power Socket 1", 210),
            ("Module Power Socket 1", 520),
        ]
    };
    for (meters, (names, watts)) in [
        (superchip, of(["Grace", "Grace"], 410.0)),
        (modules(500), of(["Module", "Module"], 1020.0)),
        // A module's meter that cannot be right leaves its place to the processor's, and to nothing inside that.
        (modules(0), of(["Grace", "Module"], 720.0)),
    ] {
        let (found, power) = counted(&power_meters(&meters));
        let expected: Vec<String> = names.iter().zip(0..).map(|(name, socket)| format!("{name}-{socket}")).collect();
        assert_eq!(found, expected);
        assert_close(power, watts);
    }
    assert_eq!(counted(&power_meters(&[("CPU Power Socket 0", 150), ("SysIO Power Socket 0", 40)])).0, [""; 0]);
}

#[test]
fn several_meters_that_look_like_the_whole_computer_are_not_added() {
    assert_eq!(counted(&power_meters(&[("", 300)])), (vec!["power1".to_owned()], 300.0));
    for watts in [[300; 4], [100, 300, 200, 250]] {
        assert_eq!(counted(&power_meters(&watts.map(|watts| ("a rack", watts)))), (Vec::new(), 0.0));
    }
    let machine = Machine::new();
    chip(&machine, "hwmon1", "aem1", &[("power1_average", "", 310_000_000), ("power2_average", "", 280_000_000)]);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.aem1.power1"]);
    chip(&machine, "hwmon2", "power_meter", &[("power1_average", "", 312_000_000)]);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), [""; 0]);
    let refusal = Selection::of(&["hwmon"], &machine.places()).err().unwrap().to_string();
    assert!(refusal.contains("may overlap") && refusal.contains("hwmon:CHIP/LABEL"), "{refusal}");
    let named = Selection::of(&["hwmon:power_meter/power1"], &machine.places()).unwrap();
    assert_eq!(named.sensors.total().names(), ["hwmon.power_meter.power1"]);
}

#[test]
fn a_battery_is_the_computer_s_meter_while_it_discharges() {
    let machine = Machine::new();
    chip(&machine, "hwmon1", "BAT0", &[("power1_input", "", 18_000_000)]);
    chip(&machine, "hwmon4", "amdgpu", &[("power1_average", "slowPPT", 9_000_000)]);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.BAT0.power1"], "its state is not told");
    write(&machine, "hwmon1/device/status", "Discharging\n");
    let recorder = each_second(machine.open("hwmon").unwrap(), 0..6, |second| {
        write(&machine, "hwmon1/device/status", if second < 4 { "Discharging\n" } else { "Charging\n" });
    });
    assert_eq!(totals(&recorder), ["hwmon.BAT0.power1"]);
    assert_eq!(values(&recorder, "hwmon.BAT0.power1"), [18.0; 4]);
    let charging = machine.open("hwmon").unwrap();
    assert_eq!(totals(&charging), ["hwmon.amdgpu.slowPPT"]);
    let [missing] = charging.recording().total().missing() else { unreachable!() };
    assert_eq!(missing.why.reason, "the battery's state is `Charging`, so its power is not the computer's");
    // A mouse's battery is none of the computer.
    write(&machine, "hwmon1/device/status", "Discharging\n");
    write(&machine, "hwmon1/device/scope", "Device\n");
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.amdgpu.slowPPT"]);
}

#[test]
fn a_socket_covers_its_cores() {
    let machine = Machine::new();
    let cores =
        [("energy1_input", "Ecore000", 40), ("energy2_input", "Ecore001", 40), ("energy3_input", "Esocket0", 110)];
    chip(&machine, "hwmon2", "amd_energy", &cores);
    let recorder = each_second(machine.open("hwmon").unwrap(), 0..4, |second| {
        for (file, _, watts) in cores {
            write(&machine, &format!("hwmon2/{file}"), &format!("{}\n", watts * 1_000_000 * second));
        }
    });
    let recording = recorder.recording();
    assert_eq!(recording.judged().names(), ["hwmon.amd_energy.Esocket0"]);
    assert_close(recording.judged().window(recording, 0.0, 3.0).unwrap().unwrap().joules, 330.0);
}

#[test]
fn a_power_and_an_energy_of_one_number_may_be_two_things() {
    let machine = Machine::new();
    let sensors = [
        ("energy1_input", "SoC", 5),
        ("power1_input", "CPU power", 30_000_000),
        ("energy2_input", "Board", 5),
        ("power2_input", "Board", 50_000_000),
    ];
    chip(&machine, "hwmon0", "altra", &sensors);
    let recorder = machine.open("hwmon").unwrap();
    let names = names(recorder.recording().channels());
    assert_eq!(names, ["hwmon.altra.SoC", "hwmon.altra.Board", "hwmon.altra.CPU-power"]);
}

#[test]
fn sensors_that_may_overlap_are_not_added() {
    let machine = Machine::new();
    chip(&machine, "hwmon0", "ina226", &[("power1_input", "", 30_000_000)]);
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.ina226.power1"]);
    chip(&machine, "hwmon1", "nct6775", &[("power1_input", "", 20_000_000)]);
    let recorder = machine.open("hwmon").unwrap();
    assert_eq!(totals(&recorder), [""; 0]);
    let remark = &recorder.recording().total().remarks()[0];
    assert!(remark.starts_with("hwmon.ina226.power1 is left out: may overlap with hwmon.nct6775.power1"), "{remark}");
    let refusal = Selection::of(&["hwmon"], &machine.places()).err().unwrap().to_string();
    assert!(refusal.contains("may overlap") && refusal.contains("hwmon:CHIP/LABEL"), "{refusal}");
    let named = |sensors: &[&str]| Selection::of(sensors, &machine.places()).unwrap().sensors.total().names();
    assert_eq!(named(&["hwmon:nct6775/power1"]), ["hwmon.nct6775.power1"]);
    assert_eq!(named(&["hwmon:nct6775/power1", "hwmon:ina226"]), ["hwmon.ina226.power1", "hwmon.nct6775.power1"]);
}

#[test]
fn a_sensor_that_sleeps_from_the_start_is_none() {
    let machine = Machine::new();
    write(&machine, "hwmon0/name", "gpu\n");
    write(&machine, "hwmon0/power1_input", "");
    assert!(machine.refusal("hwmon").reason.contains("no sensor of power or energy"));
    assert!(Machine::new().refusal("hwmon").reason.contains("sys/class/hwmon: No such file"));
}

#[test]
fn a_sensor_that_falls_asleep_leaves_a_gap() {
    let machine = Machine::new();
    write(&machine, "hwmon0/power1_input", "70000000\n");
    let recorder = each_second(machine.open("hwmon").unwrap(), 0..40, |second| {
        write(&machine, "hwmon0/power1_input", if (10..25).contains(&second) { "" } else { "70000000\n" });
    });
    let name = "hwmon.hwmon0.power1";
    assert_close(joules(&recorder, name, 2.0, 8.0), 420.0);
    assert_eq!(window(&recorder, name, 2.0, 30.0), Err(WindowError::Gap(16.0)));
}

#[test]
fn more_than_a_machine_can_draw_is_no_reading() {
    let machine = Machine::new();
    write(&machine, "hwmon0/power1_input", "70000000\n");
    let readings = ["70000000", "4294967295000000", "-70000000", "70000000"];
    let write = |microwatts| write(&machine, "hwmon0/power1_input", microwatts);
    let recorder = each_second(machine.open("hwmon").unwrap(), readings, write);
    let series = series(&recorder, "hwmon.hwmon0.power1");
    assert_eq!(series.pushed(), 2);
    assert_close(series.window(0.0, 3.0).unwrap().energy.unwrap(), 210.0);
}

#[test]
fn what_linux_takes_for_a_power_supply_is_one() {
    for (kind, reach) in [
        ("Battery", Reach::Supply),
        ("Mains", Reach::Supply),
        ("USB", Reach::Supply),
        ("UPS", Reach::Supply),
        ("Wireless", Reach::Unknown),
    ] {
        let machine = Machine::new();
        chip(&machine, "hwmon0", "max17042", &[("power1_input", "", 18_000_000)]);
        write(&machine, "hwmon0/device/type", kind);
        assert_eq!(channel(&machine.open("hwmon").unwrap(), "hwmon.max17042.power1").reach, reach, "{kind}");
    }
}
