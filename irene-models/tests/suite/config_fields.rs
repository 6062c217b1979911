//! Fields that published configs leave out, put in another place, or have beside those that matter.

use irene_models::{Config, ModelTask, Run, TaskHead};
use irene_tree::{Format, Kernels, Precision, Quantity, Size};
use serde_json::{Value, json};

use crate::support::{refused, spec, taken};

fn parameters(config: &Value) -> f64 {
    let tree = spec(config).trace(Run { head: TaskHead::Lm, ..Size::new(1, 1).into() }).unwrap();
    tree.root().get(Quantity::NumParameters).unwrap()
}

/// A small config in Llama's manner, with these fields beside or in place of its own.
fn small(model_type: &str, further: &Value) -> Value {
    let mut fields = json!({"model_type": model_type, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 8,
        "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 64, "max_position_embeddings": 128});
    for (name, value) in further.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}

/// transformers writes a config inside another as what differs from its class.
#[test]
fn a_short_config_of_a_text_model_has_the_sizes_of_its_class() {
    let gemma =
        |text: Value| json!({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}});
    let of_4b = gemma(
        json!({"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}),
    );
    let of_27b = gemma(
        json!({"model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 62,
        "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128, "query_pre_attn_scalar": 168}),
    );
    let llava = json!({"model_type": "llava", "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064}});
    let llava_next = json!({"model_type": "llava_next", "text_config": {"model_type": "mistral", "intermediate_size": 14336,
        "max_position_embeddings": 32768, "num_key_value_heads": 8, "sliding_window": null, "vocab_size": 32064}});
    let published =
        [(&of_4b, 3_880_263_168_u64), (&of_27b, 27_009_346_304), (&llava, 6_738_939_904), (&llava_next, 7_242_256_384)];
    for (config, published) in published {
        assert_eq!(parameters(config), published as f64, "{config}");
    }
    let followed = spec(&of_4b);
    assert_eq!(
        followed.notes(),
        [
            "config.json: the text model of gemma3 alone is followed, as its `text_config` has it, and with the sizes of its class in \
          transformers: vocab_size 262208, num_attention_heads 8"
        ]
    );
    assert_eq!(followed.longest_sequence().unwrap(), 131_072);
    // A whole config without a size is no model's.
    let missing = refused(json!({"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34}));
    assert!(missing.ends_with("is missing"), "{missing}");
}

#[test]
fn full_layers_of_gemma_4_have_the_heads_that_its_authors_or_transformers_wrote() {
    let gemma = |further: Value| {
        let mut config = small("gemma4_text", &further);
        config["attention_k_eq_v"] = true.into();
        config["head_dim"] = 8.into();
        config
    };
    let published = json!({"global_head_dim": 16, "num_global_key_value_heads": 1, "hidden_size_per_layer_input": 0});
    let own = json!({"1": {"head_dim": 16, "num_key_value_heads": 1}});
    let saved = gemma(json!({"per_layer_config": own, "hidden_size_per_layer_input": 0}));
    assert_eq!(parameters(&gemma(published)), parameters(&saved));
    // The factor of each layer is a buffer, which does not count.
    assert_eq!(spec(&saved).num_parameters(TaskHead::Lm).unwrap() as f64, parameters(&saved));
    let other = gemma(json!({"global_head_dim": 16, "hidden_size_per_layer_input": 0}));
    assert_ne!(parameters(&other), parameters(&saved));
    let own = json!({"0": {"head_dim": 4}, "1": {"head_dim": 16}});
    for (further, reason) in [
        (json!({"per_layer_config": own, "hidden_size_per_layer_input": 0}), "its layers differ"),
        (json!({"num_kv_shared_layers": 2, "hidden_size_per_layer_input": 0}), "none of the kind of layer 0 is left"),
        (json!({}), "field `vocab_size_per_layer_input`: is 262144"),
    ] {
        let refused = refused(gemma(further));
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn each_expert_of_gemma_4_has_a_factor_by_all_kernels() {
    let experts = json!({"hidden_size_per_layer_input": 0, "enable_moe_block": true, "num_experts": 5, "top_k_experts": 2,
        "moe_intermediate_size": 6});
    let spec = spec(small("gemma4_text", &experts));
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let tree = spec.trace(Run { kernels, ..Size::new(1, 3).into() }).unwrap();
        let router = tree.node(tree.find("root.0.router").unwrap());
        // A scale of the norm, products and factors.
        assert_eq!(router.get(Quantity::NumParameters), Some(f64::from(32 + 32 * 5 + 5)), "{kernels:?}");
    }
}

#[test]
fn heads_of_keys_that_are_not_named_are_those_of_the_class() {
    let bytes = |heads: Value| {
        let mut config = small("mistral", &json!({"num_attention_heads": 32, "head_dim": 4, "sliding_window": null}));
        match heads {
            Value::String(_) => drop(config.as_object_mut().unwrap().remove("num_key_value_heads")),
            heads => config["num_key_value_heads"] = heads,
        }
        spec(config).cache_bytes(1, 100, Precision::of(Format::BF16)).unwrap().unwrap()
    };
    assert_eq!(bytes("missing".into()), bytes(8.into()));
    // Null says that there are as many as heads.
    assert_eq!(bytes(Value::Null), bytes(32.into()));
}

#[test]
fn a_text_model_stands_in_other_fields_too_and_its_classes_do_not_matter() {
    let text = |model_type: &str, field: &str, value: Value| {
        small(model_type, &json!({"architectures": ["OtherForCausalLM"], field: value}))
    };
    let alone = parameters(&small("qwen2", &json!({})));
    for whole in [
        json!({"model_type": "internvl_chat", "llm_config": text("qwen2", "num_beam_groups", 1.into())}),
        json!({"model_type": "deepseek_vl_v2", "language_config": text("qwen2", "lm_head", true.into())}),
        json!({"model_type": "qwen2_5_omni", "thinker_config": {"text_config": text("qwen2_5_omni_text", "max_window_layers", 28.into())}}),
    ] {
        assert_eq!(parameters(&whole), alone, "{whole}");
    }
    // A tied head is often said of the whole.
    let tied = json!({"model_type": "seen", "tie_word_embeddings": true, "text_config": small("qwen2", &json!({}))});
    assert_eq!(parameters(&tied), alone - 64.0 * 32.0);
}

/// Kimi K2.5 and Mistral Small 4 are read with the parts that see.
#[test]
fn latent_attention_stands_in_a_config_with_a_vision_part() {
    let latent = |model_type: &str| {
        let code = json!({"AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"});
        let further = json!({"num_key_value_heads": 8, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4,
            "v_head_dim": 4, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
            "first_k_dense_replace": 1, "num_beam_groups": 1, "architectures": ["DeepseekV3ForCausalLM"]});
        let mut text = small(model_type, &further);
        if model_type != "mistral4" {
            text["auto_map"] = code;
        }
        text
    };
    for (model_type, text) in [("kimi_k25", "kimi_k2"), ("kimi_k25", "deepseek_v3"), ("mistral3", "mistral4")] {
        let whole = json!({"model_type": model_type, "architectures": ["WholeForConditionalGeneration"],
            "auto_map": {"AutoModel": "modeling_whole.WholeForConditionalGeneration"}, "text_config": latent(text),
            "vision_config": {"hidden_size": 16}});
        let mut alone = latent(text);
        alone.as_object_mut().unwrap().remove("architectures");
        assert_eq!(parameters(&whole), parameters(&alone), "{text}");
        let note =
            format!("config.json: the text model of {model_type} alone is followed, as its `text_config` has it");
        assert_eq!(spec(&whole).notes(), [note], "{text}");
    }
}

/// Each says a part that the code of its family does not have.
#[test]
fn later_mixtures_refuse_other_designs_by_name() {
    let experts = json!({"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "q_lora_rank": 8,
        "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4});
    let others = [
        ("mistral4", "n_group", json!(2), "`2` is not supported here, only 1"),
        ("mistral4", "mlp_bias", json!(true), "is true, which is not supported here"),
        ("mimo_v2_flash", "add_full_attention_sink_bias", json!(true), "is true, which is not supported here"),
        ("mimo_v2_flash", "n_shared_experts", json!(1), "`1` is not supported here"),
        ("mimo_v2_flash", "hybrid_layer_pattern", json!([0, 2]), "expected 0 or 1 for each of 2 layers"),
        ("mimo_v2_flash", "moe_layer_freq", json!([0]), "expected 0 or 1 for each of 2 layers"),
        (
            "mimo_v2_flash",
            "swa_num_key_value_heads",
            json!(3),
            "3 heads of keys and values do not divide 8 heads of queries",
        ),
        ("hy_v3", "qk_norm", json!(false), "`false` is not supported here, only true"),
        ("hy_v3", "mlp_bias", json!(true), "is true, which is not supported here"),
    ];
    for (model_type, field, value, reason) in others {
        let latent = ["q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"];
        let mut config = small(model_type, &experts);
        if model_type != "mistral4" {
            latent.iter().for_each(|field| drop(config.as_object_mut().unwrap().remove(*field)));
        }
        assert!(taken(&config).and_then(|spec| spec.trace(Size::new(1, 2))).is_ok(), "{}", refused(&config));
        config[field] = value;
        let error = refused(&config);
        assert!(error.contains(&format!("field `{field}`: {reason}")), "{error}");
    }
}

#[test]
fn what_is_not_followed_is_named_where_it_stands() {
    let inside = refused(json!({"model_type": "mistral3", "text_config": {"model_type": "ministral9"}}));
    assert!(
        inside.starts_with("config.json, field `text_config.model_type`: `ministral9` is not supported; there are "),
        "{inside}"
    );
    let class = refused(json!({"model_type": "kimi_k9", "architectures": ["DeepseekV3ForCausalLM"]}));
    assert!(class.contains(
        "field `model_type`: `kimi_k9` is not supported, but its class DeepseekV3ForCausalLM is one of deepseek_v3"
    ));
}

#[test]
fn published_fields_that_say_what_the_code_does_are_taken() {
    let published = [
        (
            "qwen3_moe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "use_qk_norm": true}),
        ),
        ("gemma2", json!({"head_dim": 4, "sliding_window": 4096, "sliding_window_size": 4096})),
        ("smollm3", json!({"max_window_layers": 28})),
        (
            "phi3",
            json!({"full_attn_mod": 1, "interpolate_factor": 1, "auto_map": {"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}}),
        ),
        (
            "starcoder2",
            json!({"attention_softmax_in_fp32": true, "scale_attention_softmax_in_fp32": true, "scale_attn_weights": true}),
        ),
        (
            "nemotron_h",
            json!({"hybrid_override_pattern": "M*", "attention_head_dim": 4, "rope_theta": 10000, "n_groups": 8}),
        ),
        ("qwen3", json!({"mlp_bias": false, "use_bias": false})),
        (
            "bloom",
            json!({"n_layer": 2, "n_head": 8, "attention_softmax_in_fp32": true, "offset_alibi": 100, "skip_bias_add": true,
                "num_key_value_heads": null, "max_position_embeddings": null}),
        ),
        (
            "deepseek_v3",
            json!({"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4,
            "n_routed_experts": null, "partial_rotary_factor": 1.0,
            "auto_map": {"AutoConfig": "deepseek-ai/DeepSeek-R1--configuration_deepseek.DeepseekV3Config"}}),
        ),
        ("falcon", json!({"num_key_value_heads": 8, "auto_map": {"AutoModel": "modeling_falcon.FalconModel"}})),
        (
            "phimoe",
            json!({"architectures": ["PhiMoEForCausalLM"], "auto_map": {"AutoModelForCausalLM": "modeling_phimoe.PhiMoEForCausalLM"},
            "num_local_experts": 4, "num_experts_per_tok": 2, "input_jitter_noise": 0.01, "router_jitter_noise": 0.01,
            "attention_bias": true, "lm_head_bias": true, "hidden_dropout": 0.0, "original_max_position_embeddings": 64,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1], "long_factor": [1.0, 2.0], "short_mscale": 1.2,
            "long_mscale": 1.3, "original_max_position_embeddings": 64}}),
        ),
        (
            "dbrx",
            json!({"auto_map": {"AutoModelForCausalLM": "modeling_dbrx.DbrxForCausalLM"}, "emb_pdrop": 0.0,
            "attn_config": {"clip_qkv": 8, "kv_n_heads": 2, "model_type": "", "rope_theta": 500_000},
            "ffn_config": {"ffn_hidden_size": 16, "moe_jitter_eps": 0.01, "moe_loss_weight": 0.05, "moe_num_experts": 4,
            "moe_top_k": 2, "uniform_expert_assignment": false}}),
        ),
        ("apertus", json!({"hidden_act": "xielu", "qk_norm": true, "post_norm": false, "mlp_bias": false})),
    ];
    for (model_type, fields) in published {
        let config = small(model_type, &fields);
        assert!(taken(&config).and_then(|spec| spec.trace(Size::new(1, 2))).is_ok(), "{}", refused(&config));
    }
    let scaled = json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.0}});
    assert!(spec(small("mistral", &scaled)).trace(Size::new(1, 2)).is_ok());
}

/// Transformers' code has them written in it.
#[test]
fn a_field_that_nothing_follows_is_no_question() {
    let mpt =
        json!({"model_type": "mpt", "d_model": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 64, "max_seq_len": 16});
    let bloom = json!({"model_type": "bloom", "hidden_size": 32, "n_layer": 1, "n_head": 4, "vocab_size": 64});
    let starcoder = json!({"model_type": "gpt_bigcode", "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16, "vocab_size": 64});
    let falcon = json!({"model_type": "falcon", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 64});
    let changed = |config: &Value, name: &str, value: Value| {
        spec(config).with_fields(&serde_json::Map::from_iter([(name.to_owned(), value)]))
    };
    let said = |config: &Value, name: &str, value: Value| {
        changed(config, name, value).and_then(|spec| spec.trace(Size::new(1, 2))).unwrap_err().to_string()
    };
    for config in [&mpt, &bloom] {
        assert!(said(config, "intermediate_size", 64.into()).contains("reads none of that name"));
    }
    let groups = said(&starcoder, "num_key_value_heads", 2.into());
    assert!(groups.contains("2 is not supported here, only 1, as `multi_query` says"), "{groups}");
    assert!(changed(&starcoder, "num_key_value_heads", 1.into()).is_ok());
    let activation = said(&small("lfm2", &json!({"full_attn_idxs": [1]})), "hidden_act", "relu".into());
    assert!(activation.contains("field `hidden_act`: `relu` is not supported here, only `silu`"), "{activation}");
    let groups = said(&falcon, "num_key_value_heads", 2.into());
    assert!(
        groups.contains("field `num_kv_heads`: 2 is not supported here, only 1, as `multi_query` says"),
        "{groups}"
    );
    let narrow = changed(&falcon, "intermediate_size", 64.into()).unwrap();
    assert!(narrow.num_parameters(TaskHead::Lm).unwrap() < spec(&falcon).num_parameters(TaskHead::Lm).unwrap());
}

/// Where nothing reads a field, `irene whatif` says so.
#[test]
fn fields_that_others_stand_for_are_not_read() {
    let falcon = json!({"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_expand": 2, "mlp_expansion_factor": 8});
    let convolving = json!({"full_attn_idxs": [1], "layer_types": ["conv", "full_attention"]});
    let mamba = json!({"model_type": "mamba2", "hidden_size": 32, "num_hidden_layers": 1, "num_heads": 4, "head_dim": 16,
        "state_size": 8, "n_groups": 1, "vocab_size": 64, "intermediate_size": 48});
    let first = json!({"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 1, "state_size": 8, "vocab_size": 64,
        "expand": 16, "intermediate_size": 48});
    let models: [(Value, &[&str]); 5] = [
        (first, &["expand"]),
        (small("falcon_h1", &falcon), &["mamba_expand", "mlp_expansion_factor"]),
        (small("lfm2", &convolving), &["full_attn_idxs"]),
        (
            small("lfm2_moe", &json!({"block_multiple_of": 128, "block_ff_dim": 64})),
            &["block_multiple_of", "block_ff_dim"],
        ),
        (mamba.clone(), &["intermediate_size"]),
    ];
    for (config, unread) in models {
        let spec = spec(&config);
        assert!(spec.trace(Size::new(1, 2)).is_ok(), "{config}");
        assert!(unread.iter().all(|name| !spec.reads_field(name)), "{config}");
    }
    // Mamba-2 has no other field for its inner numbers.
    assert!(spec(&mamba).reads_field("expand"));
    assert!(spec(small("falcon_h1", &json!({"mamba_d_ssm": null, "mamba_n_heads": 8}))).reads_field("mamba_expand"));
    let mut other = mamba;
    other["hidden_act"] = "relu".into();
    assert!(refused(&other).contains("field `hidden_act`: `relu` is not supported here, only `silu`"));
}

#[test]
fn fields_inside_the_attention_of_mpt_are_as_guarded_as_those_beside_it() {
    let mpt = |attention: Value| {
        json!({"model_type": "mpt", "d_model": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 64, "max_seq_len": 16,
            "attn_config": attention})
    };
    let plain = json!({"alibi_bias_max": 8.0, "qk_gn": false, "rope": false, "rope_theta": 10000, "sliding_window_size": -1, "kv_n_heads": null});
    assert!(spec(mpt(plain)).trace(Size::new(1, 2)).is_ok());
    for (name, value) in
        [("rope", json!(true)), ("qk_gn", json!(true)), ("kv_n_heads", json!(2)), ("sliding_window_size", json!(8))]
    {
        let refused = refused(mpt(json!({name: value})));
        assert!(refused.contains(&format!("field `attn_config.{name}`: `{value}` is unknown for mpt")), "{refused}");
    }
    let other = refused(mpt(json!({"alibi_bias_max": 16})));
    assert!(other.contains("field `attn_config.alibi_bias_max`: only 8 is supported here"), "{other}");
}

#[test]
fn without_a_multiplier_lfm2_has_two_thirds_of_its_inner_size() {
    let lfm2 = |further: Value| {
        let mut config = small("lfm2", &further);
        config["full_attn_idxs"] = json!([1]);
        parameters(&config)
    };
    let thirds = lfm2(json!({"intermediate_size": 30, "block_ffn_dim_multiplier": null}));
    assert_eq!(thirds, lfm2(json!({"intermediate_size": 20, "block_auto_adjust_ff_dim": false})));
    // The older name comes before the other.
    assert_eq!(thirds, lfm2(json!({"intermediate_size": 60, "block_ff_dim": 30, "block_ffn_dim_multiplier": null})));
    // Where the field is missing, it is 1, and whole blocks are made.
    assert_eq!(
        lfm2(json!({"intermediate_size": 30})),
        lfm2(json!({"intermediate_size": 256, "block_auto_adjust_ff_dim": false}))
    );
}

#[test]
fn ministral_has_no_biases() {
    assert!(refused(small("ministral", &json!({"attention_bias": true}))).contains("field `attention_bias`: is true"));
    assert!(refused(small("ministral", &json!({"mlp_bias": true}))).contains("field `mlp_bias`: is true"));
}

#[test]
fn layers_of_nemotron_have_letters_or_words() {
    let letters = small("nemotron_h", &json!({"hybrid_override_pattern": "M*", "n_groups": 8}));
    let words = small("nemotron_h", &json!({"layers_block_type": ["mamba", "attention"], "n_groups": 8}));
    assert_eq!(parameters(&letters), parameters(&words));
    // transformers 5 writes the kinds of the layers and not their number.
    let mut unnumbered = words;
    unnumbered.as_object_mut().unwrap().remove("num_hidden_layers");
    assert_eq!(parameters(&letters), parameters(&unnumbered));
    let other = small("nemotron_h", &json!({"layers_block_type": ["mamba", "lstm"], "n_groups": 8}));
    assert!(refused(&other).contains("field `layers_block_type`: a layer is `lstm`"), "{}", refused(&other));
}

#[test]
fn every_field_that_is_refused_is_told_at_once() {
    let fields = json!({"use_bias": true, "sliding_window": 8, "use_qk_norm": true, "mup_attn_scale": 2.0});
    assert_eq!(
        refused(small("llama", &fields)),
        "config.json, field `sliding_window`: `8` is not supported here; field `use_bias`: is true, which is not supported here; field \
         `use_qk_norm`: `true` is unknown for llama, and so are `mup_attn_scale`; they may ask for another design; if they do not, leave \
         the fields out of a copy of the config"
    );
}

/// Python writes numbers that are none in JSON.
#[test]
fn infinities_of_python_are_as_null() {
    let text = r#"{"model_type":"llama","note":"no \"Infinity\" here, nor NaN","time_step_limit":[0.0, Infinity, -Infinity],"x":NaN,
        "hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,"vocab_size":9}"#;
    let config = Config::from_json("config.json", text.as_bytes()).unwrap();
    let whole = text.replace(", Infinity, -Infinity]", ", null, null]").replace(":NaN,", ":null,");
    assert_eq!(config, Config::from_json("config.json", whole.as_bytes()).unwrap());
    assert!(Config::from_json("config.json", b"{\"x\": Infinite}").is_err());
}

#[test]
fn a_decoder_that_makes_vectors_has_no_head() {
    let task = |fields: Value| spec(small("qwen3", &fields)).task();
    assert_eq!(task(json!({"architectures": ["Qwen3ForCausalLM"]})), ModelTask::Decoder);
    assert_eq!(task(json!({"architectures": ["Qwen3Model"]})), ModelTask::Embedder);
    assert_eq!(task(json!({"sentence_modules": ["lasttoken", "normalize"]})), ModelTask::Embedder);
    let run = Run { kernels: Kernels::Fused, ..Size::new(1, 8).into() };
    let left_out = |fields: Value| spec(small("qwen3", &fields)).left_out_head(run).unwrap();
    assert!(left_out(json!({})).is_some());
    assert_eq!(left_out(json!({"architectures": ["Qwen3Model"]})), None);
}

/// EmbeddingGemma and gte-Qwen2.
#[test]
fn an_embedding_model_whose_tokens_see_all_others_keeps_no_keys_and_values() {
    let run = Run { kernels: Kernels::Fused, ..Size::new(1, 64).into() };
    let pairs = |model_type: &str, fields: Value| {
        let spec = spec(small(model_type, &fields));
        let tree = spec.trace(run).unwrap();
        let attention = tree.nodes().iter().filter_map(|node| node.operation.as_deref());
        let pairs: Vec<u64> = attention.map(|operation| operation.pairs).filter(|pairs| *pairs > 0).collect();
        (pairs, spec.cache(Kernels::Fused).unwrap().is_some())
    };
    assert_eq!(pairs("qwen2", json!({})), (vec![64 * 65 / 2; 2], true));
    assert_eq!(pairs("qwen2", json!({"is_causal": false})), (vec![64 * 64; 2], false));
    // A token sees 4 before it and 4 behind it: half of a window of 8, and itself.
    let window =
        json!({"head_dim": 4, "use_bidirectional_attention": true, "sliding_window": 8, "sliding_window_pattern": 2});
    assert_eq!(pairs("gemma3_text", window), (vec![64 * 9 - 2 * (4 + 3 + 2 + 1), 64 * 64], false));
}
