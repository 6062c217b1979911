//! Steps of training, followed by shape.

use irene_models::{
    ModelSpec, Run, TaskHead,
    flexibert::{Design, Head, LayerDesign},
};
use irene_tree::{Checkpoint, Format, Kernels, OpKind, Operation, Precision, Quantity, Size, Training, Tree};

fn step(training: Training) -> Run {
    Run { training: Some(training), ..Size::new(2, 64).into() }
}

fn flops(tree: &Tree, scope: &str) -> f64 {
    tree.node(tree.find(scope).unwrap()).get(Quantity::Flops).unwrap()
}

/// FLOPs of products and attentions.
fn products(phase: &[(Operation, f64)]) -> f64 {
    let is_product = |op: &Operation| {
        matches!(
            op.kind,
            OpKind::MatMul | OpKind::Linear | OpKind::Conv1D | OpKind::GroupedLinear | OpKind::Convolution
        )
    };
    let of = |op: &Operation| {
        let rows = op.output.shape.elements() as f64;
        if op.kind == OpKind::Linear {
            2.0 * rows * op.inputs[0].shape.last() as f64
        } else {
            irene_features::cost::irene(op).flops as f64
        }
    };
    phase.iter().filter(|(op, _)| is_product(op)).map(|(op, times)| times * of(op)).sum()
}

#[test]
fn a_step_has_a_forward_pass_a_backward_pass_and_an_update() {
    let bert = ModelSpec::find("bert-base-uncased").unwrap();
    let tree = bert.trace(step(Training::default())).unwrap();
    tree.check().unwrap();
    tree.clone().into_without_math().check().unwrap();
    let names: Vec<&str> = tree.children(irene_tree::NodeId::ROOT).map(|id| tree.node(id).name()).collect();
    assert_eq!(names, ["forward", "backward", "optimizer"]);
    assert_eq!(tree.root().instance_type(), "TrainingStep");
    for scope in [
        "root.backward.bert.encoder.0.attention.self.query.weight",
        "root.optimizer.bert.encoder.3.output.LayerNorm",
        "root.forward.loss",
    ] {
        assert!(tree.find(scope).is_some(), "{scope}");
    }
    assert_eq!(
        tree.root().get(Quantity::NumParameters),
        bert.trace(Run { head: TaskHead::Lm, ..Size::new(2, 64).into() }).unwrap().root().get(Quantity::NumParameters)
    );
    assert!(flops(&tree, "root.backward") > 1.99 * flops(&tree, "root.forward"));
}

#[test]
fn each_update_of_a_module_has_a_scope_of_its_own() {
    let tree = ModelSpec::find("gpt2").unwrap().trace(step(Training::default())).unwrap();
    let scopes: Vec<&str> = tree.nodes().iter().map(irene_tree::Node::scope).collect();
    for of in ["ln_1", "attn.c_attn"] {
        for name in ["weight", "bias"] {
            let ending = format!(".0.{of}.{name}");
            let is_it = |scope: &&&str| scope.starts_with("root.optimizer.") && scope.ends_with(&ending);
            assert_eq!(scopes.iter().filter(is_it).count(), 1, "{ending}");
        }
    }
}

/// The backward pass of a product is two products, except where it reads what depends on nothing that is trained.
#[test]
fn every_family_is_trained() {
    for name in ModelSpec::builtin_names() {
        let spec = ModelSpec::find(&name).unwrap();
        for kernels in [Kernels::Eager, Kernels::Fused] {
            for (checkpoint, lora_rank) in [(Checkpoint::None, 0), (Checkpoint::Layer, 8), (Checkpoint::Full, 0)] {
                let training = Training { checkpoint, lora_rank, ..Training::default() };
                let precision = Precision::of(Format::BF16);
                let tree = spec.trace(Run { kernels, precision, ..step(training) }).unwrap();
                tree.check().unwrap();
                tree.into_without_math().check().unwrap();
            }
        }
        let phases = spec.training_phases(step(Training::default())).unwrap();
        let ratio = products(&phases.backward) / products(&phases.forward);
        // Mamba's convolutions are activated in their own kernel, and an indexer is not trained.
        let least = if spec.field("index_topk").is_some() { 1.9 } else { 1.97 };
        assert!((least..=2.0001).contains(&ratio), "{name}: {ratio}");
    }
}

/// Convolutions, steps, decays and norms, beside the products around them.
#[test]
fn every_parameter_of_layers_of_states_is_updated() {
    for name in ["NVIDIA-Nemotron-Nano-9B-v2", "falcon-mamba-7b"] {
        let spec = ModelSpec::find(name).unwrap();
        for kernels in [Kernels::Eager, Kernels::Fused] {
            let memory = spec.training_memory(Run { kernels, ..step(Training::default()) }).unwrap();
            assert_eq!(memory.gradients, memory.weights, "{name} {kernels:?}");
        }
    }
}

#[test]
fn designs_are_trained() {
    let heads = |head: Head| vec![head; 4];
    let layer = |hidden, heads| LayerDesign { hidden, heads, feed_forward: vec![512, 256] };
    let all = [Head::ScaledDotProduct, Head::Weighted, Head::Dft, Head::Dct, Head::Convolution(9)];
    let layers = all.map(|head| layer(256, heads(head)));
    let design = Design::new(layers.into_iter().chain([layer(128, heads(Head::Weighted))]).collect()).unwrap();
    let spec = ModelSpec::from_design("all", &design).unwrap();
    for head in [TaskHead::Lm, TaskHead::Classification] {
        let tree = spec.trace(Run { head, ..step(Training::default()) }).unwrap();
        tree.check().unwrap();
        tree.into_without_math().check().unwrap();
        let phases = spec.training_phases(Run { head, ..step(Training::default()) }).unwrap();
        let ratio = products(&phases.backward) / products(&phases.forward);
        // Layers of transforms compute keys that nothing reads, and so nothing has a gradient of them.
        assert!((1.92..=2.0001).contains(&ratio), "{ratio}");
    }
}
