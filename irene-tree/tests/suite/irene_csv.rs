//! IrEne's CSV layout, on a folder made by the test.

use std::path::{Path, PathBuf};

use irene_tree::{Quantity, irene_csv};

const HEADER: &str = "batch_size,seq_len,flops,mem_bytes,cpu,mem,gpu,gpu_mem,gpu_clk,gpu_mem_clk,times_mean,gpu_energy_mean,energy_mean,level_name,model_name";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: [(&str, &[&str]); 4]) -> Self {
        let dir = std::env::temp_dir().join(format!("irene-csv-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, names) in files {
            let rows: Vec<String> = names
                .iter()
                .map(|name| format!("8.0,32.0,1.5,2.5,8,10,90,20,1900,3802,0.001,0.1,0.2,{name},tiny"))
                .collect();
            std::fs::write(dir.join(file), format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tiny(name: &str) -> Option<&'static str> {
    (name == "tiny").then_some("TinyModel")
}

fn files<'a>(modules: &'a [&'a str]) -> [(&'a str, &'a [&'a str]); 4] {
    [
        ("model_level_features.csv", &["tiny"]),
        ("module_level_features.csv", modules),
        ("ml1_level_features.csv", &["encoder.layer.0.attention.query:Linear"]),
        ("ml2_level_features.csv", &["encoder.layer.0.attention:MatMul", "encoder.layer.0.attention:MatMul"]),
    ]
}

#[test]
fn a_model_without_modules_is_left_out() {
    let mut alone = files(&[]);
    alone[2].1 = &[];
    alone[3].1 = &[];
    let import = irene_csv::read_dir(Folder::new("alone", alone).path(), &tiny).unwrap();
    assert!(import.trees.is_empty());
    assert!(import.dropped[0].reason.contains("a leaf must be a primitive"), "{}", import.dropped[0].reason);
}

#[test]
fn rows_become_a_tree_whatever_their_order() {
    // Parents after their children, as in the public files.
    let modules = ["encoder.layer.0.attention:Attention", "encoder.layer.0:Layer", "encoder:Encoder"];
    let folder = Folder::new("good", files(&modules));
    let import = irene_csv::read_dir(folder.path(), &tiny).unwrap();
    let scopes: Vec<_> = import.trees[0].nodes().iter().map(|node| (node.scope(), node.instance_type())).collect();
    assert_eq!(
        scopes,
        [
            ("root", "TinyModel"),
            ("root.encoder", "Encoder"),
            ("root.encoder.0", "Layer"),
            ("root.encoder.0.attention", "Attention"),
            ("root.encoder.0.attention.query", "Linear"),
            ("root.encoder.0.attention.matmul", "MatMul"),
            ("root.encoder.0.attention.matmul", "MatMul"),
        ]
    );
    assert_eq!(import.trees[0].root().get(Quantity::GroundTruthEnergy), Some(0.2));
    assert!(import.trees[0].check().is_ok());
}

#[test]
fn a_size_with_a_node_whose_parent_was_not_measured_is_left_out_and_said() {
    let folder = Folder::new("orphan", files(&["encoder:Encoder"]));
    let import = irene_csv::read_dir(folder.path(), &tiny).unwrap();
    assert!(import.trees.is_empty());
    assert_eq!(import.dropped[0].what, "tiny 8x32");
    let reason = &import.dropped[0].reason;
    assert!(reason.contains("ml1_level_features.csv, line 2: "), "{reason}");
    assert!(reason.contains("which has no row at this size"), "{reason}");
}

#[test]
fn models_that_are_not_known_are_dropped_and_said() {
    let folder = Folder::new("unknown", files(&["encoder:Encoder"]));
    let import = irene_csv::read_dir(folder.path(), &|_| None).unwrap();
    assert!(import.trees.is_empty());
    assert_eq!(
        (import.dropped[0].what.as_str(), import.dropped[0].reason.as_str()),
        ("tiny", "not a model known here")
    );
}

#[test]
fn a_row_that_stands_twice_leaves_its_size_out_and_names_both_lines() {
    let folder = Folder::new("twice", files(&["encoder:Encoder", "encoder:Encoder"]));
    let import = irene_csv::read_dir(folder.path(), &tiny).unwrap();
    let reason = &import.dropped[0].reason;
    assert!(
        reason.contains("module_level_features.csv, line 3: `encoder` at this size stands in line 2 of"),
        "{reason}"
    );
}

#[test]
fn bad_fields_missing_columns_and_missing_files_are_named() {
    let folder = Folder::new("bad", files(&["encoder:Encoder"]));
    let file = folder.path().join("ml1_level_features.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let read = || irene_csv::read_dir(folder.path(), &tiny).unwrap_err().to_string();

    std::fs::write(&file, text.replace("0.001", "soon")).unwrap();
    assert!(read().contains("line 2: column `times_mean`: invalid float literal"), "{}", read());
    std::fs::write(&file, text.replace("0.001", "-1")).unwrap();
    assert!(read().contains("column `times_mean`: -1 is out of range"), "{}", read());
    std::fs::write(&file, text.replace("8.0,32.0", "8.7,32.0")).unwrap();
    assert!(read().contains("column `batch_size`: 8.7 is out of range"), "{}", read());
    std::fs::write(&file, text.replace("seq_len", "length")).unwrap();
    assert!(read().contains("missing field `seq_len`"), "{}", read());
    std::fs::remove_file(&file).unwrap();
    assert!(read().contains("ml1_level_features.csv: No such file"), "{}", read());
}

#[test]
fn figures_without_a_column_and_empty_cells_are_absent_and_the_columns_are_named() {
    let folder = Folder::new(
        "absent",
        files(&["encoder.layer.0.attention:Attention", "encoder.layer.0:Layer", "encoder:Encoder"]),
    );
    for (file, _) in files(&[]) {
        let file = folder.path().join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("gpu_clk", "clock").replace("0.001,0.1,", "0.001,,")).unwrap();
    }
    let import = irene_csv::read_dir(folder.path(), &tiny).unwrap();
    assert_eq!(import.absent.into_iter().collect::<Vec<_>>(), [Quantity::GpuClk]);
    for node in import.trees[0].nodes() {
        assert_eq!([Quantity::GpuClk, Quantity::GpuEnergy].map(|figure| node.get(figure)), [None, None]);
        assert_eq!((node.get(Quantity::Latency), node.get(Quantity::GroundTruthEnergy)), (Some(0.001), Some(0.2)));
    }
}

#[test]
fn a_list_that_is_a_module_itself_stays_in_the_scopes_and_another_does_not() {
    let modules = ["h:List", "h.0:Block", "h.0.inner:List", "h.0.inner.1:Block", "h.0.inner.1.unnamed.2:Block"];
    let mut all = files(&modules);
    (all[2].1, all[3].1) = (&["h.0.inner.1.unnamed.2.a:Linear"], &[]);
    // Whatever its row says, the whole model is the root.
    all[0].1 = &["tiny:TinyModel"];
    let import = irene_csv::read_dir(Folder::new("lists", all).path(), &tiny).unwrap();
    let scopes: Vec<_> = import.trees[0].nodes().iter().map(irene_tree::Node::scope).collect();
    let below = ["h", "h.0", "h.0.inner", "h.0.inner.1", "h.0.inner.1.2", "h.0.inner.1.2.a"];
    let expected: Vec<_> = below.iter().map(|scope| format!("root.{scope}")).collect();
    assert_eq!((scopes[0], &scopes[1..]), ("root", &expected.iter().map(String::as_str).collect::<Vec<_>>()[..]));
}

#[test]
fn a_figure_may_be_zero_and_a_size_is_a_whole_number_up_to_a_milliard() {
    let folder = Folder::new("limits", files(&["encoder:Encoder"]));
    let file = folder.path().join("ml1_level_features.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let read = |size: &str, cpu: &str| {
        std::fs::write(&file, text.replace("8.0,32.0", size).replace(",8,10,", cpu)).unwrap();
        irene_csv::read_dir(folder.path(), &tiny).map_err(|error| error.to_string())
    };
    for size in ["1,1000000000", "1000000000,1"] {
        let dropped = read(size, ",0,0,").unwrap().dropped;
        let what = format!("tiny {}", size.replace(',', "x"));
        assert!(dropped.iter().any(|of| of.what == what && of.reason == "no row for the whole model"), "{dropped:?}");
        // The other size lacks a module, and is told besides.
        assert_eq!(dropped.len(), 2);
    }
    for (size, cpu) in [("0,1", ",0,0,"), ("1,0", ",0,0,"), ("1,1000000001", ",0,0,"), ("1,1", ",inf,0,")] {
        assert!(read(size, cpu).unwrap_err().contains("is out of range"), "{size} {cpu}");
    }
    // A model that is not known is told once for all its sizes.
    std::fs::write(&file, text.replace("8.0,32.0", "1,1")).unwrap();
    assert_eq!(irene_csv::read_dir(folder.path(), &|_| None).unwrap().dropped.len(), 1);
}

#[test]
fn a_row_without_its_class_and_a_file_that_is_another_thing_are_named() {
    let folder = Folder::new("classless", files(&["encoder"]));
    let read = || irene_csv::read_dir(folder.path(), &tiny).unwrap_err().to_string();
    let file = "module_level_features.csv";
    let expected = format!("{file}, line 2: column `level_name`: expected `scope:InstanceType`, found `encoder`");
    assert!(read().ends_with(&expected), "{}", read());
    for (text, fault) in
        [("", ": is empty"), ("<html>\n<body>\n", ": is a web page"), ("\n\n", ", line 1: there is no line of titles")]
    {
        std::fs::write(folder.path().join(file), text).unwrap();
        assert!(read().contains(&format!("{file}{fault}")), "{}", read());
    }
}
