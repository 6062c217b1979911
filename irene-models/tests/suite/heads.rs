//! Task heads: their modules, by the names of transformers, and what they add.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{NodeId, Quantity, Size};

const LM: TaskHead = TaskHead::Lm;
const CLASSIFICATION: TaskHead = TaskHead::Classification;

/// Asserts the class of a model with a head, the scopes and classes beside its trunk below the root, and the parameters that it has more
/// than without a head.
fn has(model: &str, head: TaskHead, class: &str, expected: &[(&str, &str)], more: f64) {
    let spec = ModelSpec::find(model).unwrap();
    let size = Size::new(2, 16);
    let tree = spec.trace(Run { head, shows_math: false, ..size.into() }).unwrap();
    assert!(tree.check().is_ok());
    let trunk_ends = tree.children(NodeId::ROOT).nth(1).unwrap().index();
    let beside = tree.nodes()[trunk_ends..].iter().map(|node| (&node.scope()["root.".len()..], node.instance_type()));
    assert_eq!((tree.root().instance_type(), beside.collect::<Vec<_>>()), (class, expected.to_vec()), "{model}");
    let bare = spec.trace(size).unwrap().root().get(Quantity::NumParameters).unwrap();
    assert_eq!(tree.root().get(Quantity::NumParameters), Some(bare + more), "{model}");
}

const WIDTH: f64 = 768.0;
/// A square layer with its bias.
const DENSE: f64 = WIDTH * WIDTH + WIDTH;
/// A layer to two classes.
const TO_TWO: f64 = 2.0 * WIDTH + 2.0;

#[test]
fn masked_language_models_have_transformers_modules_and_a_tied_decoder() {
    let bert = [
        ("cls", "BertOnlyMLMHead"),
        ("cls.predictions", "BertLMPredictionHead"),
        ("cls.predictions.transform", "BertPredictionHeadTransform"),
        ("cls.predictions.transform.dense", "Linear"),
        ("cls.predictions.transform.LayerNorm", "LayerNorm"),
        ("cls.predictions.decoder", "Linear"),
    ];
    // The pooler goes, a layer, a norm and a bias of the vocabulary come.
    has("bert-base-uncased", LM, "BertForMaskedLM", &bert, 2.0 * WIDTH + 30522.0);
    let roberta = [
        ("lm_head", "RobertaLMHead"),
        ("lm_head.dense", "Linear"),
        ("lm_head.layer_norm", "LayerNorm"),
        ("lm_head.decoder", "Linear"),
    ];
    has("roberta-base", LM, "RobertaForMaskedLM", &roberta, 2.0 * WIDTH + 50265.0);
    let distilbert = [("vocab_transform", "Linear"), ("vocab_layer_norm", "LayerNorm"), ("vocab_projector", "Linear")];
    let more = DENSE + 2.0 * WIDTH + 30522.0;
    has("distilbert-base-uncased", LM, "DistilBertForMaskedLM", &distilbert, more);
    let electra = [
        ("generator_predictions", "ElectraGeneratorPredictions"),
        ("generator_predictions.dense", "Linear"),
        ("generator_predictions.LayerNorm", "LayerNorm"),
        ("generator_lm_head", "Linear"),
    ];
    // A layer of the embeddings' width and its norm, and the bias.
    let more = 128.0 * 257.0 + 2.0 * 128.0 + 30522.0;
    has("google/electra-small-generator", LM, "ElectraForMaskedLM", &electra, more);
    let albert = [
        ("predictions", "AlbertMLMHead"),
        ("predictions.dense", "Linear"),
        ("predictions.LayerNorm", "LayerNorm"),
        ("predictions.decoder", "Linear"),
    ];
    // The pooler goes; a layer to the embeddings' width, a norm and a bias of the vocabulary come.
    let more = 128.0 * (WIDTH + 1.0) + 2.0 * 128.0 + 30000.0 - DENSE;
    has("albert-base-v2", LM, "AlbertForMaskedLM", &albert, more);
}

#[test]
fn classifiers_read_the_pooler_or_the_first_token() {
    let one = [("classifier", "Linear")];
    has("bert-base-uncased", CLASSIFICATION, "BertForSequenceClassification", &one, TO_TWO);
    let two = |class| [("classifier", class), ("classifier.dense", "Linear"), ("classifier.out_proj", "Linear")];
    // Its dense layer stands in place of the pooler's.
    let roberta = two("RobertaClassificationHead");
    has("roberta-base", CLASSIFICATION, "RobertaForSequenceClassification", &roberta, TO_TWO);
    let electra = two("ElectraClassificationHead");
    let more = 256.0 * 257.0 + 2.0 * 257.0;
    has("google/electra-small-generator", CLASSIFICATION, "ElectraForSequenceClassification", &electra, more);
    let distilbert = [("pre_classifier", "Linear"), ("classifier", "Linear")];
    let class = "DistilBertForSequenceClassification";
    has("distilbert-base-uncased", CLASSIFICATION, class, &distilbert, DENSE + TO_TWO);
    let score = [("score", "Linear")];
    has("openai-gpt", CLASSIFICATION, "OpenAIGPTForSequenceClassification", &score, 2.0 * WIDTH);
    let deberta = [("pooler", "ContextPooler"), ("pooler.dense", "Linear"), ("classifier", "Linear")];
    has("deberta-v3-base", CLASSIFICATION, "DebertaV2ForSequenceClassification", &deberta, DENSE + TO_TWO);
    let modernbert = [
        ("head", "ModernBertPredictionHead"),
        ("head.dense", "Linear"),
        ("head.norm", "LayerNorm"),
        ("classifier", "Linear"),
    ];
    // Neither the layer nor the norm has a bias.
    let more = WIDTH * WIDTH + WIDTH + TO_TWO;
    has("ModernBERT-base", CLASSIFICATION, "ModernBertForSequenceClassification", &modernbert, more);
}

/// So that each can be trained, on its own task or another.
#[test]
fn every_architecture_has_every_head() {
    for architecture in irene_models::architectures() {
        assert_eq!(architecture.heads(), TaskHead::ALL, "{}", architecture.model_type());
    }
}
