//! Code that the targets share.

mod mutate;

pub use libfuzzer_sys;
pub use mutate::mutate_text;

/// A target that reads text: words are changed as a whole, too.
#[macro_export]
macro_rules! fuzz_text {
    (|$text:ident| $body:block) => {
        $crate::libfuzzer_sys::fuzz_target!(|$text: &[u8]| $body);
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate_text(data, size, max_size, seed)
        });
    };
}

use std::path::PathBuf;

use irene_models::ModelSpec;
use irene_predict::{Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_tree::{Tree, jsonl};

/// A file of these bytes; each process has its own folder, each name one file.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("irene-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for files");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file is written");
    path
}

/// The law of every tree that a reader accepts: it is valid, and a file gives it back.
pub fn is_sound(tree: &Tree) {
    tree.check().expect("an accepted tree is valid");
    let written = jsonl::to_json(tree);
    let again = jsonl::parse_tree(written.as_bytes(), "written", 1).expect("what is written is read");
    // Nodes without an id get one when they are written.
    assert_eq!(jsonl::to_json(&again), written);
}

/// A small decoder, for measurements to join and predictors to predict.
pub fn small_model() -> ModelSpec {
    const CONFIG: &[u8] =
        br#"{"model_type": "gpt2", "vocab_size": 32, "n_positions": 16, "n_embd": 8, "n_layer": 2, "n_head": 2}"#;
    ModelSpec::from_reader("small", CONFIG).expect("a config")
}

/// The law of a request: its forecast is finite, or an error.
pub fn forecast(options: ServiceOptions, row: &RequestRow) {
    let mut service = Service::new(options);
    service.add_model("small", small_model());
    let Ok(setting) = service.setting(row) else { return };
    let Ok(forecast) = setting.forecast() else { return };
    let figures = &forecast.figures;
    for figure in [figures.latency_s, figures.energy_per_request_j, figures.power_w] {
        assert!(figure.is_finite() && figure >= 0.0, "{figures:?}");
    }
    let mut filled = row.clone();
    forecast.fill_in(&mut filled);
}
