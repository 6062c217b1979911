//! The interchange format: what is written is read back, and nothing that is read can panic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test that cannot be set up should stop, and say so

#[cfg(feature = "parquet")]
mod parquet;

use irene_tree::{
    Format, Kernels, Level, Mark, NodeId, OpKind, Operand, Operation, ParameterId, Precision, Quantity, Role, Size,
    Tree, TreeBuilder,
    jsonl::{TreeReader, parse_tree, to_json},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A subtree before it is built.
#[derive(Clone, Debug)]
enum Draft {
    Leaf { instance_type: String, energy: f64, marked: bool },
    Module(Vec<Draft>),
}

fn draft() -> impl Strategy<Value = Draft> {
    let leaf = ("[A-Za-z][A-Za-z0-9]{0,8}", 1e-9..1e9f64, any::<bool>())
        .prop_map(|(instance_type, energy, marked)| Draft::Leaf { instance_type, energy, marked });
    leaf.prop_recursive(5, 40, 5, |inner| prop::collection::vec(inner, 1..5).prop_map(Draft::Module))
}

fn operation() -> Operation {
    let (x, scale) = (Operand::activation([2, 3], Format::F16), Role::Parameter(Some(ParameterId::new(7))));
    let inputs = [x, Operand::new([3], Format::Q4K, scale), Operand::new([2, 3], Format::F8E4M3, Role::Cache)];
    Operation::new(OpKind::Softmax, &inputs, x).fused_with(&[OpKind::Add])
}

fn build(builder: &mut TreeBuilder, name: &str, draft: &Draft, unknown: &str) {
    match draft {
        Draft::Leaf { instance_type, energy, marked } => {
            let node = builder.leaf(name, instance_type.clone(), Level::Ml, marked.then(operation));
            node.set(Quantity::PredictedEnergy, *energy);
            node.set(Quantity::NumParameters, energy.floor());
            node.extra.get_or_insert_default().insert("unheard_of".into(), json!({"deep": [unknown, 1.5, null]}));
            if *marked {
                node.set_times(energy.clamp(0.25, 8.0));
                node.size = Some(Size::new(3, 1).after(9));
                node.marks.insert(Mark::Extrapolated);
            }
        }
        Draft::Module(children) => {
            builder.enter(name, "Part", Level::Module);
            for (index, child) in children.iter().enumerate() {
                build(builder, &index.to_string(), child, unknown);
            }
            builder.leave();
        }
    }
}

fn tree(drafts: &[Draft], unknown: &str) -> Tree {
    let precision = Precision { weights: Format::Q4K, activations: Format::F16, cache: Format::F8E4M3 };
    let builder = TreeBuilder::new("m\"odel", Size::new(3, 5).after(7));
    let mut builder = builder.followed_in(precision, Kernels::Fused);
    builder.enter("root", "Model", Level::Model).set(Quantity::Latency, 0.1 + 0.2);
    for (index, draft) in drafts.iter().enumerate() {
        build(&mut builder, &format!("part{index}"), draft, unknown);
    }
    builder.leave();
    let mut tree = builder.finish().unwrap();
    tree.generated = 3;
    tree.extra.insert("remark".into(), Value::from(unknown));
    for id in tree.ids() {
        let text = tree.interchange_id(id);
        tree.node_mut(id).id = Some(text.into());
    }
    tree
}

proptest! {
    #[test]
    fn a_tree_survives_being_written_and_read(drafts in prop::collection::vec(draft(), 1..5), unknown in ".*") {
        let tree = tree(&drafts, &unknown);
        prop_assert!(tree.check().is_ok());
        let read = parse_tree(to_json(&tree).as_bytes(), "memory", 1).unwrap();
        prop_assert_eq!(&read, &tree);
    }

    #[test]
    fn walks_agree_with_each_other(drafts in prop::collection::vec(draft(), 1..5)) {
        let tree = tree(&drafts, "");
        for id in tree.ids() {
            let children: Vec<NodeId> = tree.children(id).collect();
            prop_assert!(children.iter().all(|&child| tree.parent(child) == Some(id)));
            let below: usize = children.iter().map(|&child| tree.subtree(child).len()).sum();
            prop_assert_eq!(tree.subtree(id).len(), below + 1);
            prop_assert_eq!(tree.ancestors(id).count(), tree.node(id).depth());
            prop_assert_eq!(tree.is_leaf(id), children.is_empty());
        }
    }

    #[test]
    fn children_and_own_part_add_up_to_the_parent(drafts in prop::collection::vec(draft(), 1..5), total in 0.0..1e9f64) {
        let mut tree = tree(&drafts, "");
        tree.node_mut(NodeId::ROOT).set(Quantity::PredictedEnergy, total);
        let children = tree.children(NodeId::ROOT).map(|id| tree.node(id));
        let children: Vec<_> = children.filter_map(|node| Some(node.times() * node.get(Quantity::PredictedEnergy)?)).collect();
        if let Some(own) = tree.own(NodeId::ROOT, Quantity::PredictedEnergy) {
            let sum = own + children.iter().sum::<f64>();
            prop_assert!((sum - total).abs() <= 1e-9 * children.iter().sum::<f64>().max(total));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for tree in TreeReader::new("noise", bytes.as_slice()) {
            let _ = tree.map(|tree| tree.check());
        }
    }

    /// Valid lines with one byte changed reach deeper than noise.
    #[test]
    fn no_damage_makes_the_reader_panic(drafts in prop::collection::vec(draft(), 1..4), place in any::<prop::sample::Index>(), byte: u8) {
        let mut line = to_json(&tree(&drafts, "x")).into_bytes();
        let place = place.index(line.len());
        line[place] = byte;
        let _ = parse_tree(&line, "damaged", 1);
        let _ = parse_tree(&line[..place], "cut", 1);
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
    let mut line = String::from(r#"{"model_name":"m","batch_size":1,"seq_len":1,"frontend_tree":"#);
    for _ in 0..100_000 {
        line.push_str(r#"{"child_nodes_obj":["#);
    }
    let error = parse_tree(line.as_bytes(), "deep", 1).unwrap_err().to_string();
    assert!(error.contains("recursion limit"), "{error}");
}

fn line(node: &str) -> String {
    format!(r#"{{"model_name":"m","batch_size":1,"seq_len":1,"frontend_tree":{node}}}"#)
}

fn message(node: &str) -> String {
    parse_tree(line(node).as_bytes(), "t.jsonl", 3).unwrap_err().to_string()
}

#[test]
fn a_leaf_that_is_no_primitive_and_a_negative_feature_are_named() {
    for (leaf, fault) in [
        (r#""type":"model""#, "a leaf must be a primitive (type ml or math), found type model"),
        (r#""type":"ml","cpu":-4"#, "cpu must be finite and not negative, found -4"),
    ] {
        let leaf = format!(r#"{{"scope":"root","instance_type":"M",{leaf}}}"#);
        assert_eq!(message(&leaf), format!("t.jsonl, line 3, m 1x1, node `root`: {fault}"));
    }
}

#[test]
fn not_a_number_is_reported_where_python_wrote_it() {
    let leaf = r#"{"scope":"root","instance_type":"Linear","type":"ml","cpu":NaN}"#;
    let error = message(leaf);
    assert!(error.starts_with("t.jsonl, line 3, column 1"), "{error}");
    assert!(error.contains("field `root: cpu`"), "{error}");
}

#[test]
fn a_child_that_stands_elsewhere_is_refused() {
    let node = r#"{"scope":"root","instance_type":"M","type":"model","child_nodes_obj":[
        {"scope":"branch.x","instance_type":"Linear","type":"ml","level":1}]}"#;
    assert!(message(node).contains("node `branch.x`: the scope must extend its parent's, `root.`"));
    let node = node.replace("branch.x", "root.x").replace("\"level\":1", "\"level\":2");
    assert!(message(&node).contains("field `root.x: level`: is 2, but the node stands at depth 1"));
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let leaf = r#"{"scope":"root","instance_type":"Linear","type":"ml","flops":1,"flops":2}"#;
    assert!(message(leaf).contains("field `root: flops`: stands twice"), "{}", message(leaf));
    let node = r#"{"scope":"root","instance_type":"M","type":"model","child_nodes_obj":[],"child_nodes_obj":[]}"#;
    assert!(message(node).contains("field `root: child_nodes_obj`: stands twice"));
    let twice = line(leaf).replace("\"batch_size\":1", "\"batch_size\":1,\"batch_size\":2");
    let error = parse_tree(twice.as_bytes(), "t", 1).unwrap_err().to_string();
    assert!(error.contains("field `batch_size`: stands twice"), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_error() {
    let leaf = line(r#"{"scope":"root","instance_type":"Linear","type":"ml"}"#);
    assert!(parse_tree(format!("\u{feff}{leaf}").as_bytes(), "t", 1).is_ok());
}

#[test]
fn trees_of_one_size_from_two_sessions_share_their_ids() {
    let dir = std::env::temp_dir().join(format!("irene-ids-{}", std::process::id()));
    let text = line(r#"{"scope":"root","instance_type":"Linear","type":"ml","id":"a"}"#);
    std::fs::write(&dir, format!("{text}\n\n{text}\n")).unwrap();
    let trees = irene_tree::jsonl::read_trees(&dir).unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert_eq!(trees.len(), 2);
}

#[test]
fn reading_goes_on_after_a_bad_line_which_is_named() {
    let good = line(r#"{"scope":"root","instance_type":"Linear","type":"ml"}"#);
    let text = format!("{good}\n\nnonsense\n{good}\n");
    let read = TreeReader::new("t", text.as_bytes()).map(|tree| tree.map_err(|error| error.to_string()));
    let read: Vec<_> = read.map(|tree| tree.map_or_else(|error| error, |tree| tree.to_string())).collect();
    assert_eq!((read[0].as_str(), read[2].as_str(), read.len()), ("m 1x1", "m 1x1", 3));
    assert!(read[1].starts_with("t, line 3, column 2, "), "{}", read[1]);
}

#[test]
fn the_older_word_for_a_primitive_is_read() {
    let leaf = r#"{"scope":"root","instance_type":"matmul","type":"ml-np"}"#;
    let tree = parse_tree(line(leaf).as_bytes(), "t", 1).unwrap();
    assert_eq!(tree.root().level(), Level::Ml);
    assert!(tree.root().is_instance_of("MatMul"));
}

#[test]
fn names_of_the_other_level_are_unknown_fields_and_survive() {
    let json = r#"{"model_name":"m","batch_size":1,"seq_len":1,"times":3,"size":"base","frontend_tree":
        {"scope":"root","instance_type":"Linear","type":"ml","precision":"high","generated":"yes","times":null,"marks":null}}"#;
    let tree = parse_tree(json.as_bytes(), "t.jsonl", 1).unwrap();
    assert_eq!((tree.root().times(), tree.precision), (1.0, Precision::F32));
    let again: Value = serde_json::from_str(&to_json(&tree)).unwrap();
    assert_eq!((&again["times"], &again["size"]), (&json!(3), &json!("base")));
    let root = &again["frontend_tree"];
    assert_eq!((&root["precision"], &root["generated"]), (&json!("high"), &json!("yes")));
}

#[test]
fn null_is_absent_in_every_field_that_may_be() {
    let json = r#"{"model_name":"m","batch_size":1,"seq_len":1,"past_len":null,"generated":null,"precision":null,"execution":null,
        "parallel":null,"training":null,"frontend_tree":{"scope":"root","instance_type":"Linear","type":"ml","id":null,"level":null,
        "parent_name":null,"flops":null,"times":null,"gpus":null,"size":null,"operation":null,"marks":null}}"#;
    let without = r#"{"model_name":"m","batch_size":1,"seq_len":1,"frontend_tree":{"scope":"root","instance_type":"Linear","type":"ml"}}"#;
    let read = |json: &str| parse_tree(json.as_bytes(), "t.jsonl", 1).unwrap();
    assert_eq!(to_json(&read(json)), to_json(&read(without)));
}

#[test]
fn sizes_and_times_of_nodes_are_checked() {
    let node = |field: &str| format!(r#"{{"scope":"root","instance_type":"Linear","type":"ml",{field}}}"#);
    let zero = message(&node(r#""size":{"batch_size":0,"seq_len":1}"#));
    assert!(zero.contains("field `root: size`: expected a whole number of at least 1, found 0"), "{zero}");
    assert!(message(&node(r#""times":0"#)).contains("expected a number above 0, found 0"));
}

/// Files from before trees said their formats have them in operations.
#[test]
fn an_older_measurement_in_half_precision_is_known_as_such() {
    let node = r#"{"scope":"root","instance_type":"Linear","type":"ml","operation":
        {"kind":"linear","inputs":[[8,4],[2,4]],"output":[8,2],"dtype":"bf16","num_parameters":8}}"#;
    assert_eq!(parse_tree(line(node).as_bytes(), "t.jsonl", 1).unwrap().precision, Precision::of(Format::BF16));
}

#[test]
fn a_file_that_holds_another_thing_is_named_and_space_before_a_tree_is_none() {
    let path = std::env::temp_dir().join(format!("irene-other-{}.jsonl", std::process::id()));
    let read = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        irene_tree::jsonl::read_trees(&path).map(|trees| trees.len()).map_err(|error| error.to_string())
    };
    let good = line(r#"{"scope":"root","instance_type":"Linear","type":"ml"}"#);
    for space in ["", " ", "\t", "\r\n", "\n\n"] {
        assert_eq!(read(format!("{space}{good}").as_bytes()), Ok(1));
    }
    assert_eq!(
        read(b"\x1f\x8b\x08").unwrap_err(),
        format!("{}: is compressed by gzip: unpack it (gunzip)", path.display())
    );
    assert!(read(b"").unwrap_err().contains("is empty"));
    assert!(read(b"tree").unwrap_err().contains("line 1, column"));
    std::fs::remove_file(&path).unwrap();
    let missing = irene_tree::jsonl::read_trees(&path).unwrap_err();
    assert!(matches!(missing, irene_tree::Error::Io { .. }), "{missing}");
}

#[test]
fn counts_of_a_tree_are_whole_numbers_within_32_bits() {
    let node = r#"{"scope":"root","instance_type":"Linear","type":"ml"}"#;
    let read = |field: &str, value: &str| {
        let text = line(node)
            .replace(r#""batch_size":1"#, r#""batch_size":2"#)
            .replace("\"frontend", "\"generated\":7,\"frontend");
        let text = text.replace("\"frontend", "\"past_len\":3,\"frontend");
        let at = text.find(&format!("\"{field}\":")).unwrap() + field.len() + 3;
        let text = format!("{}{value}{}", &text[..at], &text[at + 1..]);
        parse_tree(text.as_bytes(), "t", 1).map(|tree| tree.to_string()).map_err(|error| error.to_string())
    };
    for field in ["batch_size", "seq_len", "past_len", "generated"] {
        assert!(read(field, "4294967295.0").unwrap().contains("4294967295"), "{field}");
        for bad in ["4294967296", "1.5", "-1"] {
            let error = read(field, bad).unwrap_err();
            assert!(error.contains(&format!("field `{field}`: expected a whole number of at least")), "{error}");
        }
    }
    assert_eq!(read("past_len", "0"), Ok("m 2x1 and 7 generated".into()));
    assert_eq!(read("generated", "0"), Ok("m 2x1+3".into()));
    assert!(read("seq_len", "0").unwrap_err().contains("at least 1, found 0"));
}

#[test]
fn a_field_that_repeats_the_structure_must_agree_with_it() {
    let child = |fields: &str| {
        format!(
            r#"{{"scope":"root","parent_name":"none","instance_type":"M","type":"model","child_nodes_obj":[
            {{"scope":"root.x","instance_type":"Linear","type":"ml",{fields}}}]}}"#
        )
    };
    let read = |node: &str| parse_tree(line(node).as_bytes(), "t", 1).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(read(&child(r#""parent_name":"root","level":1"#)), Ok(()));
    let error = read(&child(r#""parent_name":"other""#)).unwrap_err();
    assert!(error.contains("field `root.x: parent_name`: is `other`, but the node stands below `root`"), "{error}");
    // Before the parent's scope is known there is nothing to compare with, and the root stands below no node.
    let last = r#"{"child_nodes_obj":[{"scope":"root.x","instance_type":"Linear","type":"ml","parent_name":"other"}],
        "scope":"root","instance_type":"M","type":"model"}"#;
    assert_eq!(read(last), Ok(()));
    for (field, rest) in
        [("scope", r#""instance_type":"M","type":"ml""#), ("type", r#""scope":"r","instance_type":"M""#)]
    {
        let error = read(&format!("{{{rest}}}")).unwrap_err();
        assert!(error.contains(&format!("{field}`: is missing")), "{error}");
    }
    assert!(read(r#"{"scope":"r","type":"mll"}"#).unwrap_err().contains("model, module, ml, math; found `mll`"));
    for gpus in ["0", "1.5"] {
        assert!(read(&child(&format!("\"gpus\":{gpus}"))).unwrap_err().contains("at least 1"), "{gpus}");
    }
}

#[test]
fn only_what_is_not_as_usual_is_written_and_own_names_once() {
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.leaf("root", "Linear", Level::Ml, None).set(Quantity::Latency, f64::INFINITY);
    let mut tree = builder.finish().unwrap();
    tree.extra.insert("seq_len".into(), json!(9));
    let extra = tree.node_mut(NodeId::ROOT).extra.get_or_insert_default();
    extra.extend([("scope".to_owned(), json!("x")), ("flops".to_owned(), json!(9)), ("mine".to_owned(), json!(9))]);
    assert_eq!(
        to_json(&tree),
        r#"{"model_name":"m","batch_size":1,"seq_len":1,"frontend_tree":{"id":"m/1/1/0","scope":"root","parent_name":"","level":0,"instance_type":"Linear","type":"ml","mine":9,"child_nodes_obj":[],"child_nodes":[]}}"#
    );
    let mut written = |quantity: Quantity, value: f64| {
        tree.node_mut(NodeId::ROOT).set(quantity, value);
        let json: Value = serde_json::from_str(&to_json(&tree)).unwrap();
        json["frontend_tree"][quantity.name()].to_string()
    };
    let mut count = |value: f64| written(Quantity::Kernels, value);
    // Whole numbers are exact in a float below the 53rd power of two.
    assert_eq!(count(9_007_199_254_740_991.0), "9007199254740991");
    assert_eq!(count(9_007_199_254_740_992.0), "9007199254740992.0");
    assert_eq!([2.5, 3.0].map(count), ["2.5", "3"]);
    assert_eq!(written(Quantity::Flops, 3.0), "3.0");
}
