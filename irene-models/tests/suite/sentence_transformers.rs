//! Folders of sentence-transformers: their modules are read, followed and run.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, ModelSpec, Run, TaskHead};
use irene_tree::{Kernels, Size};

use crate::support::{self, fixture, loaded};

/// The BERT of the fixtures with these modules behind it.
fn pipeline(name: &str, modules: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sentence_transformers").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture("bert").join(name), folder.join(name)).unwrap();
    }
    let entries: Vec<String> = std::iter::once(("", "Transformer"))
        .chain(modules.iter().map(|(path, _)| (*path, path.split('_').nth(1).unwrap())))
        .enumerate()
        .map(|(idx, (path, class))| {
            format!(r#"{{"idx":{idx},"name":"{idx}","path":"{path}","type":"sentence_transformers.models.{class}"}}"#)
        })
        .collect();
    fs::write(folder.join("modules.json"), format!("[{}]", entries.join(","))).unwrap();
    for (path, config) in modules.iter().filter(|(_, config)| !config.is_empty()) {
        fs::create_dir(folder.join(path)).unwrap();
        fs::write(folder.join(path).join("config.json"), config).unwrap();
    }
    folder
}

const SIZE: Size = Size { sequences: 3, new: 5, past: 0 };
/// Padding on the right, on the left, and none.
const MASK: [[i64; 5]; 3] = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]];

fn batch(mask: Option<Vec<i64>>) -> Batch {
    Batch::of_ids((1..=15).collect(), mask, SIZE, &Device::Cpu).unwrap()
}

/// The hidden states and the sentence embeddings, by the kernels of serving and one by one.
fn embedded(folder: &Path, mask: Option<Vec<i64>>) -> (Vec<Vec<Vec<f32>>>, Vec<Vec<f32>>) {
    let (_, model) = loaded(folder, TaskHead::None, DType::F32).unwrap();
    let run = |kernels| model.run(&mut Cx::silent().with_kernels(kernels), &batch(mask.clone())).unwrap();
    let (fused, eager) = (run(Kernels::Fused), run(Kernels::Eager));
    let rows = |output: &irene_models::ModelOutput| {
        output.sentence_embedding.as_ref().unwrap().candle().unwrap().to_vec2::<f32>().unwrap()
    };
    close(&rows(&fused), &rows(&eager));
    (eager.last_hidden_state.candle().unwrap().to_vec3().unwrap(), rows(&eager))
}

fn close(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5), "{found:?} {expected:?}");
    }
}

/// The results of sentence-transformers' formulas, written out on the hidden states.
fn pooled(hidden: &[Vec<Vec<f32>>], mask: &[[i64; 5]; 3], mode: &str) -> Vec<Vec<f32>> {
    let of_sequence = |(tokens, mask): (&Vec<Vec<f32>>, &[i64; 5])| {
        let places: Vec<usize> = (0..5).filter(|&place| mask[place] == 1).collect();
        let column = |number: usize| places.iter().map(move |&place| tokens[place][number]);
        let sum = |number: usize| column(number).sum::<f32>();
        let number = |number: usize| match mode {
            "cls" => tokens[places[0]][number],
            "lasttoken" => tokens[places[places.len() - 1]][number],
            "max" => column(number).fold(f32::NEG_INFINITY, f32::max),
            "mean" => sum(number) / places.len() as f32,
            "mean_sqrt_len_tokens" => sum(number) / (places.len() as f32).sqrt(),
            _ => {
                let weights = 1..=places.len();
                let total: usize = weights.clone().sum();
                column(number).zip(weights).map(|(x, weight)| x * weight as f32).sum::<f32>() / total as f32
            }
        };
        (0..tokens[0].len()).map(number).collect()
    };
    hidden.iter().zip(mask).map(of_sequence).collect()
}

