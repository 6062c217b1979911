//! Runs that are spread over several GPUs, followed by shape: one GPU's share against the whole model, and what GPUs exchange by hand.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Kernels, Node, NodeId, OpKind, Parallel, Quantity, Size, Tree, jsonl};
use proptest::prelude::*;

use crate::support::spec;

const MIB: f64 = 1024.0 * 1024.0;

fn tensor(gpus: usize) -> Parallel {
    Parallel { tensor: gpus, ..Parallel::default() }
}

fn run(size: Size, parallel: Parallel) -> Run {
    Run { parallel, head: TaskHead::Lm, kernels: Kernels::Fused, ..size.into() }
}

fn of_kind(tree: &Tree, kind: OpKind) -> Vec<&Node> {
    tree.nodes().iter().filter(|node| kind_of(node) == Some(kind)).collect()
}

fn kind_of(node: &Node) -> Option<OpKind> {
    node.operation.as_ref().map(|op| op.kind)
}

fn is_exchange(node: &Node) -> bool {
    let kinds = [OpKind::AllReduce, OpKind::AllGather, OpKind::SendRecv, OpKind::AllToAll];
    kind_of(node).is_some_and(|kind| kinds.contains(&kind))
}

fn sum(nodes: &[&Node], quantity: Quantity) -> f64 {
    nodes.iter().map(|node| node.get(quantity).unwrap()).sum()
}

/// 32 sequences, a token each: what a layer hands on is 32 x 8192 numbers of 2 bytes, half a MiB.
#[test]
fn llama_3_1_70b_on_four_gpus_exchanges_what_a_hand_counts() {
    let llama = spec(
        r#"{"model_type":"llama","hidden_size":8192,"num_hidden_layers":80,"num_attention_heads":64,"num_key_value_heads":8,
            "intermediate_size":28672,"vocab_size":128256,"max_position_embeddings":131072,"torch_dtype":"bfloat16"}"#,
    );
    let precision = llama.config().precision().unwrap();
    let step = Run { precision, ..run(Size::new(32, 1).after(1000), tensor(4)) };
    let tree = llama.trace(step).unwrap();
    tree.check().unwrap();
    // The embeddings, and two branches a layer.
    let sums = of_kind(&tree, OpKind::AllReduce);
    assert_eq!(sums.len(), 1 + 2 * 80);
    assert!(sums.iter().all(|node| node.get(Quantity::LinkBytes) == Some(2.0 * 0.5 * 3.0 / 4.0)));
    assert!(sums.iter().all(|node| node.get(Quantity::Flops) == Some(32.0 * 8192.0 * 3.0 / 4.0 / 1e6)));
    // A quarter of the vocabulary to each of three others.
    let logits = of_kind(&tree, OpKind::AllGather);
    assert_eq!(logits.len(), 1);
    assert_eq!(logits[0].get(Quantity::LinkBytes), Some(3.0 * 32.0 * 128_256.0 / 4.0 * 2.0 / MIB));
    let all = sum(&sums, Quantity::LinkBytes) + logits[0].get(Quantity::LinkBytes).unwrap();
    assert!((tree.root().get(Quantity::LinkBytes).unwrap() - all).abs() < 1e-9 * all);
    // 2 heads of keys and of values: 1001 tokens read, one written.
    let cached = 80.0 * 32.0 * 2.0 * 2.0 * 128.0 * (1001.0 + 1.0) * 2.0;
    assert_eq!(tree.root().get(Quantity::CacheBytes).map(|mib| mib * MIB), Some(cached));
    // Norms are on every GPU, all else is split.
    let whole = llama.trace(Run { parallel: Parallel::default(), ..step }).unwrap();
    let (of_one, of_all) = [&tree, &whole].map(|tree| tree.root().get(Quantity::NumParameters).unwrap()).into();
    let norms = 161.0 * 8192.0;
    assert_eq!(of_all, 70_553_706_496.0);
    assert_eq!(4.0 * (of_one - norms), of_all - norms);
    assert!(tree.nodes().iter().all(|node| node.gpus == 4));
    assert_eq!(whole.root().get(Quantity::LinkBytes), None);
}

