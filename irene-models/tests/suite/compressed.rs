//! DeepSeek-V4: a window of keys that are values too, entries that stand for several tokens, and several streams cost what they do by hand.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Kernels, Parallel, Precision, Quantity, Role, Size, Tree};
use serde_json::{Value, json};

use crate::support::{refused, spec};

/// A layer with a window alone, one with an indexer and one without, with 4 heads of 8 numbers.
fn fields() -> Value {
    json!({"model_type": "deepseek_v4", "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 8,
        "q_lora_rank": 6, "o_lora_rank": 5, "o_groups": 2, "qk_rope_head_dim": 4, "index_n_heads": 2, "index_head_dim": 4,
        "index_topk": 3, "sliding_window": 6, "moe_intermediate_size": 8, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "vocab_size": 64, "hc_mult": 2, "hc_sinkhorn_iters": 2, "num_hash_layers": 1,
        "layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8}})
}

fn with(name: &str, value: Value) -> Value {
    let mut fields = fields();
    fields[name] = value;
    fields
}

fn traced(size: Size, kernels: Kernels) -> Tree {
    spec(fields()).trace(Run { kernels, ..size.into() }).unwrap()
}

fn of_scope(tree: &Tree, scope: &str, quantity: Quantity) -> f64 {
    tree.node(tree.find(scope).unwrap()).get(quantity).unwrap()
}

const ATTENTIONS: [&str; 3] =
    ["root.0.self_attn.attention", "root.1.self_attn.attention", "root.2.self_attn.attention"];
const SCORES: &str = "root.1.self_attn.compressor.indexer.scorer.attention";

/// FLOPs of the three attentions and of the indexer's scores.
fn flops(size: Size) -> [f64; 4] {
    let tree = traced(size, Kernels::Fused);
    let [window, sparse, heavy] = ATTENTIONS;
    [window, sparse, heavy, SCORES].map(|scope| (of_scope(&tree, scope, Quantity::Flops) * 1e6).round())
}

#[test]
fn parameters_are_those_of_transformers_at_every_size() {
    // transformers' class has the corrections of two routers' four experts as buffers.
    let all = f64::from(25_247 + 2 * 4);
    for kernels in [Kernels::Eager, Kernels::Fused] {
        for size in [Size::new(1, 1), Size::new(2, 21), Size::new(3, 1).after(7), Size::new(1, 5).after(31)] {
            let run = Run { kernels, head: TaskHead::Lm, ..size.into() };
            let tree = spec(fields()).trace(run).unwrap();
            assert_eq!(tree.root().get(Quantity::NumParameters), Some(all), "{kernels:?} {size:?}");
            let attention = |place: usize| {
                let scope = format!("root.model.{place}.self_attn");
                of_scope(&tree, &scope, Quantity::NumParameters)
            };
            assert_eq!([0, 1, 2].map(attention), [1138.0, 2894.0, 1722.0], "{kernels:?} {size:?}");
        }
    }
}

#[test]
fn a_later_token_sees_its_window_and_the_entries_that_are_chosen() {
    // Two products and a softmax for each of 4 heads, of 8 numbers; of the scores one product, for 2 heads of 4.
    let (pair, score) = (4.0 * (4.0 * 8.0 + 5.0), 2.0 * (2.0 * 4.0 + 5.0));
    let of_token = |past: usize| flops(Size::new(1, 1).after(past));
    assert_eq!(of_token(100), [6.0 * pair, (6.0 + 3.0) * pair, (6.0 + 12.0) * pair, 25.0 * score]);
    assert_eq!(of_token(7), [6.0 * pair, (6.0 + 2.0) * pair, (6.0 + 1.0) * pair, 2.0 * score]);
    // Before the first entry there is nothing to score.
    let tree = traced(Size::new(1, 1).after(1), Kernels::Fused);
    assert_eq!((of_scope(&tree, ATTENTIONS[1], Quantity::Flops) * 1e6).round(), 2.0 * pair);
    assert!(tree.find(SCORES).is_none());
}

#[test]
fn a_prompt_sees_the_entries_of_the_tokens_up_to_each() {
    let (pair, score) = (4.0 * (4.0 * 8.0 + 5.0), 2.0 * (2.0 * 4.0 + 5.0));
    // 16 tokens: windows of 1 to 6 tokens; entries of 4 tokens, 3 of them at most; entries of 8.
    let window = 21.0 + 10.0 * 6.0;
    let (sparse, heavy) = (4.0 + 4.0 * 2.0 + 5.0 * 3.0, 8.0 + 2.0);
    let scored = 4.0 + 4.0 * 2.0 + 4.0 * 3.0 + 4.0;
    assert_eq!(
        flops(Size::new(1, 16)),
        [window * pair, (window + sparse) * pair, (window + heavy) * pair, scored * score]
    );
}

#[test]
fn chosen_entries_cost_the_same_whatever_came_before_and_their_scores_do_not() {
    let bytes = |past: usize, scope: &str| {
        of_scope(&traced(Size::new(2, 1).after(past), Kernels::Fused), scope, Quantity::MovedBytes)
    };
    let [window, sparse, heavy] = ATTENTIONS;
    for scope in [window, sparse] {
        assert_eq!(bytes(100, scope), bytes(1000, scope), "{scope}");
    }
    for scope in [heavy, SCORES] {
        assert!(bytes(1000, scope) > bytes(100, scope), "{scope}");
    }
}

/// Keys of at most 5 earlier tokens, entries of 4 and 8 tokens, and the values and gates that wait for theirs.
#[test]
fn a_cache_holds_the_window_the_entries_and_what_waits_for_one() {
    let model = spec(fields());
    for kernels in [Kernels::Eager, Kernels::Fused] {
        assert_eq!(model.cache(kernels).unwrap().unwrap().0.len(), 3);
    }
    for cache in [Format::F8E4M3, Format::BF16] {
        let precision = Precision { cache, ..Precision::of(Format::BF16) };
        let waiting = 2 * (6 * 4 * 12 + 2 * 8 * 8);
        let of = |window: u64, sparse: u64, heavy: u64| cache.bytes(3 * window * 8 + sparse * 12 + heavy * 8) + waiting;
        let bytes = |tokens: usize| model.cache_bytes(1, tokens, precision).unwrap().unwrap();
        assert_eq!([bytes(3), bytes(101)], [of(3, 0, 0), of(5, 25, 12)], "{cache}");
    }
}

#[test]
fn gpus_share_the_heads_and_the_groups_behind_them() {
    let parallel = Parallel { tensor: 2, ..Parallel::default() };
    let run = Run { parallel, kernels: Kernels::Fused, ..Size::new(2, 1).after(40).into() };
    let share = spec(fields()).trace(run).unwrap();
    let parameters = |scope: &str| of_scope(&share, scope, Quantity::NumParameters);
    assert_eq!(parameters("root.1.self_attn.o_a_proj"), f64::from(5 * 16));
    assert_eq!(parameters("root.1.self_attn.o_b_proj"), f64::from(5 * 32));
    // The indexer is on every GPU: its products to values and gates, the bias and the norm of its entries, queries and weights of heads.
    let indexer = 2 * 32 * 8 + 4 * 8 + 4 + 6 * 2 * 4 + 32 * 2;
    assert_eq!(parameters("root.1.self_attn.compressor.indexer"), f64::from(indexer));
    let error = spec(fields()).trace(Run { parallel: Parallel { tensor: 4, ..parallel }, ..run }).unwrap_err();
    assert!(error.to_string().contains("2 groups of the projection back cannot be split evenly"), "{error}");
}

#[test]
fn streams_are_as_many_hidden_states() {
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let tree = traced(Size::new(1, 3), kernels);
        let connection = of_scope(&tree, "root.1.attn_hc", Quantity::NumParameters);
        assert_eq!(connection, f64::from(8 * 64 + 8 + 3));
        assert_eq!(of_scope(&tree, "root.hc_head", Quantity::NumParameters), f64::from(2 * 64 + 2 + 1));
    }
}

/// The release stores its experts in 4 bits and most other products in 8.
#[test]
fn experts_have_a_format_of_their_own() {
    let mut fields = with("expert_dtype", json!("fp4"));
    fields["quantization_config"] = json!({"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0"});
    let model: ModelSpec = spec(fields);
    let precision = model.config().precision().unwrap();
    let tree = model.trace(Run { precision, ..Size::new(1, 1).into() }).unwrap();
    let format = |scope: &str| {
        let operation = tree.node(tree.find(scope).unwrap()).operation.as_deref().unwrap();
        let stored = operation.inputs.iter().find(|input| matches!(input.role, Role::Parameter(_)));
        stored.unwrap().format
    };
    assert_eq!(format("root.1.mlp.experts.gate_up_proj"), Format::Mxfp4);
    assert_eq!(format("root.1.self_attn.q_b_proj"), Format::F8E4M3);
    assert_eq!(format("root.1.mlp.shared_experts.up_proj"), Format::F8E4M3);
    assert_eq!(format("root.1.self_attn.compressor.kv_proj"), Format::BF16);
}

#[test]
fn fields_of_another_design_are_refused() {
    let mut ratios = fields();
    ratios["layer_types"] = Value::Null;
    ratios["compress_ratios"] = json!([0, 4]);
    assert!(refused(&ratios).ends_with("field `compress_ratios`: names 2 of 3 layers"));
    ratios["compress_ratios"] = json!([0, 4, 16]);
    assert!(refused(&ratios).contains("16 is not supported here; there are 0, 4, 128"));
    assert!(refused(with("o_groups", json!(3))).contains("3 groups do not divide 4 heads"));
    assert!(refused(with("index_head_dim", json!(2))).contains("of which 4 numbers are rotated"));
    assert!(refused(with("scoring_func", json!("sigmoid"))).contains("only `sqrtsoftplus`"));
    assert!(refused(with("num_key_value_heads", json!(2))).contains("field `num_key_value_heads`"));
    let rates = json!({"compressed_sparse_attention": 0});
    assert!(refused(with("compress_rates", rates)).contains("expected a whole number from 1"));
}
