//! Which configs are followed, by which code, and which are refused because they describe another.

use irene_models::ModelSpec;
use irene_tree::{Format, Quantity, Size};

use crate::support::{fixture, refused, spec, taken};

/// A config as it was found in a public repository.
fn public(name: &str) -> String {
    std::fs::read_to_string(fixture("configs").join(name)).unwrap()
}

const BERT: &str = r#"{"model_type":"bert","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,
    "intermediate_size":64,"vocab_size":100,"max_position_embeddings":40}"#;

fn bert_with(field: &str) -> String {
    BERT.replace("}", &format!(",{field}}}"))
}

const GPT2: &str = r#"{"model_type":"gpt2","n_embd":32,"n_layer":2,"n_head":4,"n_positions":40,"vocab_size":100}"#;

fn gpt2_with(field: &str) -> String {
    GPT2.replace("}", &format!(",{field}}}"))
}

/// Llama 4 as its public configs have it: the text model's config inside that of text and images.
#[test]
fn a_config_of_text_and_images_is_followed_by_its_text_model() {
    let text = r#"{"model_type":"llama4_text","hidden_size":32,"num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,
        "head_dim":8,"intermediate_size":24,"intermediate_size_mlp":40,"vocab_size":100,"num_local_experts":4,"no_rope_layers":[],
        "interleave_moe_layer_step":2,"attn_temperature_tuning":4,"for_llm_compressor":false,"torch_dtype":null}"#;
    let whole = format!(
        r#"{{"architectures":["Llama4ForConditionalGeneration"],"model_type":"llama4","torch_dtype":"bfloat16","text_config":{text},
        "vision_config":{{"hidden_size":48}}}}"#
    );
    let (alone, whole) = (spec(text), spec(whole));
    assert_eq!(whole.notes(), ["config.json: the text model of llama4 alone is followed, as its `text_config` has it"]);
    assert_eq!(alone.trace(Size::new(2, 3)).unwrap(), whole.trace(Size::new(2, 3)).unwrap());
    assert_eq!(whole.config().precision().unwrap().activations, Format::BF16);
}

