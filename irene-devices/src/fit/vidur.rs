use std::path::Path;

use irene_tree::{Format, OpKind, Operand, Operation};
use serde::Deserialize;

use super::{KernelMeasurement, read_measurements};
use crate::{Device, Result, Work};

#[derive(Deserialize)]
struct LayerRow {
    gpu: String,
    model: String,
    tp: usize,
    num_tokens: usize,
    n_head: usize,
    n_kv_head: usize,
    n_embd: usize,
    n_ffn: usize,
    vocab: usize,
    gated: String,
    emb_median_ms: Option<f64>,
    input_layernorm_median_ms: Option<f64>,
    attn_pre_proj_median_ms: Option<f64>,
    attn_rope_median_ms: Option<f64>,
    attn_post_proj_median_ms: Option<f64>,
    post_attention_layernorm_median_ms: Option<f64>,
    mlp_up_proj_median_ms: Option<f64>,
    mlp_act_median_ms: Option<f64>,
    mlp_down_proj_median_ms: Option<f64>,
    add_median_ms: Option<f64>,
}

/// The profiler cuts times to whole microseconds: half of one is what that takes away on average.
const CUT_S: f64 = 0.5e-6;

const HALF: Format = Format::F16;

fn activation(rows: usize, columns: usize) -> Operand {
    Operand::activation([rows, columns], HALF)
}

impl LayerRow {
    /// The operations, by the name of their column, with the milliseconds of each.
    fn operations(&self) -> Vec<(&'static str, Operation, Option<f64>)> {
        let rows = self.num_tokens;
        let (width, heads) = (self.n_embd, self.n_embd / self.n_head);
        let (queries, keys) = (self.n_head * heads / self.tp, self.n_kv_head * heads / self.tp);
        let inner = self.n_ffn / self.tp;
        let is_gated = self.gated == "True";
        let linear = |columns: usize, inner: usize| {
            let operands = [activation(rows, inner), Operand::parameter([columns, inner], HALF)];
            Operation::new(OpKind::Linear, &operands, activation(rows, columns))
        };
        let norm = |kind: OpKind| {
            let scale = Operand::parameter([width], HALF);
            Operation::new(kind, &[activation(rows, width), scale], activation(rows, width)).in_one_kernel()
        };
        let norm_kind = if self.model.contains("phi") { OpKind::LayerNorm } else { OpKind::RmsNorm };
        let table = Operand::parameter([(self.vocab / self.tp).max(1), width], HALF);
        let looked_up = Operation::new(OpKind::Embedding, &[Operand::ids([rows]), table], activation(rows, width));
        let rotated = activation(rows, queries + keys);
        let activated = if is_gated {
            Operation::new(OpKind::Silu, &[activation(rows, 2 * inner)], activation(rows, inner))
                .fused_with(&[OpKind::Mul])
        } else {
            Operation::new(OpKind::Gelu, &[activation(rows, inner)], activation(rows, inner))
        };
        let added = Operation::new(OpKind::Add, &[activation(rows, width); 2], activation(rows, width));
        let up = if is_gated { 2 * inner } else { inner };
        vec![
            ("emb", looked_up, self.emb_median_ms),
            ("input_layernorm", norm(norm_kind), self.input_layernorm_median_ms),
            ("attn_pre_proj", linear(queries + 2 * keys, width), self.attn_pre_proj_median_ms),
            ("attn_rope", Operation::new(OpKind::Rotary, &[rotated], rotated), self.attn_rope_median_ms),
            ("attn_post_proj", linear(width, queries), self.attn_post_proj_median_ms),
            ("post_attention_layernorm", norm(norm_kind), self.post_attention_layernorm_median_ms),
            ("mlp_up_proj", linear(up, width), self.mlp_up_proj_median_ms),
            ("mlp_act", activated, self.mlp_act_median_ms),
            ("mlp_down_proj", linear(width, inner), self.mlp_down_proj_median_ms),
            ("add", added, self.add_median_ms),
        ]
    }
}

/// The operations of a decoder layer in 16-bit floats of vidur's measurements (`vidur_layers.csv`). Rows on devices that `find` does
/// not know are left out.
///
/// # Errors
/// [`Error::Measurements`](crate::Error::Measurements) if the file is not such a table.
pub fn read_vidur_layers(path: &Path, find: impl Fn(&str) -> Option<Device>) -> Result<Vec<KernelMeasurement>> {
    let mut measured = Vec::new();
    for row in read_measurements::<LayerRow>(path)? {
        let Some(device) = find(&row.gpu) else { continue };
        for (name, operation, milliseconds) in row.operations() {
            let Some(milliseconds) = milliseconds else { continue };
            measured.push(KernelMeasurement {
                group: format!("vidur {name}"),
                works: vec![(Work::of(&operation), 1.0)],
                is_alone: false,
                seconds: milliseconds * 1e-3 + CUT_S,
                device: device.clone(),
            });
        }
    }
    Ok(measured)
}

#[derive(Deserialize)]
struct CollectiveRow {
    system: String,
    op: String,
    workers: usize,
    bytes: usize,
    devices_per_node: usize,
    median_ms: f64,
}

/// The exchanges within one machine of vidur's measurements (`vidur_collectives.csv`). Rows on systems that `find` does not know, and
/// exchanges between machines, are left out.
///
/// # Errors
/// [`Error::Measurements`](crate::Error::Measurements) if the file is not such a table.
pub fn read_vidur_collectives(path: &Path, find: impl Fn(&str) -> Option<Device>) -> Result<Vec<KernelMeasurement>> {
    let mut measured = Vec::new();
    for row in read_measurements::<CollectiveRow>(path)? {
        let (name, joined) = row.system.split_once('_').unwrap_or((&row.system, ""));
        // Pairs that are joined by NVLink reach others over the bus.
        let is_switched = !joined.starts_with("pairwise") || row.workers == 2;
        let Some(device) = find(name).filter(|_| is_switched && row.devices_per_node == row.workers) else { continue };
        let kind = if row.op == "all_reduce" { OpKind::AllReduce } else { OpKind::SendRecv };
        let tensor = activation(1, (row.bytes / 2).max(1));
        let mut operation = Operation::new(kind, &[tensor], tensor);
        operation.gpus = row.workers as u64;
        measured.push(KernelMeasurement {
            group: format!("vidur {}", row.op),
            works: vec![(Work::of(&operation), 1.0)],
            is_alone: false,
            seconds: row.median_ms * 1e-3 + CUT_S,
            device,
        });
    }
    Ok(measured)
}
