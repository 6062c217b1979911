//! Laws of a step of training, over small made-up models.

use std::ops::Range;

use irene_models::{ModelSpec, Run, TaskHead, TrainingMemory};
use irene_tree::{Checkpoint, Kernels, NodeId, OpKind, Operation, Optimizer, Parallel, Quantity, Size, Training, Tree};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::json;

use crate::support::{self, product_flops};

/// A model and a step of it.
#[derive(Debug)]
struct Step {
    spec: ModelSpec,
    run: Run,
    training: Training,
}

impl Step {
    fn run(&self, training: Training) -> Run {
        Run { training: Some(training), ..self.run }
    }

    fn tree(&self, training: Training) -> Tree {
        self.spec.trace(self.run(training)).unwrap()
    }

    fn memory(&self, training: Training) -> TrainingMemory {
        self.spec.training_memory(self.run(training)).unwrap()
    }
}

/// BERT, GPT-2, Llama or Qwen3-MoE of random sizes, with as many layers and this probability for every dropout.
fn step(layers: Range<usize>, dropout: f64) -> impl Strategy<Value = Step> {
    let sizes = (1_usize..4, layers, 1_usize..6, 1_usize..50, 1_usize..3);
    let input = (1_usize..4, 1_usize..12, any::<bool>(), any::<bool>());
    let training = (0..Optimizer::ALL.len(), 1_usize..4, prop::sample::select(vec![0_usize, 1, 4]));
    (0..4_usize, sizes, input, training).prop_map(move |(family, sizes, input, training)| {
        let (groups, layers, half, inner, share) = sizes;
        let (heads, hidden) = (groups * share, groups * share * 4 * half);
        let fields = match family {
            0 => json!({"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                "intermediate_size": inner, "vocab_size": 19, "max_position_embeddings": 16, "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": dropout}),
            1 => json!({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads, "n_inner": inner,
                "n_positions": 16, "vocab_size": 19, "attn_pdrop": dropout, "embd_pdrop": dropout, "resid_pdrop": dropout}),
            2 => json!({"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                "num_key_value_heads": groups, "head_dim": 4 * half, "intermediate_size": inner, "vocab_size": 19,
                "max_position_embeddings": 16, "attention_dropout": dropout}),
            _ => json!({"model_type": "qwen3_moe", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                "num_key_value_heads": groups, "head_dim": 4 * half, "intermediate_size": inner, "moe_intermediate_size": inner,
                "num_experts": 4, "num_experts_per_tok": 2, "vocab_size": 19, "max_position_embeddings": 16,
                "attention_dropout": dropout}),
        };
        let (sequences, tokens, is_fused, classifies) = input;
        let kernels = if is_fused { Kernels::Fused } else { Kernels::Eager };
        let head = if classifies { TaskHead::Classification } else { TaskHead::Lm };
        let (optimizer, accumulate, lora_rank) = training;
        Step {
            spec: support::spec(fields),
            run: Run { kernels, head, ..Size::new(sequences, tokens).into() },
            training: Training { optimizer: Optimizer::ALL[optimizer], accumulate, lora_rank, ..Training::default() },
        }
    })
}

fn flops(tree: &Tree, scope: &str) -> f64 {
    tree.node(tree.find(scope).unwrap()).get(Quantity::Flops).unwrap()
}

fn operations(tree: &Tree, within: NodeId) -> Vec<Operation> {
    let ids = tree.ids().skip(within.index()).take(tree.subtree(within).len());
    ids.filter_map(|id| tree.node(id).operation.as_deref().cloned().map(Operation::without_identities)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    /// Where everything is trained, every linear layer reads what depends on something trained.
    #[test]
    fn the_backward_pass_of_a_linear_layer_costs_its_products_twice(step in step(1..4, 0.1)) {
        let tree = step.tree(Training { lora_rank: 0, ..step.training });
        let mut layers = 0;
        for id in tree.ids() {
            let Some(operation) = tree.node(id).operation.as_deref() else { continue };
            let scope = tree.node(id).scope();
            let (OpKind::Linear | OpKind::Conv1D, Some(path)) = (operation.kind, scope.strip_prefix("root.forward.")) else {
                continue;
            };
            let backward = tree.find(&format!("root.backward.{path}")).unwrap();
            let gradients: f64 = operations(&tree, backward).iter().map(product_flops).sum();
            prop_assert_eq!(gradients, 2.0 * product_flops(operation), "{}", path);
            layers += 1;
        }
        prop_assert!(layers > 2);
    }

    /// A single layer is computed again whole while everything else is there, and the inputs that are kept come on top. With adapters
    /// transformers has gradients go on to the tokens' rows as well.
    #[test]
    fn checkpoints_of_several_layers_never_save_flops_nor_cost_memory(step in step(2..5, 0.1)) {
        let of = |checkpoint| {
            let training = Training { checkpoint, lora_rank: 0, ..step.training };
            (step.tree(training).root().get(Quantity::Flops).unwrap(), step.memory(training))
        };
        let (flops, memory) = of(Checkpoint::None);
        for checkpoint in [Checkpoint::Layer, Checkpoint::Full] {
            let (more, less) = of(checkpoint);
            prop_assert!(more >= flops, "{:?}: {} of {}", checkpoint, more, flops);
            prop_assert!(less.activations <= memory.activations, "{:?}: {:?} of {:?}", checkpoint, less, memory);
            prop_assert!(less.total() <= memory.total(), "{:?}: {:?} of {:?}", checkpoint, less, memory);
        }
    }

    /// The loss apart, a step's forward pass is the pass of inference.
    #[test]
    fn without_dropout_the_forward_pass_is_that_of_inference(step in step(1..4, 0.0)) {
        let tree = step.tree(Training { lora_rank: 0, ..step.training });
        let inference = step.spec.trace(step.run).unwrap();
        prop_assert_eq!(inference.training, None);
        let mut forward = operations(&tree, tree.find("root.forward").unwrap());
        let of_loss = operations(&tree, tree.find("root.forward.loss").unwrap()).len();
        forward.truncate(forward.len() - of_loss);
        prop_assert_eq!(forward, operations(&inference, NodeId::ROOT));
    }

    #[test]
    fn passes_are_linear_in_micro_batches_and_updates_do_not_depend_on_them(step in step(1..4, 0.1)) {
        let of = |accumulate| step.tree(Training { accumulate, ..step.training });
        let (one, more) = (of(1), of(step.training.accumulate));
        let times = step.training.accumulate as f64;
        prop_assert_eq!(operations(&one, one.find("root.forward").unwrap()), operations(&more, more.find("root.forward").unwrap()));
        prop_assert_eq!(more.node(more.find("root.forward").unwrap()).times(), times);
        prop_assert_eq!(more.node(more.find("root.backward").unwrap()).times(), times);
        // Gradients of later micro-batches are added to those of earlier ones, once for each number.
        prop_assert!(flops(&more, "root.backward") >= flops(&one, "root.backward"));
        prop_assert_eq!(flops(&more, "root.optimizer"), flops(&one, "root.optimizer"));
    }

    /// Adapters are trained alone: fewer gradients and states, and no gradient of a weight beside theirs.
    #[test]
    fn adapters_train_nothing_else(step in step(1..4, 0.1)) {
        let lora = Training { lora_rank: 2, ..step.training };
        let (adapted, whole) = (step.tree(lora), step.tree(Training { lora_rank: 0, ..step.training }));
        for id in adapted.ids().filter(|id| ["weight", "bias"].contains(&adapted.node(*id).name())) {
            let scope = adapted.node(id).scope();
            prop_assert!(scope.contains(".lora_A.") || scope.contains(".lora_B."), "{}", scope);
        }
        prop_assert!(flops(&adapted, "root.forward") > flops(&whole, "root.forward"));
        let memory = step.memory(lora);
        let thin: u64 = (memory.weights - step.memory(Training { lora_rank: 0, ..step.training }).weights) / 4;
        prop_assert_eq!(memory.gradients, 4 * thin);
        // Beside weights in blocks they are in the format of the activations too.
        let packed = Run { precision: "nf4,bf16".parse().unwrap(), ..step.run };
        let memory = step.spec.training_memory(Run { training: Some(lora), ..packed }).unwrap();
        prop_assert_eq!(memory.weights - step.spec.share_bytes(packed).unwrap(), memory.gradients);
    }
}

/// Scores by position are a bias of the one kernel, and are learned there as they are between single operations.
#[test]
fn fused_kernels_train_the_parameters_that_eager_ones_do() {
    let own = [
        r#""model_type":"mpnet""#,
        r#""model_type":"deberta-v2","relative_attention":true,"position_buckets":4,"pos_att_type":"c2p|p2c""#,
        r#""model_type":"deberta-v2","relative_attention":true,"pos_att_type":"c2p|p2c","share_att_key":true"#,
    ];
    for own in own {
        let json = format!(
            r#"{{{own},"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":8,"vocab_size":19,
            "max_position_embeddings":16}}"#
        );
        let spec = support::spec(json);
        let [eager, fused] = [Kernels::Eager, Kernels::Fused].map(|kernels| {
            let run = Run { kernels, training: Some(Training::default()), ..Size::new(2, 5).into() };
            spec.training_memory(run).unwrap().gradients
        });
        assert_eq!(eager, fused, "{own}");
    }
}

/// Experts that are spread over the copies of a model are not in all of them.
#[test]
fn copies_add_up_the_gradients_of_what_they_share() {
    let fields = json!({"model_type": "qwen3_moe", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 8, "moe_intermediate_size": 8, "num_experts": 4,
        "num_experts_per_tok": 2, "vocab_size": 19, "max_position_embeddings": 16});
    let spec = support::spec(fields);
    // Numbers, and the GPUs that add them up.
    let exchanged = |parallel: Parallel| -> Vec<(u64, u64)> {
        let training = Some(Training::default());
        let tree = spec.trace(Run { parallel, training, head: TaskHead::Lm, ..Size::new(8, 4).into() }).unwrap();
        let below_root = tree.children(NodeId::ROOT).filter_map(|id| tree.node(id).operation.as_deref());
        below_root.map(|operation| (operation.output.shape.elements(), operation.gpus)).collect()
    };
    let of = |data, expert| exchanged(Parallel { data, expert, ..Parallel::default() });
    let experts = 4 * 3 * 16 * 8;
    let [(others, 8), (all_experts, 8)] = of(8, 1)[..] else { panic!("{:?}", of(8, 1)) };
    assert_eq!((others, all_experts), (2 * 19 * 16 + 4 * 16 * 16 + 4 * 16 + 3 * 16 + 2 * 8, experts));
    assert_eq!(of(8, 4), [(others, 8), (experts / 4, 2)]);
    assert_eq!(of(4, 4), [(others, 4)]);
    assert_eq!(of(1, 1), []);
}
