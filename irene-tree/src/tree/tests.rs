use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{Checkpoint, Format, Mark, Operand, Operation, Parallel, ParameterId, Role, Training, TreeBuilder};

fn linear(id: u32) -> Operation {
    let x = Operand::activation([4, 8], Format::F32);
    let weight = Operand::new([8, 8], Format::F32, Role::Parameter(Some(ParameterId::new(id))));
    Operation::new(OpKind::Linear, &[x, weight], x)
}

/// A model of what is built below its root.
pub(crate) fn model(below: impl FnOnce(&mut TreeBuilder)) -> Tree {
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model);
    below(&mut builder);
    builder.leave();
    builder.finish().unwrap()
}

/// Two layers, of which the second holds a single operation below its primitive.
fn two_layers() -> Tree {
    let mut builder = TreeBuilder::new("m", Size::new(2, 8));
    builder.enter("root", "M", Level::Model);
    builder.enter("0", "Layer", Level::Module);
    builder.leaf("a", "Linear", Level::Ml, Some(linear(1)));
    builder.leaf("b", "Tanh", Level::Ml, None);
    builder.leave();
    builder.enter("1", "Layer", Level::Module);
    builder.enter("inner", "Part", Level::Module);
    builder.leaf("add", "add", Level::Math, None);
    builder.leaf("c", "Linear", Level::Ml, None);
    builder.leave();
    builder.leave();
    builder.leaf("last", "Linear", Level::Ml, None);
    builder.leave();
    builder.finish().unwrap()
}

fn scopes(tree: &Tree) -> Vec<&str> {
    tree.nodes().iter().map(Node::scope).collect()
}

/// Every node is where its scope says.
fn assert_whole(tree: &Tree) {
    for id in tree.ids().skip(1) {
        let above = tree.node(tree.parent(id).unwrap()).scope();
        assert_eq!(tree.node(id).scope().rsplit_once('.').unwrap().0, above);
    }
    let below: usize = tree.children(NodeId::ROOT).map(|child| tree.subtree(child).len()).sum();
    assert_eq!(below + 1, tree.nodes().len());
}

#[test]
fn a_filtered_tree_is_whole_and_lacks_what_is_below_a_refused_node() {
    let tree = two_layers();
    assert_eq!(
        scopes(&tree.filtered(|node| node.name() != "0")),
        ["root", "root.1", "root.1.inner", "root.1.inner.add", "root.1.inner.c", "root.last"]
    );
    for name in ["0", "1", "a", "inner", "last"] {
        assert_whole(&tree.filtered(|node| node.name() != name));
    }
    assert_eq!(scopes(&tree.filtered(|_| false)), ["root"]);
}

#[test]
fn without_its_math_level_a_tree_has_no_single_operations() {
    let tree = two_layers();
    let without = tree.without_math();
    assert_eq!((tree.shows_math(), without.shows_math()), (true, false));
    assert_eq!(
        scopes(&without),
        ["root", "root.0", "root.0.a", "root.0.b", "root.1", "root.1.inner", "root.1.inner.c", "root.last"]
    );
    assert_whole(&without);
    assert_eq!(tree.into_without_math(), without);
}

#[test]
fn modules_that_are_taken_as_a_whole_are_primitives() {
    let tree = two_layers();
    let (closed, places) = tree.closed(|id| ["0", "inner", "last"].contains(&tree.node(id).name()));
    assert_eq!(scopes(&closed), ["root", "root.0", "root.1", "root.1.inner", "root.last"]);
    let levels: Vec<Level> = closed.nodes().iter().map(Node::level).collect();
    assert_eq!(levels, [Level::Model, Level::Ml, Level::Module, Level::Ml, Level::Ml]);
    assert_whole(&closed);
    for (node, place) in closed.nodes().iter().zip(places) {
        assert_eq!(node.scope(), tree.node(place).scope());
    }
    // The root stays as it is.
    assert_eq!(tree.closed(|id| id == NodeId::ROOT).0, tree);
}

