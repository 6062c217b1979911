//! The metadata of a GGUF file beside its sizes are read: windows, scalings of positions, ends of texts, classes.

use irene_models::FileHead;
use irene_tree::Kernels;
use serde_json::{Map, Value, json};

#[cfg(feature = "text")]
use crate::gguf_file::gpt2_with_words;
use crate::{
    gguf_file::{File, tiny},
    support::spec,
};

fn read(file: &File) -> Result<Map<String, Value>, String> {
    let head = FileHead::read("tiny.gguf", &file.header()).map_err(|error| error.to_string())?;
    Ok(head.config.unwrap())
}

/// The window of each layer.
fn windows(file: &File) -> Vec<Option<usize>> {
    let spec = spec(Value::from(read(file).unwrap()));
    spec.cache(Kernels::Fused).unwrap().unwrap().0.iter().map(|layer| layer.window).collect()
}

/// llama.cpp's converter writes both under one word.
#[test]
fn a_file_of_olmo2_with_windows_is_olmo3() {
    let mut file = tiny("olmo2", &[("block_count", 4)], &[]);
    assert_eq!(read(&file).unwrap()["model_type"], "olmo2");
    file.whole("olmo2.attention.sliding_window", 4);
    assert_eq!(read(&file).unwrap()["model_type"], "olmo3");
    assert_eq!(windows(&file), [Some(4), Some(4), Some(4), None]);
    file.flags("olmo2.attention.sliding_window_pattern", &[false, true, false, true]);
    assert_eq!(windows(&file), [None, Some(4), None, Some(4)]);
}

#[test]
fn a_file_without_the_size_of_windows_has_none() {
    for architecture in ["gemma3", "exaone4"] {
        let mut file = tiny(architecture, &[("block_count", 4)], &[]);
        assert_eq!(windows(&file), [None; 4], "{architecture}");
        file.whole(&format!("{architecture}.attention.sliding_window"), 7);
        assert_eq!(windows(&file)[0], Some(7), "{architecture}");
    }
}

#[test]
fn a_window_of_no_tokens_is_none() {
    for architecture in ["gemma2", "gemma3"] {
        let mut file = tiny(architecture, &[("block_count", 2)], &[]);
        let field = format!("{architecture}.attention.sliding_window");
        file.whole(&field, 7);
        assert_eq!(windows(&file)[0], Some(7), "{architecture}");
        file.whole(&field, 0);
        assert_eq!(windows(&file), [None; 2], "{architecture}");
    }
}

#[test]
fn layers_of_several_kinds_are_told_by_their_sizes() {
    let mut file =
        tiny("granitehybrid", &[("block_count", 2), ("ssm.time_step_rank", 4), ("ssm.inner_size", 128)], &[]);
    file.wholes("granitehybrid.attention.head_count_kv", &[0, 2]);
    let config = read(&file).unwrap();
    assert_eq!((&config["layer_types"], &config["num_key_value_heads"]), (&json!(["mamba", "attention"]), &json!(2)));
    file.wholes("granitehybrid.attention.head_count_kv", &[1, 2]);
    assert!(read(&file).unwrap_err().contains("differs from layer to layer"));
}

#[test]
fn the_cap_of_logits_is_read() {
    let mut file = tiny("gemma3", &[], &[]);
    assert_eq!(read(&file).unwrap().get("final_logit_softcapping"), None);
    file.number("gemma3.final_logit_softcapping", 30.0);
    assert_eq!(read(&file).unwrap()["final_logit_softcapping"], 30.0);
}