/// A config of a family whose heads, inner numbers, experts and vocabulary 4 GPUs can split.
fn config(family: &str, layers: usize, heads: usize, width: usize, inner: usize) -> String {
    let (heads, width, inner) = (4 * heads, 8 * width, 4 * inner);
    let mut fields = format!(
        r#""model_type":"{family}","hidden_size":{},"num_hidden_layers":{layers},"num_attention_heads":{heads},"intermediate_size":{inner},
           "vocab_size":512,"max_position_embeddings":64"#,
        heads * width
    );
    if family != "gpt_neox" {
        fields += r#","num_key_value_heads":4"#;
    }
    fields += match family {
        "deepseek_v3" | "deepseek_v32" => {
            r#","q_lora_rank":6,"kv_lora_rank":6,"qk_nope_head_dim":4,"qk_rope_head_dim":4,"v_head_dim":4,"moe_intermediate_size":8,
               "n_routed_experts":8,"n_shared_experts":1,"num_experts_per_tok":2,"n_group":2,"topk_group":1"#
        }
        "mimo_v2_flash" => {
            r#","head_dim":8,"v_head_dim":4,"swa_num_key_value_heads":4,"partial_rotary_factor":0.5,"moe_intermediate_size":8,
               "n_routed_experts":8,"num_experts_per_tok":2"#
        }
        "mixtral" | "gpt_oss" => r#","num_local_experts":8,"num_experts_per_tok":2"#,
        "qwen2_moe" => {
            r#","num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":8,"shared_expert_intermediate_size":8"#
        }
        "qwen3_moe" => r#","num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":8"#,
        "granitemoeshared" => r#","num_local_experts":8,"num_experts_per_tok":2,"shared_intermediate_size":8"#,
        _ => "",
    };
    if family == "deepseek_v32" {
        fields += r#","index_topk":2,"index_n_heads":3,"index_head_dim":6"#;
    }
    if ["deepseek_v3", "deepseek_v32", "mimo_v2_flash"].contains(&family) {
        fields += &format!(r#","first_k_dense_replace":{}"#, layers - 1);
    }
    format!("{{{fields}}}")
}

const FAMILIES: [&str; 16] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "granite",
    "phi3",
    "gpt_neox",
    "deepseek_v3",
    "mimo_v2_flash",
    "deepseek_v32",
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "gpt_oss",
    "granitemoeshared",
];

/// The nodes whose parameters every GPU has: norms, routers, indexers, and the way to latent vectors, which all heads share.
const REPLICATED: [&str; 7] =
    ["rotary_emb.", ".gate.", ".router.", ".shared_expert_gate", ".q_a_proj", ".kv_a_proj_with_mqa", ".indexer."];

fn is_replicated(node: &Node) -> bool {
    node.instance_type().to_lowercase().contains("norm")
        || REPLICATED.iter().any(|name| node.scope().contains(name))
        // gpt-oss scores its sinks with the heads; what a module adds to its own parameters is no product.
        || kind_of(node) == Some(OpKind::Add)
}

/// Products of parameters or of activations, whose work is split.
fn is_product(node: &Node) -> bool {
    let kinds = [OpKind::Linear, OpKind::MatMul, OpKind::GroupedLinear, OpKind::Attention, OpKind::Softmax];
    kind_of(node).is_some_and(|kind| kinds.contains(&kind))
}

