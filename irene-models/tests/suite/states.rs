//! Layers with states: a token costs the same whatever came before it, and a prompt what its chunks do by hand.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Kernels, Node, OpKind, Parallel, Precision, Quantity, Size};
use serde_json::{Value, json};

use crate::{
    published::config,
    support::{refused, spec},
};

const NEMOTRON: &str = r#"{"model_type":"nemotron_h","hidden_size":32,"num_hidden_layers":4,"num_attention_heads":4,
    "num_key_value_heads":2,"head_dim":8,"intermediate_size":24,"vocab_size":128,"hybrid_override_pattern":"M-*M","mamba_num_heads":8,
    "mamba_head_dim":4,"n_groups":2,"ssm_state_size":16,"chunk_size":8,"max_position_embeddings":4096}"#;

/// Layers with four heads of values and two of keys, of 8 numbers each, but for the last.
fn qwen_next() -> ModelSpec {
    let linear = json!({"head_dim": 8, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_value_head_dim": 8,
        "linear_key_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
        "shared_expert_intermediate_size": 8});
    spec(config("qwen3_next", [32, 4, 4, 2, 16, 64], linear))
}

/// A short convolution, and a layer of attention.
fn lfm2() -> ModelSpec {
    let layers = json!({"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": false});
    spec(config("lfm2", [32, 2, 4, 2, 24, 64], layers))
}

/// States of 8 numbers for each of 64 channels, in two layers.
fn falcon_mamba() -> ModelSpec {
    spec(config("falcon_mamba", [32, 2, 0, 0, 0, 64], json!({"state_size": 8, "time_step_rank": 4})))
}

/// The same states and a dense part, then an attention and four experts.
fn jamba() -> ModelSpec {
    let layers = json!({"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2,
        "mamba_d_state": 8, "mamba_dt_rank": 4});
    spec(config("jamba", [32, 2, 4, 2, 24, 64], layers))
}

/// A layer of four heads of 8 numbers with states, and one of latent attention with experts.
fn kimi_linear() -> ModelSpec {
    let layers = json!({"linear_attn_config": {"kda_layers": [1], "full_attn_layers": [2], "head_dim": 8, "num_heads": 4,
        "short_conv_kernel_size": 4}, "q_lora_rank": null, "kv_lora_rank": 6, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4,
        "v_head_dim": 4, "num_experts": 4, "num_experts_per_token": 2, "num_shared_experts": 1, "moe_intermediate_size": 8,
        "mla_use_nope": true});
    spec(config("kimi_linear", [32, 2, 4, 4, 24, 64], layers))
}

fn of_scope(spec: &ModelSpec, size: Size, scope: &str, quantity: Quantity) -> f64 {
    let tree = spec.trace(Run { kernels: Kernels::Fused, ..size.into() }).unwrap();
    tree.node(tree.find(scope).unwrap()).get(quantity).unwrap()
}

/// FLOPs of a prompt in one of the model's modules.
fn flops(spec: &ModelSpec, tokens: usize, scope: &str) -> f64 {
    (of_scope(spec, Size::new(1, tokens), scope, Quantity::Flops) * 1e6).round()
}

#[test]
fn a_state_costs_a_token_the_same_whatever_came_before() {
    let models: [(ModelSpec, &[&str], &str); 5] = [
        (jamba(), &["root.0"], "root.1"),
        (kimi_linear(), &["root.0"], "root.1"),
        (spec(NEMOTRON), &["root.0", "root.1", "root.3"], "root.2"),
        (qwen_next(), &["root.0", "root.1", "root.2"], "root.3"),
        (lfm2(), &["root.0"], "root.1"),
    ];
    for (spec, of_states, attention) in models {
        let bytes =
            |past: usize, scope: &str| of_scope(&spec, Size::new(3, 1).after(past), scope, Quantity::MovedBytes);
        for &layer in of_states {
            assert_eq!(bytes(10, layer), bytes(1000, layer), "{} {layer}", spec.model_type());
        }
        assert!(bytes(1000, attention) > bytes(10, attention), "{}", spec.model_type());
    }
}

