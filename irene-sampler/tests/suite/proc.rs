//! Readings of /proc and hwmon, and the estimates from them.

use std::time::Duration;

use irene_sampler::{
    Averaging, Metric, Provenance, Recorder, WindowError,
    sensors::{Places, Selection, Unavailable},
};

use crate::machine::{Machine, assert_close, at, channel, joules, names, open, series, totals, values, window};

/// Ticks: busy in user and system, idle and waiting.
fn ticks(machine: &Machine, busy: u64, idle: u64) {
    let (user, system) = (busy - busy / 3, busy / 3);
    let (waiting, idle) = (idle / 4, idle - idle / 4);
    machine.write("proc/stat", format!("cpu  {user} 0 {system} {idle} {waiting} 0 0 0 9 9\ncpu0 1 2 3 4\nintr 5\n"));
}

fn memory(machine: &Machine, total: u64, available: u64) {
    let text = format!("MemTotal:   {total} kB\nMemFree:    1 kB\nMemAvailable:   {available} kB\nBuffers:  3 kB\n");
    machine.write("proc/meminfo", text);
}

mod utilisation {
    use super::*;

    #[test]
    fn it_is_the_share_of_ticks_that_were_not_idle() {
        let machine = Machine::new();
        ticks(&machine, 1000, 9000);
        memory(&machine, 8000, 2000);
        let mut recorder = machine.open("utilisation").unwrap();
        for (time, busy, idle) in [(0.0, 1000, 9000), (1.0, 1025, 9075), (2.0, 1125, 9075), (3.0, 1125, 9175)] {
            ticks(&machine, busy, idle);
            recorder.sample_at(at(time));
        }
        assert_eq!(values(&recorder, "cpu"), [25.0, 100.0, 0.0], "the first sample has nothing to compare with");
        assert_eq!(values(&recorder, "mem"), [75.0; 4]);
        let cpu = window(&recorder, "cpu", 0.5, 2.5).unwrap();
        assert_eq!((cpu.mean, cpu.min, cpu.max, cpu.std), (62.5, 25.0, 100.0, 37.5));
        assert_eq!((cpu.energy, cpu.readings), (None, 2));
        assert!(totals(&recorder).is_empty());
    }

    #[test]
    fn a_sample_between_two_ticks_waits_for_the_next() {
        let machine = Machine::new();
        ticks(&machine, 100, 100);
        let mut recorder = machine.open("utilisation").unwrap();
        for (sample, busy) in [100, 100, 100, 110].into_iter().enumerate() {
            ticks(&machine, busy, 100);
            recorder.sample_at(at(sample as f64));
        }
        assert_eq!(series(&recorder, "cpu").points().collect::<Vec<_>>(), [(3.0, 100.0)]);
    }

    #[test]
    fn samples_closer_than_ten_ticks_read_nothing() {
        let machine = Machine::new();
        ticks(&machine, 0, 1);
        let mut recorder = machine.open("utilisation").unwrap();
        for sample in 0..100u32 {
            ticks(&machine, u64::from(sample), 1 + u64::from(sample));
            recorder.sample_at(at(f64::from(sample) / 100.0));
        }
        let points: Vec<_> = series(&recorder, "cpu").points().collect();
        assert!((8..=10).contains(&points.len()), "{points:?}");
        assert!(points.iter().all(|(_, share)| *share > 40.0), "{points:?}");
    }

    #[test]
    fn ticks_that_go_back_begin_anew() {
        let machine = Machine::new();
        ticks(&machine, 1000, 1000);
        let mut recorder = machine.open("utilisation").unwrap();
        for (second, busy) in [1000, 10, 20].into_iter().enumerate() {
            ticks(&machine, busy, 10 * busy);
            recorder.sample_at(at(second as f64));
        }
        assert_eq!(values(&recorder, "cpu").len(), 1);
        assert_close(values(&recorder, "cpu")[0], 100.0 / 11.0);
    }

    #[test]
    fn a_missing_value_is_absent() {
        let machine = Machine::new();
        ticks(&machine, 1, 1);
        machine.write("proc/meminfo", "MemTotal:  8000 kB\n");
        let mut recorder = machine.open("utilisation").unwrap();
        for second in 0..4 {
            ticks(&machine, 10 + second, 10 + second);
            recorder.sample_at(at(second as f64));
        }
        assert_eq!(values(&recorder, "cpu"), [50.0; 3]);
        assert_eq!(values(&recorder, "mem"), [0.0; 0]);
        assert_eq!(window(&recorder, "mem", 0.0, 3.0), Err(WindowError::TooFew(0)));
        machine.write("proc/stat", "cpu  1 x\n");
        recorder.sample_at(at(4.0));
        assert_eq!(values(&recorder, "cpu").len(), 3);
    }

