//! IrEne's measurements of its two machines.

use irene_models::{ModelSpec, ShapesOnly};
use irene_tree::{Tree, irene_csv, jsonl};

/// A machine's trees as `irene import` writes them, read back.
pub(crate) fn trees(device: &str) -> Option<Vec<Tree>> {
    let Some(dir) = irene_csv::device_dir_from_env(device) else {
        println!("skipped: IRENE_DATA does not lead to IrEne's {device}");
        return None;
    };
    let class_of = |name: &str| Some(ModelSpec::builtin(name)?.build(&ShapesOnly).ok()?.instance_type());
    let mut import = irene_csv::read_dir(&dir, &class_of).unwrap();
    for tree in &mut import.trees {
        let mut traced = ModelSpec::find(&tree.model_name).unwrap().trace(tree.batch_size, tree.seq_len).unwrap();
        irene_features::annotate(&mut traced);
        irene_features::join_specs(tree, &traced).unwrap();
    }
    let lines: String = import.trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect();
    Some(jsonl::TreeReader::new(device, lines.as_bytes()).collect::<Result<_, _>>().unwrap())
}
