//! Machines: servers at the wall, data sheets of others, and IrEne's machines by their data sheets.

use anyhow::Result;
use irene_devices::SheetCheck;
use irene_predict::{Law, Server, check_trees};
use irene_regress::PublicMachine;
use irene_tree::Tree;

use super::{Cell, NOT_MEASURED, SERVERS, SHEETS, Section, Table, errors, inside};
use crate::commands::reproduce::irene::OTHER_MACHINE;

pub(super) fn servers(servers: &[Server]) -> Section {
    let mut table = Table::new([
        "server",
        "devices",
        "least at the wall, W",
        "without its devices, W",
        "the law's, W",
        "law / measured",
    ]);
    for server in servers {
        let (host, law) = (server.host_w(), server.predicted_w());
        table.row([
            server.system.as_str().into(),
            format!("{} x {}", server.count, server.device.name).into(),
            format!("{:.0}", server.least_w).into(),
            format!("{host:.0}").into(),
            Cell::of(law.map(|law| format!("{law:.0}")), NOT_MEASURED),
            Cell::of(law.map(|law| format!("{:.2}", law / host)), NOT_MEASURED),
        ]);
    }
    let host = Law::shipped().host;
    let ratios = servers.iter().filter_map(|server| Some(server.predicted_w()? / server.host_w()));
    let near = ratios.filter(|ratio| (0.5..2.0).contains(ratio)).count();
    Section::new(SERVERS).table(table).text(format!(
        "The least power of each system during its runs, less the idle power of its devices (a fifth of the TDP where nobody has published it). The \
         law of `--meter wall`, {:.0} W and {:.0} W a device, is fitted to these servers, and within a factor of 2 for {near} of {}. The energy of their \
         runs is not compared: the tables do not say how many queries run at once.",
        host.server_w,
        host.server_device_w,
        servers.len()
    ))
}

pub(super) fn sheets(sheets: &[SheetCheck]) -> Section {
    const NOT_IN_IT: &str = "the catalogue has no device of that name";
    const FIGURES: [(&str, &str); 5] = [
        ("f16", "16-bit peak, TFLOP/s"),
        ("bandwidth_gb_s", "bandwidth, GB/s"),
        ("memory_gib", "memory, GB"),
        ("multiprocessors", "multiprocessors"),
        ("tdp_w", "TDP, W"),
    ];
    let mut table = Table::new(["device", "in the catalogue"].into_iter().chain(FIGURES.map(|(_, title)| title)));
    for sheet in sheets {
        let name = Cell::of(sheet.device.as_ref().map(|device| device.name.clone()), NOT_IN_IT);
        let figures = FIGURES.map(|(name, _)| {
            let found = sheet.figures.iter().find(|(known, ..)| *known == name);
            Cell::of(found.map(|(_, ours, theirs)| beside(*ours, *theirs)), NOT_IN_IT)
        });
        table.row([sheet.name.as_str().into(), name].into_iter().chain(figures));
    }
    Section::new(SHEETS).table(table).text(
        "The catalogue's figure, and WattGPU's in brackets where it is another. Memory is what the driver reports in the catalogue, what is sold there.",
    )
}

fn beside(ours: f64, theirs: f64) -> String {
    if (ours / theirs - 1.0).abs() < 0.01 { format!("{ours}") } else { format!("{ours} ({theirs})") }
}

/// IrEne's machines, predicted from the data sheets of their cards alone.
pub(in super::super) fn from_data_sheets(title: &str, data: &[(String, Vec<Tree>)]) -> Result<Section> {
    let mut table =
        Table::new(["machine", "model", "trees", "time", "GPU energy", "energy at the wall", "in the interval, %"]);
    for (origin, trees) in data {
        let Some(machine) = PublicMachine::of(trees) else {
            let missing = (0..6).map(|_| Cell::missing(OTHER_MACHINE));
            table.row([origin.as_str().into()].into_iter().chain(missing));
            continue;
        };
        let mut models: Vec<Option<&str>> = trees.iter().map(|tree| Some(tree.model_name.as_str())).collect();
        models.dedup();
        models.push(None);
        for model in models {
            let of_model: Vec<&Tree> =
                trees.iter().filter(|tree| model.is_none_or(|model| tree.model_name == model)).collect();
            let count = of_model.len();
            let found = check_trees(of_model, machine.device)?;
            table.row([
                machine.card.into(),
                model.unwrap_or("all").into(),
                count.into(),
                errors(Some(&found.time), NOT_MEASURED),
                errors(Some(&found.gpu_energy), NOT_MEASURED),
                errors(Some(&found.wall_energy), NOT_MEASURED),
                inside(&[&found.time, &found.gpu_energy, &found.wall_energy]),
            ]);
        }
    }
    Ok(Section::new(title).table(table).text(
        "Whole models as `irene predict` with `--method data-sheet` predicts them: absolute percentage errors, median / mean. No constant was fitted to \
         these machines, but the 100 W that a desktop is taken for was written down after theirs (108 and 114 W) had been seen. Both cards draw more \
         than their data sheets say, so that energies come out low.",
    ))
}