/// Keys and values of one layer grow with the tokens, the states of two do not. States have 32 bits and the tokens before them those of
/// activations, whatever the format of keys and values.
#[test]
fn a_cache_holds_states_beside_keys_and_values() {
    let states = 2 * (8 * 4 * 16 * 4 + 96 * 3 * 2);
    for cache in [Format::F8E4M3, Format::BF16, Format::F32] {
        let precision = Precision { cache, ..Precision::of(Format::BF16) };
        let bytes = |tokens| spec(NEMOTRON).cache_bytes(3, tokens, precision).unwrap().unwrap();
        let of_one = |tokens: u64| cache.bytes(tokens * 2 * 2 * 8) + states;
        assert_eq!([bytes(1), bytes(100)], [3 * of_one(1), 3 * of_one(100)], "{cache}");
    }
}

#[test]
fn a_prompt_of_whole_chunks_costs_its_tokens() {
    let nemotron = spec(NEMOTRON);
    let tree = nemotron.trace(Run { kernels: Kernels::Fused, ..Size::new(1, 8).into() }).unwrap();
    assert_eq!(tree.node(tree.find("root.0.mixer").unwrap()).instance_type(), "NemotronHMamba2Mixer");
    let prompt = |tokens: usize| flops(&nemotron, tokens, "root.0.mixer");
    assert_eq!(prompt(64), 8.0 * prompt(8));
    // A chunk of 8 tokens: ways out and in of 2 groups, states, results from the chunk and from the state before it.
    let products = 2 * (2 * 8 * 8 * 16) + 8 * (2 * 4 * 8 * 16) + 8 * (2 * 8 * (8 + 16) * 4);
    let projections = 2 * 8 * 32 * (32 + 96 + 8) + 2 * 8 * 32 * 32;
    let (convolution, norm, passing) = ((2 * 4 + 5) * 96 * 8, (4 + 5 + 1 + 1) * 32 * 8, 2 * 8 * 4 * 16);
    assert_eq!(prompt(8), f64::from(products + projections + convolution + norm + passing));
}

/// Those of a chunk, for heads of width 8: the triangle of keys and its inverse, what they make of values and keys, what that leaves beside
/// the state, the state behind it, the queries' scores, and the results from the chunk and from the state.
fn products_of_deltanet(heads: u32, chunk: u32) -> u32 {
    let triangles = 2 * (2 * heads * chunk * chunk * 8) + 2 * heads * chunk * chunk;
    let made = 2 * heads * chunk * chunk * (8 + 8);
    let left = heads * chunk * 8 * (2 * 8 + 1);
    let states = heads * 8 * 8 * (2 * chunk + 2);
    let results = 2 * heads * chunk * 8 * (chunk + 8);
    triangles + made + left + states + results
}

#[test]
fn a_prompt_of_deltanet_costs_its_chunks() {
    let prompt = |tokens: usize| flops(&qwen_next(), tokens, "root.0.linear_attn");
    assert_eq!(prompt(128), 2.0 * prompt(64));
    let (heads, chunk) = (4, 64);
    let projections = 2 * chunk * 32 * (64 + 32 + 8) + 2 * chunk * 32 * 32;
    let (convolution, norm) = ((2 * 4 + 5) * 64 * chunk, (4 + 5 + 1 + 1) * 32 * chunk);
    let all = products_of_deltanet(heads, chunk) + projections + convolution + norm;
    assert_eq!(prompt(64), f64::from(all));
}

/// The products, the convolution, the norms of steps and ways, the scan, and what stands in its kernel.
#[test]
fn a_prompt_of_the_first_mamba_costs_its_tokens() {
    let products = 2 * 32 * (2 * 64) + 2 * 64 * (4 + 2 * 8) + 2 * 4 * 64 + 2 * 64 * 32;
    let (convolution, norms, scan) = ((2 * 4 + 5) * 64, (4 + 1) * (4 + 2 * 8), 7 * 64 * 8 + (1 + 1 + 1 + 5 + 1) * 64);
    let of_token = products + convolution + norms + scan;
    assert_eq!(flops(&falcon_mamba(), 5, "root.0.mixer"), f64::from(5 * of_token));
}

