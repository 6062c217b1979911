//! FlexiBERT: parameters as published, a tree that shows each head, errors that name what is wrong.

use std::path::Path;

use irene_models::{
    Config, ModelSpec,
    flexibert::{Design, Head, LayerDesign},
};
use irene_tree::{OpKind, Quantity, Size, Tree};

use crate::support::refused;

fn traced(spec: &ModelSpec, batch_size: usize, seq_len: usize) -> Tree {
    spec.trace(Size::new(batch_size, seq_len)).unwrap()
}

fn parameters(design: &Design) -> f64 {
    let tree = traced(&ModelSpec::from_design("design", design).unwrap(), 1, 16);
    tree.root().get(Quantity::NumParameters).unwrap()
}

/// The parameters by the sizes alone.
fn counted(design: &Design) -> usize {
    let linear = |from: usize, to: usize| from * to + to;
    let layers = design.layers();
    let (first, last) = (layers.first().unwrap().hidden, layers.last().unwrap().hidden);
    let mut sum = (50265 + 514 + 1 + 2) * first + linear(last, last);
    for (layer, next) in layers.iter().zip(layers.iter().skip(1).map(Some).chain([None])) {
        let (hidden, width) = (layer.hidden, layer.hidden / layer.heads.len());
        let all_heads = width * layer.heads.len();
        sum += 3 * linear(hidden, all_heads) + 1027 * width + linear(all_heads, hidden) + 4 * hidden;
        for head in &layer.heads {
            sum += match head {
                Head::Weighted => width * width,
                Head::Convolution(kernel) => 2 * width * kernel + 2 * width * width + 2 * width + kernel,
                _ => 0,
            };
        }
        let widths = [&[hidden], &layer.feed_forward[..], &[hidden]].concat();
        sum += widths.windows(2).map(|pair| linear(pair[0], pair[1])).sum::<usize>();
        sum += next.filter(|next| next.hidden != hidden).map_or(0, |next| linear(hidden, next.hidden));
    }
    sum
}

#[test]
fn three_published_models_have_their_published_parameters() {
    let published: Vec<(u64, Design)> =
        serde_json::from_str(include_str!("../fixtures/flexibert_published.json")).unwrap();
    assert_eq!(published.len(), 3);
    for (expected, design) in &published {
        assert_eq!(parameters(design), *expected as f64);
        assert_eq!(counted(design) as u64, *expected);
    }
}

/// Checks the public measurements: every file of records with a `model_dict` below a folder `protran`.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn every_measured_model_has_the_parameters_of_its_sizes() {
    let data = std::env::var_os("IRENE_DATA").expect("IRENE_DATA is not set");
    let files = Path::new(&data).join("protran").read_dir().expect("a folder protran below IRENE_DATA");
    let mut checked = 0;
    for path in files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "json")) {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for record in json["records"].as_array().into_iter().flatten() {
            let design: Design = serde_json::from_value(record["model_dict"].clone()).unwrap();
            assert_eq!(parameters(&design), counted(&design) as f64, "{record}");
            checked += 1;
        }
    }
    assert!(checked > 500, "only {checked} models");
}

fn every_head() -> Design {
    let heads =
        [Head::ScaledDotProduct, Head::Weighted, Head::Dft, Head::Dct, Head::Convolution(5), Head::Convolution(3)];
    let layer = |hidden, heads: &[Head], feed_forward: &[usize]| LayerDesign {
        hidden,
        heads: heads.to_vec(),
        feed_forward: feed_forward.to_vec(),
    };
    Design::new(vec![layer(128, &[heads, heads].concat(), &[256]), layer(256, &heads[..2], &[512, 64, 32])]).unwrap()
}

#[test]
fn each_head_is_a_node_with_what_it_alone_runs() {
    let tree = traced(&ModelSpec::from_design("every head", &every_head()).unwrap(), 4, 128);
    assert!(tree.check().is_ok());
    let kinds = |scope: &str| -> Vec<OpKind> {
        let scope = format!("root.encoder.0.attention.self.{scope}.");
        let below = tree.nodes().iter().filter(|node| node.scope().starts_with(&scope));
        below.filter_map(|node| node.operation.as_ref()).map(|operation| operation.kind).collect()
    };
    assert_eq!(kinds("head_0"), [OpKind::MatMul]);
    assert_eq!(kinds("head_1"), [OpKind::MatMul, OpKind::MatMul]);
    assert_eq!(kinds("head_2"), [OpKind::Dft, OpKind::Add]);
    assert_eq!(kinds("head_9"), [OpKind::Dct, OpKind::Add]);
    let separable = [OpKind::Convolution, OpKind::Convolution, OpKind::Add];
    let kernels = [OpKind::Mul, OpKind::Linear, OpKind::Softmax];
    let values = [OpKind::Linear, OpKind::Copy, OpKind::Unfold, OpKind::Copy, OpKind::MatMul, OpKind::Add];
    assert_eq!(kinds("head_4"), [&separable[..], &kernels, &values].concat());
    // 12 heads of 128 hidden units are 10 wide, 120 together.
    let output = tree.node(tree.find("root.encoder.0.attention.output.dense").unwrap());
    assert_eq!(output.operation.as_ref().unwrap().inputs[1].shape, [128, 120].into());
    // Kinds are counted by themselves in the checkpoint and so in the tree.
    assert!(tree.find("root.encoder.0.attention.self.head_10.conv_kernel_layer2").is_some());
    assert!(tree.find("root.encoder.0.output.proj_head").is_some());
    assert!(tree.find("root.encoder.1.intermediate.4").is_some());
    assert!(tree.find("root.encoder.1.output.proj_head").is_none());
}

#[test]
fn a_design_and_its_config_are_one_model() {
    let design = every_head();
    let spec = ModelSpec::from_design("every head", &design).unwrap();
    let json = format!(r#"{{"model_type":"flexibert","model_dict":{}}}"#, serde_json::to_string(&design).unwrap());
    let config = Config::from_json("every head", json.as_bytes()).unwrap();
    assert_eq!(spec.config(), &config);
    assert_eq!(
        ModelSpec::from_config("every head", config).unwrap().trace(Size::new(2, 9)).unwrap(),
        spec.trace(Size::new(2, 9)).unwrap()
    );
}

#[test]
fn what_is_wrong_with_a_config_is_named() {
    let message = |fields: &str| refused(format!(r#"{{"model_type":"flexibert"{fields}}}"#));
    assert_eq!(message(""), "config.json, field `model_dict`: is missing");
    assert_eq!(message(r#","model_dict":{"l":1}"#), "config.json, field `model_dict`: missing field `o`");
    let dict = r#","model_dict":{"l":1,"o":[["sa_sdp_4","l_dft_4"]],"h":[8],"f":[[16]]}"#;
    assert_eq!(
        message(&dict.replace("l_dft_4", "l_dft_3")),
        "config.json, field `model_dict`: `l_dft_3` in field `o`: 2 heads of a hidden size of 8 have a width of 4"
    );
    let error = message(&dict.replace("[[16]]", "[[]]"));
    assert_eq!(error, "config.json, field `model_dict`: field `f`, layer 0: expected at least one width");
    assert_eq!(
        message(&format!(r#"{dict},"position_embedding_type":"absolute""#)),
        "config.json, field `position_embedding_type`: `absolute` is not supported here, only `relative_key`"
    );
    let error = message(&format!(r#"{dict},"max_position_embeddings":7"#));
    assert_eq!(error, "FlexiBertModel: sequence length 8 is longer than the model's 7 positions");
}