/// Null says that there are none, where a missing field says nothing.
#[test]
fn latent_attention_needs_no_experts() {
    let json = r#"{"model_type":"deepseek_v3","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,
        "intermediate_size":24,"vocab_size":100,"max_position_embeddings":64,"q_lora_rank":null,"kv_lora_rank":6,"qk_nope_head_dim":4,
        "qk_rope_head_dim":4,"v_head_dim":4,"n_routed_experts":null}"#;
    let tree = spec(json).trace(Size::new(1, 2)).unwrap();
    assert!(tree.find("root.1.mlp.gate_proj").is_some());
    let missing = refused(json.replace(r#","n_routed_experts":null"#, ""));
    assert!(missing.ends_with("field `n_routed_experts`: is missing"), "{missing}");
}

#[test]
fn a_config_with_code_of_its_own_is_refused_by_name_with_the_way_out() {
    let alibi = refused(public("alibi_glu.json"));
    assert_eq!(
        alibi,
        "config.json, field `auto_map`: names code of the model's own, `bert_layers.BertForMaskedLM`, which is not run here; if the \
         model is a plain bert, leave `auto_map` out of a copy of the config"
    );
    // Without that field the next one tells.
    let alibi = public("alibi_glu.json").replace("auto_map", "note");
    assert!(refused(alibi).starts_with("config.json, field `alibi_starting_size`: `512` is unknown for bert"));
    let multi_query = public("multi_query.json");
    assert!(refused(&multi_query).contains("`configuration_gpt2_mq.GPT2CustomConfig`"));
    let multi_query = multi_query.replace("auto_map", "note");
    let class = refused(&multi_query);
    assert!(class.contains("field `architectures`: `GPT2LMHeadCustomModel` is no class of gpt2"), "{class}");
    assert!(class.ends_with("leave `architectures` out of a copy of the config"), "{class}");
    let multi_query = multi_query.replace("GPT2LMHeadCustomModel", "GPT2Model");
    assert!(refused(&multi_query).contains("field `attention_head_type`: `multiquery` is unknown for gpt2"));
    // With heads of its own for every query it is the plain code.
    assert!(taken(multi_query.replace("\"multiquery\"", "\"multihead\"")).is_ok());
}

#[test]
fn fields_of_another_design_are_refused_by_name() {
    let others = [
        "\"pruned_heads\":{\"0\":[1,2]}",
        "\"add_cross_attention\":true",
        "\"is_encoder_decoder\":true",
        "\"is_decoder\":true",
        "\"chunk_size_feed_forward\":16",
        "\"position_embedding_type\":\"relative_key_query\"",
        "\"position_embedding_type\":\"rotary\"",
        "\"embedding_size\":16",
        "\"num_key_value_heads\":2",
        "\"rotary_emb_base\":10000",
        "\"use_rotary\":true",
        "\"attention_window\":[512,512]",
        "\"use_glu\":true",
        "\"mlp_type\":\"gated\"",
        "\"num_experts\":8",
        "\"norm_position\":\"pre\"",
        "\"adapters\":{\"adapters\":{\"squad\":1}}",
        "\"use_bias\":false",
        "\"conv_kernel\":3",
    ];
    for field in others {
        let name = field.split('"').nth(1).unwrap();
        let error = refused(bert_with(field));
        assert!(error.starts_with(&format!("config.json, field `{name}`: ")), "{field}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for field in ["\"multi_query\":true,\"attn_type\":\"mqa\"", "\"reorder_and_upcast_attn\":true", "\"n_head_kv\":1"] {
        assert!(refused(gpt2_with(field)).contains("config.json, field `"), "{field}");
    }
}

/// Kin of Llama share its fields; a window or experts that the family's own code does not run are no part of it.
#[test]
fn a_decoder_refuses_the_parts_of_its_kin() {
    let with = |model_type: &str, field: &str| {
        BERT.replace(r#""bert""#, &format!(r#""{model_type}""#)).replace("}", &format!(",{field}}}"))
    };
    for (model_type, field) in
        [("llama", "sliding_window"), ("olmo2", "sliding_window"), ("granite", "num_local_experts")]
    {
        let error = refused(with(model_type, &format!(r#""{field}":4"#)));
        assert!(error.contains(&format!("field `{field}`")), "{error}");
        assert!(taken(with(model_type, &format!(r#""{field}":null"#))).is_ok());
    }
    assert!(taken(with("mistral", r#""sliding_window":4"#)).is_ok());
    assert!(taken(with("granitemoe", r#""num_local_experts":4"#)).is_ok());
}

#[test]
fn what_an_encoder_of_today_does_not_run_is_refused_by_name() {
    let sizes = BERT.replace("\"model_type\":\"bert\",", "");
    let of = |model_type: &str, field: &str| {
        refused(
            sizes.replacen('{', &format!("{{\"model_type\":\"{model_type}\","), 1).replace('}', &format!(",{field}}}")),
        )
    };
    let others = [
        ("albert", "\"num_hidden_groups\":3", "3 groups are more than the 2 layers"),
        ("mpnet", "\"relative_attention_num_buckets\":8", "8 is less than the 32 buckets that the model looks up"),
        ("modernbert", "\"layer_types\":[\"full_attention\"]", "names 1 layers of 2"),
        ("modernbert", "\"layer_types\":[\"full_attention\",\"linear\"]", "`linear` is not supported here"),
        ("deberta-v2", "\"pos_att_type\":\"p2p\"", "`p2p` is not supported here; there are c2p, p2c"),
        ("deberta-v2", "\"position_buckets\":256", "leaves no buckets by logarithm below the farthest position, 40"),
        ("deberta-v2", "\"conv_kernel_size\":2", "expected an odd number, found 2"),
        ("deberta-v2", "\"pooler_hidden_size\":8", "only the same as `hidden_size`"),
        ("nomic_bert", "\"prenorm\":true", "is true, which is not supported here"),
        ("nomic_bert", "\"activation_function\":\"gelu\"", "`gelu` is not supported here; there are swiglu, geglu"),
        ("nomic_bert", "\"num_experts\":8", "`8` is unknown for nomic_bert, and may ask for another design"),
    ];
    for (model_type, field, reason) in others {
        let name = field.split('"').nth(1).unwrap();
        let error = of(model_type, field);
        assert!(error.starts_with(&format!("config.json, field `{name}`: ")), "{field}: {error}");
        assert!(error.contains(reason) && !error.contains('\n'), "{field}: {error}");
    }
    let own = "\"auto_map\":{\"AutoModel\":\"modeling.OtherModel\"}";
    assert!(of("nomic_bert", own).contains("names code of the model's own, `modeling.OtherModel`"));
}

#[test]
fn fields_that_change_no_code_are_taken() {
    let harmless = [
        "\"pruned_heads\":{}",
        "\"pruned_heads\":null",
        "\"is_decoder\":false",
        "\"chunk_size_feed_forward\":0",
        "\"position_embedding_type\":\"absolute\"",
        "\"embedding_size\":32",
        "\"num_key_value_heads\":4",
        "\"attention_probs_dropout_prob\":0.1",
        "\"attn_implementation\":\"sdpa\"",
        "\"_attn_implementation_autoset\":true",
        "\"auto_map\":{\"AutoTokenizer\":[\"tokenization.Own\",null]}",
        "\"adapters\":{\"adapters\":{},\"config_map\":{}}",
        "\"pooler_num_attention_heads\":12,\"pooler_type\":\"first_token_transform\",\"directionality\":\"bidi\"",
        "\"transformers_version\":\"4.2.2\",\"torchscript\":true,\"finetuning_task\":\"sst-2\"",
        "\"task_specific_params\":{\"text-generation\":{\"max_length\":50}},\"gradient_checkpointing\":false",
        "\"architectures\":null",
        "\"architectures\":[\"TFBertForSequenceClassification\"]",
        "\"architectures\":[\"BertForNextSentencePrediction\",\"BertModel\"]",
        "\"attention_bias\":true,\"mlp_bias\":true",
        "\"max_grad_norm\":1.0,\"my_note\":\"of no use\"",
    ];
    let plain = spec(BERT).trace(Size::new(2, 8)).unwrap();
    for field in harmless {
        let tree =
            taken(bert_with(field)).unwrap_or_else(|error| panic!("{field}: {error}")).trace(Size::new(2, 8)).unwrap();
        assert_eq!(tree.nodes().len(), plain.nodes().len(), "{field}");
    }
    let published = "\"summary_proj_to_labels\":true,\"attn_pdrop\":0.1,\"n_ctx\":1024,\"scale_attn_weights\":true,\"is_decoder\":true";
    assert!(taken(gpt2_with(published)).is_ok());
}

#[test]
fn a_class_of_another_family_is_told_from_an_unknown_one() {
    let other = refused(bert_with("\"architectures\":[\"RobertaModel\"]"));
    assert!(other.ends_with("`RobertaModel` is a class of roberta, where `model_type` is bert"), "{other}");
    for class in ["HF_ColBERT", "RobertaPreLayerNormForMaskedLM", "BertForSomethingOfItsOwn", "MegatronBertModel"] {
        let error = refused(bert_with(&format!("\"architectures\":[\"{class}\"]")));
        assert!(
            error.contains(&format!("field `architectures`: `{class}` is no class of bert in transformers")),
            "{error}"
        );
    }
}

#[test]
fn xlm_roberta_and_camembert_are_robertas_code_under_their_own_names() {
    for (name, class, parameters) in
        [("xlm-roberta.json", "XLMRobertaModel", 559_890_432.0), ("camembert.json", "CamembertModel", 110_621_952.0)]
    {
        let spec = spec(public(name));
        assert_eq!((spec.instance_type().unwrap(), spec.longest_sequence().unwrap()), (class, 512));
        let tree = spec.trace(Size::new(1, 512)).unwrap();
        assert_eq!(tree.root().get(Quantity::NumParameters), Some(parameters));
        assert!(spec.trace(Size::new(1, 513)).unwrap_err().to_string().starts_with(class));
        let as_roberta = public(name).replace(&format!("\"{}\"", spec.model_type()), "\"roberta\"");
        let roberta = self::spec(as_roberta).trace(Size::new(1, 512)).unwrap();
        assert!(tree.nodes().iter().zip(roberta.nodes()).skip(1).all(|(one, other)| one == other));
    }
}

#[test]
fn a_share_of_a_head_that_cannot_rotate_is_named_by_the_configs_own_word() {
    let neox = |field: &str| refused(bert_with(field).replace("\"bert\"", "\"gpt_neox\""));
    let error = neox("\"rotary_pct\":0.4");
    assert!(error.contains("field `rotary_pct`: rotates 3 of 8 numbers of a head; expected an even number"), "{error}");
    let phi = bert_with("\"partial_rotary_factor\":0.4").replace("\"bert\"", "\"phi\"");
    assert!(refused(phi).contains("field `partial_rotary_factor`: rotates 3 of 8"));
}

/// The positions up to the padding's are no token's.
#[test]
fn the_longest_sequence_is_what_a_trace_takes() {
    let names = ["bert-base-uncased", "roberta-base", "distilbert-base-uncased", "gpt2", "openai-gpt"];
    let longest = names.map(|name| ModelSpec::builtin(name).unwrap().longest_sequence().unwrap());
    assert_eq!(longest, [512, 512, 512, 1024, 512]);
    for (name, longest) in names.into_iter().zip(longest) {
        let spec = ModelSpec::builtin(name).unwrap();
        assert!(spec.trace(Size::new(1, longest)).is_ok() && spec.trace(Size::new(1, longest + 1)).is_err(), "{name}");
    }
    let padded = BERT.replace("\"bert\"", "\"roberta\"").replace("}", ",\"pad_token_id\":5}");
    assert_eq!(spec(&padded).longest_sequence().unwrap(), 34);
    let none = padded.replace("\"pad_token_id\":5", "\"pad_token_id\":39");
    let error = spec(none).longest_sequence().unwrap_err().to_string();
    assert!(error.contains("39 leaves no position of `max_position_embeddings`, which is 40"), "{error}");
}

#[test]
fn a_config_without_model_type_is_taken_by_its_class_or_told_what_it_looks_like() {
    let missing = refused(public("no-model_type.json"));
    let start = "config.json, field `model_type`: is missing; the fields are those of bert, electra, roberta, xlm-roberta, camembert and ";
    let end = " others: add the right one, as in \"model_type\": \"bert\"";
    assert!(missing.starts_with(start) && missing.ends_with(end), "{missing}");
    let without_type = |json: &str, class: &str| {
        let (start, end) = json.split_once("\"model_type\"").unwrap();
        let (_, end) = end.split_once(',').unwrap();
        format!("{start}\"architectures\":[\"{class}\"],{end}")
    };
    let bert = spec(without_type(BERT, "BertForMaskedLM"));
    assert_eq!(bert.model_type(), "bert");
    assert_eq!(bert.notes(), ["config.json has no `model_type`: taken for bert, as its class BertForMaskedLM says"]);
    assert_eq!(spec(without_type(BERT, "TFCamembertModel")).model_type(), "camembert");
    assert_eq!(spec(without_type(GPT2, "GPT2LMHeadModel")).model_type(), "gpt2");
    assert!(refused(r#"{"tokenizer":1}"#).contains("is missing, and the fields are those of none of bert, "));
    assert!(spec(BERT).notes().is_empty());
}

/// transformers' config classes take either name.
#[test]
fn sizes_are_read_by_either_of_their_names() {
    let other = r#"{"model_type":"gpt2","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,
        "max_position_embeddings":40,"vocab_size":100}"#;
    let size = Size::new(2, 8);
    assert_eq!(spec(other).trace(size).unwrap(), spec(GPT2).trace(size).unwrap());
    assert!(taken(gpt2_with("\"hidden_size\":32")).is_ok());
    let both = refused(gpt2_with("\"hidden_size\":64"));
    assert_eq!(both, "config.json, field `hidden_size`: is 64 where `n_embd`, the same size, is 32");
}

#[test]
fn hints_are_slips_of_the_pen_and_not_other_models() {
    let hint = |name: &str| ModelSpec::find(name).unwrap_err().to_string();
    assert!(hint("bert-base-uncasd").contains("did you mean `bert-base-uncased`?"));
    assert!(hint("gtp2").contains("did you mean `gpt2`?"));
    assert!(hint("bert-base").contains("did you mean `bert-base-uncased`, `bert-base-cased`, "));
    assert!(hint("openai-comunity/gpt2").contains("did you mean `gpt2`?"));
    let other = hint("openai-community/gpt2-enormous");
    assert!(!other.contains("did you mean"), "{other}");
    assert!(other.contains("`hf download openai-community/gpt2-enormous config.json`"), "{other}");
    assert!(hint("gpt2-enormous").contains("`hf download gpt2-enormous config.json`"));
    assert!(ModelSpec::find("").is_err());
}