/// A later token costs as much as one of a prompt, and reads what one of a prompt finds empty: the state and three tokens.
#[test]
fn a_later_token_of_the_first_mamba_reads_its_state() {
    let falcon = falcon_mamba();
    let of = |size: Size, quantity| of_scope(&falcon, size, "root.0.mixer", quantity);
    let (first, later) = (Size::new(1, 1), Size::new(1, 1).after(9));
    assert_eq!(of(first, Quantity::Flops), of(later, Quantity::Flops));
    let read = (of(later, Quantity::MovedBytes) - of(first, Quantity::MovedBytes)) * 1024.0 * 1024.0;
    assert_eq!(read.round(), f64::from(64 * 8 * 4 + 64 * 3 * 4));
}

#[test]
fn a_prompt_of_kimi_linear_costs_its_chunks() {
    let prompt = |tokens: usize| flops(&kimi_linear(), tokens, "root.0.self_attn");
    assert_eq!(prompt(128), 2.0 * prompt(64));
    let (heads, chunk) = (4, 64);
    // Decays and gates come through products as narrow as a head.
    let projections =
        2 * chunk * 32 * (3 * 32 + heads) + 2 * (2 * chunk * 32 * 8 + 2 * chunk * 8 * 32) + 2 * chunk * 32 * 32;
    let (convolutions, norm) = (3 * (2 * 4 + 5) * 32 * chunk, (4 + 4 + 1 + 1) * 32 * chunk);
    let all = products_of_deltanet(heads, chunk) + projections + convolutions + norm;
    assert_eq!(prompt(64), f64::from(all));
}

#[test]
fn caches_of_mamba_and_kimi_delta_attention_hold_what_a_hand_counts() {
    let bytes = |spec: &ModelSpec, tokens| spec.cache_bytes(1, tokens, Precision::of(Format::BF16)).unwrap().unwrap();
    // States in 32 bits, and three tokens of the channels in 16; keys and values of two heads of 8 numbers, or latent vectors.
    let mamba = 64 * 8 * 4 + 3 * 64 * 2;
    assert_eq!([bytes(&falcon_mamba(), 1), bytes(&falcon_mamba(), 100)], [2 * mamba; 2]);
    assert_eq!(bytes(&jamba(), 10), mamba + 10 * 2 * 2 * 8 * 2);
    assert_eq!(bytes(&kimi_linear(), 10), 4 * 8 * 8 * 4 + 3 * 96 * 2 + 10 * (6 + 4) * 2);
}

/// Embeddings, attentions and feed-forward parts sum what GPUs have, and Mamba's selection does too.
#[test]
fn the_selection_of_the_first_mamba_is_summed_over_gpus() {
    let sums = |spec: ModelSpec| {
        let parallel = Parallel { tensor: 2, ..Parallel::default() };
        let tree = spec.trace(Run { parallel, kernels: Kernels::Fused, ..Size::new(3, 1).after(7).into() }).unwrap();
        let is_sum = |node: &&Node| node.operation.as_ref().is_some_and(|op| op.kind == OpKind::AllReduce);
        tree.nodes().iter().filter(is_sum).count()
    };
    assert_eq!([sums(falcon_mamba()), sums(jamba()), sums(kimi_linear())], [1 + 2 * 2, 1 + 3 + 2, 1 + 2 * 2]);
    let parallel = Parallel { tensor: 3, ..Parallel::default() };
    let error = falcon_mamba().trace(Run { parallel, ..Size::new(1, 1).into() }).unwrap_err().to_string();
    assert!(error.contains("field `hidden_size`: 64 channels of states cannot be split evenly"), "{error}");
}

