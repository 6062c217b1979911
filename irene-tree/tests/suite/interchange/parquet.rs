//! The same trees through Parquet.

use std::path::PathBuf;

use irene_tree::{
    Parallel, Training,
    parquet::{ObjectReader, TreeReader, TreeWriter, column_names, write_objects},
};
use serde_json::Map;

use super::*;

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn of(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("irene-{name}-{}.parquet", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn trees(&self) -> irene_tree::Result<Vec<Tree>> {
        TreeReader::open(&self.0)?.collect()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn written(trees: &[Tree]) -> Vec<u8> {
    let mut writer = TreeWriter::new(Vec::new()).unwrap();
    trees.iter().for_each(|tree| writer.write(tree).unwrap());
    writer.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn trees_survive_a_parquet_file_as_they_survive_lines(
        drafts in prop::collection::vec(prop::collection::vec(draft(), 1..5), 1..4),
        unknown in ".*",
        without_ids: bool,
    ) {
        let mut trees: Vec<Tree> = drafts.iter().map(|drafts| tree(drafts, &unknown)).collect();
        trees[0].parallel = Parallel { tensor: 4, ..Parallel::default() };
        trees[0].training = Some(Training { accumulate: 3, ..Training::default() });
        if without_ids {
            trees[0].nodes_mut().iter_mut().for_each(|node| node.id = None);
        }
        let file = File::of("trees", &written(&trees));
        prop_assert_eq!(file.trees().unwrap(), trees);
    }

    /// The reader of the format checks what it reads; ours must not panic on what that lets through.
    #[test]
    fn a_file_that_was_cut_is_an_error(drafts in prop::collection::vec(draft(), 1..4), place in any::<prop::sample::Index>()) {
        let bytes = written(&[tree(&drafts, "x")]);
        let file = File::of("cut", &bytes[..place.index(bytes.len())]);
        prop_assert!(file.trees().unwrap_err().to_string().contains("is no Parquet file that can be read"));
    }
}

#[test]
fn more_trees_than_a_group_of_rows_come_back_in_their_order() {
    let trees: Vec<Tree> = (0..9000)
        .map(|place| {
            let mut builder = TreeBuilder::new(format!("m{place}"), Size::new(1, 1));
            builder.enter("root", "M", Level::Model);
            builder.leaf("x", "Linear", Level::Ml, None).set(Quantity::Flops, place as f64);
            builder.leave();
            builder.finish().unwrap()
        })
        .collect();
    let file = File::of("many", &written(&trees));
    assert!(file.trees().unwrap() == trees);
}

#[test]
fn a_figure_has_its_unit_in_the_columns_name() {
    let file = File::of("names", &written(&[tree(&[], "")]));
    let names = column_names(&file.0).unwrap();
    for name in ["num_parameters", "flops_MFLOP", "times_mean_s", "cpu_percent", "predicted_energy_J", "gpu_clk_MHz"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
}

fn objects(rows: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let rows: Vec<Map<String, Value>> = rows.iter().map(|row| row.as_object().unwrap().clone()).collect();
    write_objects(&mut bytes, || Ok(rows.iter().cloned().map(Ok))).unwrap();
    bytes
}

#[test]
fn rows_of_named_figures_come_back_with_lists_and_objects() {
    let rows = [
        json!({"hash": "a", "order": 1, "model_dict": {"l": 2, "o": [["x"]]}, "latency_s": 0.5}),
        json!({"hash": "b", "order": 2, "model_dict": {"l": 1, "o": [["y"]]}, "latency_s": 2, "no_energy": "no meter"}),
    ];
    let file = File::of("objects", &objects(&rows));
    let read: Vec<Value> = ObjectReader::open(&file.0).unwrap().map(|row| Value::Object(row.unwrap())).collect();
    assert_eq!(read[0], rows[0]);
    assert_eq!((&read[1]["latency_s"], &read[1]["no_energy"]), (&json!(2.0), &json!("no meter")));
}

#[test]
fn a_table_that_holds_no_trees_or_a_wrong_cell_is_named() {
    let row = |scope: &str, level: usize| json!({"model_name": "m", "batch_size": 1, "seq_len": 8, "scope": scope, "instance_type": "A", "type": "ml", "level": level});
    let error = |rows: &[Value]| File::of("wrong", &objects(rows)).trees().unwrap_err().to_string();
    assert!(error(&[json!({"hash": "a"})]).contains("has no column `model_name`, which trees have"));
    let mut leaf = row("root", 0);
    leaf["type"] = "mlp".into();
    assert!(error(&[row("root", 0), leaf]).contains("row 2, column `type`: no such word: `mlp`"));
    let mut none = row("root", 0);
    none["batch_size"] = 0.into();
    assert!(error(&[none]).contains("row 1, column `batch_size`: expected a whole number of at least 1, found 0"));
    let jump = error(&[row("root", 0), row("root.a.b", 2)]);
    assert!(jump.contains("row 2, column `level`: stands 2 levels below the node before it"), "{jump}");
}

#[test]
fn more_gpus_than_any_run_has_are_a_wrong_cell_and_not_made_fewer() {
    for column in ["tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel"] {
        let row = |degree: usize| {
            let mut row = json!({"model_name": "m", "batch_size": 1, "seq_len": 8, "scope": "root", "instance_type": "A", "type": "ml", "level": 0});
            row[column] = degree.into();
            row
        };
        let trees = |degree: usize| File::of("degrees", &objects(&[row(degree)])).trees();
        let most = trees(Parallel::MOST).unwrap()[0].parallel;
        assert!([most.tensor, most.pipeline, most.expert, most.data].contains(&Parallel::MOST), "{most:?}");
        let error = trees(Parallel::MOST + 1).unwrap_err().to_string();
        let fault = format!("row 1, column `{column}`: expected at most 1048576, found 1048577");
        assert!(error.contains(&fault), "{error}");
    }
}
