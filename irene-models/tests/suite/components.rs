//! Every built-in model falls into the same parts, whatever its family calls them.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Component, Kernels, Quantity, Size, Tree};

fn trees() -> impl Iterator<Item = Tree> {
    let ways =
        [(Kernels::Eager, TaskHead::Lm), (Kernels::Fused, TaskHead::Lm), (Kernels::Eager, TaskHead::Classification)];
    ModelSpec::builtin_names().flat_map(move |name| {
        let spec = ModelSpec::builtin(&name).unwrap();
        let run = |(kernels, head)| Run { kernels, head, shows_math: true, ..Size::new(1, 8).into() };
        ways.into_iter().filter_map(move |way| spec.trace(run(way)).ok())
    })
}

#[test]
fn no_product_and_no_table_is_without_a_component() {
    for tree in trees() {
        for id in tree.ids() {
            let node = tree.node(id);
            let does_work = ["Linear", "Conv1D", "GroupedLinear", "MatMul", "Softmax", "FusedAttention", "Embedding"]
                .contains(&node.instance_type());
            let place = format!("{}: {} ({})", tree.model_name, node.scope(), node.instance_type());
            // DeepSeek-V4's layers multiply where others add: they mix streams.
            let is_in_layer =
                tree.parent(id).is_some_and(|above| tree.node(above).instance_type() == "DeepseekV4DecoderLayer");
            let mixes = is_in_layer && node.name() == "matmul";
            assert!(!does_work || mixes || tree.component(id) != Component::Other, "{place}");
        }
    }
}

#[test]
fn every_model_has_the_usual_parts_and_their_flops_add_up() {
    for tree in trees() {
        let parts = tree.components(Quantity::Flops);
        let of = |component| parts.iter().find(|(known, _)| *known == component).map_or(0.0, |(_, flops)| *flops);
        let (name, whole) = (&tree.model_name, tree.root().get(Quantity::Flops).unwrap());
        let sum: f64 = parts.iter().map(|(_, flops)| flops).sum();
        assert!((sum - whole).abs() < 1e-9 * whole, "{name}: {sum} of {whole}");
        for component in [Component::Attention, Component::FeedForward, Component::Norms, Component::Head] {
            // The first Mamba's layers have states alone.
            let is_lacking = name == "falcon-mamba-7b" && component == Component::FeedForward;
            assert_eq!(of(component) > 0.0, !is_lacking, "{name}: {}", component.name());
        }
        assert!(of(Component::Other) < 0.02 * whole, "{name}: {} of {whole}", of(Component::Other));
    }
}

#[test]
fn the_parts_of_families_stand_for_the_same() {
    // By parameters, counted by hand from the configs: four matrices of attention, and two or three of the feed-forward part, in each layer.
    let flops = |name: &str| {
        let spec = ModelSpec::builtin(name).unwrap();
        let run = Run { head: TaskHead::Lm, kernels: Kernels::Fused, ..Size::new(1, 1).into() };
        let parts = spec.trace(run).unwrap().components(Quantity::Flops);
        move |component| parts.iter().find(|(known, _)| *known == component).map_or(0.0, |(_, flops)| *flops)
    };
    let near = |ratio: f64, expected: f64| assert!((ratio / expected - 1.0).abs() < 0.02, "{ratio} for {expected}");
    let bert = flops("bert-base-uncased");
    near(bert(Component::FeedForward) / bert(Component::Attention), 2.0);
    let gpt2 = flops("gpt2");
    near(gpt2(Component::FeedForward) / gpt2(Component::Attention), 2.0);
    let llama = flops("Llama-3.1-8B");
    near(llama(Component::FeedForward) / llama(Component::Attention), 3.0 * 14336.0 / (2.0 * 4096.0 + 2.0 * 1024.0));
}