#[test]
fn predictions_and_marks_are_cleared_and_measurements_stay() {
    let mut tree = two_layers();
    let before = tree.clone();
    for node in tree.nodes_mut() {
        Quantity::PREDICTED.into_iter().for_each(|quantity| node.set(quantity, 1.0));
        node.marks.insert(Mark::Extrapolated);
        node.extra.get_or_insert_default().insert(Node::EXTRAPOLATED_FIELD.into(), json!({"flops": 2.0}));
    }
    assert_eq!(tree.root().extrapolated(), [("flops", 2.0)]);
    tree.clear_predictions();
    assert_eq!(tree, before);
    tree.node_mut(NodeId::ROOT).set(Quantity::Latency, 1.0);
    tree.clear_predictions();
    assert_eq!(tree.root().get(Quantity::Latency), Some(1.0));
}

#[test]
fn a_repeated_node_equals_the_first_but_for_its_name_and_its_parameters() {
    let build = |repeats: bool| {
        model(|builder| {
            builder.reserve(10);
            builder.leaf("before", "Tanh", Level::Ml, None);
            let place = builder.place();
            assert_eq!(place, 2);
            for layer in 0..3 {
                if repeats && layer > 0 {
                    builder.repeat(place, &format!("layer{layer}"), 5 * layer);
                    continue;
                }
                builder.enter(&format!("layer{layer}"), "Layer", Level::Module);
                builder.enter("inner", "Part", Level::Module);
                builder.leaf("a", "Linear", Level::Ml, Some(linear(1 + 5 * layer)));
                builder.leave();
                builder.leave();
            }
        })
    };
    assert_eq!(build(true), build(false));
    assert_whole(&build(true));
}

#[test]
fn only_what_stands_below_the_open_node_is_repeated() {
    for place in [0, 2, 9] {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "M", Level::Model);
        builder.enter("a", "Part", Level::Module);
        builder.leaf("b", "Tanh", Level::Ml, None);
        builder.leave();
        builder.repeat(place, "again", 0);
        builder.leave();
        let error = builder.finish().unwrap_err().to_string();
        assert!(error.contains("not below the open one"), "{place}: {error}");
    }
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model);
    assert!(builder.finish().unwrap_err().to_string().contains("entered and not left"));
}

#[test]
fn a_run_on_several_gpus_says_where_each_node_runs() {
    let build = |tensor, pipeline| {
        let x = Operand::activation([4, 8], Format::F32);
        let sent = Operation::new(OpKind::SendRecv, &[x], x);
        let mut builder =
            TreeBuilder::new("m", Size::new(1, 1)).spread_over(Parallel { tensor, pipeline, ..Parallel::default() });
        builder.enter("root", "M", Level::Model);
        builder.enter("stage", "Part", Level::Module);
        builder.leaf("a", "Linear", Level::Ml, None);
        builder.leaf("send", "SendRecv", Level::Ml, Some(sent));
        builder.leave();
        builder.leaf("b", "Linear", Level::Ml, Some(linear(1)));
        builder.leave();
        builder.finish().unwrap().nodes().iter().map(|node| node.gpus).collect::<Vec<_>>()
    };
    assert_eq!(build(1, 1), [1; 5]);
    assert_eq!(build(4, 1), [4; 5]);
    // Both ends of what is sent, and all GPUs above it.
    assert_eq!(build(4, 3), [12, 12, 4, 8, 4]);
}

#[test]
fn tokens_are_those_of_all_sequences_micro_batches_or_generated_ones() {
    let mut tree = two_layers();
    assert_eq!(tree.tokens(), 16);
    tree.training = Some(Training { accumulate: 4, ..Training::default() });
    assert_eq!(tree.tokens(), 64);
    tree.generated = 5;
    assert_eq!(tree.tokens(), 10);
}

#[test]
fn names_and_ids_of_a_run_say_what_is_not_usual() {
    let mut tree = two_layers();
    let last = tree.ids().last().unwrap();
    assert_eq!((tree.to_string(), tree.interchange_id(last)), ("m 2x8".into(), "m/2/8/8".into()));
    tree.size = tree.size.after(3);
    tree.generated = 4;
    tree.precision = Precision::of(Format::BF16);
    tree.kernels = Kernels::Fused;
    tree.parallel = Parallel { tensor: 2, ..Parallel::default() };
    tree.training = Some(Training { checkpoint: Checkpoint::Layer, ..Training::default() });
    assert_eq!(
        tree.to_string(),
        "m 2x8+3 and 4 generated in bf16, fused, tensor parallel 2, training by adamw, checkpoint layer"
    );
    assert_eq!(
        tree.interchange_id(last),
        "m/2/8+3+g4/bf16/fused/tensor parallel 2/training by adamw, checkpoint layer/8"
    );
    tree.node_mut(last).id = Some("mine".into());
    assert_eq!(tree.interchange_id(last), "mine");
}