#[test]
fn positions_are_scaled_as_llama_cpp_scales_them() {
    type Change = fn(&mut File);
    let linear = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    let yarn = |file: &mut File| {
        file.text("llama.rope.scaling.type", "yarn");
        file.number("llama.rope.scaling.factor", 4.0);
        file.whole("llama.rope.scaling.original_context_length", 16);
    };
    let cases: [(Change, Option<Value>); 8] = [
        (|_| {}, None),
        // A file of 2023.
        (|file| file.number("llama.rope.scale_linear", 4.0), Some(linear(4.0))),
        (|file| file.number("llama.rope.scaling.factor", 8.0), Some(linear(8.0))),
        (|file| file.number("llama.rope.scaling.factor", 0.0), None),
        (
            |file| {
                file.text("llama.rope.scaling.type", "none");
                file.number("llama.rope.scaling.factor", 8.0);
            },
            None,
        ),
        (|file| file.text("llama.rope.scaling.type", "linear"), None),
        (yarn, Some(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}))),
        (|file| file.text("llama.rope.scaling.type", "longrope"), None),
    ];
    for (place, (change, expected)) in cases.into_iter().enumerate() {
        let mut file = tiny("llama", &[], &[]);
        change(&mut file);
        assert_eq!(read(&file).unwrap().get("rope_scaling"), expected.as_ref(), "{place}");
    }

    let mut file = tiny("llama", &[], &[]);
    yarn(&mut file);
    file.number("llama.rope.scaling.yarn_beta_fast", 16.0);
    file.number("llama.rope.scaling.yarn_beta_slow", 2.0);
    file.number("llama.rope.scaling.attn_factor", 0.5);
    let scaling = &read(&file).unwrap()["rope_scaling"];
    assert_eq!((&scaling["beta_fast"], &scaling["beta_slow"]), (&json!(16.0), &json!(2.0)));
    let grown = scaling["attention_factor"].as_f64().unwrap();
    assert!((grown - 0.5 * (1.0 + 0.1 * 4f64.ln())).abs() < 1e-12, "{grown}");
    // The factor of the model's own config is the whole of it.
    file.number("llama.rope.scaling.yarn_attn_factor", 0.75);
    assert_eq!(read(&file).unwrap()["rope_scaling"]["attention_factor"], 0.75);
}

#[test]
fn heads_that_are_rotated_in_part_are_refused_where_the_family_rotates_all() {
    for (architecture, model_type) in [("llama", "llama"), ("qwen3vl", "qwen3")] {
        let said = read(&tiny(architecture, &[("rope.dimension_count", 8)], &[])).unwrap_err();
        let expected = format!(
            "field `{architecture}.rope.dimension_count`: rotates 8 of the 16 numbers of a head, where {model_type} rotates all"
        );
        assert!(said.contains(&expected), "{said}");
        assert!(read(&tiny(architecture, &[("rope.dimension_count", 16)], &[])).is_ok());
    }
}

#[test]
fn the_ends_of_turns_end_a_text_too() {
    let ends = |file: &File| read(file).unwrap().get("eos_token_id").cloned();
    let mut file = tiny("gemma3", &[], &[]);
    assert_eq!(ends(&file), None);
    file.whole("tokenizer.ggml.eos_token_id", 1);
    assert_eq!(ends(&file), Some(json!(1)));
    file.whole("tokenizer.ggml.eot_token_id", 6);
    file.whole("tokenizer.ggml.eom_token_id", 1);
    assert_eq!(ends(&file), Some(json!([1, 6])));
    // By their texts, where they are control tokens.
    file.texts("tokenizer.ggml.tokens", &["a", "<eos>", "<end_of_turn>", "<|im_end|>", "<|endoftext|>"]);
    file.wholes("tokenizer.ggml.token_type", &[1, 3, 3, 1, 3]);
    assert_eq!(ends(&file), Some(json!([1, 6, 2, 4])));
}

/// gpt-oss ends each of its messages by one of them, and goes on.
#[test]
fn the_end_of_a_message_within_a_turn_ends_no_text() {
    let ends = |tokens: &[&str]| {
        let mut file = tiny("phi3", &[], &[]);
        file.texts("tokenizer.ggml.tokens", tokens);
        file.wholes("tokenizer.ggml.token_type", &vec![3; tokens.len()]);
        read(&file).unwrap()["eos_token_id"].clone()
    };
    assert_eq!(ends(&["a", "<|end|>"]), 1);
    assert_eq!(ends(&["<|return|>", "<|end|>"]), 0);
}

