//! The first bytes of a file say what model it holds.

use irene_models::{FileHead, FileKind, ModelSpec, Run, TaskHead};
use irene_tree::{Quantity, Size};
use serde_json::Value;

use crate::{
    gguf_file::{Q8_0, tiny_gpt2},
    support,
};

#[test]
fn the_first_bytes_of_a_file_say_what_the_model_is() {
    let file = tiny_gpt2();
    let written = file.written("head");
    let whole = std::fs::read(written.path()).unwrap();
    let spec = ModelSpec::find(written.path()).unwrap();
    // Without any tensor's numbers.
    let head = FileHead::read("tiny.gguf", &file.header()).unwrap();
    assert_eq!(head, FileHead::read("tiny.gguf", &whole).unwrap());
    assert_eq!((head.kind, head.dtype.as_deref()), (FileKind::Gguf, Some("q8_0")));
    assert_eq!(head.tensors, Some(file.tensors.len()));
    let again = support::spec(Value::from(head.config.unwrap()));
    let run = Run { head: TaskHead::Lm, ..Size::new(2, 5).into() };
    let parameters = |spec: &ModelSpec| spec.trace(run).unwrap().root().get(Quantity::NumParameters).unwrap();
    assert_eq!(parameters(&again), parameters(&spec));
    // Without the file tables and heads are in blocks too; vectors and the one table of 32-bit floats are not known to be wider.
    let run = Run { precision: spec.config().precision().unwrap(), ..run };
    let layers = serde_json::Map::from_iter([("num_hidden_layers".to_owned(), 2.into())]);
    for config_alone in [again, spec.with_fields(&layers).unwrap()] {
        let [ours, of_file] = [&config_alone, &spec].map(|spec| spec.share_bytes(run).unwrap() as f64);
        assert!((ours / of_file - 1.0).abs() < 0.03, "{ours} bytes, {of_file} in the file");
    }
    // Where the header breaks off, or says what cannot be, it is refused.
    let mut header = file.header();
    for len in (0..header.len() - 64).step_by(7) {
        assert!(FileHead::read("tiny.gguf", &header[..len]).is_err(), "{len}");
    }
    header[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = FileHead::read("tiny.gguf", &header).unwrap_err().to_string();
    assert!(error.contains("more than any model has") && !error.contains('\n'), "{error}");
}

#[test]
fn a_file_in_several_formats_says_that_its_config_has_one() {
    let mut file = tiny_gpt2();
    let note = FileHead::read("tiny.gguf", &file.header()).unwrap().note.unwrap();
    assert!(note.starts_with("its numbers are 81% q8_0, 15% q4_k, 4% f32: its config has them all as q8_0,"), "{note}");
    for name in ["blk.0.ffn_down.weight", "position_embd.weight"] {
        file.named(name).kind = Q8_0;
    }
    // Vectors of 32 bits are in every file.
    let vectors: usize = file.tensors.iter().filter(|stored| stored.dims.len() == 1).map(|stored| stored.dims[0]).sum();
    file.named("token_embd.weight").dims[0] = 100 * vectors;
    assert_eq!(FileHead::read("tiny.gguf", &file.header()).unwrap().note, None);
}

#[test]
fn a_header_of_safetensors_and_a_config_are_read_and_other_files_refused() {
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let read = |bytes: &[u8]| FileHead::read("file", bytes);
    let two = r#"{"__metadata__":{"format":"pt","name":"mine"},"a":{"dtype":"BF16","shape":[3,4],"data_offsets":[0,24]},
        "b":{"dtype":"F32","shape":[],"data_offsets":[24,28]}}"#;
    let head = read(&header(two)).unwrap();
    assert_eq!((head.kind, head.parameters, head.tensors), (FileKind::Safetensors, Some(13), Some(2)));
    assert_eq!((head.dtype.as_deref(), head.name.as_deref(), head.config), (Some("bf16"), Some("mine"), None));
    let gpt2 = serde_json::json!({"w": {"dtype": "F32", "shape": [124_439_808], "data_offsets": [0, 8]}}).to_string();
    assert!(read(&header(&gpt2)).unwrap().note.unwrap().contains("built-in gpt2"));
    let config = br#" {"model_type":"gpt2","n_layer":1,"n_embd":8,"n_head":2,"n_positions":16,"vocab_size":10}"#;
    let head = read(config).unwrap();
    assert_eq!((head.kind, head.config.unwrap()["n_layer"].as_u64()), (FileKind::Config, Some(1)));
    // Tables, then a layer's two norms, products with their biases, and the last norm; the head is tied.
    let layer = 2 * 16 + (8 * 24 + 24) + (8 * 8 + 8) + (8 * 32 + 32) + (32 * 8 + 8);
    assert_eq!(head.parameters, Some(10 * 8 + 16 * 8 + layer + 16));
    // A head of its own is among a language model's parameters.
    let untied = br#"{"model_type":"llama","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
        "intermediate_size":12,"vocab_size":10,"max_position_embeddings":16,"tie_word_embeddings":false}"#;
    let layer = 2 * 8 + 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 12;
    assert_eq!(read(untied).unwrap().parameters, Some(2 * 10 * 8 + layer + 8));
    for (bytes, part) in [
        (&b""[..], "is neither"),
        (b"PK\x03\x04 a zip file of some kind", "is neither"),
        (b"{\"model_type\":", "not a JSON object"),
        (b"{\"model_type\":\"resnet\"}", "model_type"),
        (&header(two)[..60], "of which"),
        (&header(r#"{"a":{"dtype":"F32","shape":[-1]}}"#), "damaged"),
        (&header(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,9]}}"#), "too large"),
        (&header("{}}"), "damaged"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}
