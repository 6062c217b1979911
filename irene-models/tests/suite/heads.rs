//! Task heads: their modules, by the names of transformers, and what they add.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Quantity, Size};

/// Scopes and classes of what stands beside the trunk, below the root.
fn beside_the_trunk(name: &str, head: TaskHead) -> (&'static str, Vec<(String, String)>, f64) {
    let spec = ModelSpec::find(name).unwrap();
    let size = Size::new(2, 16);
    let tree = spec.trace(Run { head, shows_math: false, ..size.into() }).unwrap();
    assert!(tree.check().is_ok());
    let children: Vec<_> = tree.children(irene_tree::NodeId::ROOT).collect();
    let trunk_ends = children[1].index();
    let beside =
        tree.nodes()[trunk_ends..].iter().map(|node| (node.scope()[5..].to_owned(), node.instance_type().to_owned()));
    let parameters = tree.root().get(Quantity::NumParameters).unwrap();
    let bare = spec.trace(size).unwrap().root().get(Quantity::NumParameters).unwrap();
    let class = Box::leak(tree.root().instance_type().to_owned().into_boxed_str());
    (class, beside.collect(), parameters - bare)
}

fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(scope, class)| ((*scope).to_owned(), (*class).to_owned())).collect()
}

const WIDTH: f64 = 768.0;
/// A square layer with its bias.
const DENSE: f64 = WIDTH * WIDTH + WIDTH;
/// A layer to two classes.
const TO_TWO: f64 = 2.0 * WIDTH + 2.0;

#[test]
fn masked_language_models_have_transformers_modules_and_a_tied_decoder() {
    let (class, beside, more) = beside_the_trunk("bert-base-uncased", TaskHead::Lm);
    assert_eq!(class, "BertForMaskedLM");
    let expected = [
        ("cls", "BertOnlyMLMHead"),
        ("cls.predictions", "BertLMPredictionHead"),
        ("cls.predictions.transform", "BertPredictionHeadTransform"),
        ("cls.predictions.transform.dense", "Linear"),
        ("cls.predictions.transform.LayerNorm", "LayerNorm"),
        ("cls.predictions.decoder", "Linear"),
    ];
    assert_eq!(beside, owned(&expected));
    // The pooler goes, a layer, a norm and a bias of the vocabulary come.
    assert_eq!(more, 2.0 * WIDTH + 30522.0);

    let (class, beside, more) = beside_the_trunk("roberta-base", TaskHead::Lm);
    let expected = [
        ("lm_head", "RobertaLMHead"),
        ("lm_head.dense", "Linear"),
        ("lm_head.layer_norm", "LayerNorm"),
        ("lm_head.decoder", "Linear"),
    ];
    assert_eq!((class, beside, more), ("RobertaForMaskedLM", owned(&expected), 2.0 * WIDTH + 50265.0));

    let (class, beside, more) = beside_the_trunk("distilbert-base-uncased", TaskHead::Lm);
    let expected = [("vocab_transform", "Linear"), ("vocab_layer_norm", "LayerNorm"), ("vocab_projector", "Linear")];
    assert_eq!((class, beside, more), ("DistilBertForMaskedLM", owned(&expected), DENSE + 2.0 * WIDTH + 30522.0));
}

