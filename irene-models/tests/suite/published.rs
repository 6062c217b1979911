//! Families without a built-in model: the shapes of their best-known models have the published parameters, and the keys and values that
//! a hand counts.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Node, OpKind, Precision, Quantity, Role, Size};
use serde_json::{Value, json};

use crate::support::spec;

/// The parameters with a language model's head, and those that a token is not sent to.
fn counted(spec: &ModelSpec) -> [f64; 2] {
    let tree = spec.trace(Run { head: TaskHead::Lm, ..Size::new(1, 1).into() }).unwrap();
    let idle = tree.nodes().iter().map(idle).sum();
    [tree.root().get(Quantity::NumParameters).unwrap(), idle]
}

fn idle(node: &Node) -> f64 {
    let Some(operation) = node.operation.as_deref().filter(|operation| operation.kind == OpKind::GroupedLinear) else {
        return 0.0;
    };
    let stored = operation.inputs.iter().filter(|input| matches!(input.role, Role::Parameter(_)));
    let stored = stored.map(|input| input.shape.elements() as f64).sum::<f64>();
    stored - operation.touched as f64
}

/// Bytes that one token more adds to the keys and values of 10,000, in 16 bits.
fn added_bytes(spec: &ModelSpec) -> u64 {
    let precision = Precision::of(Format::BF16);
    let bytes = |tokens| spec.cache_bytes(1, tokens, precision).unwrap().unwrap();
    bytes(10_001) - bytes(10_000)
}

/// A config's `model_type`, and its hidden size, layers, heads, heads of keys and values, inner size and vocabulary, in this order; 0 for one
/// that it does not have.
pub(crate) fn config(model_type: &str, sizes: [u64; 6], further: Value) -> Value {
    const NAMES: [&str; 6] = [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "vocab_size",
    ];
    let mut fields = further;
    fields["model_type"] = model_type.into();
    NAMES.iter().zip(sizes).filter(|(_, size)| *size > 0).for_each(|(name, size)| fields[name] = size.into());
    fields
}