/// The bias of a product whose inputs are split is added on every GPU.
fn bias(node: &Node) -> f64 {
    let op = node.operation.as_ref().unwrap();
    op.parameters().skip(1).map(|(_, numbers)| numbers as f64).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_shares_of_all_gpus_come_to_the_whole_model(
        family in prop::sample::select(FAMILIES.to_vec()), layers in 1..3usize, heads in 1..3usize, width in 1..3usize, inner in 1..4usize,
        gpus in prop::sample::select(vec![2usize, 4]), experts: bool, batch in 1..3usize, tokens in 1..3usize, past in 0..3usize,
        is_fused: bool,
    ) {
        let spec = spec(config(family, layers, heads, width, inner));
        let mixtures = [
            "deepseek_v3",
            "deepseek_v32",
            "mimo_v2_flash",
            "mixtral",
            "qwen2_moe",
            "qwen3_moe",
            "gpt_oss",
            "granitemoeshared",
        ];
        let is_mixture = mixtures.contains(&family);
        // Rows of experts divide.
        let size = Size::new(4 * batch, tokens).after(past);
        let parallel = Parallel { expert: if experts && is_mixture { gpus } else { 1 }, ..tensor(gpus) };
        let kernels = if is_fused { Kernels::Fused } else { Kernels::Eager };
        let share = spec.trace(Run { kernels, ..run(size, parallel) }).unwrap();
        let whole = spec.trace(Run { kernels, ..run(size, Parallel::default()) }).unwrap();
        // A single head needs no copy between layouts.
        let is_compared = |node: &&Node| node.level().is_leaf() && !is_exchange(node) && kind_of(node) != Some(OpKind::Copy);
        let of_one: Vec<&Node> = share.nodes().iter().filter(is_compared).collect();
        let of_all: Vec<&Node> = whole.nodes().iter().filter(is_compared).collect();
        prop_assert_eq!(of_one.len(), of_all.len());
        let gpus = gpus as f64;
        for (one, all) in of_one.into_iter().zip(of_all) {
            prop_assert_eq!(one.scope(), all.scope());
            let get = |node: &Node, quantity| node.get(quantity).unwrap();
            let [one_parameters, all_parameters] = [one, all].map(|node| get(node, Quantity::NumParameters));
            if is_replicated(one) {
                prop_assert_eq!(one_parameters, all_parameters, "{}", one.scope());
                continue;
            }
            // Biases behind a sum over GPUs are as long as on one.
            let behind = if bias(one) == bias(all) { bias(one) } else { 0.0 };
            prop_assert!(
                gpus * (one_parameters - behind) == all_parameters - behind, "{family} {}: {one_parameters} of {all_parameters}", one.scope()
            );
            if is_product(one) && behind == 0.0 {
                let (own, all) = (get(one, Quantity::Flops), get(all, Quantity::Flops));
                prop_assert!((gpus * own - all).abs() <= 1e-9 * all, "{family} {}: {own} of {all} MFLOP", one.scope());
            }
        }
        prop_assert!(share.nodes().iter().all(|node| f64::from(node.gpus) == gpus));
        let again = jsonl::parse_tree(jsonl::to_json(&share).as_bytes(), "memory", 1).unwrap();
        prop_assert_eq!(again.parallel, parallel);
        prop_assert!(again.nodes().iter().zip(share.nodes()).all(|(a, b)| (a.gpus, &a.operation) == (b.gpus, &b.operation)));
    }

    #[test]
    fn stages_and_copies_leave_the_work_as_it_is(
        family in prop::sample::select(FAMILIES.to_vec()), layers in 1..5usize, pipeline in 1..5usize, data in 1..4usize, is_fused: bool,
    ) {
        let spec = spec(config(family, layers, 1, 1, 1));
        let parallel = Parallel { pipeline: pipeline.min(layers), data, ..Parallel::default() };
        let kernels = if is_fused { Kernels::Fused } else { Kernels::Eager };
        let size = Size::new(2 * data, 3);
        let share = spec.trace(Run { kernels, ..run(size, parallel) }).unwrap();
        let whole = spec.trace(Run { kernels, ..run(Size::new(2, 3), Parallel::default()) }).unwrap();
        for quantity in [Quantity::Flops, Quantity::NumParameters, Quantity::ParameterBytes] {
            prop_assert_eq!(share.root().get(quantity), whole.root().get(quantity));
        }
        prop_assert_eq!((share.size, share.size_of(NodeId::ROOT)), (size, Size::new(2, 3)));
        let sent = of_kind(&share, OpKind::SendRecv);
        // Fused kernels add a branch where the next norm reads the sum: both parts are sent.
        prop_assert!([1, 2].into_iter().any(|each| sent.len() == each * (parallel.pipeline - 1)), "{} sent", sent.len());
        prop_assert_eq!(share.root().gpus as usize, parallel.gpus());
        prop_assert!(sent.iter().all(|node| node.gpus as usize == 2 * data));
        prop_assert!(share.nodes().iter().filter(|node| node.level().is_leaf() && !is_exchange(node)).all(|node| node.gpus as usize == data));
    }
}

/// Fewer heads of keys than GPUs: each GPU has one, and several have the same.
#[test]
fn heads_of_keys_that_are_fewer_than_gpus_are_on_several() {
    let spec = spec(config("llama", 1, 4, 4, 4).replace("\"num_key_value_heads\":4", "\"num_key_value_heads\":2"));
    let cached = |gpus| {
        let tree = spec.trace(run(Size::new(2, 1).after(7), tensor(gpus))).unwrap();
        tree.root().get(Quantity::CacheBytes).unwrap()
    };
    assert_eq!([1, 2, 4, 8].map(cached), [1.0, 0.5, 0.5, 0.5].map(|share| share * cached(1)));
}

