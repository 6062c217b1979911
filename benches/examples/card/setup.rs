//! The device, the meter and the time that there is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use candle_core::Device;
use irene_sampler::{
    Sampler, SamplerOptions,
    sensors::{Places, Selection},
};
use serde_json::{Value, json};

pub(crate) struct Setup {
    pub(crate) out: PathBuf,
    device_name: String,
    meter: String,
    seconds: f64,
    /// The limit of power to try, W. The limit that was there is set again.
    pub(crate) power_limit: Option<f64>,
    started: Instant,
}

/// The models that are profiled: what is asked of each.
const PROFILES: [(&str, &str); 5] = [
    ("bert-f32", "bert-base-uncased -b 8 -s 128"),
    ("llama-prompt-eager", "Llama-3.2-1B -b 1 -s 512 --dtype bf16 --head lm"),
    ("llama-prompt-fused", "Llama-3.2-1B -b 1 -s 512 --dtype bf16 --head lm --kernels fused"),
    ("llama-step-eager", "Llama-3.2-1B -b 8 -s 1 --past 512 --dtype bf16 --head lm"),
    ("llama-step-fused", "Llama-3.2-1B -b 8 -s 1 --past 512 --dtype bf16 --head lm --kernels fused"),
];

/// The same for a processor, which is slower.
const SMALL_PROFILES: [(&str, &str); 3] = [
    ("bert-f32", "google/bert_uncased_L-2_H-128_A-2 -b 1 -s 16"),
    ("llama-step-eager", "{fixtures}/llm/llama -b 1 -s 1 --past 8 --dtype bf16 --head lm"),
    ("llama-step-fused", "{fixtures}/llm/llama -b 1 -s 1 --past 8 --dtype bf16 --head lm --kernels fused"),
];

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// The output of a program, or nothing where it is not there or fails.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// One figure of the card that `nvidia-smi` tells.
fn of_card(name: &str) -> Option<String> {
    said("nvidia-smi", &["-i", "0", &format!("--query-gpu={name}"), "--format=csv,noheader,nounits"])
}

impl Setup {
    pub(crate) fn from_arguments() -> Self {
        let mut arguments = std::env::args().skip(1);
        let out = PathBuf::from(arguments.next().expect("the folder for the results comes first"));
        let flags: Vec<String> = arguments.collect();
        let flag = |name: &str| flags.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
        std::fs::create_dir_all(&out).unwrap();
        Self {
            out,
            device_name: flag("--device").unwrap_or_else(|| "cuda".into()),
            meter: flag("--meter").unwrap_or_else(|| "nvml".into()),
            seconds: flag("--seconds").map_or(540.0, |seconds| seconds.parse().unwrap()),
            power_limit: flag("--power-limit").map(|watts| watts.parse().unwrap()),
            started: Instant::now(),
        }
    }

    pub(crate) fn is_gpu(&self) -> bool {
        self.device_name != "cpu"
    }

    /// The name of the device in commands.
    pub(crate) fn device_name(&self) -> &str {
        &self.device_name
    }

    /// The name by which the catalogue of devices may find it: the driver's.
    pub(crate) fn card_name(&self) -> String {
        of_card("name").filter(|_| self.is_gpu()).unwrap_or_else(|| self.device_name.clone())
    }

    pub(crate) fn device(&self) -> Device {
        if self.is_gpu() { Device::new_cuda(0).unwrap() } else { Device::Cpu }
    }

    /// Seconds left.
    pub(crate) fn left(&self) -> f64 {
        self.seconds - self.started.elapsed().as_secs_f64()
    }

    /// The device, driver and date of the figures.
    pub(crate) fn describe(&self) -> Value {
        let processor = || {
            let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
            Some(
                text.lines()
                    .find_map(|line| line.strip_prefix("model name"))?
                    .trim_start_matches([' ', '\t', ':'])
                    .to_owned(),
            )
        };
        let number = |name: &str| of_card(name).and_then(|text| text.parse::<f64>().ok());
        json!({
            "device": if self.is_gpu() { of_card("name") } else { processor() },
            "driver": of_card("driver_version"),
            "power_limit_w": number("power.limit"),
            "memory_mib": number("memory.total"),
            "meter": self.meter,
            "date": said("date", &["-u", "+%Y-%m-%d"]),
            "irene": env!("CARGO_PKG_VERSION"),
        })
    }

