//! The four files of a machine in IrEne's layout, with a line `---` between them.
#![no_main]

use irene_tree::irene_csv::read_dir;

const FILES: [&str; 4] =
    ["model_level_features.csv", "module_level_features.csv", "ml1_level_features.csv", "ml2_level_features.csv"];

irene_fuzz::fuzz_text!(|text| {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split("---\n");
    let paths = FILES.map(|name| irene_fuzz::file(name, parts.next().unwrap_or_default().as_bytes()));
    let Some(folder) = paths[0].parent() else { return };
    if let Ok(import) = read_dir(folder, &|name| name.contains("bert").then_some("BertModel")) {
        import.trees.iter().for_each(irene_fuzz::is_sound);
    }
});
