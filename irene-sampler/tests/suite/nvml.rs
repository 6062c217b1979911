//! NVIDIA GPUs: the real wrapper on a library that follows a script.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use irene_sampler::{
    Averaging, Channel, Findings, Metric, Recorder, Recording, Resource, Sampler, SamplerOptions, Sensor, Stamp, Total,
    WindowError,
    sensors::{self, Places, Selection, Unavailable},
};

/// The variable that names the stub library's script. It is set in the process that runs a test's body.
const SCRIPT: &str = "IRENE_NVML_SCRIPT";

/// A card that supports everything.
const CARD: &str = "count = 1\n\
    gpu0.util_percent = 37\n\
    gpu0.mem_used_bytes = 2147483648\n\
    gpu0.mem_total_bytes = 8589934592\n\
    gpu0.sm_clock_mhz = 1410\n\
    gpu0.mem_clock_mhz = 1215\n\
    gpu0.power_mw = 150000\n\
    gpu0.energy_mj = 7000000\n\
    gpu0.enforced_limit_mw = 250000\n\
    gpu0.largest_limit_mw = 300000\n";

/// The variable that names the stub library, for that process.
const STUB: &str = "IRENE_NVML_STUB";

/// The stub, built once. It depends on nothing.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nvml-stub");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("nvml-stub/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&target);
    assert!(cargo.status().unwrap().success(), "the stub does not build");
    target.join("debug").join(format!("{}irene_nvml_stub{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX))
});

