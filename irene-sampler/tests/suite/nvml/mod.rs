//! NVIDIA GPUs: the real wrapper on a library that follows a script.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use irene_sampler::{
    Channel, Recorder, Recording, Sampler, SamplerOptions, Sensor, Stamp, WindowError,
    sensors::{self, Places, Unavailable},
};

#[cfg(target_os = "linux")]
mod attribution;
mod cards;
mod readings;

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
fn scripted<F: Fn(PathBuf)>(script: &str, body: F) {
    if env::var_os(SCRIPT).is_some() {
        write_script(script);
        return body(PathBuf::from(env::var_os(STUB).unwrap()));
    }
    // The body is a closure, `PROGRAM::MODULE::TEST::{{closure}}`.
    let test = std::any::type_name::<F>().trim_end_matches("::{{closure}}").split_once("::").unwrap().1;
    let file = format!("{}-{}.txt", test.replace("::", "-"), std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(SCRIPT, &path).env(STUB, &*BUILT);
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
