//! The first bytes of a model's file, and the file itself: GGUF, safetensors or a config.
#![no_main]

use irene_models::{FileHead, FileKind, ModelSpec, Run};
use irene_tree::Size;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(head) = FileHead::read("file", bytes) else { return };
    if let Some(config) = &head.config {
        let json = serde_json::to_vec(config).expect("a config is written");
        ModelSpec::from_reader("config", json.as_slice()).expect("the config of a file is one");
    }
    let path = irene_fuzz::file(if head.kind == FileKind::Gguf { "model.gguf" } else { "config.json" }, bytes);
    let Some(path) = path.to_str() else { return };
    if let Ok(model) = ModelSpec::find(path)
        && let Ok(tree) = model.trace(Size::new(1, 2))
    {
        tree.check().expect("a traced tree is valid");
        if let Ok(precision) = model.config().precision() {
            let _ = model.share_bytes(Run { precision, ..Size::new(1, 2).into() });
        }
    }
});