/// Writes the script of this process.
fn write_script(lines: &str) {
    let path = PathBuf::from(env::var_os(SCRIPT).unwrap());
    // In one step, so that the library never reads half of it.
    let new = path.with_extension("new");
    std::fs::write(&new, lines).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Runs a test with a script of its own. The path of the script is an environment variable, which a process with threads cannot
/// change safely. So the test starts itself again with the variable set.
fn scripted(test: &str, script: &str, body: fn(PathBuf)) {
    if env::var_os(SCRIPT).is_some() {
        write_script(script);
        return body(PathBuf::from(env::var_os(STUB).unwrap()));
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}.txt", std::process::id()));
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([&format!("nvml::{test}"), "--exact", "--nocapture"]).env(SCRIPT, &path).env(STUB, &*BUILT);
    let output = child.output().unwrap();
    let _ = std::fs::remove_file(path);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// All cards of the stub.
fn places(library: PathBuf) -> Places {
    Places { nvml_library: Some(library), visible_devices: None, ..Places::here() }
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    (sensors::kind("nvml").unwrap().open)(places)
}

fn refusal(places: &Places) -> Unavailable {
    let unavailable = open(places).err().unwrap();
    assert!(!unavailable.to_string().contains('\n'), "{unavailable}");
    unavailable
}

fn names(sensor: &dyn Sensor) -> Vec<String> {
    sensor.channels().iter().map(|channel| channel.id.to_string()).collect()
}

/// Samples when the test asks.
fn recorder(library: PathBuf) -> Recorder {
    Recorder::new(vec![open(&places(library)).unwrap()], 1000)
}

fn sample_at(recorder: &mut Recorder, time: f64) {
    recorder.sample_at(Stamp { time, wall: time });
}

/// Samples every 5 ms.
fn start(library: PathBuf) -> Sampler {
    let options = SamplerOptions { period: Duration::from_millis(5), ..SamplerOptions::default() };
    Sampler::start(vec![open(&places(library)).unwrap()], options).unwrap()
}

/// Waits until the script of now was read; a time between two samples of it.
fn settle(sampler: &Sampler) -> f64 {
    let wait = || {
        let time = sampler.clock().now();
        assert!(sampler.wait_past(time, Duration::from_secs(10)));
        time
    };
    wait();
    wait()
}

fn number(channels: &[Channel], name: &str) -> usize {
    channels.iter().position(|channel| channel.id.to_string() == name).unwrap()
}

fn points(recording: &Recording, name: &str) -> Vec<f64> {
    recording.series(number(recording.channels(), name)).points().map(|(_, value)| value).collect()
}

fn energy(recording: &Recording, name: &str, [from, to]: [f64; 2]) -> Result<f64, WindowError> {
    recording.window(number(recording.channels(), name), from, to).map(|window| window.energy.unwrap())
}

#[test]
fn scripted_values_come_back_exactly() {
    scripted("scripted_values_come_back_exactly", CARD, |library| {
        let sampler = start(library);
        let from = settle(&sampler);
        for step in 1..=6 {
            std::thread::sleep(Duration::from_millis(40));
            write_script(&CARD.replace("7000000", &format!("{}", 7_000_000 + 750 * step)));
        }
        let to = settle(&sampler);
        let recording = sampler.stop();
        assert_eq!(energy(&recording, "gpu0.energy", [from, to]), Ok(4.5));
        for (name, expected) in
            [("util", 37.0), ("mem", 25.0), ("sm_clock", 1410.0), ("mem_clock", 1215.0), ("power", 150.0)]
        {
            let channel = number(recording.channels(), &format!("gpu0.{name}"));
            let window = recording.window(channel, from, to).unwrap();
            assert_eq!([window.min, window.max], [expected; 2], "{name}");
            assert!((window.mean / expected - 1.0).abs() < 1e-12, "{name}");
        }
        let [total] = recording.totals() else { unreachable!("{:?}", recording.totals()) };
        let Channel { id, limit_watts, .. } = &recording.channels()[*total];
        assert_eq!((id.resource.clone(), id.metric, *limit_watts), (Resource::Gpu(0), Metric::Energy, 1200.0));
    });
}

#[test]
fn a_counter_that_is_renewed_seldom_counts() {
    scripted("a_counter_that_is_renewed_seldom_counts", CARD, |library| {
        let mut recorder = recorder(library);
        for sample in 0..100 {
            // Every 100 ms, as some drivers do. One sample of 5 ms then sees 30 J, which is 6000 W on a card of 300 W.
            if sample % 20 == 10 {
                write_script(&CARD.replace("7000000", &format!("{}", 7_000_000 + 30_000 * (1 + sample / 20))));
            }
            sample_at(&mut recorder, 0.005 * f64::from(sample));
        }
        assert_eq!(energy(recorder.recording(), "gpu0.energy", [0.0, 0.495]), Ok(150.0));
    });
}

#[test]
fn a_card_without_an_energy_counter_integrates_power() {
    let old = CARD.replace("7000000", "error 3");
    scripted("a_card_without_an_energy_counter_integrates_power", &old, |library| {
        let sensor = open(&places(library.clone())).unwrap();
        assert_eq!(names(&*sensor), ["gpu0.util", "gpu0.mem", "gpu0.sm_clock", "gpu0.mem_clock", "gpu0.power"]);
        assert_eq!(Total::of(sensor.channels(), 0, &Findings::default(), &[]).taken(), [4]);
        let sampler = start(library);
        let from = settle(&sampler);
        std::thread::sleep(Duration::from_millis(220));
        let to = settle(&sampler);
        let joules = energy(&sampler.stop(), "gpu0.power", [from, to]).unwrap();
        assert!((joules / (150.0 * (to - from)) - 1.0).abs() < 1e-9, "{joules}");
    });
}

/// nvml.h, at nvmlDeviceGetPowerUsage: a mean over a second on Ampere and later but for GA100; fields 185 and 186 tell the mean and the
/// moment.
#[test]
fn a_mean_of_a_second_is_known_by_the_chip_and_the_moment_is_preferred() {
    scripted("a_mean_of_a_second_is_known_by_the_chip_and_the_moment_is_preferred", CARD, |library| {
        let averaging = |lines: &str| {
            write_script(&format!("{CARD}{lines}"));
            let sensor = open(&places(library.clone())).unwrap();
            sensor.channels()[number(sensor.channels(), "gpu0.power")].averaging
        };
        assert_eq!(averaging("gpu0.compute_capability = 8.6\n"), Averaging::Over(Duration::from_secs(1)));
        assert_eq!(averaging("gpu0.compute_capability = 9.0\n"), Averaging::Over(Duration::from_secs(1)));
        assert_eq!(averaging("gpu0.compute_capability = 8.0\n"), Averaging::None, "GA100");
        assert_eq!(averaging("gpu0.compute_capability = 7.0\n"), Averaging::None);
        assert_eq!(averaging(""), Averaging::Unknown, "a driver that does not tell the chip");
        let both = "gpu0.compute_capability = 9.0\ngpu0.power_instant_mw = 170000\n";
        assert_eq!(averaging(both), Averaging::None);
        let mut recorder = recorder(library.clone());
        sample_at(&mut recorder, 0.0);
        assert_eq!(points(recorder.recording(), "gpu0.power"), [170.0]);
    });
}

#[test]
fn a_mean_of_a_second_has_no_energy_of_less_than_two() {
    let old = CARD.replace("7000000", "error 3") + "gpu0.compute_capability = 8.6\n";
    scripted("a_mean_of_a_second_has_no_energy_of_less_than_two", &old, |library| {
        let mut recorder = recorder(library);
        (0..60).for_each(|sample| sample_at(&mut recorder, 0.05 * f64::from(sample)));
        assert_eq!(energy(recorder.recording(), "gpu0.power", [0.0, 1.5]), Err(WindowError::Averaged(1.0)));
        assert_eq!(energy(recorder.recording(), "gpu0.power", [0.0, 2.0]).map(f64::round), Ok(300.0));
        let (seconds, id) = recorder.recording().shortest_window().unwrap();
        assert_eq!((seconds, id.to_string().as_str()), (2.0, "gpu0.power"));
    });
}

/// Some drivers answer 0 for ever (codecarbon's report 1316).
#[test]
fn a_counter_that_stands_still_gives_way_to_power() {
    let stuck = CARD.replace("7000000", "0");
    scripted("a_counter_that_stands_still_gives_way_to_power", &stuck, |library| {
        let mut recorder = recorder(library.clone());
        (0..15).for_each(|sample| sample_at(&mut recorder, 0.1 * f64::from(sample)));
        let recording = recorder.recording();
        let total = recording.judged();
        assert_eq!(total.names(), ["gpu0.power"]);
        let window = total.window(recording, 0.1, 1.2).unwrap().unwrap();
        assert!((window.joules - 165.0).abs() < 1e-9, "{window:?}");
        let [remark] = &total.remarks()[..] else { unreachable!("{:?}", total.remarks()) };
        assert!(remark.starts_with("gpu0.energy is left out: stands still"), "{remark}");
        // The same before anything is measured.
        let selection = Selection::of(&["nvml"], &places(library)).unwrap();
        assert_eq!(selection.sensors.total().names(), ["gpu0.power"]);
    });
}

#[test]
fn a_card_that_drops_out_is_said() {
    let script = CARD.replace("count = 1", "count = 3\ngpu1 = error 15\ngpu2.util_percent = 5");
    scripted("a_card_that_drops_out_is_said", &script, |library| {
        let recorder = recorder(library);
        let total = recorder.recording().total();
        assert_eq!((total.names(), total.lacks()), (vec!["gpu0.energy".into()], vec!["gpu1".into(), "gpu2".into()]));
        let remarks = total.remarks();
        assert!(remarks[0].starts_with("the total lacks gpu1: GPU 1: "), "{remarks:?}");
        assert_eq!(remarks[1], "the total lacks gpu2: GPU 2 tells neither its power nor its energy");
    });
}

#[test]
fn single_cards_are_chosen() {
    let script = CARD.replace("count = 1", "count = 2\ngpu1.power_mw = 90000");
    scripted("single_cards_are_chosen", &script, |library| {
        let chosen = |meters: &[&str]| {
            Selection::of(meters, &places(library.clone())).map(|found| found.sensors.total().names())
        };
        let moves = || {
            for step in 1..40 {
                write_script(&script_of_two(step));
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        let moving = std::thread::spawn(moves);
        assert_eq!(chosen(&["nvml"]).unwrap(), ["gpu0.energy", "gpu1.power"]);
        assert_eq!(chosen(&["nvml:1"]).unwrap(), ["gpu1.power"]);
        assert_eq!(chosen(&["nvml:0"]).unwrap(), ["gpu0.energy"]);
        assert_eq!(
            chosen(&["nvml:2"]).unwrap_err().to_string(),
            "`nvml:2` is no sensor of energy or power; there are nvml:0, nvml:1"
        );
        moving.join().unwrap();
    });
}

/// Two cards, of which the first counts.
fn script_of_two(step: u32) -> String {
    CARD.replace("count = 1", "count = 2\ngpu1.power_mw = 90000")
        .replace("7000000", &format!("{}", 7_000_000 + 7500 * step))
}

#[test]
fn an_unsupported_metric_is_no_channel() {
    let script = "count = 2\ngpu0.util_percent = 5\ngpu1 = error 15\ngpu1.power_mw = 90000";
    scripted("an_unsupported_metric_is_no_channel", script, |library| {
        assert_eq!(names(&*open(&places(library.clone())).unwrap()), ["gpu0.util"]);
        write_script("count = 1");
        assert_eq!(
            refusal(&places(library)).to_string(),
            "GPU 0: the requested operation is not available on the target device"
        );
    });
}

#[test]
fn a_lost_card_leaves_its_readings_out() {
    scripted("a_lost_card_leaves_its_readings_out", CARD, |library| {
        let mut recorder = recorder(library);
        let mut until = |script: &str, times: std::ops::Range<u32>| {
            write_script(script);
            times.for_each(|time| sample_at(&mut recorder, f64::from(time)));
            recorder.recording().clone()
        };
        until(CARD, 0..5);
        let lost = until(&format!("gpu0 = error 15\n{CARD}"), 5..20);
        assert_eq!(points(&lost, "gpu0.power"), [150.0; 5]);
        assert_eq!(points(&lost, "gpu0.util"), [37.0; 5], "never zero");
        assert_eq!(energy(&lost, "gpu0.power", [0.0, 4.0]), Ok(600.0));
        for name in ["gpu0.power", "gpu0.energy"] {
            assert_eq!(energy(&lost, name, [0.0, 10.0]), Err(WindowError::NotCovered), "{name}");
        }
        // It comes back after a reset and counts from zero. Its energy meanwhile is unknown.
        let back = until(&CARD.replace("7000000", "1000"), 20..25);
        assert_eq!(energy(&back, "gpu0.power", [0.0, 22.0]), Err(WindowError::Gap(16.0)));
        assert_eq!(energy(&back, "gpu0.energy", [0.0, 22.0]), Err(WindowError::Broken));
    });
}

#[test]
fn impossible_power_is_no_reading() {
    scripted("impossible_power_is_no_reading", CARD, |library| {
        let mut recorder = recorder(library);
        for (time, milliwatts) in [(0.0, "1200000"), (1.0, "1200001"), (2.0, "4294967295")] {
            write_script(&CARD.replace("150000", milliwatts));
            sample_at(&mut recorder, time);
        }
        assert_eq!(points(recorder.recording(), "gpu0.power"), [1200.0]);
    });
}

#[test]
fn sampling_allocates_nothing() {
    scripted("sampling_allocates_nothing", CARD, |library| {
        let mut recorder = recorder(library);
        for (time, script) in [(0.0, CARD), (1.0, "gpu0 = error 15"), (2.0, "count = 1\ngpu0.power_mw = error 999")] {
            write_script(script);
            let allocated = allocation_counter::measure(|| sample_at(&mut recorder, time));
            assert_eq!(allocated.count_total, 0, "{script}");
        }
    });
}

#[test]
fn errors_say_what_to_do() {
    scripted("errors_say_what_to_do", CARD, |library| {
        let here = places(library);
        for script in ["init = error 4", "count = 1\ngpu0 = error 4"] {
            write_script(script);
            let denied = refusal(&here);
            assert!(denied.reason.ends_with("the current user does not have permission to perform this operation"));
            assert!(denied.fix.unwrap().starts_with("`sudo chmod a+rw /dev/nvidiactl"), "{script}");
        }
        write_script("init = error 9");
        assert_eq!(
            refusal(&here).to_string(),
            "NVML: NVIDIA driver is not loaded; `sudo modprobe nvidia`, or install the NVIDIA driver"
        );
        write_script("count = 0");
        assert_eq!(refusal(&here).reason, "NVML: the driver finds no GPU");
    });
}

#[test]
fn a_missing_library_is_said() {
    let nowhere = refusal(&places("/nowhere/libnvidia-ml.so.1".into()));
    assert!(nowhere.reason.contains("/nowhere/libnvidia-ml.so.1"), "{nowhere}");
    assert!(nowhere.fix.unwrap().contains("install the NVIDIA driver, or point to its library"));
}

#[test]
fn cuda_visible_devices_chooses() {
    let script = "count = 3\n\
        gpu0.uuid = GPU-aa00\ngpu0.power_mw = 1\n\
        gpu1.uuid = GPU-aa11\ngpu1.power_mw = 1\ngpu1.mig = MIG-5e\n\
        gpu2.uuid = GPU-bb22\ngpu2.power_mw = 1";
    scripted("cuda_visible_devices_chooses", script, |library| {
        let shown = |list: Option<&str>| {
            let places = Places { visible_devices: list.map(str::to_owned), ..places(library.clone()) };
            open(&places).map(|sensor| names(&*sensor).join(" ").replace("gpu", "").replace(".power", ""))
        };
        for (list, cards) in [
            (None, "0 1 2"),
            (Some("2,0"), "2 0"),
            (Some("0, 2 ,-1,1"), "0 2"),
            (Some("1,7,0"), "1"),
            (Some("GPU-b,GPU-aa0"), "2 0"),
            (Some("GPU-bb22,GPU-aa"), "2"), // two cards begin so
            (Some("MIG-5e"), "1"),
            (Some("MIG-GPU-aa11/7/0,MIG-GPU-aa11/8/0"), "1"),
        ] {
            assert_eq!(shown(list).as_deref(), Ok(cards), "{list:?}");
        }
        for list in ["", "-1", "3", "NoDevFiles"] {
            let unavailable = shown(Some(list)).unwrap_err();
            assert_eq!(unavailable.reason, format!("CUDA_VISIBLE_DEVICES is `{list}`, which shows none of the 3 GPUs"));
        }
        let unknown = shown(Some("MIG-00")).unwrap_err();
        assert!(unknown.reason.starts_with("CUDA_VISIBLE_DEVICES has MIG-00, whose card cannot be told"), "{unknown}");
    });
}

#[cfg(target_os = "linux")]
mod attribution {
    use crate::machine::{Machine, assert_close, at, joules, window};
    use irene_sampler::{
        Sensors,
        sensors::{Idle, ProcessRoot, ProcessTree},
    };

    use super::*;

    /// The processors' power, watts.
    const PROCESSORS: f64 = 10.0;

    /// A machine on which this process makes all the load.
    fn machine(library: PathBuf) -> (Machine, Places) {
        let machine = Machine::new();
        machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
        machine.write("proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n");
        machine.write("proc/self/status", "VmRSS: 1000 kB\n");
        machine.write(&format!("proc/{}/stat", std::process::id()), "");
        machine.write("proc/4242/stat", "");
        load(&machine, 0.0);
        let places = Places { nvml_library: Some(library), ..machine.places() };
        (machine, places)
    }

    fn load(machine: &Machine, time: f64) {
        let microjoules = (1e6 * PROCESSORS * time) as u64;
        machine.write("sys/class/powercap/intel-rapl:0/energy_uj", format!("{microjoules}\n"));
        let ticks = 100 + (100.0 * time) as u64;
        machine.write("proc/stat", format!("cpu  {ticks} 0 0 {ticks} 0 0 0 0 0 0\n"));
        machine.write("proc/self/stat", format!("7 (x) S 1 7 7 0 -1 4194304 9 8 7 6 {ticks} 0 0 0 20 0 1\n"));
    }

    /// A card at 200 W, with processes that use it.
    fn card(time: f64, processes: &str) -> String {
        let [energy, now] = [200e3 * time, 1e6 * (1.0 + time)].map(|number| number as u64);
        format!(
            "count = 1\ngpu0.energy_mj = {energy}\ngpu0.power_mw = 200000\ngpu0.enforced_limit_mw = 300000\n\
             gpu0.processes = {processes}\ngpu0.processes_us = {now}\n"
        )
    }

    fn sample_at(machine: &Machine, recorder: &mut Recorder, time: f64, script: &str) {
        write_script(script);
        load(machine, time);
        recorder.sample_at(at(time));
    }

    #[test]
    fn a_process_has_its_share_of_a_card() {
        scripted("attribution::a_process_has_its_share_of_a_card", &card(0.0, ""), |library| {
            let (machine, places) = machine(library);
            let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
            let own = std::process::id();
            let mut sample = |time, processes: &str| sample_at(&machine, &mut recorder, time, &card(time, processes));
            sample(0.0, "");
            sample(0.5, &format!("{own}:30 4242:10"));
            sample(1.0, &format!("{own}:60 4242:20"));
            sample(2.0, "4242:50");
            sample(3.0, "");
            // It has three quarters of the first second, another process all of the next one, and nobody the last.
            assert_close(joules(&recorder, "impact-tracker", 0.0, 1.0), 1.58 * (PROCESSORS + 0.75 * 200.0));
            assert_close(joules(&recorder, "impact-tracker", 1.0, 3.0), 2.0 * 1.58 * PROCESSORS);
        });
    }

    #[test]
    fn power_stands_in_for_a_missing_counter() {
        let old = |time, processes: &str| card(time, processes).replace("energy_mj", "none");
        scripted("attribution::power_stands_in_for_a_missing_counter", &old(0.0, ""), |library| {
            let (machine, places) = machine(library);
            let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
            let old = |time| card(time, &format!("{}:80", std::process::id())).replace("energy_mj", "none");
            for time in [0.0, 0.5, 1.0] {
                sample_at(&machine, &mut recorder, time, &old(time));
            }
            assert_close(joules(&recorder, "impact-tracker", 0.0, 1.0), 1.58 * (PROCESSORS + 200.0));
        });
    }

    /// In a container the driver numbers processes otherwise than this system.
    #[test]
    fn an_unknown_share_is_not_zero() {
        scripted("attribution::an_unknown_share_is_not_zero", &card(0.0, ""), |library| {
            let (machine, places) = machine(library);
            let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
            sample_at(&machine, &mut recorder, 0.0, &card(0.0, ""));
            sample_at(&machine, &mut recorder, 1.0, &card(1.0, "77:40"));
            assert_eq!(window(&recorder, "impact-tracker", 0.0, 1.0), Err(WindowError::Broken));
        });
    }

    /// A tree of process 10 and its child 11, by the sensors of the whole machine. Process 10 makes half of the load.
    fn tree(places: &Places, idle: Idle) -> Result<ProcessTree, Unavailable> {
        let open = |name: &str| (sensors::kind(name).unwrap().open)(places).unwrap();
        let total = Recorder::new(vec![open("rapl"), open("nvml")], 2).recording().total().clone();
        ProcessTree::open(places, ProcessRoot::Pid(10), &total, idle)
    }

    fn family(machine: &Machine, time: f64) {
        for (pid, parent, ticks) in [(10, 1, (50.0 * time) as u64), (11, 10, 0)] {
            let text = format!("{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 9 9\n");
            machine.write(&format!("proc/{pid}/stat"), text);
        }
    }

    /// Joules by processor time and by multiprocessors in a second.
    fn a_second(machine: &Machine, tree: ProcessTree, processes: &str) -> [Option<f64>; 2] {
        let mut recorder = Recorder::new(Sensors { probes: vec![Box::new(tree)], ..Sensors::default() }, 16);
        for time in [0.0, 1.0] {
            family(machine, time);
            sample_at(machine, &mut recorder, time, &card(time, if time > 0.0 { processes } else { "" }));
        }
        ["process.cpu-time", "process.sm-time"].map(|name| {
            let place = recorder.recording().channels().iter().position(|channel| channel.id.to_string() == name)?;
            let series = recorder.recording().series(place);
            series.joules().filter(|_| series.gaps() == 0)
        })
    }

    #[test]
    fn a_tree_has_its_share_of_a_card_without_an_overhead() {
        let test = "attribution::a_tree_has_its_share_of_a_card_without_an_overhead";
        scripted(test, &card(0.0, ""), |library| {
            let (machine, places) = machine(library);
            family(&machine, 0.0);
            let shared = |idle, processes: &str| {
                load(&machine, 0.0);
                write_script(&card(0.0, ""));
                a_second(&machine, tree(&places, idle).unwrap(), processes)
            };
            let used = "10:30 11:15 4242:15";
            assert_eq!(shared(Idle::Shared, used), [Some(PROCESSORS / 2.0), Some(0.75 * 200.0)]);
            // Two fifths of the time the card does nothing, and half of the time the processors.
            assert_eq!(shared(Idle::Apart, used), [Some(PROCESSORS / 4.0), Some(0.45 * 200.0)]);
            assert_eq!(shared(Idle::Shared, "4242:15")[1], Some(0.0));
            assert_eq!(shared(Idle::Shared, "77:40")[1], None, "a number that this system does not know");
        });
    }

    #[test]
    fn processors_are_shared_out_where_cards_cannot_be() {
        let test = "attribution::processors_are_shared_out_where_cards_cannot_be";
        scripted(test, CARD, |library| {
            let (machine, places) = machine(library);
            family(&machine, 0.0);
            let tree = tree(&places, Idle::Shared).unwrap();
            let [(id, why)] = tree.not_shared() else { unreachable!("{:?}", tree.not_shared()) };
            assert_eq!(id.to_string(), "gpu0.energy");
            assert!(why.contains("GPU 0, shares of processes"), "{why}");
            assert_eq!(a_second(&machine, tree, ""), [Some(PROCESSORS / 2.0), None]);
        });
    }

    #[test]
    fn a_card_that_tells_no_shares_is_said() {
        scripted("attribution::a_card_that_tells_no_shares_is_said", CARD, |library| {
            let (_machine, places) = machine(library);
            let unavailable = crate::machine::open("impact-tracker", &places).unwrap_err().to_string();
            assert!(unavailable.contains("GPU 0, shares of processes"), "{unavailable}");
        });
    }
}
