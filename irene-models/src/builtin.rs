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

/// The ids by which the Hugging Face hub has them now.
const HUB_IDS: [(&str, &str); 6] = [
    ("google-bert/bert-base-uncased", "bert-base-uncased"),
    ("distilbert/distilbert-base-uncased", "distilbert-base-uncased"),
    ("FacebookAI/roberta-base", "roberta-base"),
    ("openai-community/gpt2", "gpt2"),
    ("distilbert/distilgpt2", "distilgpt2"),
    ("openai-community/openai-gpt", "openai-gpt"),
];

/// The built-in name of a name or an id.
fn name_of(name_or_id: &str) -> &str {
    HUB_IDS.iter().find(|(id, _)| *id == name_or_id).map_or(name_or_id, |(_, name)| name)
}

/// The ids of a built-in model on the hub, the present one first.
pub(crate) fn hub_ids(name: &str) -> Vec<&str> {
    HUB_IDS.iter().filter(|(_, known)| *known == name).map(|(id, _)| *id).chain([name]).collect()
}

/// The name and config of the built-in model with this name or id.
pub(crate) fn find(name_or_id: &str) -> Option<(&str, Config)> {
    let name = name_of(name_or_id);
    let json = match MODELS.iter().find(|(known, _)| *known == name) {
        Some((_, json)) => (*json).to_owned(),
        None => miniature_config(name)?,
    };
    Some((name, Config::from_json(format!("built-in model {name}"), json.as_bytes()).ok()?))
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

/// The built-in names that a name may be a slip of, or the beginning of, best first.
pub(crate) fn similar(name: &str) -> Vec<String> {
    const SLIPS: usize = 2;
    let lower = name.to_lowercase();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        let is_start = lower.len() > SLIPS && known.starts_with(&lower);
        if is_start { Some(SLIPS) } else { Some(strsim::osa_distance(&known, &lower)).filter(|slips| *slips <= SLIPS) }
    };
    let ids = HUB_IDS.iter().map(|(id, name)| (distance(id), (*name).to_owned()));
    let all = names().map(|name| (distance(&name), name)).chain(ids);
    let mut near: Vec<(usize, String)> = all.filter_map(|(distance, name)| Some((distance?, name))).collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.dedup_by(|a, b| a.1 == b.1);
    near.into_iter().take(3).map(|(_, name)| name).collect()
}
