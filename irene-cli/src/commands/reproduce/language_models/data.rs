//! Which measurements there are.

use irene_predict::{ABOUT, PublicData, PublicFile};

use super::{Cell, DATA, Section, Table};

pub(super) fn section(files: &[(String, PublicFile)]) -> Section {
    const TIMES_ALONE: &str = "it has times alone";
    let mut table =
        Table::new(["data", "rows", "compared", "what it holds", "meter of its energies", "source, licence"]);
    let mut left_out = Vec::new();
    for (_, file) in files {
        let compared = match &file.data {
            PublicData::Requests(measured, reasons) => {
                left_out.extend(reasons.iter().map(|(reason, rows)| format!("- {}, {rows} rows: {reason}", file.name)));
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
            known(about.map(|about| about.holds), TIMES_ALONE),
            known(about.and_then(|about| about.meter), TIMES_ALONE),
            known(about.map(|about| about.source), TIMES_ALONE),
        ]);
    }
    let section = Section::new(DATA).table(table).text(
        "ML.ENERGY and EcoCompute do not say how long the prompts were: the mean of each task is assumed, or 30 tokens. A row of a table of \
         kernels has several times. Kernels on devices outside of the catalogue, exchanges between machines, switch transformers and runs on \
         several GPUs of NeuSight's are left out, and these requests:",
    );
    if left_out.is_empty() { section } else { section.text(left_out.join("\n")) }
}
