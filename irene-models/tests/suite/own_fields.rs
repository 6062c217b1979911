//! Fields that one family's configs have in a form of their own.

use irene_tree::Size;
use serde_json::{Value, json};

use crate::{
    published::config,
    support::{refused, spec},
};

fn small(model_type: &str, further: Value) -> Value {
    config(model_type, [32, 2, 8, 2, 48, 64], further)
}

#[test]
fn the_experts_of_dbrx_and_phi_are_weighed_as_their_code_does() {
    let dbrx = |attention: Value, experts: Value| {
        json!({"model_type": "dbrx", "d_model": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 64, "max_seq_len": 16,
            "num_key_value_heads": 2, "attn_config": attention, "ffn_config": experts})
    };
    let heads = json!({"kv_n_heads": 2});
    let experts = |power: Value| json!({"ffn_hidden_size": 8, "moe_num_experts": 4, "moe_top_k": 2, "moe_normalize_expert_weights": power});
    let size = Size::new(1, 2);
    let nodes = |power: Value| spec(dbrx(heads.clone(), experts(power))).trace(size).unwrap().nodes().len();
    // A sum and a quotient.
    assert_eq!(nodes(1.into()), nodes(Value::Null) + 2);
    for (config, reason) in [
        (
            dbrx(heads.clone(), experts(2.into())),
            "field `ffn_config.moe_normalize_expert_weights`: 2 is not supported here",
        ),
        (dbrx(heads.clone(), json!({"ffn_act_fn": {"name": "gelu"}})), "field `ffn_config.ffn_act_fn`: only "),
        (dbrx(json!({"kv_n_heads": 4}), json!({})), "field `num_key_value_heads`: is another number than the 4"),
        (
            dbrx(json!({"kv_n_heads": 2, "qk_ln": true}), json!({})),
            "field `attn_config.qk_ln`: `true` is unknown for dbrx",
        ),
        (
            small("phimoe", json!({"num_experts_per_tok": 3})),
            "field `num_experts_per_tok`: `3` is not supported here, only 2",
        ),
        (
            small("apertus", json!({"hidden_act": "silu"})),
            "field `hidden_act`: `silu` is not supported here, only `xielu`",
        ),
    ] {
        let refused = refused(config);
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn rounds_of_layers_of_gpt_neo_are_those_of_all_layers() {
    let neo = |further: Value| {
        let mut config = config("gpt_neo", [32, 2, 8, 0, 48, 64], further);
        config["num_layers"] = 2.into();
        config["num_heads"] = 8.into();
        config
    };
    let tree = |config: Value| spec(config).trace(Size::new(1, 1).after(40)).unwrap();
    let alternating = tree(neo(json!({"window_size": 8})));
    for same in [
        json!({"window_size": 8, "attention_types": [[["global", "local"], 1]]}),
        json!({"window_size": 8, "attention_types": [[["global"], 1], [["local"], 1]]}),
        json!({"window_size": 8, "attention_layers": ["global", "local"]}),
    ] {
        assert!(tree(neo(same.clone())) == alternating, "{same}");
    }
    assert!(tree(neo(json!({"window_size": 8, "attention_types": [[["global"], 2]]}))) != alternating);
    for (rounds, reason) in [
        (json!([[["global", "local"], 2]]), "names 4 layers where `num_hidden_layers` is 2"),
        (json!([[["global", "sparse"], 1]]), "`sparse` is not supported here; there are global, local"),
    ] {
        let refused = refused(neo(json!({"attention_types": rounds})));
        assert!(refused.contains(reason), "{refused}");
    }
}
