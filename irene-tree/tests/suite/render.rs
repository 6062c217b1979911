//! Trees as other programs read them.

use irene_tree::{
    Level, Mark, NodeId, Quantity, Size, Tree, TreeBuilder,
    render::{csv, dot, folded},
};

/// A layer of 2 J that runs three times, with a primitive of 0.5 J that runs twice in it; 10 J in all.
fn tree() -> Tree {
    let energy = Quantity::PredictedEnergy;
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    let root = builder.enter("root", "A, \"B\"\n\\", Level::Model);
    root.set(energy, 10.0);
    root.marks.extend([Mark::Extrapolated, Mark::Implausible]);
    let layer = builder.enter("a;b", "Layer", Level::Module);
    layer.set(energy, 2.0);
    layer.set_times(3.0);
    let leaf = builder.leaf("up", "Linear", Level::Ml, None);
    leaf.set(energy, 0.5);
    leaf.set_times(2.0);
    builder.leave();
    builder.leave();
    builder.finish().unwrap()
}

#[test]
fn a_table_for_programs_says_how_often_nodes_run_if_one_runs_more_than_once() {
    let mut tree = tree();
    tree.node_mut(NodeId::ROOT).set(Quantity::Kernels, 7.0);
    let text = csv(&tree);
    let lines: Vec<&str> = text.lines().skip(2).collect();
    let root = "root,\"A, \"\"B\"\"\n\\\",model,1,7,10,extrapolated implausible\n";
    assert!(text.starts_with(&format!(
        "scope,instance_type,level,times,kernels (launches),predicted_energy (J),marks\n{root}"
    )));
    assert_eq!(lines[1..], ["root.a;b,Layer,module,3,,2,", "root.a;b.up,Linear,ml,2,,0.5,"]);
    tree.nodes_mut().iter_mut().for_each(|node| node.set_times(1.0));
    tree.node_mut(NodeId::ROOT).set(Quantity::NumParameters, 3.0);
    assert!(csv(&tree).starts_with("scope,instance_type,level,num_parameters,kernels (launches),"));
}

#[test]
fn a_drawing_has_the_values_of_all_runs_and_shades_by_their_share() {
    let text = dot(&tree(), Quantity::PredictedEnergy);
    let nodes: Vec<&str> = text.lines().filter(|line| line.contains("label")).map(str::trim).collect();
    assert_eq!(
        nodes,
        [
            r#"n0 [label="root\nA, \"B\" \\\n10 J", fillcolor="0.05 1.000 1.0"];"#,
            r#"n1 [label="a;b\nLayer x3\n6 J", fillcolor="0.05 0.600 1.0"];"#,
            r#"n2 [label="up\nLinear x2\n3 J", fillcolor="0.05 0.300 1.0"];"#,
        ]
    );
    let edges: Vec<&str> = text.lines().filter(|line| line.contains("->")).map(str::trim).collect();
    assert_eq!(edges, ["n0 -> n1;", "n1 -> n2;"]);
    // A share that is not known is white.
    assert!(dot(&tree(), Quantity::Flops).contains(r#"n1 [label="a;b\nLayer x3", fillcolor="0.05 0.000 1.0"];"#));
}

#[test]
fn a_stack_has_its_own_part_in_all_runs_from_one_unit_on() {
    let energy = Quantity::PredictedEnergy;
    assert_eq!(folded(&tree(), energy), "root 4000000000\nroot;a:b 3000000000\nroot;a:b;up 3000000000\n");
    let own = |joules: f64| {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.leaf("root", "Linear", Level::Ml, None).set(energy, joules);
        folded(&builder.finish().unwrap(), energy)
    };
    assert_eq!([1e-9, 0.6e-9, 0.4e-9, -1e-3].map(own), ["root 1\n", "root 1\n", "", ""]);
}