#[test]
fn every_way_of_pooling_leaves_padding_out() {
    for mode in ["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"] {
        let folder =
            pipeline(mode, &[("1_Pooling", &format!(r#"{{"embedding_dimension":32,"pooling_mode":"{mode}"}}"#))]);
        let (hidden, found) = embedded(&folder, Some(MASK.concat()));
        close(&found, &pooled(&hidden, &MASK, mode));
        let (hidden, found) = embedded(&folder, None);
        close(&found, &pooled(&hidden, &[[1; 5]; 3], mode));
    }
}

#[test]
fn older_configs_switch_ways_of_pooling_on_and_several_stand_beside_each_other() {
    let config = r#"{"word_embedding_dimension":32,"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true,
        "pooling_mode_max_tokens":false}"#;
    let folder = pipeline("switches", &[("1_Pooling", config)]);
    let (hidden, found) = embedded(&folder, Some(MASK.concat()));
    let both = pooled(&hidden, &MASK, "cls").into_iter().zip(pooled(&hidden, &MASK, "mean"));
    close(&found, &both.map(|(cls, mean)| [cls, mean].concat()).collect::<Vec<_>>());
}

const MEAN: (&str, &str) = ("1_Pooling", r#"{"pooling_mode_mean_tokens":true}"#);

#[test]
fn dense_layers_and_normalisation_follow() {
    let dense =
        r#"{"in_features":32,"out_features":6,"bias":true,"activation_function":"torch.nn.modules.activation.Tanh"}"#;
    let folder = pipeline("dense", &[MEAN, ("2_Dense", dense), ("3_Normalize", "")]);
    let weight = Candle::arange(0f32, 192.0, &Device::Cpu).unwrap().reshape((6, 32)).unwrap();
    let weight = ((weight / 96.0).unwrap() - 1.0).unwrap();
    let bias = Candle::arange(0f32, 6.0, &Device::Cpu).unwrap();
    let tensors =
        HashMap::from([("linear.weight".to_owned(), weight.clone()), ("linear.bias".to_owned(), bias.clone())]);
    let file = folder.join("2_Dense/model.safetensors");

    let error = loaded(&folder, TaskHead::None, DType::F32).err().unwrap().to_string();
    assert!(
        error.ends_with("2_Dense: no model.safetensors for a dense layer; save the pipeline as safetensors"),
        "{error}"
    );

    candle_core::safetensors::save(&tensors, &file).unwrap();
    let (hidden, found) = embedded(&folder, Some(MASK.concat()));
    let mean = Candle::new(pooled(&hidden, &MASK, "mean"), &Device::Cpu).unwrap();
    let products = mean.unsqueeze(1).unwrap().broadcast_mul(&weight.unsqueeze(0).unwrap()).unwrap();
    let mapped = products.sum(2).unwrap().broadcast_add(&bias).unwrap().tanh().unwrap();
    let length = mapped.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    close(&found, &mapped.broadcast_div(&length).unwrap().to_vec2::<f32>().unwrap());
}

#[test]
fn the_modules_are_nodes_beside_the_models_own() {
    let dense = r#"{"in_features":32,"out_features":6,"activation_function":"torch.nn.modules.linear.Identity"}"#;
    let folder = pipeline("nodes", &[MEAN, ("2_Dense", dense), ("3_Normalize", "")]);
    let spec = ModelSpec::find(folder.to_str().unwrap()).unwrap();
    let tree = spec.trace(Run { shows_math: false, ..Size::new(2, 16).into() }).unwrap();
    assert!(tree.check().is_ok());
    assert_eq!(tree.root().instance_type(), "BertModel");
    for (scope, class) in [
        ("root.1_Pooling", "Pooling"),
        ("root.1_Pooling.mean", "MeanPooling"),
        ("root.2_Dense", "Dense"),
        ("root.2_Dense.linear", "Linear"),
        ("root.3_Normalize", "Normalize"),
    ] {
        assert_eq!(tree.node(tree.find(scope).unwrap()).instance_type(), class);
    }
    assert!(tree.find("root.encoder.0.attention.self.query").is_some());
    // A head takes the hidden states, not the vector.
    let head = spec.trace(Run { head: TaskHead::Lm, ..Size::new(2, 16).into() }).unwrap();
    assert!(head.find("root.1_Pooling").is_none());
}

#[test]
fn a_config_alone_names_its_modules() {
    let config = r#"{"model_type":"bert","hidden_size":32,"num_hidden_layers":1,"num_attention_heads":4,"intermediate_size":64,
        "vocab_size":100,"max_position_embeddings":40,"sentence_modules":["mean","normalize"]}"#;
    let tree = support::spec(config).trace(Size::new(2, 16)).unwrap();
    assert!(tree.find("root.1_Pooling").is_some() && tree.find("root.2_Normalize").is_some());
    let error = support::refused(config.replace("\"mean\"", "\"median\""));
    assert!(error.starts_with("config.json, field `sentence_modules`: `median` is not supported here"), "{error}");
}

/// Older pipelines have the model in a folder of its own.
#[test]
fn a_model_below_its_pipeline_is_found() {
    let folder = pipeline("below", &[MEAN]);
    let below = folder.join("0_Transformer");
    fs::create_dir(&below).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::rename(folder.join(name), below.join(name)).unwrap();
    }
    let modules = fs::read_to_string(folder.join("modules.json")).unwrap();
    fs::write(folder.join("modules.json"), modules.replacen("\"path\":\"\"", "\"path\":\"0_Transformer\"", 1)).unwrap();
    let (hidden, found) = embedded(&folder, None);
    close(&found, &pooled(&hidden, &[[1; 5]; 3], "mean"));
}

#[test]
fn modules_that_are_not_run_are_refused_by_name() {
    let refused = |modules: &[(&str, &str)]| {
        let folder = pipeline("refused", modules);
        let find = ModelSpec::find(folder.to_str().unwrap());
        let error = find.and_then(|spec| spec.trace(Size::new(1, 4)).map(drop)).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    assert!(refused(&[("1_LSTM", "")]).contains("its module `LSTM` is not run here; there are Transformer, Pooling"));
    assert!(
        refused(&[("1_Pooling", "{\"pooling_mode\":\"median\"}")])
            .contains("`median` is not supported here; there are cls")
    );
    assert!(refused(&[("1_Pooling", "")]).contains("there is no 1_Pooling/config.json beside it"));
    // Vectors of tokens, as ColBERT's are.
    let order = refused(&[("1_Normalize", "")]);
    assert!(
        order.contains("modules.json: expected one Pooling, before all other modules; to run the model"),
        "{order}"
    );
    assert!(refused(&[MEAN, ("2_Pooling", MEAN.1)]).contains("expected one Pooling, before all"));
    let dense = r#"{"in_features":32,"out_features":6,"activation_function":"mine.Odd"}"#;
    assert!(
        refused(&[MEAN, ("2_Dense", dense)]).contains("`mine.Odd` is not supported here; there are Identity, Tanh")
    );
}