/// 4 copies of the attention, 64 tokens each, 8 experts on 4 GPUs, 2 experts a token.
#[test]
fn experts_over_copies_of_the_model_exchange_tokens() {
    let spec = spec(config("mixtral", 3, 1, 1, 2));
    let parallel = Parallel { data: 4, expert: 4, ..Parallel::default() };
    let tree = spec.trace(run(Size::new(16, 16), parallel)).unwrap();
    assert!(of_kind(&tree, OpKind::AllReduce).is_empty());
    let sent = of_kind(&tree, OpKind::AllToAll);
    assert_eq!(sent.len(), 2 * 3);
    // 64 x 2 rows of 32 numbers in 4 bytes, three quarters of them to other GPUs.
    assert!(sent.iter().all(|node| node.get(Quantity::LinkBytes) == Some(64.0 * 2.0 * 32.0 * 4.0 * 0.75 / MIB)));
    let products = of_kind(&tree, OpKind::GroupedLinear);
    let weights = products[0].operation.as_ref().unwrap().inputs[1].shape;
    assert_eq!((weights.dims()[0], products[0].operation.as_ref().unwrap().output.shape.dims()[0]), (2, 128));
    // The tokens of all four copies come to the experts.
    let few = spec.trace(run(Size::new(4, 1), parallel)).unwrap();
    let op = of_kind(&few, OpKind::GroupedLinear)[0].operation.clone().unwrap();
    let touched = 2.0 * (1.0 - (1.0 - 2.0 / 8.0_f64).powi(4)) * (2.0 * 8.0 * 32.0);
    assert_eq!(op.touched, touched.round() as u64);
    // Two GPUs share a layer: each sends half of the tokens, and gathers all in the end.
    let both = spec.trace(run(Size::new(8, 16), Parallel { tensor: 2, data: 2, expert: 4, pipeline: 1 })).unwrap();
    let sent = of_kind(&both, OpKind::AllToAll)[0].operation.clone().unwrap();
    assert_eq!(sent.inputs[0].shape.dims(), [64 / 2 * 2, 32]);
    assert_eq!(of_kind(&both, OpKind::AllGather).len(), 3 + 1);
    assert_eq!(of_kind(&both, OpKind::AllReduce).len(), 3 + 1);
}

#[test]
fn norms_of_all_heads_gather_them_first() {
    let tree = spec(config("olmo2", 1, 1, 1, 1)).trace(run(Size::new(1, 2), tensor(2))).unwrap();
    let gathered = of_kind(&tree, OpKind::AllGather);
    assert_eq!(gathered.len(), 2 + 1);
    assert_eq!(gathered[0].operation.as_ref().unwrap().output.shape.dims(), [1, 2, 32]);
}

#[test]
fn a_generation_is_spread_over_gpus_as_a_whole() {
    let spec = spec(config("llama", 4, 1, 1, 1));
    let parallel = Parallel { tensor: 2, pipeline: 2, data: 2, ..Parallel::default() };
    let tree = spec.trace(Run { generate: 40, ..run(Size::new(4, 8), parallel) }).unwrap();
    tree.check().unwrap();
    let gpus = |scope: &str| tree.node(tree.find(scope).unwrap()).gpus;
    assert_eq!(["root", "root.decode", "root.prefill"].map(gpus), [8; 3]);
    assert_eq!(["root.prefill.model.0", "root.prefill.lm_head"].map(gpus), [4; 2]);
    let prefill = tree.find("root.prefill").unwrap();
    assert_eq!((tree.size, tree.size_of(prefill)), (Size::new(4, 8), Size::new(2, 8)));
}

#[test]
fn the_vocabulary_is_padded_as_engines_do_it() {
    let spec = spec(config("llama", 1, 1, 1, 1).replace("512", "1000"));
    for (gpus, rows) in [(1, 1000), (2, 512), (4, 256)] {
        let tree = spec.trace(run(Size::new(1, 2), tensor(gpus))).unwrap();
        let table = of_kind(&tree, OpKind::Embedding)[0].operation.as_ref().unwrap().inputs[1].shape;
        assert_eq!(table.dims()[0], rows);
        let logits = of_kind(&tree, OpKind::AllGather);
        assert_eq!(logits.len(), usize::from(gpus > 1));
        assert!(logits.iter().all(|node| node.operation.as_ref().unwrap().output.shape.last() == 1000));
    }
}