#[test]
fn dense_models_have_their_published_parameters() {
    let yarn = json!({"head_dim": 128, "sliding_window": null, "rope_parameters": {"rope_type": "yarn", "factor": 16.0,
        "rope_theta": 1e6, "original_max_position_embeddings": 16384, "llama_4_scaling_beta": 0.1, "mscale_all_dim": 0.0}});
    let tied = json!({"tie_word_embeddings": true, "head_dim": 128, "rope_parameters": yarn["rope_parameters"]});
    let mrope = json!({"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vision_config": {"depth": 32},
        "architectures": ["Qwen2_5_VLForConditionalGeneration"]});
    let next = json!({"linear_num_value_heads": 48, "attn_output_gate": true, "output_gate_type": "swish"});
    let micro = json!({"shared_intermediate_size": 8192, "num_local_experts": 0, "position_embedding_type": "rope",
        "tie_word_embeddings": true, "layer_types": (0..40).map(|_| "attention").collect::<Vec<_>>()});
    let hunyuan = json!({"attention_head_dim": 128, "head_dim": 128, "use_qk_norm": true, "norm_type": "rms",
        "use_rotary_pos_emb": true, "use_cla": false, "tie_word_embeddings": true, "rope_scaling": {"type": "dynamic",
        "alpha": 1000.0, "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}});
    let starcoder = json!({"n_positions": 8192, "n_inner": 24576, "activation_function": "gelu", "multi_query": true,
        "pre_allocate_kv_cache": false, "attention_softmax_in_fp32": true});
    let mpt = json!({"architectures": ["MPTForCausalLM"], "max_seq_len": 2048, "expansion_ratio": 4, "no_bias": true,
        "auto_map": {"AutoConfig": "configuration_mpt.MPTConfig", "AutoModelForCausalLM": "mosaicml/mpt-7b--modeling_mpt.MPTForCausalLM"},
        "attn_config": {"alibi": true, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0, "attn_type": "multihead_attention",
        "attn_uses_sequence_id": false, "clip_qkv": null, "prefix_lm": false, "qk_ln": false, "softmax_scale": null},
        "embedding_fraction": 1.0, "learned_pos_emb": true, "logit_scale": null, "norm_type": "low_precision_layernorm"});
    let gemma = json!({"head_dim": 256, "global_head_dim": 512, "num_global_key_value_heads": 4, "attention_k_eq_v": true,
        "sliding_window": 1024, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "use_bidirectional_attention": "vision",
        "vocab_size_per_layer_input": 262_144});
    let kinds = |place: usize| if place % 5 == 4 { "full_attention" } else { "sliding_attention" };
    let e2b = json!({"head_dim": 256, "global_head_dim": 512, "num_global_key_value_heads": null, "attention_k_eq_v": false,
        "sliding_window": 512, "hidden_size_per_layer_input": 256, "num_kv_shared_layers": 20, "use_double_wide_mlp": true,
        "enable_moe_block": false, "layer_types": (0..35).map(kinds).collect::<Vec<_>>()});
    let of_12b =
        json!({"head_dim": 256, "global_head_dim": 512, "num_global_key_value_heads": 1, "attention_k_eq_v": true});
    // Windows of 4096 tokens are full.
    let models = [
        ("Ministral 3 8B", "ministral3", [4096, 34, 32, 8, 14336, 131_072], yarn.clone(), 8_489_553_920, 139_264),
        ("Ministral 3 3B", "ministral3", [3072, 26, 32, 8, 9216, 131_072], tied, 3_429_006_336, 106_496),
        ("Devstral 2", "ministral3", [12288, 88, 96, 8, 28672, 131_072], yarn, 125_025_988_608, 360_448),
        ("Qwen2.5-VL-7B", "qwen2_5_vl", [3584, 28, 28, 4, 18944, 152_064], mrope, 7_615_616_512, 57_344),
        ("Qwen3.5-27B", "qwen3_5_text", [5120, 64, 24, 4, 17408, 248_320], next, 26_895_998_464, 65_536),
        ("OLMo 3 7B", "olmo3", [4096, 32, 32, 32, 11008, 100_278], json!({}), 7_298_011_136, 131_072),
        ("EXAONE 4 32B", "exaone4", [5120, 64, 40, 8, 27392, 102_400], json!({}), 32_003_216_384, 65_536),
        ("ERNIE 4.5 0.3B", "ernie4_5", [1024, 18, 16, 2, 3072, 103_424], json!({}), 360_748_032, 18_432),
        ("Seed-OSS 36B", "seed_oss", [5120, 64, 80, 8, 27648, 155_136], json!({}), 36_151_104_512, 262_144),
        ("GLM-4-9B-0414", "glm4", [4096, 40, 32, 2, 13696, 151_552], json!({}), 9_400_279_040, 40_960),
        ("Command R", "cohere", [8192, 40, 64, 64, 22528, 256_000], json!({}), 34_980_831_232, 1_310_720),
        ("Command A", "cohere2", [12288, 64, 96, 8, 36864, 256_000], json!({}), 111_057_580_032, 65_536),
        ("Granite 4 Micro", "granitemoehybrid", [2560, 40, 40, 8, 8192, 100_352], micro, 3_402_836_480, 81_920),
        ("AFM 4.5B", "arcee", [2560, 36, 20, 4, 18432, 128_004], json!({}), 4_619_184_640, 73_728),
        ("CWM", "cwm", [6144, 64, 48, 8, 21504, 128_256], json!({}), 32_581_097_472, 65_536),
        ("Helium 1", "helium", [2560, 24, 20, 20, 7040, 48_000], json!({}), 2_172_643_840, 245_760),
        ("Hunyuan 7B", "hunyuan_v1_dense", [4096, 32, 32, 8, 14336, 128_167], hunyuan, 7_504_568_320, 131_072),
        ("OLMo 7B", "olmo", [4096, 32, 32, 32, 11008, 50_304], json!({}), 6_888_095_744, 524_288),
        ("StableLM 3B", "stablelm", [2560, 32, 32, 32, 6912, 50_304], json!({}), 2_795_443_200, 327_680),
        (
            "Minitron 4B",
            "nemotron",
            [3072, 32, 24, 8, 9216, 256_000],
            json!({"kv_channels": 128}),
            4_190_509_056,
            131_072,
        ),
        ("VaultGemma 1B", "vaultgemma", [1152, 26, 4, 4, 6912, 256_000], json!({}), 1_038_741_120, 53_248),
        ("Gemma 4 31B", "gemma4_text", [5376, 60, 32, 16, 21504, 262_144], gemma, 30_697_345_280, 81_920),
        ("Gemma 4 12B", "gemma4_unified_text", [3840, 48, 16, 8, 15360, 262_144], of_12b, 11_907_350_272, 16_384),
        ("Gemma 4 E2B", "gemma4_text", [1536, 35, 8, 1, 6144, 262_144], e2b, 4_628_569_344, 6144),
        ("MPT 7B", "mpt", [4096, 32, 32, 0, 0, 50_432], mpt, 6_649_286_656, 524_288),
        ("StarCoder", "gpt_bigcode", [6144, 40, 48, 0, 0, 49_152], starcoder, 15_517_456_384, 20_480),
    ];
    are_published(models.map(|(name, model_type, sizes, further, parameters, bytes)| {
        (name, config(model_type, sizes, further), [parameters, parameters], bytes)
    }));
}

/// A model's name and config, its parameters, those that a token is sent to, and the bytes that a token adds to the cache.
type Published = (&'static str, Value, [u64; 2], u64);

fn are_published(models: impl IntoIterator<Item = Published>) {
    for (name, config, [parameters, active], bytes) in models {
        let spec = spec(config);
        let [all, idle] = counted(&spec);
        assert_eq!((all, all - idle), (parameters as f64, active as f64), "{name}");
        assert_eq!(added_bytes(&spec), bytes, "{name}");
    }
}

#[test]
fn mixtures_have_their_published_parameters_in_all_and_for_a_token() {
    let latent = json!({"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
        "first_k_dense_replace": 1, "architectures": ["DeepseekV3ForCausalLM"],
        "auto_map": {"AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"}});
    let kimi = config("kimi_k2", [7168, 61, 64, 64, 18432, 163_840], latent);
    let flash = json!({"q_lora_rank": 768, "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "n_routed_experts": 64, "n_shared_experts": 1, "num_experts_per_tok": 4, "moe_intermediate_size": 1536,
        "partial_rotary_factor": 1.0});
    let flash = config("glm4_moe_lite", [2048, 47, 20, 20, 10240, 154_880], flash);
    let kinds = |place: usize| if place < 3 || place % 4 == 2 { "full" } else { "shared" };
    let glm = json!({"q_lora_rank": 2048, "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "qk_head_dim": 256,
        "v_head_dim": 256, "head_dim": 192, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048, "index_topk": 2048, "index_n_heads": 32, "index_head_dim": 128,
        "indexer_rope_interleave": true, "rope_interleave": true, "indexer_types": (0..78).map(kinds).collect::<Vec<_>>(),
        "topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1, "num_nextn_predict_layers": 1, "ep_size": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 8_000_000}});
    let glm = config("glm_moe_dsa", [6144, 78, 64, 64, 12288, 154_880], glm);
    let air = json!({"head_dim": 128, "attention_bias": true, "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 8,
        "moe_intermediate_size": 1408, "topk_method": "noaux_tc"});
    let air = config("glm4_moe", [4096, 46, 96, 8, 10944, 151_552], air);
    let minimax = json!({"num_local_experts": 256, "num_experts_per_tok": 8, "rotary_dim": 64, "use_qk_norm": true,
        "qk_norm_type": "per_layer", "attn_type_list": [1, 1], "use_routing_bias": true, "mlp_intermediate_size": 8192,
        "shared_moe_mode": "sigmoid", "shared_intermediate_size": 0, "layernorm_full_attention_beta": 1.0,
        "layernorm_linear_attention_beta": 1.0, "layernorm_mlp_beta": 1.0});
    let minimax = config("minimax_m2", [3072, 62, 48, 8, 1536, 200_064], minimax);
    let vision = json!({"head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
        "norm_topk_prob": true, "rope_scaling": {"rope_type": "default", "mrope_interleaved": true, "mrope_section": [24, 20, 20]}});
    let vision = config("qwen3_vl_moe_text", [2048, 48, 32, 4, 6144, 151_936], vision);
    let gemma = json!({"global_head_dim": 512, "num_global_key_value_heads": 2, "attention_k_eq_v": true, "sliding_window": 1024,
        "hidden_size_per_layer_input": 0, "enable_moe_block": true, "num_experts": 128, "top_k_experts": 8,
        "moe_intermediate_size": 704});
    let gemma = config("gemma4_text", [2816, 30, 16, 8, 2112, 262_144], gemma);
    let olmoe = config("olmoe", [2048, 16, 16, 16, 1024, 50_304], json!({}));
    let dots = json!({"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 1408,
        "first_k_dense_replace": 1, "moe_layer_freq": 1, "sliding_window": null, "scoring_func": "noaux_tc"});
    let dots = config("dots1", [4096, 62, 32, 32, 10944, 152_064], dots);
    let solar = json!({"head_dim": 128, "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 8,
        "moe_intermediate_size": 1280, "first_k_dense_replace": 0, "use_qk_norm": false});
    let solar = config("solar_open", [4096, 48, 64, 8, 0, 196_608], solar);
    let is_sparse: Vec<bool> = (0..48).map(|place| place > 0).collect();
    let exaone = json!({"head_dim": 128, "num_experts": 128, "num_shared_experts": 1, "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048, "is_moe_layer": is_sparse, "sliding_window": 128, "sliding_window_pattern": "LLLG",
        "architectures": ["ExaoneMoEForCausalLM"]});
    let exaone = config("exaone_moe", [6144, 48, 64, 8, 18432, 153_600], exaone);
    let ernie = json!({"moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_k": 6, "moe_intermediate_size": 1536,
        "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_capacity": [64, 64, 64], "moe_use_aux_free": true,
        "auto_map": {"AutoModelForCausalLM": "modeling_ernie4_5_moe.Ernie4_5_MoeForCausalLM"}});
    let ernie = config("ernie4_5_moe", [2560, 28, 20, 4, 12288, 103_424], ernie);
    let hunyuan = json!({"attention_head_dim": 128, "num_experts": 64, "moe_topk": vec![8; 32], "num_shared_expert": vec![1; 32],
        "moe_intermediate_size": vec![3072; 32], "use_mixed_mlp_moe": true, "use_qk_norm": true, "tie_word_embeddings": true,
        "auto_map": {"AutoConfig": "configuration_hunyuan.HunYuanConfig", "AutoModelForCausalLM": "hunyuan.HunYuanMoEV1ForCausalLM"},
        "use_mla": false, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
        "mamba": false, "mamba_d_conv": 4, "mamba_head_dim": 64, "vit_norm_type": "fused", "vit_used_rms_norm": true,
        "vit_remove_prenorm": true, "vit_add_patchemb_bias": true, "norm_topk_prob": true, "add_classification_head": false,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}});
    let hunyuan = config("hunyuan_v1_moe", [4096, 32, 32, 8, 3072, 128_167], hunyuan);
    let flex = config("flex_olmo", [4096, 32, 32, 32, 11008, 100_352], json!({}));
    are_published([
        ("Kimi K2", kimi, [1_026_408_232_448, 32_861_500_928], 70_272),
        ("GLM-4.7-Flash", flash, [29_943_393_920, 3_896_766_080], 54_144),
        ("GLM-5.2", glm, [743_377_019_904, 41_250_530_304], 95_232),
        ("GLM-4.5-Air", air, [106_852_251_264, 13_424_129_664], 188_416),
        ("MiniMax-M2", minimax, [228_689_764_864, 11_030_553_088], 253_952),
        ("Gemma 4 26B-A4B", gemma, [25_233_141_760, 3_822_530_560], 20_480),
        ("OLMoE", olmoe, [6_919_161_856, 1_282_017_280], 131_072),
        ("dots.llm1", dots, [142_774_381_696, 14_016_588_928], 1_015_808),
        ("Solar Open 100B", solar, [102_651_799_552, 12_054_833_152], 196_608),
        ("K-EXAONE", exaone, [236_571_156_352, 23_668_285_312], 49_152),
        ("ERNIE 4.5 21B-A3B", ernie, [21_825_437_888, 3_352_150_208], 57_344),
        ("Hunyuan A13B", hunyuan, [80_393_183_232, 12_747_448_320], 131_072),
        ("FlexOlmo 7x7B", flex, [33_270_665_216, 24_613_621_760], 524_288),
        ("Qwen3-VL-30B-A3B", vision, [30_532_122_624, 3_353_032_704], 98_304),
    ]);
}

#[test]
fn later_mixtures_have_their_published_parameters_in_all_and_for_a_token() {
    let slides: Vec<u8> = (0..48).map(|place| u8::from(place > 0 && (place + 1) % 6 != 0)).collect();
    let has_experts: Vec<u8> = (0..48).map(|place| u8::from(place > 0)).collect();
    let mimo = json!({"head_dim": 192, "v_head_dim": 128, "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8, "swa_head_dim": 192,
        "swa_v_head_dim": 128, "add_swa_attention_sink_bias": true, "add_full_attention_sink_bias": false, "sliding_window": 128,
        "sliding_window_size": 128, "sliding_window_pattern": 6, "attention_chunk_size": 128, "attention_value_scale": 0.707,
        "partial_rotary_factor": 0.334,
        "rope_theta": 5_000_000, "swa_rope_theta": 10_000, "rope_scaling": null, "layernorm_epsilon": 1e-5, "n_routed_experts": 256,
        "n_shared_experts": null, "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "n_group": 1, "topk_group": 1,
        "topk_method": "noaux_tc", "scoring_func": "sigmoid", "routed_scaling_factor": null, "hybrid_layer_pattern": slides,
        "moe_layer_freq": has_experts, "auto_map": {"AutoModelForCausalLM": "modeling_mimo_v2_flash.MiMoV2FlashForCausalLM"}});
    let mimo = config("mimo_v2_flash", [4096, 48, 64, 4, 16384, 152_576], mimo);
    let hy3 = json!({"head_dim": 128, "qk_norm": true, "num_experts": 192, "num_shared_experts": 1, "num_experts_per_tok": 8,
        "moe_intermediate_size": 1536, "router_scaling_factor": 2.826, "first_k_dense_replace": 1, "num_nextn_predict_layers": 1,
        "moe_router_use_sigmoid": true, "moe_router_enable_expert_bias": true, "route_norm": true, "enable_moe_fp32_combine": true,
        "enable_attention_fp32_softmax": true, "enable_lm_head_fp32": true, "use_grouped_mm": true, "output_router_logits": true});
    let hy3 = config("hy_v3", [4096, 80, 64, 8, 13312, 120_832], hy3);
    let small = json!({"head_dim": 128, "qk_head_dim": 128, "q_lora_rank": 1024, "kv_lora_rank": 256, "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 4,
        "moe_intermediate_size": 2048, "first_k_dense_replace": 0, "rope_interleave": true});
    let small = config("mistral4", [4096, 36, 32, 32, 12288, 131_072], small);
    let small = json!({"model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "text_config": small,
        "vision_config": {"model_type": "pixtral", "hidden_size": 1024}});
    are_published([
        ("MiMo-V2-Flash", mimo, [308_778_780_864, 15_445_936_320], 23_040),
        ("Hy3", hy3, [295_033_543_488, 20_675_730_240], 327_680),
        ("Mistral Small 4", small, [118_972_826_624, 6_632_588_288], 23_040),
    ]);
}

#[test]
fn models_with_states_have_their_published_parameters_in_all_and_for_a_token() {
    let nemotron = json!({"head_dim": 128, "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        "mamba_num_heads": 64, "moe_intermediate_size": 1856, "moe_shared_expert_intermediate_size": 3712, "n_routed_experts": 128,
        "num_experts_per_tok": 6, "rope_theta": 10000});
    let nemotron = config("nemotron_h", [2688, 52, 32, 2, 1856, 131_072], nemotron);
    let next = json!({"num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "partial_rotary_factor": 0.25, "full_attention_interval": 4});
    let next = config("qwen3_next", [2048, 48, 16, 2, 5120, 151_936], next);
    let of_35b = json!({"num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "mlp_only_layers": [], "output_gate_type": "swish"});
    let of_35b = config("qwen3_5_moe_text", [2048, 40, 16, 2, 0, 248_320], of_35b);
    let dense = json!({"block_ff_dim": 12288, "block_use_swiglu": true, "conv_dim": 2048, "conv_dim_out": 2048, "conv_L_cache": 3,
        "num_heads": 32, "full_attn_idxs": [2, 5, 8, 10, 12, 14]});
    let dense = config("lfm2", [2048, 16, 32, 8, 0, 65_536], dense);
    let kinds = |place: usize| if [2, 6, 10, 14, 18, 21].contains(&place) { "full_attention" } else { "conv" };
    let lfm2 = json!({"num_dense_layers": 2, "num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792,
        "conv_L_cache": 3, "conv_bias": false, "use_expert_bias": true, "layer_types": (0..24).map(kinds).collect::<Vec<_>>()});
    let lfm2 = config("lfm2_moe", [2048, 24, 32, 8, 7168, 65_536], lfm2);
    let kinds = |place: usize| if place % 10 == 5 { "attention" } else { "mamba" };
    let granite = json!({"shared_intermediate_size": 1536, "num_local_experts": 72, "num_experts_per_tok": 10, "mamba_d_state": 128,
        "position_embedding_type": "nope", "tie_word_embeddings": true, "layer_types": (0..40).map(kinds).collect::<Vec<_>>()});
    let granite = config("granitemoehybrid", [4096, 40, 32, 8, 768, 100_352], granite);
    let bamba = json!({"attn_layer_indices": [9, 18, 27], "attn_rotary_emb": 64, "mamba_n_heads": 128, "mamba_d_head": 64,
        "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_conv_bias": true});
    let bamba = config("bamba", [4096, 32, 32, 8, 14336, 128_256], bamba);
    let falcon = json!({"head_dim": 64, "mamba_d_ssm": 1536, "mamba_n_heads": 24, "mamba_d_head": 64, "mamba_d_state": 128,
        "mamba_use_mlp": true, "mlp_expansion_factor": 8, "attn_layer_indices": null, "ssm_multipliers": [0.5, 0.25, 1.0, 1.0, 1.0],
        "mlp_multipliers": [0.5, 0.25], "lm_head_multiplier": 0.02, "embedding_multiplier": 5.6, "key_multiplier": 0.5});
    let falcon = config("falcon_h1", [1024, 36, 8, 2, 2048, 32_784], falcon);
    let codestral = json!({"num_heads": 128, "head_dim": 64, "state_size": 128, "n_groups": 8, "rms_norm": true,
        "norm_before_gate": true, "residual_in_fp32": true, "use_conv_bias": true, "use_bias": false});
    let codestral = config("mamba2", [4096, 64, 0, 0, 8192, 32_768], codestral);
    let mamba = json!({"d_model": 2560, "d_inner": 5120, "n_layer": 64, "expand": 2, "state_size": 16, "conv_kernel": 4,
        "time_step_rank": 160, "use_conv_bias": true, "use_bias": false, "rms_norm": true, "fused_add_norm": true,
        "residual_in_fp32": true, "rescale_prenorm_residual": false, "ssm_cfg": {}, "hidden_act": "silu"});
    let mamba = config("mamba", [2560, 64, 0, 0, 5120, 50_280], mamba);
    are_published([
        ("Mamba 2.8B", mamba, [2_768_345_600; 2], 0),
        ("Bamba 9B", bamba, [9_780_235_392; 2], 12_288),
        ("Falcon-H1 0.5B", falcon, [521_411_104; 2], 18_432),
        ("Codestral Mamba", codestral, [7_285_403_648; 2], 0),
        ("Nemotron 3 Nano", nemotron, [31_577_940_288, 3_580_076_352], 6144),
        ("Qwen3-Next", next, [79_674_391_296, 3_874_929_408], 24_576),
        ("Qwen3.5-35B-A3B", of_35b, [34_660_610_688, 3_454_988_928], 20_480),
        ("LFM2-1.2B", dense, [1_170_340_608; 2], 12_288),
        ("LFM2-8B-A1B", lfm2, [8_339_930_560, 1_557_740_992], 12_288),
        ("Granite 4 H Small", granite, [32_207_337_984, 8_803_121_664], 16_384),
    ]);
}