#[cfg(feature = "text")]
#[test]
fn texts_are_cut_and_begun_by_the_word_of_their_tokenizer() {
    let ids = |pre: &str| {
        let mut file = gpt2_with_words();
        file.texts("tokenizer.ggml.tokens", &["b", "A", "bA", "1", "11", "<s>"]);
        file.texts("tokenizer.ggml.merges", &["b A", "1 1"]);
        file.text("tokenizer.ggml.pre", pre);
        file.whole("tokenizer.ggml.bos_token_id", 5);
        let written = file.written("cut");
        let encoder = irene_models::TextEncoder::read(written.path().as_ref()).unwrap();
        encoder.encode(&["bA11".to_owned()], 0).unwrap().ids
    };
    for (pre, expected) in [
        ("llama-bpe", &[5, 2, 4][..]),
        ("pixtral", &[5, 2, 4]),
        // The same pieces, and no token in front.
        ("smaug-bpe", &[2, 4]),
        ("dbrx", &[2, 4]),
        ("glm4", &[2, 4]),
        ("exaone4", &[2, 4]),
        ("modern-bert", &[2, 4]),
        ("deepseek-v3", &[2, 4]),
        ("falcon", &[2, 4]),
        ("default", &[2, 4]),
        // Each digit alone.
        ("qwen2", &[2, 3, 3]),
        ("seed-coder", &[2, 3, 3]),
        ("deepseek-coder", &[2, 3, 3]),
        ("qwen35", &[2, 3, 3]),
        // A capital begins a word.
        ("gpt-4o", &[0, 1, 4]),
        ("minimax-m2", &[0, 1, 4]),
        ("tekken", &[5, 0, 1, 3, 3]),
    ] {
        assert_eq!(ids(pre), expected, "{pre}");
    }
}

/// The ids of a text by a vocabulary of a kind of its own.
#[cfg(feature = "text")]
fn ids_by(model: &str, tokens: &[&str], kinds: &[u32], text: &str) -> Vec<i64> {
    let mut file = gpt2_with_words();
    file.text("tokenizer.ggml.model", model);
    file.texts("tokenizer.ggml.tokens", tokens);
    file.wholes("tokenizer.ggml.token_type", kinds);
    // Rather a long piece than the short ones in it.
    let scores: Vec<u32> = tokens.iter().map(|token| 2 * token.chars().count() as u32 - 1).collect();
    file.wholes("tokenizer.ggml.scores", &scores);
    file.whole("tokenizer.ggml.eos_token_id", 2);
    let written = file.written(model);
    let encoder = irene_models::TextEncoder::read(written.path().as_ref()).unwrap();
    encoder.encode(&[text.to_owned()], 0).unwrap().ids
}

#[cfg(feature = "text")]
#[test]
fn words_of_bert_are_marked_where_they_begin() {
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁cat", "s", "▁,"];
    let kinds = [3, 3, 3, 3, 1, 1, 1, 1];
    assert_eq!(ids_by("bert", &tokens, &kinds, "The cáts, cat dogs"), [2, 4, 5, 6, 7, 5, 1, 3]);
}

#[cfg(feature = "text")]
#[test]
fn pieces_of_xlm_roberta_are_those_with_the_best_scores() {
    let tokens = ["<s>", "<pad>", "</s>", "<unk>", "▁the", "▁cat", "s", "▁", "t"];
    let kinds = [3, 3, 3, 2, 1, 1, 1, 1, 1];
    assert_eq!(ids_by("t5", &tokens, &kinds, "the  cats"), [4, 5, 6, 2]);
}

#[cfg(feature = "text")]
#[test]
fn other_tokenizers_are_refused_by_name() {
    let refused = |change: fn(&mut File)| {
        let mut file = gpt2_with_words();
        change(&mut file);
        let written = file.written("tokenizer");
        let read = irene_models::TextEncoder::read(written.path().as_ref());
        read.unwrap_err().to_string().replace(written.path(), "FILE")
    };
    assert_eq!(
        refused(|file| file.text("tokenizer.ggml.model", "rwkv")),
        "FILE, field `tokenizer.ggml.model`: `rwkv` tokenizers are not built from GGUF files: give token ids in place of text"
    );
    let pre = refused(|file| file.text("tokenizer.ggml.pre", "novel"));
    assert!(pre.contains("field `tokenizer.ggml.pre`: `novel` is unknown here"), "{pre}");
    let merges = refused(|file| file.texts("tokenizer.ggml.merges", &["ab"]));
    assert!(merges.contains("`tokenizer.ggml.merges`: has one without a space between its parts"), "{merges}");
    let map = refused(|file| {
        file.text("tokenizer.ggml.model", "t5");
        file.wholes("tokenizer.ggml.scores", &[0; 96]);
        file.wholes("tokenizer.ggml.token_type", &[2; 96]);
        file.wholes("tokenizer.ggml.precompiled_charsmap", &[255, 255, 255, 255, 1]);
    });
    assert!(map.contains("field `tokenizer.ggml.precompiled_charsmap`: is damaged"), "{map}");
}