#[test]
fn sizes_that_do_not_divide_are_refused_with_the_field_and_the_degree() {
    let llama = config("llama", 2, 1, 1, 1);
    let inner = llama.replace("\"intermediate_size\":4", "\"intermediate_size\":6");
    let groups = llama
        .replace("\"num_attention_heads\":4,", "\"num_attention_heads\":12,")
        .replace("\"num_key_value_heads\":4", "\"num_key_value_heads\":3")
        .replace("\"hidden_size\":32", "\"hidden_size\":96");
    let mixtral = config("mixtral", 1, 3, 1, 3).replace("\"num_key_value_heads\":4", "\"num_key_value_heads\":12");
    let (one, expert) = (Parallel::default(), |expert, of| Parallel { expert, ..of });
    for (json, parallel, expected) in [
        (&llama, tensor(3), "field `num_attention_heads`: 4 heads cannot be split evenly by parallel.tensor 3"),
        (&inner, tensor(4), "field `intermediate_size`: 6 inner numbers cannot be split evenly by parallel.tensor 4"),
        (&groups, tensor(4), "field `num_key_value_heads`: 3 heads of keys and values cannot be split"),
        (&llama, Parallel { pipeline: 3, ..one }, "`num_hidden_layers`: 2 layers are fewer than parallel.pipeline 3"),
        (&llama, expert(2, tensor(2)), "parallel.expert spreads a mixture of experts, and this model is none"),
        (&llama, expert(8, one), "parallel.expert 8 does not divide the 1 GPUs of a stage"),
        (
            &llama,
            expert(6, Parallel { data: 3, ..tensor(4) }),
            "parallel.expert 6 must divide parallel.tensor 4 or be a multiple of it",
        ),
        (&llama, Parallel { data: 3, ..one }, "parallel.data 3 does not divide the batch of 4 sequences"),
        (&mixtral, expert(3, tensor(3)), "`num_local_experts`: 8 experts cannot be split evenly by parallel.expert 3"),
        (&llama, tensor(0), "a run is on 1 to 1048576 GPUs, found 0"),
    ] {
        let error = spec(json).trace(run(Size::new(4, 2), parallel)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn sizes_of_granite_4_are_refused_by_its_own_names() {
    let granite = |heads: usize, shared: usize| {
        spec(format!(
            r#"{{"model_type":"granitemoehybrid","hidden_size":48,"num_hidden_layers":1,"num_attention_heads":4,"num_key_value_heads":4,
               "intermediate_size":8,"vocab_size":64,"max_position_embeddings":64,"num_local_experts":4,"num_experts_per_tok":2,
               "mamba_n_heads":{heads},"shared_intermediate_size":{shared}}}"#
        ))
    };
    let refused =
        |heads, shared| granite(heads, shared).trace(run(Size::new(1, 2), tensor(4))).unwrap_err().to_string();
    assert!(refused(6, 8).contains("field `mamba_n_heads`: 6 heads of states"), "{}", refused(6, 8));
    assert!(refused(8, 6).contains("field `shared_intermediate_size`: 6 inner numbers"), "{}", refused(8, 6));
}

#[test]
fn sizes_without_a_field_of_their_own_are_refused_by_the_field_that_gives_them() {
    let refused = |config: &str, parallel| {
        spec(format!(
            r#"{{"num_hidden_layers":1,"num_attention_heads":4,"num_key_value_heads":4,"head_dim":8,"vocab_size":64,{config}}}"#
        ))
        .trace(run(Size::new(4, 2), parallel))
        .unwrap_err()
        .to_string()
    };
    let hunyuan =
        r#""model_type":"hunyuan_v1_moe","hidden_size":32,"intermediate_size":6,"num_experts":4,"moe_topk":2"#;
    let shared = refused(hunyuan, Parallel { expert: 4, ..tensor(4) });
    assert!(shared.contains("field `intermediate_size`: 6 inner numbers of the shared expert"), "{shared}");
    let channels = refused(r#""model_type":"lfm2","hidden_size":30,"intermediate_size":48,"num_heads":4"#, tensor(4));
    assert!(channels.contains("field `hidden_size`: 30 channels of the convolution"), "{channels}");
}

#[test]
fn models_that_are_no_decoders_are_copied_alone() {
    let bert = ModelSpec::find("bert-base-uncased").unwrap();
    let at = |parallel| bert.trace(Run { parallel, ..Size::new(8, 16).into() });
    let error = at(tensor(2)).unwrap_err().to_string();
    assert!(error.ends_with("parallel.tensor is not followed for bert; parallel.data is"), "{error}");
    let copies = at(Parallel { data: 4, ..Parallel::default() }).unwrap();
    let one = bert.trace(Size::new(2, 16)).unwrap();
    assert_eq!(copies.root().get(Quantity::Flops), one.root().get(Quantity::Flops));
    assert_eq!((copies.root().gpus, copies.size), (4, Size::new(8, 16)));
    assert_eq!(copies.root().get(Quantity::LinkBytes), Some(0.0));
}

#[cfg(feature = "candle")]
#[test]
fn nothing_runs_on_several_gpus() {
    let numbers = candle_core::Tensor::zeros((2, 2), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let numbers = irene_models::Tensor::from_candle(numbers).unwrap();
    let mut cx = irene_models::Cx::silent().with_parallel(tensor(2));
    let error = cx.all_reduce(&numbers).unwrap_err().to_string();
    assert!(error.contains("several GPUs are followed by shape alone"), "{error}");
}
