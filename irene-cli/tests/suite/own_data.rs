//! Measurements that other programs made: IrEne's own files of trees, and tables of a researcher's own.

use std::{fmt::Write as _, path::Path};

use irene_tree::{Node, Quantity, Tree, jsonl};

use crate::command::{Folder, Says, fed, good, json, refused, said, training_data};

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
    ] {
        assert_eq!(said(args).matches(line).count(), 1, "{args:?}");
    }
    said(&["explain", &data, "root"]).says("1 tree completed").says("the first of 4 trees with this node is explained");
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

/// A tree of a model at 8 sequences with energies by a simple law, in joules.
fn measured(model: &str, seq_len: usize) -> Tree {
    let json = good(&["trace", model, "-b", "8", "-s", &seq_len.to_string(), "--format", "json"]);
    let mut tree = jsonl::parse_tree(json.trim_end().as_bytes(), "trace", 1).unwrap();
    for node in tree.nodes_mut() {
        let work = node.get(Quantity::Flops).unwrap() * 1e-4 + node.get(Quantity::Kernels).unwrap() * 1e-3;
        node.set(Quantity::GroundTruthEnergy, work + 1e-3);
        node.set(Quantity::Latency, work / 200.0);
    }
    tree
}

/// Whether PyTorch's hooks can see the node.
fn is_module(node: &Node) -> bool {
    !["Softmax", "MatMul"].contains(&node.instance_type())
}

/// A table of three columns, as a researcher writes it down: the names of PyTorch's modules, the length, millijoules.
fn three_columns(folder: &Folder) -> String {
    let mut table = String::from("layer;tokens;energy (mJ)\n");
    for seq_len in [32, 64, 128] {
        for node in measured("distilgpt2", seq_len).nodes().iter().filter(|node| is_module(node)) {
            let name = node.scope().replacen("root.0", "transformer.h.0", 1).replacen("root.", "transformer.h.", 1);
            let name =
                name.replace("transformer.h.w", "transformer.w").replace("transformer.h.ln_f", "transformer.ln_f");
            let name = name.replace("transformer.h.transformer.h.", "transformer.h.");
            let millijoules = 1e3 * node.get(Quantity::GroundTruthEnergy).unwrap();
            writeln!(table, "{name};{seq_len};{}", millijoules.to_string().replace('.', ",")).unwrap();
        }
    }
    folder.write("layers.csv", &table)
}

#[test]
fn a_table_of_three_columns_becomes_a_latex_table_and_a_chart() {
    let folder = Folder::new("three-columns");
    let (table, trees) = (three_columns(&folder), folder.path("layers.jsonl"));
    let columns = "scope=layer,seq_len=tokens,energy=energy (mJ)";
    let told = said(&["import", "csv", &table, "--columns", columns, "--model", "distilgpt2", "-b", "8", "-o", &trees]);
    assert!(told.starts_with("scope from `layer`, seq_len from `tokens`, energy from `energy (mJ)` in mJ\n"), "{told}");
    let rows = std::fs::read_to_string(&table).unwrap().lines().count() - 1;
    assert!(told.contains(&format!("\n{rows} of {rows} rows joined\n")), "{told}");
    assert!(
        told.contains("3 trees written to ") && told.contains("3 of 3 model") && !told.contains("latencies"),
        "{told}"
    );
    let imported = jsonl::read_trees(Path::new(&trees)).unwrap();
    for (tree, seq_len) in imported.iter().zip([32, 64, 128]) {
        for (node, truth) in tree.nodes().iter().zip(measured("distilgpt2", seq_len).nodes()) {
            let [found, truth] = [node, truth].map(|node| node.get(Quantity::GroundTruthEnergy));
            match found {
                Some(joules) => assert!(is_module(node) && (joules / truth.unwrap() - 1.0).abs() < 1e-12),
                None => assert!(!is_module(node), "{}", node.scope()),
            }
        }
    }

    let picture = folder.path("errors.svg");
    let cross = ["crossvalidate", &trees, "--method", "irene", "--protocol", "leave-size-out"];
    let latex = good(&[&cross[..], &["--format", "latex", "--plot", &picture]].concat());
    assert!(
        latex.starts_with("% Mean absolute percentage error, method irene, leave-size-out, in percent by level"),
        "{latex}"
    );
    assert!(latex.contains("\n% without features that not every node has: cpu, mem, gpu, gpu_mem, gpu_clk, gpu_mem_clk, times_mean, gpu_energy_mean\n"), "{latex}");
    latex.says("\\begin{tabular}{lrrr}\n\\toprule\nLeft out & ML & Module & Model \\\\\n\\midrule\n8x32 & ");
    assert!(latex.ends_with("\\bottomrule\n\\end{tabular}\n"), "{latex}");
    let json = json(&cross);
    assert_eq!(json["missing_features"].as_array().unwrap().len(), 8);
    let average = json["average"]["model"].as_f64().unwrap();
    assert!(latex.contains(&format!(" & {average:.2} \\\\\n\\bottomrule")), "{latex} {average}");
    let csv = good(&[&cross[..], &["--format", "csv"]].concat());
    assert!(csv.starts_with("left out,ml (%),module (%),model (%)\n8x32,") && csv.lines().count() == 5, "{csv}");
    assert!(csv.ends_with(&format!(",{average}\n")), "{csv}");
    let svg = std::fs::read_to_string(picture).unwrap();
    // Four groups of three bars, and three of the legend.
    assert!(svg.starts_with("<svg") && svg.matches("<rect").count() == 15 && svg.contains(">8x128<"), "{svg}");
    let told = said(&[&cross[..], &["--format", "json"]].concat());
    assert!(told.contains("have no energy and are not learned from; no MatMul, Softmax has one\n"), "{told}");
    assert!(told.contains("IrEne's method does without cpu, mem, gpu,"), "{told}");
}

