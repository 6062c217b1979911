//! EcoCompute: Mistral-7B with bitsandbytes' LLM.int8 under transformers, 256 tokens a sequence.

use std::path::Path;

use irene_tree::Format as Weights;

use super::{
    Format, METER, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "EcoCompute",
    fields: &[&["total_energy_j", "energy_per_1k_tokens_j", "tokens_generated", "batch_size"]],
    read,
};

fn read(record: &Record, path: &Path) -> Vec<RequestRow> {
    let batch = record.count("batch_size");
    let generated = record.positive("tokens_generated").zip(batch).map(|(tokens, batch)| tokens / batch as f64);
    let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
    let mut row = RequestRow {
        model: Some("mistralai/Mistral-7B-v0.1".into()),
        // The file's name alone tells the card.
        device: file.contains("a800").then(|| "a800-sxm-80gb".to_owned()),
        engine: Some("transformers".into()),
        weights: Some(Weights::Int8),
        load: batch.map(Load::Sequences),
        generated,
        ..RequestRow::default()
    };
    for setting in ["model", "device", "weights"] {
        names::assume(&mut row, setting);
    }
    set(&mut row, Figure::EnergyPerRequest, record.number("energy_per_request_j"));
    set(&mut row, Figure::EnergyPerToken, record.number("energy_per_1k_tokens_j").map(|joules| joules * 1e-3));
    set(&mut row, Figure::Power, record.number("avg_power_w"));
    set(&mut row, Figure::Latency, record.number("total_time_s"));
    set(&mut row, Figure::TokensPerS, record.number("throughput_tok_s"));
    keep(&mut row, record, &["peak_memory_gb"]);
    row.set_further(METER, "NVML, 10 Hz");
    vec![row]
}
