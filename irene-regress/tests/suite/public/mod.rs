//! IrEne's measurements of its two machines.

use std::path::PathBuf;

use irene_models::ModelSpec;
use irene_tree::{Size, Tree, irene_csv, jsonl};

/// The folder of a machine's CSV files.
pub(crate) fn folder(device: &str) -> PathBuf {
    irene_csv::device_dir_from_env(device).unwrap_or_else(|| panic!("IRENE_DATA does not lead to IrEne's {device}"))
}

/// A machine's trees as `irene import` writes them, read back.
pub(crate) fn trees(device: &str) -> Vec<Tree> {
    let dir = folder(device);
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    let mut import = irene_csv::read_dir(&dir, &class_of).unwrap();
    for tree in &mut import.trees {
        let traced =
            ModelSpec::find(&tree.model_name).unwrap().trace(Size::new(tree.size.sequences, tree.size.new)).unwrap();
        irene_features::join_specs(tree, &traced).unwrap();
    }
    let lines: String = import.trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect();
    jsonl::TreeReader::new(device, lines.as_bytes()).collect::<Result<_, _>>().unwrap()
}
