//! GPUs of AMD and Intel on made-up trees. Names and units of the files: the kernel's Documentation/gpu/amdgpu/thermal.rst with the
//! comments of drivers/gpu/drm/amd/pm/amdgpu_pm.c, Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and sysfs-driver-intel-xe-hwmon;
//! the table: drivers/gpu/drm/amd/include/kgd_pp_interface.h. No figure here comes from a card.

use irene_sampler::{Averaging, Metric, Need, Resource, WindowError, sensors::Selection};

use crate::machine::{Machine, assert_close, channel, each_second, joules, names, series, totals, values, window};

/// Writes files of a card's device.
fn write(machine: &Machine, card: u32, files: &[(&str, &str)]) {
    for (file, text) in files {
        machine.write(&format!("sys/class/drm/card{card}/device/{file}"), format!("{text}\n"));
    }
}

/// A graphics card with power alone, as Navi cards have it.
fn navi(machine: &Machine, card: u32) {
    write(
        machine,
        card,
        &[
            ("vendor", "0x1002"),
            ("device", "0x73bf"),
            ("gpu_busy_percent", "42"),
            ("mem_info_vram_used", "4294967296"),
            ("mem_info_vram_total", "17179869184"),
            ("pp_dpm_mclk", "0: 96Mhz\n1: 1000Mhz *"),
            ("hwmon/hwmon4/name", "amdgpu"),
            ("hwmon/hwmon4/freq1_input", "2105000000"),
            ("hwmon/hwmon4/power1_label", "PPT"),
            ("hwmon/hwmon4/power1_average", "180000000"),
            ("hwmon/hwmon4/power1_cap", "255000000"),
            ("hwmon/hwmon4/power1_cap_max", "293000000"),
        ],
    );
}

/// A table of revision 1.4 (MI300), with counts of 15.259 microjoules and a time of the firmware.
fn table_1_4(watts: u16, count: u64, written: u64) -> Vec<u8> {
    let mut table = vec![0xff; 288];
    table[..4].copy_from_slice(&[0x20, 0x01, 1, 4]);
    table[10..12].copy_from_slice(&watts.to_le_bytes());
    table[24..32].copy_from_slice(&count.to_le_bytes());
    table[232..240].copy_from_slice(&written.to_le_bytes());
    table
}

fn mi300(machine: &Machine, card: u32) {
    write(machine, card, &[("vendor", "0x1002"), ("device", "0x74a1"), ("gpu_busy_percent", "97")]);
    machine.write(&format!("sys/class/drm/card{card}/device/gpu_metrics"), table_1_4(550, 1, 1));
}

#[test]
fn a_card_tells_what_its_files_tell_in_their_units() {
    let machine = Machine::new();
    navi(&machine, 1);
    let recorder = each_second(machine.open("drm").unwrap(), 0..6, |_| {});
    let expected = ["card1.util", "card1.mem", "card1.sm_clock", "card1.mem_clock", "card1.power"];
    assert_eq!(names(recorder.recording().channels()), expected);
    for (name, value) in expected.into_iter().zip([42.0, 25.0, 2105.0, 1000.0, 180.0]) {
        assert_eq!(values(&recorder, name)[0], value, "{name}");
    }
    assert_close(joules(&recorder, "card1.power", 1.0, 5.0), 720.0);
    let power = channel(&recorder, "card1.power");
    assert_eq!((power.averaging, power.cap_watts), (Averaging::Unknown, Some(255.0)));
    assert_eq!(power.limit_watts, 1172.0, "four times the greatest limit");
    assert_eq!(totals(&recorder), ["card1.power"]);
}

#[test]
fn the_power_of_the_moment_is_taken_where_a_card_has_it() {
    let machine = Machine::new();
    navi(&machine, 0);
    write(&machine, 0, &[("hwmon/hwmon4/power1_input", "199000000")]);
    let recorder = each_second(machine.open("drm").unwrap(), 0..1, |_| {});
    assert_eq!(values(&recorder, "card0.power"), [199.0]);
    assert_eq!(channel(&recorder, "card0.power").averaging, Averaging::None);
}