#[test]
fn files_a_level_units_and_classes_are_joined() {
    let folder = Folder::new("tables");
    let whole = folder.write("whole.csv", "Energy [kJ],B\n0.5,8\n1,16\n");
    let layers = folder.write(
        "layers.csv",
        "class\tB\ttime\tEnergy [kJ]\nBertLayer\t8\t250\t\nBertLayer\t8\t350\t0.1\nLinear\t8\t1\t1\n",
    );
    let out = folder.path("out.jsonl");
    let model = "google/bert_uncased_L-2_H-128_A-2";
    let columns = "class,batch_size=B,energy=Energy [kJ],latency=time:us";
    let import = [
        "import",
        "csv",
        &whole,
        &layers,
        "--columns",
        columns,
        "--model",
        model,
        "-s",
        "16",
        "--estimated",
        "-o",
        &out,
    ];
    let told = said(&import);
    assert!(told.contains("energy from `Energy [kJ]` in kJ, latency from `time` in us"), "{told}");
    told.says("4 of 5 rows joined; 2 of them by class, to all nodes of the class; 1 row of a node that another has too, which gets their mean\n");
    told.says(
        "layers.csv, line 4: `Linear`: google/bert_uncased_L-2_H-128_A-2 has 4 different kinds of it; give the scope",
    );
    assert!(
        told.contains("energies of 0 of ") && told.contains("2 of 2 model") && told.ends_with("(estimated)\n"),
        "{told}"
    );
    let trees = jsonl::read_trees(Path::new(&out)).unwrap();
    let figures = |scope: &str| {
        let node = trees[0].node(trees[0].find(scope).unwrap());
        assert!(scope == "root" || node.is_energy_estimated());
        [Quantity::GroundTruthEnergy, Quantity::Latency].map(|quantity| node.get(quantity))
    };
    assert_eq!(figures("root"), [Some(500.0), None]);
    for layer in ["root.encoder.0", "root.encoder.1"] {
        let [energy, latency] = figures(layer).map(Option::unwrap);
        assert!((energy - 100.0).abs() < 1e-9 && (latency - 3e-4).abs() < 1e-12, "{energy} {latency}");
    }
}

#[test]
fn estimated_energies_are_not_called_measured() {
    let folder = Folder::new("tables-estimated");
    let [out, predicted] = ["out.jsonl", "predicted.jsonl"].map(|name| folder.path(name));
    let import = ["import", "csv", "-", "--columns", "model,energy", "-b", "1", "-s", "8", "--estimated", "-o", &out];
    assert!(fed(&import, "model,energy\ngpt2,0.5\n").status.success());
    let text = good(&["predict", &out]);
    assert!(text.contains("; estimated ") && !text.contains("; measured "), "{text}");
    good(&["predict", &out, "-o", &predicted]);
    said(&["evaluate", &out, &predicted]).says("out.jsonl: energies that are estimated, not measured");
}

#[test]
fn a_table_on_standard_input_is_joined_and_its_faults_are_named() {
    let folder = Folder::new("tables-stdin");
    let out = folder.path("out.jsonl");
    let import = ["import", "csv", "-", "--columns", "model,energy", "-b", "1", "-s", "8", "-o", &out];
    let told = String::from_utf8(fed(&import, "model,energy\ngpt2,0.5\ngpt3,1\ngpt2,\n").stderr).unwrap();
    assert!(told.contains("1 of 3 rows joined; 1 row without a figure"), "{told}");
    assert!(told.contains("not joined: stdin, line 3: unknown model `gpt3`, did you mean `gpt2`"), "{told}");
}