/// As transformers writes them, and as its class has them.
#[test]
fn layers_of_kimi_linear_are_listed_or_named() {
    let sizes = json!({"q_lora_rank": null, "kv_lora_rank": 6, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4,
        "num_experts": 4, "num_experts_per_token": 2, "moe_intermediate_size": 8});
    let kimi = |further: Value| {
        let mut fields = sizes.clone();
        fields.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        config("kimi_linear", [32, 5, 4, 4, 24, 64], fields)
    };
    let counted = |further: Value| spec(kimi(further)).num_parameters(TaskHead::Lm).unwrap();
    let listed = json!({"linear_attn_config": {"kda_layers": [1, 2, 3, 4], "full_attn_layers": [5], "head_dim": 8, "num_heads": 4}});
    let named = json!({"layer_types": ["linear_attention", "linear_attention", "linear_attention", "linear_attention",
        "full_attention"], "linear_head_dim": 8, "linear_num_heads": 4});
    assert_eq!(counted(listed), counted(named));
    assert_eq!(
        counted(json!({"linear_head_dim": 8, "linear_num_heads": 4})),
        counted(json!({"linear_attn_config":
        {"head_dim": 8, "num_heads": 4}}))
    );
    let twice = refused(kimi(json!({"linear_attn_config": {"kda_layers": [1, 2, 3, 4, 5], "full_attn_layers": [5]}})));
    assert!(twice.contains("field `linear_attn_config`: names layer 5 of 5 in neither or both"), "{twice}");
    let other = refused(kimi(json!({"linear_attn_config": {"gate_lower_bound": -5.0}})));
    assert!(other.contains("field `linear_attn_config`: unknown field `gate_lower_bound`"), "{other}");
    let rotated = refused(kimi(json!({"mla_use_nope": false})));
    assert!(rotated.contains("field `mla_use_nope`: `false` is not supported here, only true"), "{rotated}");
}

#[test]
fn layers_of_jamba_come_in_periods() {
    let jamba = |further: Value| config("jamba", [32, 4, 4, 2, 24, 64], further);
    let spec_of = spec(jamba(json!({"attn_layer_period": 4, "attn_layer_offset": 2, "mamba_dt_rank": "auto"})));
    let tree = spec_of.trace(Size::new(1, 2)).unwrap();
    let has = |scope: &str| tree.find(scope).is_some();
    assert_eq!([0, 1, 2, 3].map(|layer| has(&format!("root.{layer}.mamba"))), [true, true, false, true]);
    assert_eq!(
        [0, 1, 2, 3].map(|layer| has(&format!("root.{layer}.feed_forward.experts"))),
        [false, true, false, true]
    );
    assert!(has("root.0.mamba.dt_layernorm") && has("root.2.self_attn.o_proj"));
    let dense = spec(jamba(json!({"num_experts": 1}))).trace(Size::new(1, 2)).unwrap();
    assert!(dense.find("root.1.feed_forward.gate_proj").is_some());
    let outside = refused(jamba(json!({"attn_layer_offset": 8})));
    assert!(outside.contains("field `attn_layer_offset`: 8 is no place in a period of 8 layers"), "{outside}");
}

/// A field that is missing is its class's, and null asks for the hidden size times `mamba_expand`.
#[test]
fn inner_numbers_of_falcon_h1_are_those_of_its_class_where_a_config_says_nothing() {
    let parameters = |model_type: &str, inner: Option<Value>| {
        let mut fields = json!({"mamba_n_heads": 8, "mamba_d_state": 16, "mamba_expand": 4});
        inner.into_iter().for_each(|inner| fields["mamba_d_ssm"] = inner);
        spec(config(model_type, [32, 1, 4, 2, 40, 64], fields)).num_parameters(TaskHead::None).unwrap()
    };
    let falcon = |inner| parameters("falcon_h1", inner);
    assert_eq!(falcon(None), falcon(Some(json!(1024))));
    assert_eq!(falcon(Some(json!(null))), falcon(Some(json!(128))));
    assert_ne!(falcon(None), falcon(Some(json!(null))));
    // The others have no such field.
    for model_type in ["bamba", "granitemoehybrid"] {
        assert_eq!(parameters(model_type, Some(json!(1024))), parameters(model_type, None), "{model_type}");
    }
}

