use std::path::Path;

use irene_devices::{Device, KernelMeasurement, Positive, Work};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{NodeId, Size, Training, Tree};
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
    /// Both are 0 where they were not told apart.
    fw_ms: f64,
    bw_ms: f64,
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

/// The whole models in 32-bit floats of NeuSight's measurements (`neusight_models.csv`), as eager kernels: a forward pass of inference (group
/// `neusight model NAME`), and of training the forward pass without its loss (`neusight forward NAME`) and the backward pass (`neusight backward
/// NAME`), as programs have it that compile nothing. Rows on devices that `find` does not know are left out, and so are switch transformers
/// and runs on several GPUs.
///
/// # Errors
/// [`Error::Devices`] if the file is not such a table, [`Error::Model`] if a model cannot be followed at a row's size.
pub(super) fn read_neusight_models(
    path: &Path,
    find: impl Fn(&str) -> Option<Device>,
) -> Result<Vec<KernelMeasurement>, Error> {
    let mut measured = Vec::new();
    for row in irene_devices::read_measurements::<Row>(path)? {
        if !row.variant.is_empty() {
            continue;
        }
        let (Some((spec, head)), Some(device)) = (model(&row.model), find(&row.device)) else { continue };
        let (spec, run) = (spec?, Run { head, ..Run::from(Size::new(row.batch, row.seq)) });
        let fault = |message| irene_devices::Error::Measurements { path: path.to_owned(), message };
        let mut push = |part: &str, works: Vec<(Work, f64)>, milliseconds: f64| {
            let seconds = Positive::try_from(milliseconds).map_err(fault)?.get() * 1e-3;
            let (group, device) = (format!("neusight {part} {}", row.model), device.clone().seen_by_a_program());
            measured.push(KernelMeasurement { group, works, is_alone: false, seconds, device });
            Ok::<(), Error>(())
        };
        match row.mode.as_str() {
            "inf" => {
                let launches = spec.launches(run)?;
                let works = launches.iter().map(|(operation, times)| (Work::of(operation), *times as f64)).collect();
                push("model", works, row.fw_ms)?;
            }
            "train" => {
                let [forward, backward] = passes(&spec, Run { head: TaskHead::Lm, ..run })?;
                push("forward", forward, row.fw_ms)?;
                push("backward", backward, row.bw_ms)?;
            }
            _ => {}
        }
    }
    Ok(measured)
}

/// The kernels of the forward pass without its loss, which stood between the two times, and of the backward pass. Gradients were never set to zero,
/// so that each round's were added to those before, as those of many micro-batches are.
fn passes(spec: &ModelSpec, run: Run) -> Result<[Vec<(Work, f64)>; 2], Error> {
    let training = Training { accumulate: Training::MOST, ..Training::default() };
    let tree = spec.trace(Run { training: Some(training), ..run })?;
    let loss = tree.ids().find(|id| tree.node(*id).scope() == "root.forward.loss");
    let is_of = |id: NodeId, ancestor: NodeId| id == ancestor || tree.ancestors(id).any(|above| above == ancestor);
    let works = |phase: &str| -> Vec<(Work, f64)> {
        let phase = tree.children(NodeId::ROOT).find(|id| tree.node(*id).name() == phase);
        let leaves = tree.ids().filter(|id| tree.is_leaf(*id) && phase.is_some_and(|phase| is_of(*id, phase)));
        let leaves = leaves.filter(|id| loss.is_none_or(|loss| !is_of(*id, loss)));
        leaves.filter_map(|id| work(&tree, id, training.accumulate)).collect()
    };
    Ok([works("forward"), works("backward")])
}

fn work(tree: &Tree, id: NodeId, micro_batches: usize) -> Option<(Work, f64)> {
    let operation = tree.node(id).operation.as_deref().filter(|operation| !operation.on_host)?;
    Some((Work::of(operation), tree.runs(id) / micro_batches as f64))
}