    /// Reads the meter, by a library of one's own where `IRENE_NVML_LIBRARY` names one.
    pub(crate) fn sampler(&self) -> Sampler {
        let nvml_library = std::env::var_os("IRENE_NVML_LIBRARY").map(PathBuf::from);
        let places = Places { nvml_library, ..Places::here() };
        let selection = match self.meter.as_str() {
            "auto" => Selection::automatic(&places),
            "none" => Selection::of(&[], &places).unwrap(),
            meter => Selection::of(&[meter], &places).unwrap(),
        };
        let options = SamplerOptions { period: Duration::from_millis(10), capacity: 1 << 14 };
        Sampler::start(selection.sensors, options).unwrap()
    }

    /// The mean power while nothing runs, W; None without a meter.
    pub(crate) fn idle_watts(&self, sampler: &Sampler) -> Option<f64> {
        // The card holds a context, as it does between the requests of a server.
        let device = self.device();
        device.synchronize().unwrap();
        let rest = (0.02 * self.seconds).clamp(1.0, 10.0);
        std::thread::sleep(Duration::from_secs_f64(rest));
        let start = sampler.clock().now();
        std::thread::sleep(Duration::from_secs_f64(rest));
        let end = sampler.clock().now();
        sampler.wait_until_covered(start, end);
        sampler.look(|recording| recording.total().window(recording, start, end).ok()?.map(|window| window.watts))
    }

    /// Runs the `irene` that was built beside this program.
    pub(crate) fn irene(&self, arguments: &[&str]) -> Result<(), String> {
        let irene = std::env::current_exe().unwrap().with_file_name("../irene");
        let output = Command::new(irene).args(arguments).output().map_err(|error| format!("irene: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        if output.status.success() { Ok(()) } else { Err(format!("irene {}: {last}", arguments.join(" "))) }
    }

    /// Profiles the models one after the other while there is time; what went wrong.
    pub(crate) fn profile_models(&self) -> Vec<String> {
        let fixtures = super::parity::fixtures().display().to_string();
        let models: &[(&str, &str)] = if self.is_gpu() { &PROFILES } else { &SMALL_PROFILES };
        let mut troubles = Vec::new();
        for (place, (name, asked)) in models.iter().enumerate() {
            let budget = self.left() / (models.len() - place) as f64;
            if budget < 5.0 {
                troubles.push(format!("{name}: no time was left"));
                continue;
            }
            let file = self.out.join(format!("{name}.jsonl")).display().to_string();
            let asked = asked.replace("{fixtures}", &fixtures);
            let mut arguments: Vec<&str> = vec!["profile"];
            arguments.extend(asked.split(' '));
            let round = format!("{:.3}", (budget / 200.0).clamp(0.02, 0.5));
            arguments.extend(["--device", &self.device_name, "--meter", &self.meter, "--random-weights", "1"]);
            arguments.extend(["--quick", "--round", &round, "--rounds", "2", "--most-rounds", "3", "-o", &file]);
            troubles.extend(self.irene(&arguments).err());
        }
        troubles
    }

    /// Does something under a limit of power, W, and sets the limit that was there again.
    pub(crate) fn with_power_limit<T>(&self, watts: f64, run: impl FnOnce() -> T) -> Result<T, String> {
        let before = of_card("power.limit").ok_or("no power limit: nvidia-smi does not tell the one that is set")?;
        let set = |watts: &str| said("nvidia-smi", &["-i", "0", "-pl", watts]);
        set(&watts.to_string()).ok_or("no power limit: nvidia-smi -pl needs an administrator")?;
        let result = run();
        set(&before).ok_or(format!("the power limit is {watts} W still: nvidia-smi -pl {before} failed"))?;
        Ok(result)
    }
}
