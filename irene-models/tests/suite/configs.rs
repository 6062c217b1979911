//! Configs: every valid one gives a lawful tree, every other a line that names the field.

use irene_models::{Config, ModelSpec, Run, TaskHead, TrainingMemory};
use irene_tree::{Level, NodeId, Precision, Quantity, Size, Training, Tree};
use proptest::prelude::*;

use crate::support::{refused, spec, taken};

fn traced(json: &str, batch_size: usize, seq_len: usize) -> Tree {
    spec(json).trace(Size::new(batch_size, seq_len)).unwrap()
}

/// A config of any of the architectures, with sizes that fit together.
fn any_config() -> impl Strategy<Value = String> {
    (0..7usize, 1..5usize, 1..8usize, 1..9usize, 1..40usize, 2..200usize).prop_map(
        |(architecture, layers, heads, width, inner, vocabulary)| {
            let hidden = heads * width;
            let bert_like = format!(
                r#""hidden_size":{hidden},"num_hidden_layers":{layers},"num_attention_heads":{heads},
                "intermediate_size":{inner},"vocab_size":{vocabulary},"max_position_embeddings":64"#
            );
            let gpt_like = format!(
                r#""n_embd":{hidden},"n_layer":{layers},"n_head":{heads},"n_positions":64,"vocab_size":{vocabulary}"#
            );
            match architecture {
                0 => format!(r#"{{"model_type":"bert",{bert_like}}}"#),
                5 => format!(r#"{{"model_type":"electra","embedding_size":{inner},{bert_like}}}"#),
                1 => format!(r#"{{"model_type":"roberta",{bert_like}}}"#),
                2 => format!(
                    r#"{{"model_type":"distilbert","dim":{hidden},"n_layers":{layers},"n_heads":{heads},
                    "hidden_dim":{inner},"vocab_size":{vocabulary},"max_position_embeddings":64}}"#
                ),
                6 => format!(
                    r#"{{"model_type":"flexibert","vocab_size":{vocabulary},"max_position_embeddings":64,
                    "model_dict":{}}}"#,
                    crate::designs::model_dict(layers, heads, width, inner)
                ),
                3 => format!(r#"{{"model_type":"gpt2","n_inner":{inner},{gpt_like}}}"#),
                _ => format!(r#"{{"model_type":"openai-gpt",{gpt_like}}}"#),
            }
        },
    )
}

proptest! {
    #[test]
    fn every_valid_config_gives_a_valid_tree(json in any_config(), batch in 1..20usize, seq in 1..60usize) {
        let tree = traced(&json, batch, seq);
        prop_assert!(tree.check().is_ok());
        prop_assert!(tree.without_math().check().is_ok());
        prop_assert_eq!(tree.root().level(), Level::Model);
        for node in tree.nodes() {
            for quantity in [Quantity::Flops, Quantity::MemBytes, Quantity::MovedBytes, Quantity::NumParameters] {
                prop_assert!(node.get(quantity).is_some_and(|value| value.is_finite() && value >= 0.0));
            }
        }
    }

    /// Twice the batch is twice the tensor arithmetic. Work that does not grow is counted without the batch: position ids and
    /// causal masks, and sizes on the host. (From 2 on: a dimension of 1 makes some copies needless.)
    #[test]
    fn flops_grow_with_the_batch_and_parameters_do_not(json in any_config(), batch in 2..10usize, seq in 2..60usize) {
        let (once, twice) = (traced(&json, batch, seq), traced(&json, 2 * batch, seq));
        for (one, two) in once.nodes().iter().zip(twice.nodes()) {
            prop_assert_eq!(one.get(Quantity::NumParameters), two.get(Quantity::NumParameters));
            prop_assert_eq!(one.get(Quantity::Kernels), two.get(Quantity::Kernels));
            let first = |node: &irene_tree::Node| node.operation.as_ref().map(|op| op.output.shape.dims().first().copied());
            let grows = first(one).is_none_or(|dim| dim == Some(batch) && first(two) != first(one));
            if one.level().is_leaf() && grows {
                let flops = one.get(Quantity::Flops).unwrap();
                prop_assert!((two.get(Quantity::Flops).unwrap() - 2.0 * flops).abs() <= 1e-9 * flops);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_config_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(config) = Config::from_json("noise", &bytes) {
            let _ = ModelSpec::from_config("noise", config).and_then(|spec| spec.trace(Size::new(1, 1)));
        }
    }

    /// Any number in any field is a tree or an error.
    #[test]
    fn no_number_makes_a_config_panic(field in prop::sample::select(vec![
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
        "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id", "chunk_size_feed_forward",
    ]), number in prop::sample::select(vec!["0", "1", "-1", "7", "1e3", "0.5", "99999999999", "1e308", "null", "true", "\"x\"", "[]"])) {
        for model_type in ["bert", "roberta"] {
            let json = format!(r#"{{"model_type":"{model_type}","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
                "intermediate_size":8,"vocab_size":9,"max_position_embeddings":16,"{field}":{number}}}"#);
            let _ = taken(json).and_then(|spec| spec.trace(Size::new(1 << 24, 14)));
        }
    }
}

#[test]
fn bytes_beyond_all_numbers_are_the_largest_number() {
    let most = 1 << 24;
    let llama = spec(format!(
        r#"{{"model_type":"llama","vocab_size":{most},"max_position_embeddings":{most},"hidden_size":{most},
            "num_hidden_layers":2,"num_attention_heads":{most},"head_dim":{most},"intermediate_size":{most}}}"#
    ));
    assert_eq!(llama.cache_bytes(1, most, Precision::F32).unwrap(), Some(u64::MAX));
    let step = Run { head: TaskHead::Lm, training: Some(Training::default()), ..Size::new(1, 2).into() };
    let memory = TrainingMemory::of(&llama.trace(step).unwrap()).unwrap();
    assert_eq!((memory.optimizer_states, memory.total()), (u64::MAX, u64::MAX));
    let bytes = llama.cache(Default::default()).unwrap().unwrap().bytes(most, Precision::F32);
    assert_eq!(bytes, u64::MAX);
}

