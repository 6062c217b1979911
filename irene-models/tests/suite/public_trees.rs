//! The trees of the six public models against IrEne's own: figures of every node at two sizes (always), and every node at
//! every size of the public data (where `IRENE_DATA` points at it).

use std::collections::BTreeMap;

use irene_models::ModelSpec;
use irene_tree::{Quantity, Size, Tree, irene_csv};

/// The costs of a node: FLOPs in millions, MiB, parameters.
type Figures = [f64; 3];

/// Scope, instance type and parent of each node, with the figures of all that share them.
type Nodes = BTreeMap<String, Vec<Figures>>;

fn traced(model: &str, size: Size) -> Tree {
    ModelSpec::find(model).unwrap().trace(size).unwrap().without_math()
}

fn nodes(tree: &Tree, name: impl Fn(&str) -> String) -> Nodes {
    let mut nodes = Nodes::new();
    for id in tree.ids() {
        let node = tree.node(id);
        let parent = tree.parent(id).map_or("", |parent| tree.node(parent).scope());
        let key = format!("{} {} {}", name(node.scope()), node.instance_type().to_lowercase(), name(parent));
        let figures = [Quantity::Flops, Quantity::MemBytes, Quantity::NumParameters];
        nodes.entry(key).or_default().push(figures.map(|quantity| node.get(quantity).unwrap_or(f64::NAN)));
    }
    nodes
}

/// Same nodes with the same figures to 1e-6 relative; figures that the expected side does not know are not compared.
fn assert_same(what: &str, expected: &Nodes, found: &Nodes) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{what}");
    for (key, wanted) in expected {
        assert_eq!(wanted.len(), found[key].len(), "{what}: {key}");
        for (wanted, found) in wanted.iter().flatten().zip(found[key].iter().flatten()) {
            let agree = wanted.is_nan() || (wanted - found).abs() <= 1e-6 * wanted.abs();
            assert!(agree, "{what}: {key}: expected {wanted}, traced {found}");
        }
    }
}

/// `root.encoder.3.output` as `root.encoder.N.output`: the fixture has the layers of a model as one.
fn any_layer(scope: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    scope.split('.').map(|part| if is_number(part) { "N" } else { part }).collect::<Vec<_>>().join(".")
}

/// The fixture: nodes of the public data at 8x32 and of the published sample trees at 16x128, equal ones counted.
#[test]
fn the_six_public_models_have_the_published_nodes_at_two_sizes() {
    let mut expected: BTreeMap<(&str, Size), Nodes> = BTreeMap::new();
    for line in include_str!("../fixtures/irene_nodes.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [model, batch_size, seq_len, scope, instance_type, parent, parameters, flops, mem_bytes, count] =
            fields[..]
        else {
            panic!("ten fields expected: {line}");
        };
        let number = |text: &str| text.parse::<f64>().unwrap();
        let size = (model, Size::new(batch_size.parse().unwrap(), seq_len.parse().unwrap()));
        let key = format!("{scope} {} {parent}", instance_type.to_lowercase());
        let figures = [number(flops), number(mem_bytes), number(parameters)];
        let group = expected.entry(size).or_default().entry(key).or_default();
        group.extend(vec![figures; count.parse().unwrap()]);
    }
    assert_eq!(expected.len(), 12);
    for ((model, size), nodes_expected) in &expected {
        let tree = traced(model, *size);
        assert_same(&tree.to_string(), nodes_expected, &nodes(&tree, any_layer));
    }
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_public_data_of_both_machines_gives_all_trees_and_each_is_the_trace() {
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    for (device, trees) in [("device_1", 166), ("device_2", 192)] {
        let dir = irene_csv::device_dir_from_env(device)
            .unwrap_or_else(|| panic!("IRENE_DATA does not lead to IrEne's {device}"));
        let import = irene_csv::read_dir(&dir, &class_of).unwrap();
        assert_eq!(import.trees.len(), trees, "{device}");
        for tree in &import.trees {
            let traced = traced(&tree.model_name, tree.size);
            assert_same(&format!("{device}: {tree}"), &nodes(tree, str::to_owned), &nodes(&traced, str::to_owned));
        }
    }
}
