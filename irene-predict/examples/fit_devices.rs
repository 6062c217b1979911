//! Fits the law of passes to the public measurements of a folder, says how far off it is on what is left out, and writes its constants:
//! `cargo run --release -p irene-predict --example fit_devices -- FOLDER irene-devices/data/law.json`. Without a file it fits once and
//! leaves nothing out.

#![allow(clippy::print_stdout, clippy::print_stderr)] // an example may print

use std::{collections::BTreeMap, error::Error, path::Path};

use irene_devices::Vendor;
use irene_numerics::NORMAL_90;
use irene_predict::{
    Key, Law, LawsWithout, Measured, PublicData, PublicFile, RequestErrors, TrialError, fit_law,
    order_of_configurations, prior_law, try_calibrations, try_laws, with_spreads,
};
use irene_requests::PercentErrors;

/// The files.
const FILES: [&str; 4] = ["mlenergy.csv", "llm_inference_bench.csv", "splitwise.csv", "ecocompute_a800.csv"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("give the folder of the public measurements")?;
    let measured = read(Path::new(folder))?;
    let all: Vec<&Measured> = measured.iter().collect();
    let prior = prior_law(&all);
    let mut law = fit_law(&all, &prior, None);
    report("in sample", &try_laws(all.iter().copied(), |_| Some(&law)));
    first_tokens("in sample", &all, |_| &law);
    if let Some(path) = arguments.get(1) {
        let device: Key = |one| &one.device.name;
        let model: Key = |one| if is_left_out(one) { &one.model } else { "" };
        let devices = LawsWithout::each(device, &all, &prior, None, &|| ());
        let models = LawsWithout::each(model, &all, &prior, Some(&law), &|| ());
        let both = [devices, models];
        law = with_spreads(law, &all, &both);
        let [devices, models] = both.clone().map(|left_out| left_out.with_spreads(&all, &both));
        for (title, left_out) in [("device left out", &devices), ("model left out", &models)] {
            report(title, &try_laws(all.iter().copied(), |one| Some(left_out.law(one).unwrap_or(&law))));
            first_tokens(title, &all, |one| left_out.law(one).unwrap_or(&law));
        }
        calibrated(&measured, &devices)?;
        std::fs::write(path, serde_json::to_string_pretty(&law)? + "\n")?;
    }
    Ok(())
}

/// Whether fits leave out its model. Models left out on another maker's devices decide how far off these devices are.
fn is_left_out(one: &Measured) -> bool {
    one.source == PublicFile::ML_ENERGY || one.device.vendor != Vendor::Nvidia
}

fn read(folder: &Path) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut measured = Vec::new();
    for file in FILES {
        let read = PublicFile::read(&folder.join(file))?;
        let Some(PublicFile { data: PublicData::Requests(requests, left_out), .. }) = read else {
            return Err(format!("{file}: not the public file of requests").into());
        };
        eprintln!("{file}: {} rows", requests.len());
        left_out.iter().for_each(|(reason, count)| eprintln!("  {count} left out: {reason}"));
        measured.extend(requests);
    }
    Ok(measured)
}

/// Prints the errors of each file, of each engine, of each device, and the order of each model's configurations.
fn report(title: &str, tried: &[(&Measured, TrialError)]) {
    let mut groups: BTreeMap<String, RequestErrors> = BTreeMap::new();
    for (one, error) in tried {
        let group = format!("{} {} {}", one.source, one.engine.name, one.device.name);
        let on_nvidia = format!("{} {} on NVIDIA's", one.source, one.engine.name);
        let on_nvidia = Some(on_nvidia).filter(|_| one.device.vendor == Vendor::Nvidia);
        let served = Some(format!("{}, served", one.source)).filter(|_| one.is_served());
        let names = ["all", &one.source, one.engine.name, &one.device.name, &group];
        for name in names.into_iter().chain(on_nvidia.as_deref()).chain(served.as_deref()) {
            groups.entry(name.to_owned()).or_default().add(error);
        }
    }
    println!("\n{title}: absolute percentage errors, median / mean");
    print(&groups);
    let of_file: Vec<_> = tried
        .iter()
        .filter(|(one, _)| one.source == PublicFile::ML_ENERGY)
        .map(|(one, error)| (*one, *error))
        .collect();
    for (over, is_by_task) in [("models", false), ("models and tasks", true)] {
        let orders = order_of_configurations(&of_file, is_by_task);
        let mean = orders.iter().map(|order| order.tau).sum::<f64>() / orders.len() as f64;
        println!("{title}: Kendall's tau of energy a token over {} {over}: mean {mean:.3}", orders.len());
    }
}

/// Prints the errors of the time to the first token, by device, within the engine's intervals of times.
fn first_tokens<'l>(title: &str, measured: &[&Measured], law: impl Fn(&Measured) -> &'l Law) {
    let mut groups: BTreeMap<String, PercentErrors> = BTreeMap::new();
    for one in measured {
        let law = law(one);
        let Some(residual) = one.residual_of_first_token(law) else { continue };
        let is_inside = residual.abs() <= NORMAL_90 * one.spread(law).time;
        let group = format!("{} {} {}", one.source, one.engine.name, one.device.name);
        groups.entry(group).or_default().add_with_interval(residual.exp(), is_inside);
    }
    println!("\n{title}: time to the first token");
    for (name, errors) in &groups {
        println!("{name:60} {}", summary(errors));
    }
}

fn print(groups: &BTreeMap<String, RequestErrors>) {
    println!("{:60} {:36} {:36} {:36}", "", "time", "power at its time", "energy");
    for (name, errors) in groups {
        let [time, power, energy] = [&errors.time, &errors.power, &errors.energy].map(summary);
        println!("{name:60} {time:36} {power:36} {energy:36}");
    }
}

/// Prints the errors on each device and engine of ML.ENERGY with the device left out of the law, and a few of its requests calibrated on.
fn calibrated(measured: &[Measured], laws: &LawsWithout) -> Result<(), Box<dyn Error>> {
    const CHOICES: u64 = 20;
    let of_file: Vec<&Measured> = measured.iter().filter(|one| one.source == PublicFile::ML_ENERGY).collect();
    for requests in [1, 3, 10, 30] {
        let law = |one: &Measured| laws.law(one).unwrap_or(Law::shipped());
        let mut groups: BTreeMap<String, RequestErrors> = BTreeMap::new();
        for (one, error) in try_calibrations(&of_file, law, requests, CHOICES)? {
            for name in ["all".to_owned(), format!("{} {}", one.device.name, one.engine.name)] {
                groups.entry(name).or_default().add(&error);
            }
        }
        println!(
            "\ndevice left out, calibrated on {requests} of its requests with the engine, {CHOICES} choices at random"
        );
        print(&groups);
    }
    Ok(())
}

fn summary(errors: &PercentErrors) -> String {
    let (Some(median), Some(mean)) = (errors.median(), errors.mean()) else { return String::from("-") };
    let inside = errors.coverage().map_or_else(String::new, |share| format!(", {:.1}% inside", 100.0 * share));
    format!("{median:.1} / {mean:.1} ({} rows{inside})", errors.count())
}