/// Two heads of keys and eight of states on four GPUs: each has a head of keys that another has too, and two of states.
#[test]
fn states_divide_over_more_gpus_than_there_are_heads_of_keys() {
    let states = json!({"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16});
    let shape = spec(config("falcon_h1", [32, 1, 4, 2, 40, 64], states)).cache(Kernels::Fused).unwrap().unwrap();
    let share = shape.shared_by(4).bytes(10, Precision::of(Format::BF16));
    let channels = (64 + 2 * 16) / 4;
    assert_eq!(share, 10 * 2 * 8 * 2 + 2 * 8 * 16 * 4 + 3 * channels * 2);
}

/// The embeddings, and in each layer states, attention and feed-forward part.
#[test]
fn states_beside_an_attention_are_summed_over_gpus_for_themselves() {
    let states = json!({"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16});
    let falcon = spec(config("falcon_h1", [32, 2, 4, 2, 40, 64], states));
    let parallel = Parallel { tensor: 2, ..Parallel::default() };
    let tree = falcon.trace(Run { parallel, kernels: Kernels::Fused, ..Size::new(3, 1).after(7).into() }).unwrap();
    let is_sum = |node: &&Node| node.operation.as_ref().is_some_and(|op| op.kind == OpKind::AllReduce);
    assert_eq!(tree.nodes().iter().filter(is_sum).count(), 1 + 2 * 3);
}

/// Both projections, the products with gates, and three taps.
#[test]
fn a_short_convolution_costs_its_taps() {
    let of_token = 2 * 32 * 96 + 2 * 32 * 32 + 2 * 32 + 2 * 3 * 32;
    assert_eq!(flops(&lfm2(), 5, "root.0.conv"), f64::from(5 * of_token));
}

#[test]
fn a_pattern_of_layers_that_is_not_followed_is_refused() {
    let refused = |from: &str, to: &str| refused(NEMOTRON.replace(from, to));
    assert!(refused("M-*M", "MXM*").contains("field `hybrid_override_pattern`: a layer is `X`"));
    assert!(refused("M-*M", "M-*").ends_with("field `hybrid_override_pattern`: names 3 of 4 layers"));
    assert!(refused(r#""n_groups":2"#, r#""n_groups":3"#).contains("3 groups do not divide 8 heads of states"));
}

#[test]
fn granite_has_heads_of_their_own_width_and_a_part_for_every_token_beside_the_experts() {
    let layers = json!({"shared_intermediate_size": 12, "num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": ["attention"],
        "head_dim": 6});
    let granite = spec(config("granitemoehybrid", [32, 1, 4, 2, 24, 64], layers));
    let tree = granite.trace(Size::new(1, 3)).unwrap();
    let parameters = |scope: &str| tree.node(tree.find(scope).unwrap()).get(Quantity::NumParameters).unwrap();
    assert_eq!(parameters("root.0.shared_mlp.input_linear"), f64::from(32 * 2 * 12));
    assert_eq!(parameters("root.0.shared_mlp.output_linear"), f64::from(12 * 32));
    assert_eq!(parameters("root.0.self_attn.q_proj"), f64::from(32 * 4 * 6));
    assert_eq!(parameters("root.0.block_sparse_moe"), f64::from(4 * 32 + 4 * 3 * 24 * 32));
}

#[test]
fn falcon_h1_keeps_states_beside_its_keys_and_values() {
    let states = json!({"mamba_d_ssm": 24, "mamba_n_heads": 3, "mamba_d_head": 8, "mamba_d_state": 16});
    let falcon = spec(config("falcon_h1", [32, 2, 4, 2, 40, 64], states));
    let bytes = |tokens| falcon.cache_bytes(1, tokens, Precision::of(Format::BF16)).unwrap().unwrap();
    // In each layer keys and values of two heads of 8 numbers, in 16 bits.
    let of_token = 2 * 2 * 2 * 8 * 2;
    assert_eq!(bytes(11) - bytes(10), of_token);
    // A state of 24 x 16 numbers in 32 bits, and three tokens of 24 + 2 x 16 channels in 16.
    assert_eq!(bytes(10) - 10 * of_token, 2 * (24 * 16 * 4 + 3 * (24 + 2 * 16) * 2));
    // The way in to gates, channels and steps, the convolution, three numbers for each head, and the way out: there is no norm.
    let of_states = 32 * (24 + 56 + 3) + 56 * 5 + 3 * 3 + 24 * 32;
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let tree = falcon.trace(Run { kernels, ..Size::new(3, 1).after(7).into() }).unwrap();
        let mamba = tree.node(tree.find("root.1.mamba").unwrap());
        assert_eq!(mamba.get(Quantity::NumParameters), Some(f64::from(of_states)));
    }
}