    #[test]
    fn a_stat_without_the_times_is_refused() {
        let machine = Machine::new();
        let missing = machine.refusal("utilisation").to_string();
        assert!(missing.contains("proc/stat: No such file"), "{missing}");
        for text in ["", "intr 1 2 3\n", "cpu  1 2 3\n", "cpu0 1 2 3 4 5\n"] {
            machine.write("proc/stat", text);
            let refusal = machine.refusal("utilisation").to_string();
            assert!(refusal.contains("no line of the times of all processors"), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn this_machine_has_it() {
        let mut recorder = open("utilisation", &Places::here()).unwrap();
        recorder.sample_at(at(0.0));
        assert!((0.0..=100.0).contains(&values(&recorder, "mem")[0]));
    }
}

mod hwmon {
    use super::*;

    fn write(machine: &Machine, file: &str, text: &str) {
        machine.write(&format!("sys/class/hwmon/{file}"), text);
    }

    #[test]
    fn a_moment_is_taken_over_an_average() {
        let machine = Machine::new();
        write(&machine, "hwmon0/name", "amdgpu\n");
        write(&machine, "hwmon0/power1_average", "50000000\n");
        write(&machine, "hwmon0/power1_input", "70000000\n");
        write(&machine, "hwmon0/power1_label", "slow PPT\n");
        write(&machine, "hwmon0/power1_cap", "90000000\n");
        write(&machine, "hwmon0/temp1_input", "41000\n");
        let mut recorder = machine.open("hwmon").unwrap();
        (0..4).for_each(|second| recorder.sample_at(at(f64::from(second))));
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
    fn a_moment_that_cannot_be_read_leaves_the_average() {
        let machine = Machine::new();
        write(&machine, "hwmon0/name", "psu\n");
        std::fs::create_dir_all(machine.path("sys/class/hwmon/hwmon0/power1_input")).unwrap();
        write(&machine, "hwmon0/power1_average", "70000000\n");
        let mut recorder = machine.open("hwmon").unwrap();
        recorder.sample_at(at(0.0));
        assert_eq!(values(&recorder, "hwmon.psu.power1"), [70.0]);
        assert!(recorder.recording().total().missing().is_empty());
    }

    #[test]
    fn an_average_that_cannot_be_read_leaves_the_moment() {
        let machine = Machine::new();
        write(&machine, "hwmon0/name", "psu\n");
        std::fs::create_dir_all(machine.path("sys/class/hwmon/hwmon0/power1_average")).unwrap();
        write(&machine, "hwmon0/power1_input", "70000000\n");
        let mut recorder = machine.open("hwmon").unwrap();
        recorder.sample_at(at(0.0));
        assert_eq!(values(&recorder, "hwmon.psu.power1"), [70.0]);
    }

    #[test]
    fn a_sensor_that_counts_energy_is_read_for_energy_alone() {
        let machine = Machine::new();
        write(&machine, "hwmon3/name", "xe\n");
        write(&machine, "hwmon3/energy1_input", "0\n");
        write(&machine, "hwmon3/power1_input", "30000000\n");
        let mut recorder = machine.open("hwmon").unwrap();
        for second in 0..5 {
            write(&machine, "hwmon3/energy1_input", &format!("{}\n", 7_000_000 + 20_000_000 * second));
            recorder.sample_at(at(f64::from(second)));
        }
        assert_close(joules(&recorder, "hwmon.xe.energy1", 1.0, 3.0), 40.0);
        assert_eq!(names(recorder.recording().channels()), ["hwmon.xe.energy1"]);
    }

    #[test]
    fn two_supplies_of_one_make_are_told_apart() {
        let machine = Machine::new();
        for chip in ["hwmon0", "hwmon1"] {
            write(&machine, &format!("{chip}/name"), "psu\n");
            write(&machine, &format!("{chip}/power1_input"), "70000000\n");
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
        let mut recorder = machine.open("hwmon").unwrap();
        (0..4).for_each(|second| recorder.sample_at(at(f64::from(second))));
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
        let mut recorder = machine.open("hwmon").unwrap();
        (0..4).for_each(|second| recorder.sample_at(at(f64::from(second))));
        assert_eq!(recorder.recording().judged().names(), ["hwmon.power_meter.power1"]);
        // A meter that reads nothing is not believed.
        write(&machine, "hwmon1/power1_average", "0\n");
        let mut recorder = machine.open("hwmon").unwrap();
        (0..4).for_each(|second| recorder.sample_at(at(f64::from(second))));
        let total = recorder.recording().judged();
        assert_eq!(total.names(), ["hwmon.dps650ab@hwmon2.pin", "hwmon.dps650ab@hwmon3.pin"]);
        assert!(total.remarks()[0].contains("reads 0.0 W, which cannot be"), "{:?}", total.remarks());
    }

    #[test]
    fn a_battery_is_the_computer_s_meter_while_it_discharges() {
        let machine = Machine::new();
        chip(&machine, "hwmon1", "BAT0", &[("power1_input", "", 18_000_000)]);
        chip(&machine, "hwmon4", "amdgpu", &[("power1_average", "slowPPT", 9_000_000)]);
        assert_eq!(totals(&machine.open("hwmon").unwrap()), ["hwmon.BAT0.power1"], "its state is not told");
        write(&machine, "hwmon1/device/status", "Discharging\n");
        let mut recorder = machine.open("hwmon").unwrap();
        assert_eq!(totals(&recorder), ["hwmon.BAT0.power1"]);
        for second in 0..6 {
            write(&machine, "hwmon1/device/status", if second < 4 { "Discharging\n" } else { "Charging\n" });
            recorder.sample_at(at(f64::from(second)));
        }
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
        let mut recorder = machine.open("hwmon").unwrap();
        for second in 0..4 {
            for (file, _, watts) in cores {
                write(&machine, &format!("hwmon2/{file}"), &format!("{}\n", watts * 1_000_000 * second));
            }
            recorder.sample_at(at(f64::from(second)));
        }
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
        assert!(
            remark.starts_with("hwmon.ina226.power1 is left out: may overlap with hwmon.nct6775.power1"),
            "{remark}"
        );
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
        let mut recorder = machine.open("hwmon").unwrap();
        for second in 0..40 {
            write(&machine, "hwmon0/power1_input", if (10..25).contains(&second) { "" } else { "70000000\n" });
            recorder.sample_at(at(f64::from(second)));
        }
        let name = "hwmon.hwmon0.power1";
        assert_close(joules(&recorder, name, 2.0, 8.0), 420.0);
        assert_eq!(window(&recorder, name, 2.0, 30.0), Err(WindowError::Gap(16.0)));
    }

    #[test]
    fn more_than_a_machine_can_draw_is_no_reading() {
        let machine = Machine::new();
        write(&machine, "hwmon0/power1_input", "70000000\n");
        let mut recorder = machine.open("hwmon").unwrap();
        for (second, microwatts) in ["70000000", "4294967295000000", "-70000000", "70000000"].into_iter().enumerate() {
            write(&machine, "hwmon0/power1_input", microwatts);
            recorder.sample_at(at(second as f64));
        }
        let series = series(&recorder, "hwmon.hwmon0.power1");
        assert_eq!(series.pushed(), 2);
        assert_close(series.window(0.0, 3.0).unwrap().energy.unwrap(), 210.0);
    }
}

mod tdp {
    use super::*;

    fn estimate(machine: &Machine, tdp_watts: Option<f64>) -> Result<Recorder, Unavailable> {
        open("tdp", &Places { tdp_watts, ..machine.places() })
    }

    #[test]
    fn it_is_power_times_load_and_says_that_it_is_estimated() {
        let machine = Machine::new();
        ticks(&machine, 100, 100);
        let mut recorder = estimate(&machine, Some(65.0)).unwrap();
        // Half loaded for two seconds, then fully.
        for (time, busy, idle) in [(0.0, 100, 100), (1.0, 150, 150), (2.0, 200, 200), (3.0, 300, 200), (4.0, 400, 200)]
        {
            ticks(&machine, busy, idle);
            recorder.sample_at(at(time));
        }
        assert_eq!(channel(&recorder, "tdp").provenance, Provenance::Estimated);
        assert_close(joules(&recorder, "tdp", 0.0, 2.0), 65.0);
        assert_close(joules(&recorder, "tdp", 2.0, 4.0), 130.0);
        assert_close(joules(&recorder, "tdp", 0.0, 4.0), 195.0);
    }

    #[test]
    fn samples_between_ticks_lose_no_energy() {
        let machine = Machine::new();
        ticks(&machine, 100, 100);
        let mut recorder = estimate(&machine, Some(10.0)).unwrap();
        for millisecond in 0..=100 {
            ticks(&machine, 100 + millisecond / 10, 100);
            recorder.sample_at(at(millisecond as f64 / 1000.0));
        }
        assert_close(joules(&recorder, "tdp", 0.0, 0.1), 1.0);
    }

    #[test]
    fn ticks_that_go_back_give_no_energy() {
        let machine = Machine::new();
        ticks(&machine, 1000, 1000);
        let mut recorder = estimate(&machine, Some(10.0)).unwrap();
        for second in 0..6 {
            let busy = if second < 3 { 1000 + 100 * second } else { second };
            ticks(&machine, busy, 1000);
            recorder.sample_at(at(second as f64));
        }
        assert_close(joules(&recorder, "tdp", 0.0, 2.0), 20.0);
        assert_eq!(window(&recorder, "tdp", 1.0, 5.0), Err(WindowError::NotCovered));
    }

    #[test]
    fn it_must_be_given_and_be_a_power() {
        let machine = Machine::new();
        ticks(&machine, 1, 1);
        let unknown = estimate(&machine, None).unwrap_err();
        assert!(unknown.fix.unwrap().contains("--tdp-watts"));
        for watts in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(estimate(&machine, Some(watts)).unwrap_err().reason.contains("no thermal design power"));
        }
    }
}

mod impact_tracker {
    use super::*;

    const PACKAGE: &str = "sys/class/powercap/intel-rapl:0";
    const MEMORY: &str = "sys/class/powercap/intel-rapl:0/intel-rapl:0:0";

    /// Ticks of the process in user and system time. Its name is hard to parse.
    fn process(machine: &Machine, ticks: u64) {
        let text =
            format!("7 (a) (1 2 3 b) S 1 7 7 0 -1 4194304 9 8 7 6 {} {} 0 0 20 0 1\n", ticks / 2, ticks - ticks / 2);
        machine.write("proc/self/stat", text);
    }

    fn used(machine: &Machine, package_joules: u64, memory_joules: u64) {
        machine.write(&format!("{PACKAGE}/energy_uj"), format!("{package_joules}000000\n"));
        machine.write(&format!("{MEMORY}/energy_uj"), format!("{memory_joules}000000\n"));
    }

    fn machine() -> Machine {
        let machine = Machine::new();
        machine.write(&format!("{PACKAGE}/name"), "package-0\n");
        machine.write(&format!("{MEMORY}/name"), "dram\n");
        used(&machine, 5, 5);
        ticks(&machine, 1000, 1000);
        memory(&machine, 8000, 4000);
        process(&machine, 10);
        machine.write("proc/self/status", "Name:\tx\nVmHWM:\t 9999 kB\nVmRSS:\t 1000 kB\n");
        machine
    }

    #[test]
    fn it_is_the_process_s_share_times_the_overhead_of_data_centres() {
        let machine = machine();
        let mut recorder = machine.open("impact-tracker").unwrap();
        for second in 0..4 {
            ticks(&machine, 1000 + 100 * second, 1000 + 300 * second);
            process(&machine, 10 + 50 * second);
            used(&machine, 5 + 100 * second, 5 + 10 * second);
            recorder.sample_at(at(second as f64));
        }
        assert_eq!(channel(&recorder, "impact-tracker").provenance, Provenance::Estimated);
        // Half of the busy time of 100 W, a quarter of the used memory's 10 W.
        assert_close(joules(&recorder, "impact-tracker", 0.0, 3.0), 3.0 * 1.58 * (50.0 + 2.5));
    }

    #[test]
    fn samples_between_ticks_lose_no_energy() {
        let machine = machine();
        let mut recorder = machine.open("impact-tracker").unwrap();
        for step in 0..9 {
            let ticked = step / 2;
            ticks(&machine, 1000 + 10 * ticked, 1000);
            // The process's own ticks may show before the machine's.
            process(&machine, 10 + 5 * step.div_ceil(2));
            used(&machine, 5 + step, 5);
            recorder.sample_at(at(step as f64));
        }
        let found = joules(&recorder, "impact-tracker", 0.0, 8.0);
        assert!((found - 1.58 * 4.0).abs() <= 1.58, "{found} J: half of 8 J, but for a tick's part");
    }

    #[test]
    fn without_memory_s_share_there_is_no_figure() {
        let machine = machine();
        let mut recorder = machine.open("impact-tracker").unwrap();
        for second in 0..6 {
            ticks(&machine, 1000 + 100 * second, 1000);
            process(&machine, 10 + 50 * second);
            used(&machine, 5 + 100 * second, 5 + 10 * second);
            if second == 3 {
                machine.write("proc/self/status", "Name:\tx\n");
            }
            recorder.sample_at(at(second as f64));
        }
        assert!(window(&recorder, "impact-tracker", 0.0, 2.0).is_ok());
        assert_eq!(window(&recorder, "impact-tracker", 1.0, 5.0), Err(WindowError::Broken));
    }

    #[test]
    fn it_needs_energy_counters() {
        let machine = Machine::new();
        ticks(&machine, 1, 1);
        assert!(machine.refusal("impact-tracker").fix.is_some_and(|fix| fix.contains("modprobe")));
    }
}
