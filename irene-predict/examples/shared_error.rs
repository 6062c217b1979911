//! How much of their error do two forecasts share? The correlation of the residuals of energy, by what the two have in common, over the public
//! measurements of a folder: `cargo run -p irene-predict --example shared_error -- FOLDER`.
//!
//! A ratio of two forecasts errs less than each where they share their error.

#![allow(clippy::print_stdout)] // an example may print

use std::{error::Error, path::Path};

use irene_predict::{Law, Measured, Service, ServiceOptions};

/// The files in which one device serves several models at several loads.
const FILES: [&str; 3] = ["mlenergy.csv", "llm_inference_bench.csv", "ecocompute_a800.csv"];

/// A forecast's residual, and what it is of.
struct Residual {
    source: &'static str,
    model: String,
    device: String,
    engine: &'static str,
    energy: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of the public measurements")?;
    let mut residuals = Vec::new();
    for file in FILES {
        let imported = irene_requests::import(&Path::new(&folder).join(file))?;
        let service = Service::new(ServiceOptions::default());
        for row in imported.rows {
            let Ok(one) = Measured::of(file, &row, &service) else { continue };
            let [_, _, energy] = one.residuals(Law::shipped());
            let Some(energy) = energy.filter(|residual| residual.is_finite()) else { continue };
            let (model, device, engine) = (one.model.clone(), one.device.name.clone(), one.engine.name);
            residuals.push(Residual { source: file, model, device, engine, energy });
        }
    }
    println!("{} measured energies", residuals.len());
    type Pairs = fn(&Residual, &Residual) -> bool;
    let kinds: [(&str, Pairs); 4] = [
        ("the same device, engine and model", |a, b| {
            a.device == b.device && a.engine == b.engine && a.model == b.model
        }),
        ("the same device and engine, another model", |a, b| {
            a.device == b.device && a.engine == b.engine && a.model != b.model
        }),
        ("another device, the same model", |a, b| a.device != b.device && a.model == b.model),
        ("another device, another model", |a, b| a.device != b.device && a.model != b.model),
    ];
    for (title, is_pair) in kinds {
        let (mut product, mut square, mut count) = (0.0, 0.0, 0_usize);
        let mut gaps = Vec::new();
        for (place, a) in residuals.iter().enumerate() {
            for b in residuals[..place].iter().filter(|b| a.source == b.source && is_pair(a, b)) {
                product += a.energy * b.energy;
                square += (a.energy * a.energy + b.energy * b.energy) / 2.0;
                gaps.push((a.energy - b.energy).abs());
                count += 1;
            }
        }
        gaps.sort_by(f64::total_cmp);
        let within = gaps.get(gaps.len() * 9 / 10).copied().unwrap_or(f64::NAN);
        println!(
            "{title}: {count} pairs, correlation {:.2}, 90% of ratios within a factor {:.2}",
            product / square,
            within.exp()
        );
    }
    Ok(())
}
