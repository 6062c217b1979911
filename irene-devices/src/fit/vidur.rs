use std::path::Path;

use irene_tree::{Format, OpKind, Operand, Operation};
use serde::Deserialize;

use super::{KernelMeasurement, Positive, read_measurements};
use crate::{Device, Result, Work};

/// A whole number from 1 to 2³¹, so that products of two are numbers as well.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "u64")]
struct Count(usize);

impl TryFrom<u64> for Count {
    type Error = String;

    fn try_from(count: u64) -> std::result::Result<Self, String> {
        let is_one = (1..=1 << 31).contains(&count);
        is_one.then_some(Self(count as usize)).ok_or_else(|| format!("expected 1 to 2147483648, found {count}"))
    }
}

#[derive(Deserialize)]
struct LayerRow {
    gpu: String,
    model: String,
    tp: Count,
    num_tokens: Count,
    n_head: Count,
    n_kv_head: Count,
    n_embd: Count,
    n_ffn: Count,
    vocab: Count,
    gated: String,
    emb_median_ms: Option<Positive>,
    input_layernorm_median_ms: Option<Positive>,
    attn_pre_proj_median_ms: Option<Positive>,
    attn_rope_median_ms: Option<Positive>,
    attn_post_proj_median_ms: Option<Positive>,
    post_attention_layernorm_median_ms: Option<Positive>,
    mlp_up_proj_median_ms: Option<Positive>,
    mlp_act_median_ms: Option<Positive>,
    mlp_down_proj_median_ms: Option<Positive>,
    add_median_ms: Option<Positive>,
}

/// The profiler cuts times to whole microseconds: half of one is what that takes away on average.
const CUT_S: f64 = 0.5e-6;

const HALF: Format = Format::F16;

fn activation(rows: usize, columns: usize) -> Operand {
    Operand::activation([rows, columns], HALF)
}

impl LayerRow {
    /// The operations, by the name of their column, with the milliseconds of each.
    fn operations(&self) -> Vec<(&'static str, Operation, Option<Positive>)> {
        let (Count(rows), Count(width), Count(gpus)) = (self.num_tokens, self.n_embd, self.tp);
        let heads = width / self.n_head.0;
        let (queries, keys) = (self.n_head.0 * heads / gpus, self.n_kv_head.0 * heads / gpus);
        let inner = self.n_ffn.0 / gpus;
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
        let table = Operand::parameter([(self.vocab.0 / gpus).max(1), width], HALF);
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
                seconds: milliseconds.get() * 1e-3 + CUT_S,
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
    workers: Count,
    bytes: Count,
    devices_per_node: Count,
    median_ms: Positive,
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
        let is_switched = !joined.starts_with("pairwise") || row.workers.0 == 2;
        let Some(device) = find(name).filter(|_| is_switched && row.devices_per_node == row.workers) else { continue };
        let kind = if row.op == "all_reduce" { OpKind::AllReduce } else { OpKind::SendRecv };
        let tensor = activation(1, (row.bytes.0 / 2).max(1));
        let mut operation = Operation::new(kind, &[tensor], tensor);
        operation.gpus = row.workers.0 as u64;
        measured.push(KernelMeasurement {
            group: format!("vidur {}", row.op),
            works: vec![(Work::of(&operation), 1.0)],
            is_alone: false,
            seconds: row.median_ms.get() * 1e-3 + CUT_S,
            device,
        });
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_counts_that_cannot_be_are_refused() {
        let read = |workers: &str, milliseconds: &str| {
            let table = format!(
                "system,op,workers,bytes,devices_per_node,median_ms\na100,all_reduce,{workers},64,2,{milliseconds}\n"
            );
            let row = csv::Reader::from_reader(table.as_bytes()).deserialize::<CollectiveRow>().next();
            row.unwrap().map_err(|error| error.to_string())
        };
        assert!(read("2", "0.04").is_ok_and(|row| row.median_ms.get() == 0.04 && row.workers.0 == 2));
        for milliseconds in ["inf", "nan", "0", "-1"] {
            let error = read("2", milliseconds).err().unwrap();
            assert!(error.contains("line: 2") && error.contains("expected a number above 0"), "{error}");
        }
        for workers in ["0", "2147483649"] {
            assert!(read(workers, "1").err().unwrap().contains("expected 1 to 2147483648, found"));
        }
    }
}
