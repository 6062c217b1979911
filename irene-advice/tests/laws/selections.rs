//! Selections of built-in models that the laws are tried on.

use std::sync::LazyLock;

use irene_advice::{Change, Lookup, LookupOptions, Selection};
use irene_devices::{Catalogue, Device};

pub(crate) static LOOKUP: LazyLock<Lookup> = LazyLock::new(Lookup::bundled);

/// Encoders, decoders, a mixture of experts; small enough for the devices below.
pub(crate) const MODELS: [&str; 10] = [
    "bert-base-uncased",
    "distilbert-base-uncased",
    "roberta-large",
    "deberta-v3-small",
    "ModernBERT-base",
    "gpt2-large",
    "Llama-3.1-8B",
    "google/gemma-2-2b",
    "Qwen3-4B",
    "allenai/OLMo-2-0425-1B",
];

pub(crate) const DECODERS: [&str; 5] = ["gpt2-large", "Llama-3.1-8B", "google/gemma-2-2b", "Qwen3-4B", "Qwen3-30B-A3B"];

pub(crate) const DEVICES: [&str; 5] = ["h100-sxm", "a100-sxm-80gb", "l40s", "mi300x", "gtx-1080-ti"];

pub(crate) fn changes(text: &str) -> Vec<Change> {
    Change::list(text).unwrap()
}

/// A batch, on a measured machine where the device is one.
pub(crate) fn batch(model: &str, device: &str, sequences: usize, tokens: usize) -> Selection {
    Selection::batch(model, sequences, tokens).changed(&[Change::new("device", device)]).unwrap()
}

/// Requests that come and go.
pub(crate) fn service(model: &str, device: &str, running: usize) -> Selection {
    let settings = format!("device={device};concurrency={running};seq_len=512;generate=64");
    Selection::batch(model, 1, 1).changed(&changes(&settings)).unwrap()
}

/// By a data sheet of one's own: a card that no catalogue has, whose power is limited.
pub(crate) fn own_card() -> Lookup {
    let h100 = Catalogue::find("h100-sxm").unwrap();
    let device = Device { name: "my-card".into(), tdp_w: 500.0, power_limit_w: Some(400.0), ..h100 };
    Lookup::new(LookupOptions { device: Some(device), ..LookupOptions::default() })
}

/// Requests to Llama that name no device.
pub(crate) fn anywhere(running: usize) -> Selection {
    let settings = format!("concurrency={running};seq_len=512;generate=64");
    Selection::batch("Llama-3.1-8B", 1, 1).changed(&changes(&settings)).unwrap()
}
