//! How many nodes of what was left out lie in their intervals.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot be set up should stop, and say so

mod public;

use irene_regress::{LeaveOut, Track, crossvalidate};
use irene_tree::Level;

const LEVELS: [Level; 3] = [Level::Ml, Level::Module, Level::Model];

#[test]
fn table() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for device in ["device_1", "device_2"] {
        let Some(trees) = public::trees(device) else { continue };
        for track in Track::ALL {
            for leave_out in
                [LeaveOut::Model, LeaveOut::Size, LeaveOut::Family, LeaveOut::ModelAndSize, LeaveOut::KFold { seed: 1 }]
            {
                let name = format!("{device} {} {}", track.name(), leave_out.name());
                if !name.contains(&only) {
                    continue;
                }
                let start = std::time::Instant::now();
                let result = crossvalidate(&trees, &track, leave_out, &|| ()).unwrap();
                let coverage =
                    LEVELS.map(|level| 100.0 * result.mean_of(|evaluation| evaluation.coverage(level)).unwrap());
                let error = LEVELS.map(|level| result.mean(level).unwrap());
                println!("{name}: {coverage:.1?}, errors {error:.2?}  ({:.1?})", start.elapsed());
                if matches!(leave_out, LeaveOut::Family | LeaveOut::Model) {
                    for fold in &result.folds {
                        let coverage = LEVELS.map(|level| 100.0 * fold.evaluation.coverage(level).unwrap());
                        let error = LEVELS.map(|level| fold.evaluation.mean(level).unwrap());
                        println!("    {}: {coverage:.0?}, errors {error:.2?}", fold.left_out);
                    }
                }
            }
        }
    }
}
