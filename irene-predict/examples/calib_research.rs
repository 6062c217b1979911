//! Research.
#![allow(clippy::all)]
use std::{collections::BTreeMap, error::Error, path::Path};

use irene_predict::{Law, Measured, Service, ServiceOptions, calibrated, fit_law, prior_law};

fn read(folder: &Path, files: &[(&str, f64)]) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut measured = Vec::new();
    for (file, weight) in files {
        let imported = irene_requests::import(&folder.join(file))?;
        let mut service = Service::new(ServiceOptions::default());
        for row in &imported.rows {
            if row.further("prompt_chunk").is_some_and(|chunk| chunk == "1") {
                continue;
            }
            let row = &irene_requests::RequestRow { prompt: row.prompt.or(Some(30.0)), ..row.clone() };
            if let Ok(mut one) = Measured::of(file, row, &mut service) {
                one.weight = *weight;
                measured.push(one);
            }
        }
    }
    Ok(measured)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap();
    let cache = std::env::args().nth(2).unwrap();
    let measured = read(
        Path::new(&folder),
        &[("mlenergy.csv", 1.0), ("llm_inference_bench.csv", 0.35), ("splitwise.csv", 0.35), ("ecocompute_a800.csv", 0.4)],
    )?;
    let key = |one: &Measured| format!("{} {}", one.device.name, one.engine.name);
    let mut groups: BTreeMap<String, Vec<&Measured>> = BTreeMap::new();
    for one in measured.iter().filter(|one| one.source == "mlenergy.csv") {
        groups.entry(key(one)).or_default().push(one);
    }
    let mut laws: BTreeMap<String, Law> = BTreeMap::new();
    let all: Vec<&Measured> = measured.iter().collect();
    let prior = prior_law(&all);
    for group in groups.values() {
        let device = group[0].device.name.clone();
        let path = format!("{cache}/{device}.json");
        let law = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => {
                let others: Vec<&Measured> = all.iter().copied().filter(|one| one.device.name != device).collect();
                let law = fit_law(&others, &prior, Some(Law::shipped()));
                std::fs::write(&path, serde_json::to_string(&law)?)?;
                law
            }
        };
        laws.insert(device, law);
    }
    if std::env::var("DUMP").is_ok() {
        for group in groups.values() {
            let law = &laws[&group[0].device.name];
            for (which, law) in [("out", law), ("shipped", Law::shipped())] {
                dump(which, law, group);
            }
        }
        return Ok(());
    }
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|v| v.parse().ok()).unwrap_or(5);
    let counts: Vec<usize> = std::env::var("COUNTS").unwrap_or("0,1,3,10,30".into()).split(',').map(|v| v.parse().unwrap()).collect();
    for count in counts {
        // time, power, energy
        let mut pooled: [Vec<f64>; 3] = Default::default();
        let mut line = String::new();
        for (name, group) in &groups {
            let law = &laws[&group[0].device.name];
            let mut of_group: [Vec<f64>; 3] = Default::default();
            if group.len() <= count {
                continue;
            }
            for seed in 0..if count == 0 { 1 } else { seeds } {
                let mut order: Vec<usize> = (0..group.len()).collect();
                let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(12345);
                for at in (1..order.len()).rev() {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    order.swap(at, (state % (at as u64 + 1)) as usize);
                }
                let chosen: Vec<&Measured> = order[..count].iter().map(|at| group[*at]).collect();
                let law = if count == 0 { law.clone() } else { calibrated(law, &chosen) };
                for at in &order[count..] {
                    for (figure, residual) in group[*at].residuals(&law).into_iter().enumerate() {
                        if let Some(r) = residual {
                            of_group[figure].push(r);
                            pooled[figure].push(r);
                        }
                    }
                }
            }
            line += &format!("   {name} {}: {}\n", group.len(), text(&of_group));
        }
        println!("{count:3}: {}", text(&pooled));
        if std::env::var("DETAIL").is_ok() {
            print!("{line}");
        }
    }
    Ok(())
}

fn text(figures: &[Vec<f64>; 3]) -> String {
    figures
        .iter()
        .map(|logs| {
            let mut e: Vec<f64> = logs.iter().map(|log| 100.0 * (log.exp() - 1.0).abs()).collect();
            let mut a: Vec<f64> = logs.iter().map(|log| log.abs()).collect();
            e.sort_by(f64::total_cmp);
            a.sort_by(f64::total_cmp);
            if e.is_empty() { return "-".into() }
            format!("{:5.1} / {:5.1} (q90/1.645 {:.3})", e[e.len() / 2], e.iter().sum::<f64>() / e.len() as f64, a[a.len() * 9 / 10] / 1.645)
        })
        .collect::<Vec<_>>()
        .join("  ")
}

fn dump(which: &str, law: &Law, group: &[&Measured]) {
    use irene_devices::{EngineModes, constants_of, with_constants};
    let one = group[0];
    let on = law.on(&one.device, one.engine, one.is_served());
    let modes = match one.is_served() {
        true => EngineModes { served: Some(on.engine()), offline: None },
        false => EngineModes { offline: Some(on.engine()), served: None },
    };
    let law = Law {
        engines: [(one.engine.name.to_owned(), modes)].into(),
        makers: [(one.device.architecture.clone(), on.maker())].into(),
        ..law.clone()
    };
    let known = constants_of(&law);
    let names: Vec<&String> = known.keys().filter(|name| !name.contains(".spread.")).collect();
    let base: Vec<_> = group.iter().map(|one| one.residuals(&law)).collect();
    let mut j = Vec::new();
    for name in &names {
        let moved = with_constants(&law, [(name.as_str(), known[*name] * 0.01f64.exp())]).unwrap();
        j.push(group.iter().map(|one| one.residuals(&moved)).collect::<Vec<_>>());
    }
    for (at, one) in group.iter().enumerate() {
        let r = base[at].map(|r| r.unwrap_or(f64::NAN));
        let slopes: Vec<String> = (0..names.len())
            .map(|n| {
                let m = j[n][at].map(|r| r.unwrap_or(f64::NAN));
                format!("\"{}\": [{:.5},{:.5},{:.5}]", names[n].replace(&format!("{}.{}", one.engine.name, if one.is_served() {"served"} else {"offline"}), "E").replace(&one.device.architecture, "A"), (m[0]-r[0])/0.01, (m[1]-r[1])/0.01, (m[2]-r[2])/0.01)
            })
            .collect();
        println!(
            "{{\"law\": \"{which}\", \"device\": \"{}\", \"engine\": \"{}\", \"model\": \"{}\", \"label\": \"{}\", \"r\": [{},{},{}], \"j\": {{{}}}}}",
            one.device.name, one.engine.name, one.model, one.label(), r[0], r[1], r[2], slopes.join(", ")
        );
    }
}