#[test]
fn a_table_that_cannot_be_joined_is_refused_in_a_line_and_nothing_is_written() {
    let folder = Folder::new("bad-tables");
    let table = folder.write("t.csv", "name,E\nencoder.layers.0.attn,1\n");
    let out = folder.path("out.jsonl");
    let import = |args: &[&str]| {
        [&["import", "csv", &table, "-o", &out], args]
            .concat()
            .iter()
            .map(|arg| (*arg).to_owned())
            .collect::<Vec<String>>()
    };
    let refused = |code, args: &[&str]| refused(code, &import(args).iter().map(String::as_str).collect::<Vec<_>>());
    refused(2, &["--columns", "scope=name,energy=E"]).says("no model: add model=TITLE to --columns, or give --model");
    refused(2, &["--columns", "scope=name,watts=E"]).says("`watts` is not a field; there are scope, class, model");
    let at = ["--model", "bert-base-uncased", "-b", "8", "-s", "32"];
    refused(1, &[&["--columns", "scope=name,energy=e (J)"], &at[..]].concat())
        .says("t.csv, line 1: there is no column `e (J)`; the file has `name`, `E`");
    refused(1, &[&["--columns", "scope=name,energy=E"], &at[..]].concat())
        .says("no row joined a node: ")
        .says("bert-base-uncased has no such node; near: root.encoder.");
    assert!(!folder.files().contains(&"out.jsonl".to_owned()));
}

#[test]
fn reports_run_with_the_features_that_there_are() {
    let folder = Folder::new("no-resources");
    let mut lines = String::new();
    for (model, seq_len) in [("distilgpt2", 32), ("distilgpt2", 64), ("gpt2", 32), ("gpt2", 64)] {
        let mut tree = measured(model, seq_len);
        tree.nodes_mut().iter_mut().for_each(|node| node.clear(Quantity::Latency));
        lines += &(jsonl::to_json(&tree) + "\n");
    }
    let data = folder.write("mine.jsonl", &lines);
    let report = folder.path("report");
    good(&["reproduce", &data, "-o", &report]);
    let report = std::fs::read_to_string(folder.0.join("report/reproduction.md")).unwrap();
    report.says("The paper's predictors do without features that not every node has: mine.jsonl (cpu, mem,");
    report.says("| ours, specs only | (").says("feature `times_mean` is missing");

    let model = folder.path("model");
    said(&["train", &data, "--method", "irene", "-o", &model]).says("does without cpu");
    refused(1, &["train", &data, "--method", "specs", "-o", &model])
        .says("our methods learn from energies, latencies")
        .says("times_mean");
    refused(1, &["train", &data, "--method", "irene", "--features", "resources", "-o", &model])
        .says("feature `cpu` is missing");
}

/// The figures of one model at one batch of IrEne's first machine, as docs/your-own-measurements.md has them.
fn layers_of_the_book(device: &Path) -> String {
    let mut table = String::from("layer;tokens;energy (mJ)\n");
    for file in ["ml1_level", "module_level", "model_level"] {
        let text = std::fs::read_to_string(device.join(format!("{file}_features.csv"))).unwrap();
        for cells in text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()) {
            let [scope, model] = cells[13..] else { continue };
            if model == "gpt2" && cells[0] == "8.0" {
                let scope = scope.split_once(':').map_or("root", |(scope, _)| scope);
                let [tokens, joules] = [1, 12].map(|place: usize| cells[place].parse::<f64>().unwrap());
                writeln!(table, "{scope};{tokens};{:.4}", 1e3 * joules).unwrap();
            }
        }
    }
    table
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_book_shows_what_the_three_columns_give() {
    let device = irene_tree::irene_csv::device_dir_from_env("device_1").unwrap();
    let folder = Folder::new("book");
    let (table, trees) = (folder.write("layers.csv", &layers_of_the_book(&device)), folder.path("layers.jsonl"));
    let columns = "scope=layer,seq_len=tokens,energy=energy (mJ)";
    let told = said(&["import", "csv", &table, "--columns", columns, "--model", "gpt2", "-b", "8", "-o", &trees]);
    let cross = ["crossvalidate", &trees, "--method", "irene", "--protocol", "leave-size-out", "--format", "latex"];
    let printed = [std::fs::read_to_string(&table).unwrap(), told, good(&cross)].concat();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/your-own-measurements.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown: Vec<&str> = page.split("```text\n").skip(1).take(3).flat_map(|rest| rest.split("```").next()).collect();
    let lines: Vec<&str> = shown.iter().flat_map(|block| block.lines()).filter(|line| *line != "...").collect();
    assert!(lines.len() > 15, "{page}");
    for line in lines {
        let line = line.split(" written to ").next().unwrap();
        assert!(printed.lines().any(|printed| printed.starts_with(line)), "`{line}` is not printed:\n{printed}");
    }
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_public_trees_without_our_counts_give_what_the_csv_files_give() {
    let device = irene_tree::irene_csv::device_dir_from_env("device_1").unwrap();
    let folder = Folder::new("public-jsonl");
    let whole = folder.path("whole.jsonl");
    good(&["import", "irene-csv", device.to_str().unwrap(), "-o", &whole]);
    let mut lines = String::new();
    for mut tree in jsonl::read_trees(Path::new(&whole)).unwrap() {
        tree.nodes_mut().iter_mut().for_each(|node| OURS.iter().for_each(|&quantity| node.clear(quantity)));
        lines += &(jsonl::to_json(&tree) + "\n");
    }
    let clean = folder.write("clean.jsonl", &lines);
    let errors = |data: &str| good(&["crossvalidate", data, "--method", "specs", "--format", "csv"]);
    assert_eq!(errors(&clean), errors(&whole));
}
