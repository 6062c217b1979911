//! Forecasts from data sheets alone against measurements of single passes in 32-bit floats: IrEne's two machines, and NeuSight's devices.

use std::path::PathBuf;

use irene_devices::{Catalogue, KernelLaw, Law, Work, read_measurements};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_predict::{Load, PublicData, PublicFile, Service, check_trees};
use irene_requests::{PercentErrors, RequestRow};
use irene_tree::{Format, Size, irene_csv};
use serde::Deserialize;

/// A file of the public data.
pub(crate) fn data(file: &str) -> PathBuf {
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

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_machines_of_irene_are_predicted_from_their_data_sheets() {
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    for (folder, device, count) in [("device_1", "gtx-1070", 166), ("device_2", "gtx-1080-ti", 192)] {
        let dir = irene_csv::device_dir_from_env(folder).expect("IRENE_DATA has IrEne's data");
        let trees = irene_csv::read_dir(&dir, &class_of).unwrap().trees;
        let errors = check_trees(&trees, device).unwrap();
        let found = [&errors.time, &errors.gpu_energy, &errors.wall_energy]
            .map(|errors| [errors.median().unwrap(), errors.mean().unwrap()]);
        println!("{device}: time, GPU energy, wall energy {found:.1?}");
        let [time, _, energy] = found;
        assert_eq!(errors.wall_energy.count(), count);
        assert!(time[0] <= 20.0 && time[1] <= 20.0, "{device}: time {time:?}");
        assert!(energy[0] <= 25.0 && energy[1] <= 25.0, "{device}: energy {energy:?}");
    }
}

/// The constants of servers: those that are fitted to the least power of each system, less what its devices draw when idle.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn servers_of_mlperf_draw_what_the_law_says() {
    let read = PublicFile::read(&data("mlperf_power.csv")).unwrap().unwrap();
    let PublicData::Servers(servers) = read.data else { panic!("{}", read.name) };
    let logs: Vec<f64> = servers.iter().map(|server| (server.predicted_w().unwrap() / server.host_w()).ln()).collect();
    let bias = logs.iter().sum::<f64>() / logs.len() as f64;
    let spread = (logs.iter().map(|log| log * log).sum::<f64>() / logs.len() as f64).sqrt();
    println!("{} servers: bias {bias:+.2}, spread {spread:.2}", logs.len());
    assert!(logs.len() >= 10 && bias.abs() < 0.25 && spread < 1.5 * Law::shipped().host.spread, "{bias} {spread}");
}

/// A whole model of NeuSight's measurements.
#[derive(Deserialize)]
pub(crate) struct ModelRow {
    pub(crate) device: String,
    pub(crate) model: String,
    pub(crate) mode: String,
    pub(crate) seq: usize,
    pub(crate) batch: usize,
    pub(crate) variant: String,
    fw_ms: f64,
    pub(crate) e2e_ms: f64,
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn single_passes_in_f32_take_what_their_kernels_take() {
    let (service, kernels) = (Service::default(), KernelLaw::shipped());
    let mut errors = PercentErrors::default();
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
        errors.add(forecast.figures.latency_s / (1e-3 * row.fw_ms));
    }
    let (median, mean) = (errors.median().unwrap(), errors.mean().unwrap());
    println!("NeuSight's models, forecast: {median:.1} / {mean:.1}");
    assert!(errors.count() > 20 && median <= 6.0 && mean <= 9.0, "{median} / {mean}");
}
