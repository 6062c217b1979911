//! The tokenizer and the chat template in a GGUF file: ids, and the text of those ids.
#![no_main]

use irene_models::{ChatTemplate, ModelFiles, TextEncoder};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = irene_fuzz::file("model.gguf", bytes);
    if let Some(Ok(files)) = path.to_str().map(ModelFiles::find) {
        let _ = ChatTemplate::find(&files);
    }
    let Ok(encoder) = TextEncoder::read(&path) else { return };
    let Ok(ids) = encoder.ids("Hello 日本,  wörld 123!", true) else { return };
    let mut stream = encoder.stream();
    for id in ids {
        if stream.push(id).is_err() {
            return;
        }
    }
    let _ = stream.finish();
});