#[test]
fn the_accumulator_counts_energy_when_the_firmware_has_written_it() {
    let machine = Machine::new();
    mi300(&machine, 2);
    let recorder = each_second(machine.open("drm").unwrap(), 0..11, |second| {
        // The firmware writes every other second; 600 W.
        let written = second / 2 * 2;
        let table = table_1_4(600, 1_000_000 + 600 * 65_536 * written, 500 + written * 100_000_000);
        machine.write("sys/class/drm/card2/device/gpu_metrics", table);
    });
    assert_close(joules(&recorder, "card2.energy", 0.0, 10.0), 6000.0);
    assert_eq!(series(&recorder, "card2.energy").points().len(), 6, "what was not written anew is no reading");
    assert_eq!(series(&recorder, "card2.energy").update_period(), Some(2.0));
    assert_eq!(window(&recorder, "card2.energy", 0.0, 3.9), Err(WindowError::TooFew(1)));
    assert_eq!(totals(&recorder), ["card2.energy"]);
    let power = channel(&recorder, "card2.power");
    assert_eq!(power.averaging, Averaging::None, "the table's power of the moment");
}

#[test]
fn half_a_table_or_one_of_ones_is_no_reading() {
    let machine = Machine::new();
    mi300(&machine, 0);
    let whole = table_1_4(600, 65_536_000, 7);
    let half = whole[..100].to_vec();
    let tables = [whole, half, Vec::new(), vec![0xff; 288], table_1_4(0xffff, u64::MAX, 9)];
    let recorder = each_second(machine.open("drm").unwrap(), tables, |table| {
        machine.write("sys/class/drm/card0/device/gpu_metrics", table);
    });
    assert_eq!(values(&recorder, "card0.power"), [600.0]);
    assert_eq!(series(&recorder, "card0.energy").points().len(), 1);
}

#[test]
fn a_reset_of_the_accumulator_breaks_the_window() {
    let machine = Machine::new();
    mi300(&machine, 0);
    let recorder = each_second(machine.open("drm").unwrap(), 0..10, |second| {
        let start = if second < 5 { 65_536_000 } else { 0 };
        let table = table_1_4(600, start + 30_000_000 * second, 1 + second);
        machine.write("sys/class/drm/card0/device/gpu_metrics", table);
    });
    assert_eq!(window(&recorder, "card0.energy", 1.0, 8.0), Err(WindowError::Broken));
    assert!(window(&recorder, "card0.energy", 5.0, 9.0).is_ok());
}

#[test]
fn the_second_die_of_a_module_is_not_lacking() {
    let machine = Machine::new();
    let mut table = vec![0; 120];
    table[..4].copy_from_slice(&[120, 0, 1, 3]);
    write(&machine, 0, &[("vendor", "0x1002"), ("device", "0x740c"), ("gpu_busy_percent", "5")]);
    machine.write("sys/class/drm/card0/device/gpu_metrics", &table);
    let recorder = machine.open("drm").unwrap();
    assert_eq!(names(recorder.recording().channels()), ["card0.util"]);
    let [missing] = recorder.recording().total().missing() else { unreachable!() };
    assert!(missing.need == Need::Spare && missing.why.reason.contains("second die"), "{missing:?}");
    // The first die counts in the same unit.
    table[22..24].copy_from_slice(&300_u16.to_le_bytes());
    table[24..32].copy_from_slice(&(65_536_u64 * 5000).to_le_bytes());
    machine.write("sys/class/drm/card0/device/gpu_metrics", &table);
    let recorder = machine.open("drm").unwrap();
    assert_eq!(totals(&recorder), ["card0.energy"]);
    assert_eq!(channel(&recorder, "card0.power").averaging, Averaging::Unknown);
}