#[test]
fn the_math_level_is_complete() {
    let tree =
        traced(r#"{"model_type":"gpt2","n_embd":8,"n_layer":1,"n_head":2,"n_positions":16,"vocab_size":9}"#, 2, 4);
    let mlp = tree.find("root.0.mlp").unwrap();
    let names: Vec<_> = tree.children(mlp).map(|id| tree.node(id).name()).collect();
    assert_eq!(names, ["c_fc", "pow", "mul", "add", "mul", "tanh", "add", "mul", "mul", "c_proj"]);
    // Every FLOP of the model is some node's.
    let leaves: f64 =
        tree.ids().filter(|&id| tree.is_leaf(id)).filter_map(|id| tree.node(id).get(Quantity::Flops)).sum();
    assert!((leaves - tree.root().get(Quantity::Flops).unwrap()).abs() < 1e-12);
    assert_eq!(tree.own(NodeId::ROOT, Quantity::Kernels), Some(0.0));
}

#[test]
fn missing_and_contradictory_fields_are_named() {
    let bert = r#"{"model_type":"bert","hidden_size":10,"num_hidden_layers":1,"num_attention_heads":3,
        "intermediate_size":8,"vocab_size":9,"max_position_embeddings":16}"#;
    assert_eq!(
        refused(bert),
        "config.json, field `num_attention_heads`: 3 heads do not divide `hidden_size`, which is 10"
    );
    let bert = bert.replace("\"num_attention_heads\":3", "\"num_attention_heads\":2");
    assert_eq!(refused(bert.replace("\"vocab_size\":9,", "")), "config.json, field `vocab_size`: is missing");
    assert_eq!(
        refused(bert.replace("}", ",\"is_decoder\":true}")),
        "config.json, field `is_decoder`: is true, which is not supported here"
    );
    assert_eq!(
        refused(bert.replace("}", ",\"position_embedding_type\":\"relative_key\"}")),
        "config.json, field `position_embedding_type`: `relative_key` is not supported here, only `absolute`"
    );
    let error = refused(bert.replace("}", ",\"hidden_act\":\"maxout\"}"));
    assert!(error.starts_with("config.json, field `hidden_act`: `maxout` is not an activation"), "{error}");
    let error = refused(bert.replace("\"bert\"", "\"t5\""));
    assert!(error.starts_with("config.json, field `model_type`: `t5` is not supported; there are bert"), "{error}");
}

#[test]
fn sizes_that_do_not_fit_are_named() {
    let bert = ModelSpec::find("bert-base-uncased").unwrap();
    let error = |batch, seq| bert.trace(Size::new(batch, seq)).unwrap_err().to_string();
    assert_eq!(error(1, 513), "BertModel: sequence length 513 is longer than the model's 512 positions");
    assert!(error(0, 1).contains("batch size must be from 1"), "{}", error(0, 1));
    assert!(error(1, 0).contains("sequence length must be at least 1"), "{}", error(1, 0));
}

#[test]
fn a_config_says_the_formats_that_a_model_is_followed_in() {
    let precision = |fields: &str| {
        let json = format!(r#"{{"model_type":"gpt2"{fields}}}"#);
        let config = Config::from_json("config.json", json.as_bytes()).unwrap();
        config.precision().map(|precision| precision.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(precision("").unwrap(), "f32");
    assert_eq!(precision(r#","torch_dtype":"bfloat16""#).unwrap(), "bf16");
    assert_eq!(precision(r#","dtype":"float16","quantization_config":null"#).unwrap(), "f16");
    // Further words of PyTorch's.
    let words = ["half", "float", "double", "torch.half"].map(|word| format!(",\"torch_dtype\":\"{word}\""));
    assert_eq!(words.map(|field| precision(&field).unwrap()), ["f16", "f32", "f64", "f16"]);
    // A field of null is as one that is not there.
    assert_eq!(precision(r#","torch_dtype":null,"dtype":"bfloat16""#).unwrap(), "bf16");
    let has_one = |json: &[u8]| Config::from_json("config.json", json).unwrap().has_precision();
    assert_eq!((has_one(br#"{"dtype":"float16"}"#), has_one(br#"{"torch_dtype":null}"#)), (true, false));
    let awq = r#","torch_dtype":"float16","quantization_config":{"quant_method":"awq","bits":4}"#;
    assert_eq!(precision(awq).unwrap(), "int4 weights, f16 activations");
    let nf4 = r#","torch_dtype":"bfloat16","quantization_config":{"load_in_4bit":true}"#;
    assert_eq!(precision(nf4).unwrap(), "nf4 weights, bf16 activations");
    let unknown = precision(r#","quantization_config":{"quant_method":"aqlm"}"#).unwrap_err();
    assert!(unknown.contains("field `quantization_config`: `aqlm` is unknown here; give run.precision"), "{unknown}");
    assert!(precision(r#","torch_dtype":"int64""#).unwrap_err().contains("`int64` is unknown here"));
}
