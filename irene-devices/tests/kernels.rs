//! The law of single kernels on public measurements, each GPU left out.
use std::path::PathBuf;

use irene_devices::{
    Device, KernelFit, KernelLaw, KernelMeasurement, constants_of, read_neusight_ops, read_vidur_collectives, read_vidur_layers,
};

fn data(file: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("IRENE_DATA").expect("IRENE_DATA")).join("llm").join(file)
}

fn find(name: &str) -> Option<Device> {
    let (name, vendor, year, f32, f16, bandwidth, sms, clock, tdp, link) = match name {
        "a100" | "a100_dgx" => ("a100-sxm-80gb", "nvidia", 2020, 19.5, 312.0, 2039.0, 108, 1410.0, 400.0, 300.0),
        "h100" | "h100_dgx" | "NVIDIA H100 80GB HBM3" => ("h100-sxm", "nvidia", 2022, 66.9, 989.0, 3350.0, 132, 1980.0, 700.0, 450.0),
        "AMD Instinct MI100" => ("mi100", "amd", 2020, 46.1, 184.6, 1228.8, 120, 1502.0, 300.0, 92.0),
        "NVIDIA A100 80GB PCIe" => ("a100-pcie-80gb", "nvidia", 2021, 19.5, 312.0, 1935.0, 108, 1410.0, 300.0, 300.0),
        "NVIDIA A100-PCIE-40GB" => ("a100-pcie-40gb", "nvidia", 2020, 19.5, 312.0, 1555.0, 108, 1410.0, 250.0, 300.0),
        "Tesla P100-PCIE-16GB" => ("p100-pcie", "nvidia", 2016, 9.5, 18.7, 732.0, 56, 1329.0, 250.0, 16.0),
        "Tesla P4" => ("p4", "nvidia", 2016, 5.5, 0.0, 192.0, 20, 1114.0, 75.0, 16.0),
        "Tesla T4" => ("t4", "nvidia", 2018, 8.1, 65.0, 320.0, 40, 1590.0, 70.0, 16.0),
        _ => return None,
    };
    let text = format!("name='{name}'\ntitle='{name}'\nvendor='{vendor}'\narchitecture='x'\nclass='datacenter'\nyear={year}\nbandwidth_gb_s={bandwidth:?}\nmemory_gib=1.0\nmultiprocessors={sms}\nclock_mhz={clock:?}\ntdp_w={tdp:?}\nlink_gb_s={link:?}\n[peaks]\nf32={f32:?}\nf16={f16:?}");
    Some(toml::from_str(&text).unwrap())
}

fn summary(mut errors: Vec<(f64, f64)>) -> String {
    let bias = { errors.sort_by(|a, b| a.1.total_cmp(&b.1)); errors[errors.len() / 2].1 };
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
    let fit = KernelFit { most_of_a_group: std::env::var("N").map_or(60, |n| n.parse().unwrap()), ..KernelFit::default() };
    let start = std::time::Instant::now();
    let sample = fit.sample(&all);
    let prior = KernelLaw::shipped();
    let whole = fit.constants(&sample, prior);
    println!("{} of {} in {:?}", sample.len(), all.len(), start.elapsed());
    for (name, value) in constants_of(&whole) { println!("  {name} {value:.4e}"); }
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
            for (lo, hi) in [(0.0, 16.0), (16.0, 64.0), (64.0, 128.0), (128.0, 256.0), (256.0, 512.0), (512.0, 1024.0), (1024.0, 2048.0), (2048.0, 4096.0), (4096.0, 1e9)] {
                let e: Vec<_> = errors.iter().filter(|(m, ..)| &m.group == group && &m.device.name == name && m.works[0].0.rows > lo && m.works[0].0.rows <= hi).map(|(_, e, _)| (e.abs(), *e)).collect();
                line += &if e.is_empty() { "-".to_owned() } else { format!(" |{}", summary(e)) };
            }
            if line.contains('/') { println!("{line}"); }
        }
    }
    for group in &groups {
        let of = |name: Option<&String>, whole: bool| {
            let e: Vec<_> = errors.iter().filter(|(m, ..)| &m.group == group && name.is_none_or(|n| &m.device.name == n)).map(|(_, e, w)| { let e = if whole { *w } else { *e }; (e.abs(), e) }).collect();
            if e.is_empty() { "-".to_owned() } else { summary(e) }
        };
        println!("{group:30} out {} in {}", of(None, false), of(None, true));
        for name in &names { let s = of(Some(name), false); if s != "-" { println!("      {name:16} {s}  in {}", of(Some(name), true)); } }
    }
    for start in ["vidur", "neusight"] {
        let e = errors.iter().filter(|(m, ..)| m.group.starts_with(start) && !m.group.contains("all_reduce") && !m.group.contains("send_recv")).map(|(_, e, _)| (e.abs(), *e)).collect();
        println!("{start} {}", summary(e));
    }
}
