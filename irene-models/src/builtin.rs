//! The configs of the public models, as their authors published them.

use crate::Config;

/// Fields that differ from one public model to the next, as JSON.
const MODELS: [(&str, &str); 6] = [
    (
        "bert-base-uncased",
        r#"{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
            "type_vocab_size": 2, "vocab_size": 30522, "pad_token_id": 0}"#,
    ),
    (
        "distilbert-base-uncased",
        r#"{"model_type": "distilbert", "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072,
            "activation": "gelu", "max_position_embeddings": 512, "vocab_size": 30522, "pad_token_id": 0}"#,
    ),
    (
        "roberta-base",
        r#"{"model_type": "roberta", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "max_position_embeddings": 514,
            "type_vocab_size": 1, "vocab_size": 50265, "pad_token_id": 1}"#,
    ),
    (
        "gpt2",
        r#"{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "vocab_size": 50257}"#,
    ),
    (
        "distilgpt2",
        r#"{"model_type": "gpt2", "n_embd": 768, "n_layer": 6, "n_head": 12, "n_positions": 1024,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "vocab_size": 50257}"#,
    ),
    (
        "openai-gpt",
        r#"{"model_type": "openai-gpt", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 512,
            "afn": "gelu", "layer_norm_epsilon": 1e-5, "vocab_size": 40478}"#,
    ),
];

/// The layers and widths of the 24 BERT miniatures (Turc et al., 2019); a head is 64 wide, a feed-forward layer 4 times the model's
/// width.
const MINIATURE_LAYERS: [usize; 6] = [2, 4, 6, 8, 10, 12];
const MINIATURE_WIDTHS: [usize; 4] = [128, 256, 512, 768];

fn miniature(layers: usize, width: usize) -> String {
    format!("google/bert_uncased_L-{layers}_H-{width}_A-{}", width / 64)
}

pub(crate) fn names() -> impl Iterator<Item = String> {
    let miniatures = MINIATURE_LAYERS.iter().flat_map(|&layers| MINIATURE_WIDTHS.map(|width| miniature(layers, width)));
    MODELS.iter().map(|(name, _)| (*name).to_owned()).chain(miniatures)
}

pub(crate) fn config(name: &str) -> Option<Config> {
    let json = match MODELS.iter().find(|(known, _)| *known == name) {
        Some((_, json)) => (*json).to_owned(),
        None => miniature_config(name)?,
    };
    Config::from_json(format!("built-in model {name}"), json.as_bytes()).ok()
}

fn miniature_config(name: &str) -> Option<String> {
    let sizes = MINIATURE_LAYERS.iter().flat_map(|&layers| MINIATURE_WIDTHS.map(|width| (layers, width)));
    let (layers, width) = sizes.into_iter().find(|&(layers, width)| miniature(layers, width) == name)?;
    Some(format!(
        r#"{{"model_type": "bert", "hidden_size": {width}, "num_hidden_layers": {layers},
            "num_attention_heads": {heads}, "intermediate_size": {inner}, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522,
            "pad_token_id": 0}}"#,
        heads = width / 64,
        inner = 4 * width,
    ))
}

/// The built-in names that look most like this one, best first.
pub(crate) fn similar(name: &str) -> Vec<String> {
    let known: Vec<String> = names().collect();
    irene_tree::similar(name, known.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
}
