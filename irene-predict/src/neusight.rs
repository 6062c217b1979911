use std::path::Path;

use irene_devices::{Device, KernelMeasurement, Work};
use irene_models::{ModelSpec, Run, TaskHead};
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

/// A model of the table, and the head that it was measured with.
fn model(name: &str) -> Option<(Result<ModelSpec, irene_models::Error>, TaskHead)> {
    let gpt3 = |width: usize, layers: usize, heads: usize| {
        let config = format!(
            r#"{{"model_type": "gpt2", "vocab_size": 50257, "n_positions": 2048, "n_embd": {width}, "n_layer": {layers},
                "n_head": {heads}, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}}"#
        );
        ModelSpec::from_reader(name, config.as_bytes())
    };
    let builtin = |name: &str| ModelSpec::builtin(name).map(Ok);
    match name {
        "bert_large" => Some((builtin("bert-large-uncased")?, TaskHead::Classification)),
        "gpt2_large" => Some((builtin("gpt2-large")?, TaskHead::Lm)),
        "opt_13" => Some((builtin("opt-1.3b")?, TaskHead::Lm)),
        // 24 heads of 128: the times are those of 3072 numbers a token, not of the 2048 that the paper on GPT-3 prints.
        "gpt3_xl" => Some((gpt3(3072, 24, 24), TaskHead::Lm)),
        "gpt3_27" => Some((gpt3(2560, 32, 32), TaskHead::Lm)),
        _ => None,
    }
}

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
        if row.mode != "inf" || !row.variant.is_empty() {
            continue;
        }
        let (Some((spec, head)), Some(device)) = (model(&row.model), find(&row.device)) else { continue };
        let run = Run { head, ..Run::from(Size::new(row.batch, row.seq)) };
        let launches = spec?.launches(run)?;
        let works = launches.iter().map(|(operation, times)| (Work::of(operation), *times as f64)).collect();
        measured.push(KernelMeasurement {
            group: format!("neusight model {}", row.model),
            works,
            is_alone: false,
            seconds: row.fw_ms * 1e-3,
            device: device.seen_by_a_program(),
        });
    }
    Ok(measured)
}
