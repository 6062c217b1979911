//! The law of single kernels on public measurements, each GPU left out.
use std::path::PathBuf;

use irene_devices::{
    Catalogue, Device, KernelFit, KernelLaw, KernelMeasurement, constants_of, read_neusight_ops,
    read_vidur_collectives, read_vidur_layers,
};

fn data(file: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA")).join("llm").join(file)
}

fn find(name: &str) -> Option<Device> {
    let name = name.split('_').next().unwrap();
    Catalogue::find(name).ok()
}

fn summary(mut errors: Vec<(f64, f64)>) -> String {
    let bias = {
        errors.sort_by(|a, b| a.1.total_cmp(&b.1));
        errors[errors.len() / 2].1
    };
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mean = errors.iter().map(|e| e.0).sum::<f64>() / errors.len() as f64;
    format!("{:5.1}/{:5.1} b{:+5.1}", 100.0 * errors[errors.len() / 2].0, 100.0 * mean, 100.0 * bias)
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn study() {
    let mut all = read_neusight_ops(&data("neusight_ops.csv"), find).unwrap();
    all.extend(read_vidur_layers(&data("vidur_layers.csv"), find).unwrap());
    all.extend(read_vidur_collectives(&data("vidur_collectives.csv"), find).unwrap());
    let fit =
        KernelFit { most_of_a_group: std::env::var("N").map_or(60, |n| n.parse().unwrap()), ..KernelFit::default() };
    let start = std::time::Instant::now();
    let sample = fit.sample(&all);
    let prior = KernelLaw::shipped();
    let whole = fit.constants(&sample, prior);
    println!("{} of {} in {:?}", sample.len(), all.len(), start.elapsed());
    for (name, value) in constants_of(&whole) {
        println!("  {name} {value:.4e}");
    }
    let names: std::collections::BTreeSet<String> = all.iter().map(|m| m.device.name.clone()).collect();
    let groups: std::collections::BTreeSet<String> = all.iter().map(|m| m.group.clone()).collect();
    let mut errors: Vec<(&KernelMeasurement, f64, f64)> = Vec::new();
    for name in &names {
        let others: Vec<_> = sample.iter().copied().filter(|m| &m.device.name != name).collect();
        let law = fit.constants(&others, &whole);
        for m in all.iter().filter(|m| &m.device.name == name) {
            errors.push((m, m.predicted(&law) / m.seconds - 1.0, m.predicted(&whole) / m.seconds - 1.0));
        }
    }
    println!("{:?}", start.elapsed());
    for group in groups.iter().filter(|g| g.starts_with("vidur") && !g.contains("all") && !g.contains("send")) {
        for name in &names {
            let mut line = format!("BY {group:32} {name:14}");
            for (lo, hi) in [
                (0.0, 16.0),
                (16.0, 64.0),
                (64.0, 128.0),
                (128.0, 256.0),
                (256.0, 512.0),
                (512.0, 1024.0),
                (1024.0, 2048.0),
                (2048.0, 4096.0),
                (4096.0, 1e9),
            ] {
                let e: Vec<_> = errors
                    .iter()
                    .filter(|(m, ..)| {
                        &m.group == group && &m.device.name == name && m.works[0].0.rows > lo && m.works[0].0.rows <= hi
                    })
                    .map(|(_, e, _)| (e.abs(), *e))
                    .collect();
                line += &if e.is_empty() { "-".to_owned() } else { format!(" |{}", summary(e)) };
            }
            if line.contains('/') {
                println!("{line}");
            }
        }
    }
    for group in &groups {
        let of = |name: Option<&String>, whole: bool| {
            let e: Vec<_> = errors
                .iter()
                .filter(|(m, ..)| &m.group == group && name.is_none_or(|n| &m.device.name == n))
                .map(|(_, e, w)| {
                    let e = if whole { *w } else { *e };
                    (e.abs(), e)
                })
                .collect();
            if e.is_empty() { "-".to_owned() } else { summary(e) }
        };
        println!("{group:30} out {} in {}", of(None, false), of(None, true));
        for name in &names {
            let s = of(Some(name), false);
            if s != "-" {
                println!("      {name:16} {s}  in {}", of(Some(name), true));
            }
        }
    }
    for start in ["vidur", "neusight"] {
        let e = errors
            .iter()
            .filter(|(m, ..)| {
                m.group.starts_with(start) && !m.group.contains("all_reduce") && !m.group.contains("send_recv")
            })
            .map(|(_, e, _)| (e.abs(), *e))
            .collect();
        println!("{start} {}", summary(e));
    }
}
