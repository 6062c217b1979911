//! Fits the law of passes to the public measurements of a folder, says how far off it is on what is left out, and writes its constants:
//! `cargo run --release -p irene-predict --example fit_devices -- FOLDER irene-devices/data/law.json`.

use std::{collections::BTreeSet, error::Error, path::Path};

use irene_predict::{Law, Measured, Service, ServiceOptions, fit_law, leave_out, prior_law, with_spreads};

const FILES: [(&str, f64); 4] =
    [("mlenergy.csv", 1.0), ("llm_inference_bench.csv", 0.35), ("splitwise.csv", 0.35), ("ecocompute_a800.csv", 0.4)];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("give the folder of the public measurements")?;
    let measured = read(Path::new(folder))?;
    let all: Vec<&Measured> = measured.iter().collect();
    let prior = prior_law(&all);
    let started = std::time::Instant::now();
    let law = fit_law(&all, &prior, None);
    eprintln!("fitted in {:.1} s", started.elapsed().as_secs_f64());
    println!("{}", serde_json::to_string_pretty(&law)?);
    report("in sample", &measured, |_| law.clone());
    if arguments.iter().any(|word| word == "--detail") {
        for one in &measured {
            let [time, power, energy] = one.residuals(&law).map(|r| r.map_or(String::new(), |r| format!("{r:.3}")));
            println!(
                "DETAIL,{},{},{},{},{},{},{time},{power},{energy}",
                one.source,
                one.model,
                one.device.name,
                one.engine.name,
                one.is_served(),
                one.label()
            );
        }
    }
    let mut law = law;
    if !arguments.iter().any(|word| word == "--quick") {
        let device: fn(&Measured) -> &str = |one| &one.device.name;
        let model: fn(&Measured) -> &str = |one| if one.source == "mlenergy.csv" { &one.model } else { "" };
        let [devices, models] = [device, model].map(|key| leave_out(&all, &prior, &law, key));
        law = with_spreads(law, &all, &[(&devices, device), (&models, model)]);
        for (title, laws, key) in [("device left out", &devices, device), ("model left out", &models, model)] {
            report(title, &measured, |one| {
                laws.iter().find(|of| of.name == key(one)).map_or_else(|| law.clone(), |of| of.law.clone())
            });
        }
        println!("{}", serde_json::to_string_pretty(&law)?);
    }
    if let Some(path) = arguments.get(1).filter(|word| !word.starts_with("--")) {
        std::fs::write(path, serde_json::to_string_pretty(&law)? + "\n")?;
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut measured = Vec::new();
    for (file, weight) in FILES {
        let imported = irene_requests::import(&folder.join(file))?;
        let mut service = Service::new(ServiceOptions::default());
        let (mut count, mut left) = (0, BTreeSet::new());
        for row in &imported.rows {
            // Prompts that were read token by token are no prompts of a request.
            if row.further("prompt_chunk").is_some_and(|chunk| chunk == "1") {
                continue;
            }
            let row = &irene_requests::RequestRow { prompt: row.prompt.or(Some(30.0)), ..row.clone() };
            match Measured::of(file, row, &mut service) {
                Ok(mut one) => {
                    count += 1;
                    one.weight = weight;
                    measured.push(one);
                }
                Err(error) => {
                    left.insert(error.to_string().chars().take(150).collect::<String>());
                }
            }
        }
        eprintln!("{file}: {count} of {}", imported.rows.len());
        for left in left {
            eprintln!("   {left}");
        }
    }
    Ok(measured)
}

fn report(title: &str, measured: &[Measured], law: impl Fn(&Measured) -> Law) {
    println!("{title}");
    let residuals: Vec<[Option<f64>; 3]> = measured.iter().map(|one| one.residuals(&law(one))).collect();
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (place, one) in measured.iter().enumerate() {
        for name in
            [one.source.clone(), format!("{} {} {}", one.source, one.engine.name, one.device.name), "all".into()]
        {
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, places)) => places.push(place),
                None => groups.push((name, vec![place])),
            }
        }
    }
    groups.sort();
    for (name, places) in groups {
        let figures: Vec<String> = (0..3)
            .map(|figure| {
                let logs: Vec<f64> = places.iter().filter_map(|place| residuals[*place][figure]).collect();
                let mut errors: Vec<f64> = logs.iter().map(|log| 100.0 * (log.exp() - 1.0).abs()).collect();
                errors.sort_by(f64::total_cmp);
                if errors.is_empty() {
                    return String::from("-");
                }
                format!(
                    "{:5.1} / {:5.1} ({:+.2})",
                    errors[errors.len() / 2],
                    errors.iter().sum::<f64>() / errors.len() as f64,
                    logs.iter().sum::<f64>() / logs.len() as f64
                )
            })
            .collect();
        println!("{name:60} {:5}  time {}  power {}  energy {}", places.len(), figures[0], figures[1], figures[2]);
    }
}