/// A processor with a GPU draws for both, and so does RAPL's package.
#[test]
fn a_processor_with_a_gpu_is_not_counted_twice() {
    let machine = Machine::new();
    write(
        &machine,
        0,
        &[
            ("vendor", "0x1002"),
            ("device", "0x1681"),
            ("gpu_busy_percent", "11"),
            ("hwmon/hwmon3/name", "amdgpu"),
            ("hwmon/hwmon3/in1_label", "vddnb"),
            ("hwmon/hwmon3/power1_input", "21000000"),
        ],
    );
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000000\n");
    let alone = machine.open("drm").unwrap();
    assert_eq!(totals(&alone), ["apu0"]);
    assert_eq!(channel(&alone, "apu0").id.resource, Resource::Apu(0));
    let _counting = machine.count_up("sys/class/powercap/intel-rapl:0/energy_uj", 30.0);
    let both = Selection::of(&["drm", "rapl"], &machine.places()).unwrap();
    assert_eq!(both.sensors.total().names(), ["rapl.package-0"]);
}

/// gpu_metrics_v3_0, of a processor that shows no power in hwmon: `average_apu_power` in mW.
#[test]
fn a_processor_with_a_gpu_may_tell_its_power_in_the_table_alone() {
    let machine = Machine::new();
    let mut table = vec![0xff; 264];
    table[..4].copy_from_slice(&[8, 1, 3, 0]);
    table[120..124].copy_from_slice(&28_500_u32.to_le_bytes());
    write(&machine, 0, &[("vendor", "0x1002"), ("device", "0x150e")]);
    machine.write("sys/class/drm/card0/device/gpu_metrics", table);
    let recorder = each_second(machine.open("drm").unwrap(), 0..1, |_| {});
    assert_eq!(values(&recorder, "apu0"), [28.5]);
    assert_eq!(channel(&recorder, "apu0").averaging, Averaging::Unknown);
}

#[test]
fn a_discrete_card_adds_to_the_processors_and_hwmon_does_not_count_it_again() {
    let machine = Machine::new();
    navi(&machine, 1);
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000000\n");
    let _counting = machine.count_up("sys/class/powercap/intel-rapl:0/energy_uj", 30.0);
    let selection = Selection::automatic(&machine.places());
    assert_eq!(selection.meters, ["drm", "rapl"]);
    assert_eq!(selection.sensors.total().names(), ["card1.power", "rapl.package-0"]);
    machine.write("sys/class/hwmon/hwmon4/name", "amdgpu\n");
    machine.write("sys/class/hwmon/hwmon4/power1_average", "180000000\n");
    let with_hwmon = Selection::of(&["drm", "hwmon"], &machine.places()).unwrap();
    assert_eq!(with_hwmon.sensors.total().names(), ["card1.power"]);
    let named = Selection::of(&["drm:card1"], &machine.places()).unwrap();
    assert_eq!(named.sensors.total().names(), ["card1.power"]);
    let refusal = Selection::of(&["drm:0"], &machine.places()).err().unwrap().to_string();
    assert_eq!(refusal, "`drm:0` is no sensor of energy or power; there are drm:1");
}

/// A card of Intel with these files of its hwmon, by its driver's name.
fn intel(machine: &Machine, driver: &str, files: &[(&str, &str)]) {
    write(machine, 0, &[("vendor", "0x8086"), ("hwmon/hwmon2/name", driver)]);
    for (file, text) in files {
        write(machine, 0, &[(&format!("hwmon/hwmon2/{file}"), *text)]);
    }
}

#[test]
fn intel_counts_microjoules_of_the_card() {
    let machine = Machine::new();
    let energies =
        [("energy1_input", "0"), ("energy1_label", "card"), ("energy2_input", "0"), ("energy2_label", "pkg")];
    intel(&machine, "xe", &[energies.as_slice(), &[("power1_max", "0"), ("power1_rated_max", "190000000")]].concat());
    write(&machine, 0, &[("tile0/gt0/freq0/act_freq", "2850")]);
    let recorder = each_second(machine.open("drm").unwrap(), 0..6, |second| {
        let microjoules = (7_000_000 + 150_000_000 * second).to_string();
        write(&machine, 0, &[("hwmon/hwmon2/energy1_input", &microjoules)]);
    });
    assert_eq!(names(recorder.recording().channels()), ["card0.sm_clock", "card0.energy"]);
    assert_close(joules(&recorder, "card0.energy", 1.0, 5.0), 600.0);
    assert_eq!(values(&recorder, "card0.sm_clock")[0], 2850.0);
    let energy = channel(&recorder, "card0.energy");
    assert_eq!(
        (energy.id.metric, energy.limit_watts, energy.cap_watts),
        (Metric::Energy, 760.0, None),
        "0 is no limit"
    );
    assert!(recorder.recording().total().missing().is_empty());
}

