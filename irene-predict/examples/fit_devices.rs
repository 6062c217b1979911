//! Fits the law of passes to the public measurements of a folder, says how far off it is on what is left out, and writes its constants:
//! `cargo run --release -p irene-predict --example fit_devices -- FOLDER irene-devices/data/law.json`. Without a file it fits once and
//! leaves nothing out.

#![allow(clippy::print_stdout, clippy::print_stderr)] // an example may print

use std::{collections::BTreeMap, error::Error, path::Path};

use irene_devices::Vendor;
use irene_numerics::NORMAL_90;
use irene_predict::{
    Key, Law, LeftOut, Measured, Service, ServiceOptions, fit_law, prior_law, try_calibrations, with_spreads,
};
use irene_requests::kendall;

/// The files, and how much a row of each counts: those with many rows of few settings count less.
const FILES: [(&str, f64); 4] =
    [("mlenergy.csv", 1.0), ("llm_inference_bench.csv", 0.35), ("splitwise.csv", 0.35), ("ecocompute_a800.csv", 0.4)];

/// Tokens of a prompt where a file says nothing of it.
const SHORT_PROMPT: f64 = 30.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("give the folder of the public measurements")?;
    let measured = read(Path::new(folder))?;
    let all: Vec<&Measured> = measured.iter().collect();
    let prior = prior_law(&all);
    let mut law = fit_law(&all, &prior, None);
    report("in sample", &measured, |_| &law);
    choice("in sample", &measured, |_| &law);
    if let Some(path) = arguments.get(1) {
        let device: Key = |one| &one.device.name;
        let model: Key = |one| if one.source == FILES[0].0 { &one.model } else { "" };
        let [devices, models] = [device, model].map(|key| LeftOut::each(key, &all, &prior, &law));
        law = with_spreads(law, &all, &[devices.clone(), models.clone()]);
        for (title, left_out) in [("device left out", &devices), ("model left out", &models)] {
            report(title, &measured, |one| left_out.law(one).unwrap_or(&law));
            coverage(&measured, &law, left_out);
            choice(title, &measured, |one| left_out.law(one).unwrap_or(&law));
        }
        calibrated(&measured, &devices)?;
        std::fs::write(path, serde_json::to_string_pretty(&law)? + "\n")?;
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut measured = Vec::new();
    for (file, weight) in FILES {
        let imported = irene_requests::import(&folder.join(file))?;
        let mut service = Service::new(ServiceOptions::default());
        // Prompts that were read token by token are no prompts of a request.
        let rows = imported.rows.into_iter().filter(|row| row.further("prompt_chunk") != Some("1"));
        let (before, mut left_out) = (measured.len(), BTreeMap::<String, usize>::new());
        for mut row in rows {
            row.prompt = row.prompt.or(Some(SHORT_PROMPT));
            match Measured::of(file, &row, &mut service) {
                Ok(one) => measured.push(one.weighing(weight)),
                Err(error) => *left_out.entry(error.to_string()).or_default() += 1,
            }
        }
        eprintln!("{file}: {} rows", measured.len() - before);
        left_out.iter().for_each(|(reason, count)| eprintln!("  {count} left out: {reason}"));
    }
    Ok(measured)
}

/// Prints the errors of each file, and of each engine on each device.
fn report<'a>(title: &str, measured: &[Measured], law: impl Fn(&Measured) -> &'a Law) {
    let mut groups: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    for one in measured {
        let residuals = one.residuals(law(one));
        let group = format!("{} {} {}", one.source, one.engine.name, one.device.name);
        let on_nvidia = format!("{} {} on NVIDIA's", one.source, one.engine.name);
        let on_nvidia = Some(on_nvidia).filter(|_| one.device.vendor == Vendor::Nvidia);
        for name in ["all", &one.source, &group].into_iter().chain(on_nvidia.as_deref()) {
            let to = groups.entry(name.to_owned()).or_default();
            to.iter_mut().zip(residuals).for_each(|(to, residual)| to.extend(residual));
        }
    }
    println!("\n{title}: absolute percentage errors, median / mean (mean of the logarithm)");
    println!("{:60} {:30} {:30} {:30}", "", "time", "power at its time", "energy");
    for (name, residuals) in groups {
        let [time, power, energy] = residuals.map(summary);
        println!("{name:60} {time:30} {power:30} {energy:30}");
    }
}

