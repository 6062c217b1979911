//! Forecasts from data sheets alone against measurements of single passes in 32-bit floats: IrEne's two machines, and NeuSight's devices.

use std::path::PathBuf;

use irene_devices::{Catalogue, KernelLaw, Law, Work, read_measurements};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_predict::{Host, Load, Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_tree::{Format, Quantity, Size, irene_csv};
use serde::Deserialize;

fn data(file: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA names the folder of data")).join("llm").join(file)
}

/// A single pass of a model in 32-bit floats under transformers.
fn pass(model: &str, device: &str, size: Size) -> RequestRow {
    RequestRow {
        model: Some(model.into()),
        device: Some(device.into()),
        engine: Some("transformers".into()),
        weights: Some(Format::F32),
        load: Some(Load::Sequences(size.sequences)),
        prompt: Some(size.new as f64),
        ..RequestRow::default()
    }
}

/// Predicted over measured, and whether the measured is in the interval.
struct Check {
    ratio: f64,
    is_inside: bool,
}

impl Check {
    fn of(predicted: f64, [low, high]: [f64; 2], measured: f64) -> Self {
        Self { ratio: predicted / measured, is_inside: (low..=high).contains(&measured) }
    }
}

/// Median and mean of absolute percentage errors.
fn errors(checks: &[Check]) -> [f64; 2] {
    let mut errors: Vec<f64> = checks.iter().map(|check| 100.0 * (check.ratio - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    [errors[errors.len() / 2], errors.iter().sum::<f64>() / errors.len() as f64]
}

fn told(what: &str, checks: &[Check]) -> [f64; 2] {
    let [median, mean] = errors(checks);
    let bias = checks.iter().map(|check| check.ratio.ln()).sum::<f64>() / checks.len() as f64;
    let inside = checks.iter().filter(|check| check.is_inside).count() as f64 / checks.len() as f64;
    println!("{what:42} {:4}  {median:5.1} / {mean:5.1}  {bias:+.2}  {:3.0}% inside", checks.len(), 100.0 * inside);
    [median, mean]
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_machines_of_irene_are_predicted_from_their_data_sheets() {
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    let options = ServiceOptions { head: Some(TaskHead::None), ..ServiceOptions::default() };
    let mut of_gpu = Service::new(options.clone());
    let mut at_the_wall = Service::new(ServiceOptions { host: Some(Host::Usual), ..options });
    let mut all = Vec::new();
    for (folder, device) in [("device_1", "gtx-1070"), ("device_2", "gtx-1080-ti")] {
        let dir = irene_csv::device_dir_from_env(folder).expect("IRENE_DATA has IrEne's data");
        let trees = irene_csv::read_dir(&dir, &class_of).unwrap().trees;
        let mut models: Vec<&str> = trees.iter().map(|tree| tree.model_name.as_str()).collect();
        models.dedup();
        let (mut times, mut energies) = (Vec::new(), Vec::new());
        for model in models {
            let (mut of_time, mut of_gpu_energy, mut of_energy) = (Vec::new(), Vec::new(), Vec::new());
            for tree in trees.iter().filter(|tree| tree.model_name == model) {
                let row = pass(model, device, tree.size);
                let forecasts =
                    [&mut of_gpu, &mut at_the_wall].map(|service| service.setting(&row).unwrap().forecast().unwrap());
                let batch = tree.size.sequences as f64;
                let measured = |quantity| tree.root().get(quantity).unwrap();
                let [gpu, wall] = forecasts.map(|forecast| {
                    let ends = forecast.interval.unwrap();
                    let joules = (forecast.figures.energy_per_request_j, ends.map(|end| end.energy_per_request_j));
                    (joules, (forecast.figures.latency_s, ends.map(|end| end.latency_s)))
                });
                let energy = |(joules, ends): (f64, [f64; 2]), quantity| {
                    Check::of(batch * joules, ends.map(|end| batch * end), measured(quantity))
                };
                of_time.push(Check::of(gpu.1.0, gpu.1.1, measured(Quantity::Latency)));
                of_gpu_energy.push(energy(gpu.0, Quantity::GpuEnergy));
                of_energy.push(energy(wall.0, Quantity::GroundTruthEnergy));
            }
            told(&format!("{device} {model} time"), &of_time);
            told(&format!("{device} {model} GPU energy"), &of_gpu_energy);
            told(&format!("{device} {model} wall energy"), &of_energy);
            times.extend(of_time);
            energies.extend(of_energy);
        }
        let [time, energy] = [told(&format!("{device} time"), &times), told(&format!("{device} energy"), &energies)];
        assert!(time[0] <= 20.0 && time[1] <= 20.0, "{device}: time {time:?}");
        assert!(energy[0] <= 25.0 && energy[1] <= 25.0, "{device}: energy {energy:?}");
        all.extend(energies);
    }
    assert_eq!(all.len(), 166 + 192);
    let [median, mean] = told("both machines, energy at the wall", &all);
    assert!(median <= 20.0 && mean <= 25.0, "{median} / {mean}");
}

#[derive(Deserialize)]
struct System {
    system: String,
    accelerator: String,
    n_accelerators: f64,
    min_power_w: Option<f64>,
}

/// The constants of servers: those that are fitted to the least power of each system, less what its devices draw when idle.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn servers_of_mlperf_draw_what_the_law_says() {
    let host_law = Law::shipped().host;
    let mut least: Vec<(String, f64, f64)> = Vec::new();
    for row in read_measurements::<System>(&data("mlperf_power.csv")).unwrap() {
        let name = row.accelerator.trim_start_matches("NVIDIA ").trim_end_matches(" CTS");
        let (Ok(device), Some(watts)) = (Catalogue::find(name), row.min_power_w) else { continue };
        if host_law.watts(&device, 1.0).is_none() {
            continue;
        }
        let host = watts - row.n_accelerators * device.idle_w.unwrap_or(0.2 * device.tdp_w);
        match least.iter_mut().find(|(system, ..)| *system == row.system) {
            Some((.., known)) => *known = known.min(host),
            None => least.push((row.system, row.n_accelerators, host)),
        }
    }
    let device = Catalogue::find("a100-sxm-80gb").unwrap();
    let ratios: Vec<f64> =
        least.iter().map(|(_, count, host)| host_law.watts(&device, *count).unwrap() / host).collect();
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    let bias = logs.iter().sum::<f64>() / logs.len() as f64;
    let spread = (logs.iter().map(|log| log * log).sum::<f64>() / logs.len() as f64).sqrt();
    println!("{} servers: bias {bias:+.2}, spread {spread:.2}\n{least:?}", logs.len());
    assert!(logs.len() >= 10 && bias.abs() < 0.25 && spread < 1.5 * host_law.spread, "{bias} {spread}");
}

#[derive(Deserialize)]
struct ModelRow {
    device: String,
    model: String,
    mode: String,
    seq: usize,
    batch: usize,
    variant: String,
    fw_ms: f64,
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn single_passes_in_f32_take_what_their_kernels_take() {
    let (mut service, kernels) = (Service::default(), KernelLaw::shipped());
    let mut checks = Vec::new();
    for row in read_measurements::<ModelRow>(&data("neusight_models.csv")).unwrap() {
        let model = match row.model.as_str() {
            "bert_large" => "bert-large-uncased",
            "gpt2_large" => "gpt2-large",
            "opt_13" => "opt-1.3b",
            _ => continue,
        };
        let Ok(device) = Catalogue::find(&row.device.replace('_', " ")) else { continue };
        // A program sees one of two dies.
        if row.mode != "inf" || !row.variant.is_empty() || device.architecture == "cdna2" {
            continue;
        }
        let setting = service.setting(&pass(model, &device.name, Size::new(row.batch, row.seq))).unwrap();
        let forecast = setting.forecast().unwrap();
        // Large passes are what their kernels take one after another: errors of the kernels' law on devices that are left out hold for them.
        let head = if row.model == "bert_large" { TaskHead::None } else { TaskHead::Lm };
        let launches = setting.spec.launches(Run { head, ..Run::from(Size::new(row.batch, row.seq)) }).unwrap();
        let alone = |(operation, times): &(_, u64)| *times as f64 * kernels.time(&Work::of(operation), &device).seconds;
        let alone: f64 = launches.iter().map(alone).sum();
        assert!((forecast.figures.latency_s / alone - 1.0).abs() < 1e-9, "{model} on {}", device.name);
        let ends = forecast.interval.unwrap().map(|end| end.latency_s);
        checks.push(Check::of(forecast.figures.latency_s, ends, 1e-3 * row.fw_ms));
    }
    let [median, mean] = told("NeuSight's models, forecast", &checks);
    assert!(checks.len() > 20 && median <= 6.0 && mean <= 9.0, "{median} / {mean}");
}