/// i915 counts the tiles of a card in chips of their own, `i915_gt0` and so on.
#[test]
fn the_tiles_of_a_card_are_parts_of_it() {
    let machine = Machine::new();
    intel(&machine, "i915_gt0", &[("energy1_input", "3000000")]);
    write(&machine, 0, &[("hwmon/hwmon3/name", "i915"), ("hwmon/hwmon3/energy1_input", "7000000")]);
    write(&machine, 0, &[("hwmon/hwmon3/power1_max", "100000000")]);
    let recorder = machine.open("drm").unwrap();
    assert_eq!(channel(&recorder, "card0.energy").cap_watts, Some(100.0), "that of the whole card");
    for (entry, name) in [("hwmon2", "i915_gt0"), ("hwmon3", "i915")] {
        machine.write(&format!("sys/class/hwmon/{entry}/name"), format!("{name}\n"));
        machine.write(&format!("sys/class/hwmon/{entry}/energy1_input"), "7000000\n");
    }
    assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.i915.energy1"]);
}

#[test]
fn the_package_of_a_card_alone_is_a_partial_total() {
    let machine = Machine::new();
    intel(&machine, "xe", &[("energy2_input", "5000000"), ("energy2_label", "pkg")]);
    let recorder = machine.open("drm").unwrap();
    assert_eq!(totals(&recorder), ["card0.energy"]);
    assert_eq!(recorder.recording().total().lacks(), ["card0"]);
    let remark = &recorder.recording().total().remarks()[0];
    assert_eq!(remark, "the total lacks card0: card0 counts its package alone, without memory and board");
}

#[test]
fn graphics_inside_a_processor_are_no_card_of_their_own() {
    let machine = Machine::new();
    write(&machine, 0, &[("vendor", "0x8086")]);
    machine.write("sys/class/drm/card0-eDP-1/status", "connected\n");
    machine.write("sys/class/drm/renderD128/device/vendor", "0x8086\n");
    let refusal = machine.refusal("drm");
    assert!(refusal.reason.ends_with("class/drm: no GPU of AMD or Intel that tells anything"), "{refusal}");
    assert!(refusal.fix.unwrap().contains("modprobe amdgpu"));
    assert!(Machine::new().refusal("drm").reason.contains("class/drm: No such file"));
}

#[test]
fn a_card_whose_power_cannot_be_read_is_lacking_with_the_reason() {
    let machine = Machine::new();
    navi(&machine, 0);
    // Root reads every file; a directory in its place it cannot read either.
    let power = machine.path("sys/class/drm/card0/device/hwmon/hwmon4/power1_average");
    std::fs::remove_file(&power).unwrap();
    std::fs::create_dir(&power).unwrap();
    let recorder = machine.open("drm").unwrap();
    let total = recorder.recording().total();
    assert_eq!((total.names(), total.lacks()), (Vec::new(), vec!["card0".to_owned()]));
    assert!(total.remarks()[0].contains("power1_average: Is a directory"), "{:?}", total.remarks());
    write(&machine, 1, &[("vendor", "0x1002"), ("device", "0x1234"), ("gpu_busy_percent", "0")]);
    let recorder = machine.open("drm").unwrap();
    let remarks = recorder.recording().total().remarks();
    assert!(remarks[1].contains("amdgpu shows no sensor of its power; a newer kernel"), "{remarks:?}");
}

#[test]
fn a_card_that_sleeps_leaves_its_readings_out() {
    let machine = Machine::new();
    navi(&machine, 0);
    let recorder = each_second(machine.open("drm").unwrap(), 0..6, |second| {
        write(&machine, 0, &[("hwmon/hwmon4/power1_average", if second == 3 { "" } else { "180000000" })]);
    });
    assert_eq!(values(&recorder, "card0.power"), [180.0; 5]);
}
