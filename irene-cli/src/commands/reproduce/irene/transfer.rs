//! A shipped profile carried over to a machine from a few trees.

use anyhow::Result;
use irene_regress::{DeviceProfile, Transfer, transfer};
use irene_tree::Level;

use super::{Machine, NOT_MEASURED, TRANSFER, two_digits};
use crate::{
    commands::{
        evaluate::LEVELS,
        reproduce::{
            go_on,
            markdown::{Cell, Section, Table},
        },
    },
    output,
};

/// Trees that the profile is carried over from.
const COUNTS: [usize; 5] = [0, 1, 2, 5, 10];
/// Random choices of these trees.
const CHOICES: usize = 20;

pub(super) fn transfer_between(machines: &[Machine<'_>]) -> Result<Section> {
    let mut table = Table::new(["from the profile", "to the machine", "its trees", "ml, %", "module, %", "model, %"]);
    let pairs = machines.iter().flat_map(|machine| {
        let own = machine.known.map(|known| known.device);
        DeviceProfile::bundled_names().filter(move |device| own != Some(*device)).map(move |device| (machine, device))
    });
    let pairs: Vec<(&Machine<'_>, &str)> = pairs.collect();
    let bar = output::progress((pairs.len() * (1 + (COUNTS.len() - 1) * CHOICES)) as u64, "transfer");
    for (machine, device) in pairs {
        go_on()?;
        let counts: Vec<usize> = COUNTS.into_iter().filter(|count| *count < machine.trees.len()).collect();
        let profile = DeviceProfile::bundled(device)?;
        match transfer(&profile, machine.trees, &counts, CHOICES, 1, &|| bar.inc(1)) {
            Ok(found) => {
                for found in found {
                    let errors = LEVELS.map(|level| error(&found, level));
                    table.row([device.into(), machine.name().into(), found.trees.into()].into_iter().chain(errors));
                }
            }
            // Trees may have nothing that the profile knows, or too little to carry it over.
            Err(reason) => {
                let missing = || Cell::missing(reason.to_string());
                table.row([device.into(), machine.name().into(), missing(), missing(), missing(), missing()]);
            }
        }
    }
    bar.finish_and_clear();
    Ok(Section::new(TRANSFER).table(table).text(format!(
        "The profile from specs is carried over as `irene calibrate` does it, from trees chosen at random, and predicts all other trees of the \
         machine: mean over the nodes of a model, then over the models, then over {CHOICES} choices, ± the standard deviation of a choice. With \
         no tree it is the profile of the other card as it is shipped. The row of a machine in *Errors by method* is what all its own trees give."
    )))
}

fn error(found: &Transfer, level: Level) -> Cell {
    let shown = found.errors.get(&level).map(|&(mean, deviation)| match deviation {
        Some(deviation) => format!("{} ± {}", two_digits(mean), two_digits(deviation)),
        None => two_digits(mean),
    });
    Cell::of(shown, NOT_MEASURED)
}
