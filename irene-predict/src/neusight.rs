use std::path::Path;

use irene_devices::{Device, KernelMeasurement, Work};
use irene_models::{Config, ModelSpec, Run, TaskHead};
use irene_tree::Size;
use serde::Deserialize;

use crate::Error;

#[derive(Deserialize)]
struct Row {
    device: String,
    model: String,
    mode: String,
    seq: usize,
    batch: usize,
    variant: String,
    fw_ms: f64,
}

/// A model of the table: the name there, its config, and the head that it was measured with.
struct Measured(&'static str, &'static str, TaskHead);

const MODELS: [Measured; 5] = [
    Measured(
        "bert_large",
        r#"{"model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}"#,
        TaskHead::Classification,
    ),
    Measured("gpt2_large", r#"{"model_type": "gpt2", "n_embd": 1280, "n_layer": 36, "n_head": 20}"#, TaskHead::Lm),
    // 24 heads of 128: the time is that of 3072 numbers a token, not of the 2048 that the paper on GPT-3 prints.
    Measured(
        "gpt3_xl",
        r#"{"model_type": "gpt2", "n_embd": 3072, "n_layer": 24, "n_head": 24, "n_positions": 2048}"#,
        TaskHead::Lm,
    ),
    Measured(
        "gpt3_27",
        r#"{"model_type": "gpt2", "n_embd": 2560, "n_layer": 32, "n_head": 32, "n_positions": 2048}"#,
        TaskHead::Lm,
    ),
    Measured(
        "opt_13",
        r#"{"model_type": "opt", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "ffn_dim": 8192, "word_embed_proj_dim": 2048, "max_position_embeddings": 2048, "vocab_size": 50272}"#,
        TaskHead::Lm,
    ),
];

/// The whole models in 32-bit floats of NeuSight's measurements (`neusight_models.csv`), as eager kernels of one forward pass: inference
/// alone, as programs have it that compile nothing. Rows on devices that `find` does not know are left out, and so are switch
/// transformers.
///
/// # Errors
/// [`Error::Devices`] if the file is not such a table, [`Error::Model`] if a model cannot be followed at a row's size.
pub fn read_neusight_models(
    path: &Path,
    find: impl Fn(&str) -> Option<Device>,
) -> Result<Vec<KernelMeasurement>, Error> {
    let mut measured = Vec::new();
    for row in irene_devices::read_measurements::<Row>(path)? {
        let model = MODELS.iter().find(|Measured(name, ..)| *name == row.model);
        let is_plain = row.mode == "inf" && row.variant.is_empty();
        let (Some(Measured(name, config, head)), Some(device)) = (model.filter(|_| is_plain), find(&row.device)) else {
            continue;
        };
        let spec = ModelSpec::from_config(*name, Config::from_json(*name, config.as_bytes())?)?;
        let run = Run { head: *head, ..Run::from(Size::new(row.batch, row.seq)) };
        let works = spec.launches(run)?.iter().map(|(operation, times)| (Work::of(operation), *times as f64)).collect();
        measured.push(KernelMeasurement {
            group: format!("neusight model {name}"),
            works,
            is_alone: false,
            seconds: row.fw_ms * 1e-3,
            device: device.seen_by_a_program(),
        });
    }
    Ok(measured)
}