#[test]
fn an_operation_is_named_by_its_kind_or_its_gradient_and_knows_its_bias() {
    let x = Operand::activation([4, 8], Format::F32);
    let op = |kind| Operation::new(kind, &[x], x);
    let gradient = |kind| Operation { is_gradient: true, ..op(kind) };
    assert_eq!((op(OpKind::Softmax).name(), gradient(OpKind::Softmax).name()), ("Softmax", "SoftmaxBackward"));
    assert_eq!((op(OpKind::MatMul).name(), gradient(OpKind::MatMul).name()), ("MatMul", "MatMul"));
    assert!(Operation::on_host(OpKind::Add).on_host && !op(OpKind::Add).on_host);
    let (weight, bias) = (Operand::parameter([8, 8], Format::F32), Operand::parameter([8], Format::F32));
    let product = |inputs: &[Operand]| Operation::new(OpKind::Linear, inputs, x);
    let with = product(&[x, weight, bias]);
    assert_eq!(
        [&with, &product(&[x, weight, weight]), &product(&[x, bias])].map(Operation::has_bias),
        [true, false, false]
    );
    assert_eq!(with.clone().in_one_kernel().fused, [OpKind::Add]);
    assert!(
        product(&[x, weight]).in_one_kernel().fused.is_empty() && op(OpKind::Softmax).in_one_kernel().fused.is_empty()
    );
    assert_eq!(op(OpKind::RmsNorm).in_one_kernel().fused, [OpKind::Mul]);
    assert_eq!(with.fused_with(&[OpKind::Gelu]).in_one_kernel().fused, [OpKind::Gelu]);
    // Where nothing is told apart by its id, operations that cost the same are equal.
    assert_eq!(linear(1).without_identities(), linear(2).without_identities());
    assert_ne!(linear(1), linear(2));
    let ids: Vec<_> = linear(3).parameters().collect();
    assert_eq!(ids, [(Some(ParameterId::new(3)), 64)]);
}

#[test]
fn a_shape_has_its_last_dimension_and_its_name() {
    let mut shape = crate::Shape::from([2, 3]);
    assert_eq!((shape.last(), shape.to_string(), format!("{shape:?}")), (3, "2x3".into(), "[2, 3]".into()));
    shape.dims_mut()[1] = 5;
    assert_eq!((shape.dims(), shape.elements()), (&[2, 5][..], 10));
    let scalar = crate::Shape::default();
    assert_eq!((scalar.last(), scalar.elements(), scalar.to_string()), (1, 1, "scalar".into()));
    assert_eq!(Operand::activation(shape, Format::F16).bytes(), 20);
}

#[test]
fn a_node_says_how_it_was_measured() {
    let mut tree = two_layers();
    let node = tree.node_mut(NodeId::ROOT);
    assert_eq!(
        (node.half_width(Quantity::Latency), node.measured_rounds(), node.is_energy_estimated()),
        (None, None, false)
    );
    let measurement =
        json!({"latency_half_width": 0.5, "energy_half_width": 0.25, "rounds": 7, "energy_provenance": "estimated"});
    node.extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), measurement);
    let half =
        [Quantity::Latency, Quantity::GroundTruthEnergy, Quantity::Flops].map(|quantity| node.half_width(quantity));
    assert_eq!(half, [Some(0.5), Some(0.25), None]);
    assert_eq!((node.measured_rounds(), node.is_energy_estimated()), (Some(7), true));
    node.extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), json!({"energy_provenance": "measured"}));
    assert!(!node.is_energy_estimated());
    node.set(Quantity::Flops, 1.0);
    node.clear(Quantity::Flops);
    assert_eq!(node.get(Quantity::Flops), None);
}

