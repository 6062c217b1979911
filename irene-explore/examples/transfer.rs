#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use irene_explore::{devices::*, *};
fn main() {
    let describer = Describer::new(space::DesignSpace::published());
    for m in Measure::ALL {
        let devices: Vec<_> = [
            "gpu_a100_b128_r3",
            "cpu_m1-pro_b32_r1",
            "gpu_m1-pro_b32_r3",
            "cpu_rpi_b1_r1",
            "cpu_jetson-nano_b1_r1",
            "npu_ncs_b1_r1",
            "gpu_jetson-nano_b1_r1",
        ]
        .map(|name| {
            let data = Dataset::read(format!("/work/shared/data/protran/{name}.json").as_ref()).unwrap();
            let c: Vec<Candidate> =
                data.records.iter().map(|r| describer.describe(r.design.clone()).unwrap()).collect();
            (name.to_owned(), c, data.figures(m).unwrap())
        })
        .into();
        for t in leave_one_device_out(&devices).unwrap() {
            print!("{:11} {:24} rho {:.2}", m.name(), t.device, t.rank_correlation);
            for p in t.points {
                print!("  {}: {:.1} / {:.1}", p.records, p.with_others, p.alone.unwrap_or(f64::NAN));
            }
            println!();
        }
    }
}
