//! Which measurements there are.

use irene_predict::{PublicData, PublicFile};

use super::{ABOUT, Cell, DATA, Section, Table};
use crate::output::in_flags;

pub(super) fn section(files: &[(String, PublicFile)]) -> Section {
    const NO_ENERGIES: &str = "it has no energies";
    const NOT_KNOWN: &str = "nothing is known of it";
    let mut table =
        Table::new(["data", "rows", "compared", "what it holds", "meter of its energies", "source, licence"]);
    let mut left_out = Vec::new();
    for (_, file) in files {
        let compared = match &file.data {
            PublicData::Requests(measured, reasons) => {
                left_out.extend(reasons.iter().map(|(reason, rows)| {
                    let reason = in_flags(reason);
                    format!("- {}, {rows} rows: {reason}", file.name)
                }));
                format!("{} requests", measured.len())
            }
            PublicData::Kernels(measured) => format!("{} times", measured.len()),
            PublicData::Passes(measured) => format!("{} passes", measured.len()),
            PublicData::Servers(servers) => format!("{} servers", servers.len()),
            PublicData::DataSheets(sheets) => format!("{} data sheets", sheets.len()),
            _ => continue,
        };
        let about = ABOUT.iter().find(|about| about.name == file.name);
        let known = |of: Option<&'static str>, reason: &str| Cell::of(of.map(str::to_owned), reason);
        table.row([
            file.name.into(),
            file.rows.into(),
            compared.into(),
            known(about.map(|about| about.holds), NOT_KNOWN),
            known(about.and_then(|about| about.meter), NO_ENERGIES),
            known(about.map(|about| about.source), NOT_KNOWN),
        ]);
    }
    let section = Section::new(DATA).table(table).text(
        "ML.ENERGY and EcoCompute do not say how long the prompts were: the mean of each task is assumed, or 30 tokens. A row of a table of \
         kernels has several times. Left out are kernels on devices outside of the catalogue, exchanges between machines, and of NeuSight's models \
         switch transformers and runs on several GPUs.",
    );
    if left_out.is_empty() {
        return section;
    }
    section.text("These requests were left out:").text(left_out.join("\n"))
}
