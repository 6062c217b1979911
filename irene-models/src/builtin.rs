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

/// The ELECTRAs (Clark et al., 2020): width of the embeddings, width of the model, and layers; the other sizes follow as the miniatures'.
const ELECTRAS: [(&str, usize, usize, usize); 6] = [
    ("google/electra-small-discriminator", 128, 256, 12),
    ("google/electra-base-discriminator", 768, 768, 12),
    ("google/electra-large-discriminator", 1024, 1024, 24),
    ("google/electra-small-generator", 128, 256, 12),
    ("google/electra-base-generator", 768, 256, 12),
    ("google/electra-large-generator", 1024, 256, 24),
];

fn miniature(layers: usize, width: usize) -> String {
    format!("google/bert_uncased_L-{layers}_H-{width}_A-{}", width / 64)
}

pub(crate) fn names() -> impl Iterator<Item = String> {
    let miniatures = MINIATURE_LAYERS.iter().flat_map(|&layers| MINIATURE_WIDTHS.map(|width| miniature(layers, width)));
    let electras = ELECTRAS.iter().map(|(name, ..)| (*name).to_owned());
    MODELS.iter().map(|(name, _)| (*name).to_owned()).chain(electras).chain(miniatures)
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

/// The ids by which the hub may have a model: for a built-in one all of its ids, the present one first, else the id itself.
pub(crate) fn hub_ids(name_or_id: &str) -> Vec<&str> {
    let name = name_of(name_or_id);
    HUB_IDS.iter().filter(|(_, known)| *known == name).map(|(id, _)| *id).chain([name]).collect()
}

/// The name and config of the built-in model with this name or id.
pub(crate) fn find(name_or_id: &str) -> Option<(&str, Config)> {
    let name = name_of(name_or_id);
    let json = match MODELS.iter().find(|(known, _)| *known == name) {
        Some((_, json)) => (*json).to_owned(),
        None => electra_config(name).or_else(|| miniature_config(name))?,
    };
    Some((name, Config::from_json(format!("built-in model {name}"), json.as_bytes()).ok()?))
}

fn miniature_config(name: &str) -> Option<String> {
    let sizes = MINIATURE_LAYERS.iter().flat_map(|&layers| MINIATURE_WIDTHS.map(|width| (layers, width)));
    let (layers, width) = sizes.into_iter().find(|&(layers, width)| miniature(layers, width) == name)?;
    Some(encoder_config("bert", width, width, layers))
}

fn electra_config(name: &str) -> Option<String> {
    let &(_, embedding, width, layers) = ELECTRAS.iter().find(|(known, ..)| *known == name)?;
    Some(encoder_config("electra", embedding, width, layers))
}

fn encoder_config(model_type: &str, embedding: usize, width: usize, layers: usize) -> String {
    format!(
        r#"{{"model_type": "{model_type}", "embedding_size": {embedding}, "hidden_size": {width},
            "num_hidden_layers": {layers}, "num_attention_heads": {heads}, "intermediate_size": {inner},
            "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2,
            "vocab_size": 30522, "pad_token_id": 0}}"#,
        heads = width / 64,
        inner = 4 * width,
    )
}

/// The built-in names that a name may be a slip of, or the beginning of, best first.
pub(crate) fn similar(name: &str) -> Vec<String> {
    let names: Vec<String> = names().collect();
    let known = names.iter().map(String::as_str).chain(HUB_IDS.iter().map(|(id, _)| *id));
    let mut near: Vec<String> =
        irene_tree::similar(name, known).into_iter().map(|known| name_of(known).to_owned()).collect();
    near.dedup();
    near
}
