//! Measurements that other programs made: IrEne's own files of trees.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop

mod command;

use std::path::Path;

use command::{Folder, good, irene, refused, training_data};
use irene_tree::{Quantity, jsonl};

/// The counts that IrEne's own files lack.
const OURS: [Quantity; 6] = [
    Quantity::MovedBytes,
    Quantity::CopiedBytes,
    Quantity::ParameterBytes,
    Quantity::CacheBytes,
    Quantity::Kernels,
    Quantity::TiledFlops,
];

/// Measured trees as IrEne's authors publish them: without our counts and without operations.
fn as_irene_has_them(folder: &Folder, name: &str) -> String {
    let mut lines = String::new();
    for mut tree in jsonl::read_trees(Path::new(&training_data(folder))).unwrap() {
        for node in tree.nodes_mut() {
            OURS.iter().for_each(|&quantity| node.clear(quantity));
            node.operation = None;
        }
        if !name.is_empty() {
            tree.model_name = name.into();
        }
        lines += &(jsonl::to_json(&tree) + "\n");
    }
    folder.write(&format!("irene-{name}.jsonl"), &lines)
}

/// What it says beside its results.
fn said(args: &[&str]) -> String {
    let output = irene(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

#[test]
fn irenes_own_trees_are_completed_from_the_models_own_code_by_every_command_that_needs_it() {
    let folder = Folder::new("irenes-own");
    let data = as_irene_has_them(&folder, "");
    let [model, mine, predicted] = ["model", "mine", "predicted.jsonl"].map(|name| folder.path(name));
    let line = "4 trees completed from the models' own code: moved_bytes, copied_bytes, kernels\n";
    for args in [
        &["predict", &data, "-o", &predicted][..],
        &["predict", &data, "--method", "measured", "-o", &predicted],
        &["train", &data, "--method", "specs", "-o", &model],
        &["train", &data, "--method", "primitives", "-o", &model],
        &["calibrate", &data, "-o", &mine],
        &["crossvalidate", &data, "--method", "specs"],
        &["ablate", &data],
    ] {
        assert_eq!(said(args).matches(line).count(), 1, "{args:?}");
    }
    assert!(said(&["explain", &data, "root"]).contains("1 tree completed"));
    // It gives what the whole trees give.
    let whole = training_data(&folder);
    for (trees, out) in [(&data, &predicted), (&whole, &mine)] {
        good(&["predict", trees, "-o", out]);
    }
    let energies = |path: &str| {
        let trees = jsonl::read_trees(Path::new(path)).unwrap();
        let of =
            |tree: &irene_tree::Tree| tree.nodes().iter().map(|node| node.get(Quantity::PredictedEnergy)).collect();
        trees.iter().map(of).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(energies(&predicted), energies(&mine));
    // Energies are all that it needs.
    assert_eq!(said(&["evaluate", &data, &predicted]), "");
}

#[test]
fn a_tree_that_cannot_be_completed_is_refused_with_the_reason_in_one_line() {
    let folder = Folder::new("not-completed");
    let unknown = as_irene_has_them(&folder, "distilgpt3");
    let other = as_irene_has_them(&folder, "bert-base-uncased");
    for (data, reason) in [
        (
            &unknown,
            "distilgpt3 8x32 could not be completed from its model's code (unknown model `distilgpt3`, did you mean",
        ),
        (
            &other,
            "could not be completed from its model's code (bert-base-uncased 8x32, node `root`: our bert-base-uncased 8x32",
        ),
    ] {
        for args in [
            &["predict", data, "-o", &folder.path("o")][..],
            &["train", data, "--method", "specs", "-o", &folder.path("o")],
            &["calibrate", data, "-o", &folder.path("o")],
        ] {
            let error = refused(1, args);
            assert!(error.contains(reason) && error.contains("moved_bytes"), "{args:?}: {error}");
        }
    }
    // The paper's method reads none of them.
    good(&["train", &unknown, "--method", "irene", "-o", &folder.path("o")]);
}