/// Prints how much of what was left out lies in the intervals of the whole law, by engine.
fn coverage(measured: &[Measured], whole: &Law, left_out: &LeftOut) {
    let mut engines: BTreeMap<String, [Vec<bool>; 2]> = BTreeMap::new();
    for one in measured {
        let Some([time, _, energy]) = left_out.law(one).map(|law| one.residuals(law)) else { continue };
        let spread = one.spread(whole);
        for name in ["all", one.engine.name] {
            let to = engines.entry(name.to_owned()).or_default();
            for (to, (residual, spread)) in to.iter_mut().zip([(time, spread.time), (energy, spread.energy)]) {
                to.extend(residual.map(|residual| residual.abs() <= NORMAL_90 * spread));
            }
        }
    }
    for (name, inside) in engines {
        let [time, energy] = inside.map(|inside| {
            100.0 * inside.iter().filter(|is_inside| **is_inside).count() as f64 / inside.len().max(1) as f64
        });
        println!("in their 90% intervals: {name:20} time {time:.1}%, energy {energy:.1}%");
    }
}

/// Prints the errors on each device and engine of ML.ENERGY with the device left out of the law, and a few of its requests calibrated on.
fn calibrated(measured: &[Measured], laws: &LeftOut) -> Result<(), Box<dyn Error>> {
    const CHOICES: u64 = 20;
    let of_file: Vec<&Measured> = measured.iter().filter(|one| one.source == FILES[0].0).collect();
    for requests in [1, 3, 10, 30] {
        let law = |one: &Measured| laws.law(one).unwrap_or(Law::shipped());
        let mut groups: BTreeMap<String, ([Vec<f64>; 3], Vec<bool>)> = BTreeMap::new();
        for (one, error) in try_calibrations(&of_file, law, requests, CHOICES)? {
            for name in ["all".to_owned(), format!("{} {}", one.device.name, one.engine.name)] {
                let (to, inside) = groups.entry(name).or_default();
                to.iter_mut().zip(error.residuals).for_each(|(to, residual)| to.extend(residual));
                inside.extend(error.residuals[2].map(|residual| residual.abs() <= NORMAL_90 * error.spread.energy));
            }
        }
        println!(
            "\ndevice left out, calibrated on {requests} of its requests with the engine, {CHOICES} choices at random"
        );
        for (name, (residuals, inside)) in groups {
            let [time, power, energy] = residuals.map(summary);
            let inside = 100.0 * inside.iter().filter(|is_inside| **is_inside).count() as f64 / inside.len() as f64;
            println!("{name:60} {time:24} {power:24} {energy:24} in the interval {inside:.1}%");
        }
    }
    Ok(())
}

/// Fewer configurations say little of an order.
const LEAST_CONFIGURATIONS: usize = 5;

/// Prints how well the law orders the configurations of a model by their energy a token: over all that was measured of it, and task by task.
fn choice<'a>(title: &str, measured: &[Measured], law: impl Fn(&Measured) -> &'a Law) {
    let [mut models, mut tasks] = [BTreeMap::<_, Vec<(f64, f64)>>::new(), BTreeMap::new()];
    for one in measured.iter().filter(|one| one.source == FILES[0].0) {
        let (Some(joules), [_, _, Some(residual)]) = (one.joules_a_token(), one.residuals(law(one))) else { continue };
        let pair = (joules, joules * residual.exp());
        models.entry((&one.model, None)).or_default().push(pair);
        tasks.entry((&one.model, one.task.as_ref())).or_insert_with(Vec::new).push(pair);
    }
    for (over, groups) in [("models", models), ("models and tasks", tasks)] {
        let enough = groups.values().filter(|pairs| pairs.len() >= LEAST_CONFIGURATIONS);
        let mut taus: Vec<f64> = enough.filter_map(|pairs| kendall(pairs)).collect();
        taus.sort_by(f64::total_cmp);
        let (mean, median) = (taus.iter().sum::<f64>() / taus.len() as f64, taus[taus.len() / 2]);
        println!(
            "{title}: Kendall's tau of energy a token over {} {over}: mean {mean:.3}, median {median:.3}",
            taus.len()
        );
    }
}

fn summary(residuals: Vec<f64>) -> String {
    let mut errors: Vec<f64> = residuals.iter().map(|residual| 100.0 * residual.exp_m1().abs()).collect();
    errors.sort_by(f64::total_cmp);
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    match errors.get(errors.len() / 2) {
        Some(median) => format!("{median:.1} / {:.1} ({:+.2}; {} rows)", mean(&errors), mean(&residuals), errors.len()),
        None => String::from("-"),
    }
}