/// A small model of this config, and what a head adds beside its trunk.
#[test]
fn electra_has_a_transform_of_the_embeddings_width_or_a_classifier_of_the_first_token() {
    let json =
        br#"{"model_type":"electra","hidden_size":8,"embedding_size":4,"num_hidden_layers":1,"num_attention_heads":2,
        "intermediate_size":16,"vocab_size":30,"max_position_embeddings":20}"#;
    let spec = ModelSpec::from_config("small", irene_models::Config::from_json("small", json).unwrap()).unwrap();
    let beside = |head| {
        let tree = spec.trace(Run { head, shows_math: false, ..Size::new(2, 6).into() }).unwrap();
        let scopes = tree.nodes().iter().map(|node| (node.scope().to_owned(), node.instance_type().to_owned()));
        let beside: Vec<_> =
            scopes.filter(|(scope, _)| !scope.starts_with("root.electra") && scope != "root").collect();
        (tree.root().instance_type().to_owned(), beside)
    };
    let below_root = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        expected.iter().map(|(scope, class)| (format!("root.{scope}"), (*class).to_owned())).collect()
    };
    let lm = [
        ("generator_predictions", "ElectraGeneratorPredictions"),
        ("generator_predictions.dense", "Linear"),
        ("generator_predictions.LayerNorm", "LayerNorm"),
        ("generator_lm_head", "Linear"),
    ];
    assert_eq!(beside(TaskHead::Lm), ("ElectraForMaskedLM".to_owned(), below_root(&lm)));
    let classifier = [
        ("classifier", "ElectraClassificationHead"),
        ("classifier.dense", "Linear"),
        ("classifier.out_proj", "Linear"),
    ];
    assert_eq!(
        beside(TaskHead::Classification),
        ("ElectraForSequenceClassification".to_owned(), below_root(&classifier))
    );
}

#[test]
fn classifiers_read_the_pooler_or_the_first_token() {
    let (class, beside, more) = beside_the_trunk("bert-base-uncased", TaskHead::Classification);
    assert_eq!((class, beside, more), ("BertForSequenceClassification", owned(&[("classifier", "Linear")]), TO_TWO));

    let (class, beside, more) = beside_the_trunk("roberta-base", TaskHead::Classification);
    let expected = [
        ("classifier", "RobertaClassificationHead"),
        ("classifier.dense", "Linear"),
        ("classifier.out_proj", "Linear"),
    ];
    // Its dense layer stands in place of the pooler's.
    assert_eq!((class, beside, more), ("RobertaForSequenceClassification", owned(&expected), TO_TWO));

    let (class, beside, more) = beside_the_trunk("distilbert-base-uncased", TaskHead::Classification);
    let expected = [("pre_classifier", "Linear"), ("classifier", "Linear")];
    assert_eq!((class, beside, more), ("DistilBertForSequenceClassification", owned(&expected), DENSE + TO_TWO));

    let (class, beside, more) = beside_the_trunk("openai-gpt", TaskHead::Classification);
    let expected = owned(&[("score", "Linear")]);
    assert_eq!((class, beside, more), ("OpenAIGPTForSequenceClassification", expected, 2.0 * WIDTH));
}

#[test]
fn encoders_of_today_have_transformers_modules() {
    let (class, beside, more) = beside_the_trunk("albert-base-v2", TaskHead::Lm);
    let expected = [
        ("predictions", "AlbertMLMHead"),
        ("predictions.dense", "Linear"),
        ("predictions.LayerNorm", "LayerNorm"),
        ("predictions.decoder", "Linear"),
    ];
    // The pooler goes; a layer to the embeddings' width, a norm and a bias of the vocabulary come.
    let narrow = 128.0 * (WIDTH + 1.0) + 2.0 * 128.0 + 30000.0;
    assert_eq!((class, beside, more), ("AlbertForMaskedLM", owned(&expected), narrow - DENSE));

    let (class, beside, more) = beside_the_trunk("deberta-v3-base", TaskHead::Classification);
    let expected = [("pooler", "ContextPooler"), ("pooler.dense", "Linear"), ("classifier", "Linear")];
    assert_eq!((class, beside, more), ("DebertaV2ForSequenceClassification", owned(&expected), DENSE + TO_TWO));

    let (class, beside, more) = beside_the_trunk("ModernBERT-base", TaskHead::Classification);
    let expected = [
        ("head", "ModernBertPredictionHead"),
        ("head.dense", "Linear"),
        ("head.norm", "LayerNorm"),
        ("classifier", "Linear"),
    ];
    // Neither the layer nor the norm has a bias.
    let head = WIDTH * WIDTH + WIDTH + TO_TWO;
    assert_eq!((class, beside, more), ("ModernBertForSequenceClassification", owned(&expected), head));
}

/// So that each can be trained, on its own task or another.
#[test]
fn every_architecture_has_every_head() {
    for architecture in irene_models::architectures() {
        assert_eq!(architecture.heads(), TaskHead::ALL, "{}", architecture.model_type());
    }
}
