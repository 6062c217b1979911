//! A service that measures the cost of its own work with irene-sampler alone:
//! `cargo run --release -p irene-sampler --example own_closure`. On a machine without a meter, the processor's thermal design power in
//! watts as an argument gives an estimate, which is marked as one.
#![allow(clippy::print_stdout)] // the example prints its results

use std::{error::Error, hint::black_box, sync::atomic::AtomicBool, time::Duration};

use irene_sampler::{
    Measurement, MeasuringProtocol, Sampler, SamplerOptions,
    sensors::{Places, Selection},
};

fn main() -> Result<(), Box<dyn Error>> {
    let tdp_watts = std::env::args().nth(1).map(|text| text.parse()).transpose()?;
    let places = Places { tdp_watts, ..Places::here() };
    let Selection { sensors, meters, .. } = Selection::automatic(&places);
    match meters.as_slice() {
        [] => println!("no meter: only the time is measured; a thermal design power in watts would give an estimate"),
        meters => println!("meter: {}", meters.join(", ")),
    }
    let sampler = Sampler::start(sensors, SamplerOptions { period: Duration::from_millis(10), ..Default::default() })?;
    let never = AtomicBool::new(false);
    for size in [64, 128] {
        let (left, right) = (vec![1.5_f32; size * size], vec![0.5_f32; size * size]);
        let measured = MeasuringProtocol::quick().measure(&sampler, &never, || {
            black_box(product(black_box(&left), &right, size));
        })?;
        println!("a product of {size} x {size} matrices: {}", show(&measured));
    }
    // One piece of work, as a service meets it: the energy comes later, and the work never waits for it.
    let (left, right) = (vec![1.5_f32; 512 * 512], vec![0.5_f32; 512 * 512]);
    let (_, energy) = sampler.measure(|| black_box(product(black_box(&left), &right, 512)));
    match energy.wait(Duration::from_secs(5)) {
        Some(Ok(spent)) => println!("a single one of 512 x 512: {:.3} J, {} readings", spent.joules, spent.readings),
        Some(Err(why)) => println!("a single one of 512 x 512: no energy: {why}"),
        None => println!("a single one of 512 x 512: the meter has not answered"),
    }
    Ok(())
}

/// The work: here a plain product of matrices, in a service the handling of a request.
fn product(left: &[f32], right: &[f32], size: usize) -> Vec<f32> {
    let mut product = vec![0.0; size * size];
    for (row, out) in left.chunks(size).zip(product.chunks_mut(size)) {
        for (&factor, other) in row.iter().zip(right.chunks(size)) {
            out.iter_mut().zip(other).for_each(|(out, other)| *out += factor * other);
        }
    }
    product
}

fn show(measured: &Measurement) -> String {
    let percent = |share: Option<f64>| share.map_or(String::new(), |share| format!(" ± {:.0} %", 100.0 * share));
    let half_width = |mean: &irene_sampler::Mean| percent(mean.half_width.map(|half| half / mean.mean));
    let time = format!("{:.4} ms{}", measured.latency.mean * 1e3, half_width(&measured.latency));
    let energy = match (&measured.energy, measured.provenance, &measured.no_energy) {
        (Some(energy), Some(provenance), _) => {
            format!("{:.4} mJ{} ({})", energy.mean * 1e3, half_width(energy), provenance.name())
        }
        (_, _, Some(reason)) => format!("no energy: {reason}"),
        _ => "no energy".to_owned(),
    };
    format!("{time}, {energy}, {} rounds of {} runs", measured.rounds.len(), measured.repeats)
}