#[test]
fn a_shared_operation_is_the_same_one_where_it_has_no_parameters_to_tell_apart() {
    let x = Operand::activation([4], Format::F32);
    let tree = model(|builder| {
        builder.leaf("a", "Tanh", Level::Ml, Some(Operation::new(OpKind::Tanh, &[x], x)));
        builder.repeat(1, "b", 3);
    });
    let operations: Vec<_> = tree.nodes().iter().filter_map(|node| node.operation.as_ref()).collect();
    assert!(Arc::ptr_eq(operations[0], operations[1]));
}

#[test]
fn what_is_spent_by_children_that_run_several_times_is_theirs() {
    let energy = Quantity::PredictedEnergy;
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model).set(energy, 20.0);
    let part = builder.enter("part", "Part", Level::Module);
    part.set(energy, 6.0);
    part.set_times(3.0);
    let leaf = builder.leaf("a", "Linear", Level::Ml, None);
    leaf.set(energy, 2.0);
    leaf.set_times(2.0);
    builder.leaf("unknown", "Linear", Level::Ml, None);
    builder.leave();
    builder.leave();
    let tree = builder.finish().unwrap();
    let spent: Vec<_> = tree.ids().map(|id| tree.spent_itself(id, energy)).collect();
    assert_eq!(spent, [Some(2.0), Some(6.0), Some(12.0), None]);
    let text = crate::render::folded(&tree, energy);
    assert_eq!(text, "root 2000000000\nroot;part 6000000000\nroot;part;a 12000000000\n");
}

#[test]
fn a_tree_is_sixty_nodes_deep_at_most_and_every_node_has_a_name() {
    let check = |depth: usize, name: &str| {
        let tree = model(|builder| {
            for _ in 1..depth {
                builder.enter("x", "Part", Level::Module);
            }
            builder.leaf(name, "Linear", Level::Ml, None);
            (1..depth).for_each(|_| builder.leave());
        });
        tree.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(60, "x"), Ok(()));
    assert!(check(61, "x").unwrap_err().contains("60 nodes deep"));
    assert!(check(1, "").unwrap_err().contains("must extend its parent's"));
}

#[test]
fn a_file_leaves_out_what_an_operation_has_none_of() {
    let json = |op: &Operation| serde_json::to_value(op).unwrap();
    let plain = json(&linear(1));
    assert_eq!(plain["output"], json!({"shape": [4, 8], "format": "f32"}));
    assert!(
        ["pairs", "touched", "gpus", "fused", "is_gradient", "on_host"].iter().all(|field| plain.get(field).is_none())
    );
    let op = Operation { pairs: 3, touched: 4, gpus: 5, is_gradient: true, on_host: true, ..linear(1) };
    let (full, again) = (json(&op), serde_json::from_value::<Operation>(json(&op)).unwrap());
    assert_eq!((&full["pairs"], &full["touched"], &full["gpus"]), (&json!(3), &json!(4), &json!(5)));
    assert_eq!(again, op);
}

#[test]
fn a_run_on_gpus_and_a_step_of_training_survive_their_file() {
    let mut tree = two_layers().without_math();
    tree.parallel = Parallel { tensor: 2, ..Parallel::default() };
    tree.training = Some(Training { accumulate: 4, ..Training::default() });
    let last = tree.ids().last().unwrap();
    tree.node_mut(last).gpus = 2;
    let read = |tree: &Tree| crate::jsonl::parse_tree(crate::jsonl::to_json(tree).as_bytes(), "memory", 1).unwrap();
    let again = read(&tree);
    assert_eq!((again.parallel, again.training), (tree.parallel, tree.training));
    assert_eq!(again.node(last).gpus, 2);
}

#[test]
fn the_last_bits_of_a_sum_are_nothing_however_large_it_is() {
    let energy = Quantity::PredictedEnergy;
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    let sum: f64 = 100_000.1 + 200_000.2;
    builder.enter("root", "M", Level::Model).set(energy, sum.next_up());
    builder.leaf("a", "Linear", Level::Ml, None).set(energy, 100_000.1);
    builder.leaf("b", "Linear", Level::Ml, None).set(energy, 200_000.2);
    builder.leave();
    assert_eq!(builder.finish().unwrap().spent_itself(NodeId::ROOT, energy), Some(0.0));
}
