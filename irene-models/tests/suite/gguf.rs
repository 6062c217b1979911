//! GGUF files: followed with the formats of their tensors, refused in one line, and never a panic.

use std::{collections::BTreeMap, path::PathBuf};

#[cfg(feature = "text")]
use irene_models::TextEncoder;
use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Precision, Quantity, Role, Size, Training, Tree};
use proptest::prelude::*;
use serde_json::Value;

use crate::gguf_file::{F32, File, Q8_K, Written, gpt2_with_words, tiny_gpt2};

/// Bytes of every parameter of a tree, each counted once.
fn parameter_bytes(tree: &Tree) -> u64 {
    let mut parameters = BTreeMap::new();
    for operand in tree.nodes().iter().filter_map(|node| node.operation.as_ref()).flat_map(|done| &done.inputs) {
        if let Role::Parameter(Some(id)) = operand.role {
            parameters.insert(id, operand.bytes());
        }
    }
    parameters.values().sum()
}

fn find(path: &str) -> ModelSpec {
    ModelSpec::find(path).unwrap()
}

fn followed(spec: &ModelSpec, precision: Precision) -> Tree {
    spec.trace(Run { head: TaskHead::Lm, precision, shows_math: true, ..Size::new(2, 5).into() }).unwrap()
}

#[test]
fn a_file_is_followed_with_the_format_of_each_tensor() {
    let file = tiny_gpt2();
    let written = file.written("formats");
    let spec = find(written.path());
    let own = spec.config().precision().unwrap();
    assert_eq!((spec.model_type(), own), ("gpt2", Precision { weights: Format::Q8_0, ..Precision::of(Format::F16) }));
    let tree = followed(&spec, own);
    assert_eq!(parameter_bytes(&tree), file.tensor_bytes());
    assert_eq!(Some(spec.num_parameters(TaskHead::Lm).unwrap() as f64), tree.root().get(Quantity::NumParameters));
    // In another precision than the file's, every parameter has it.
    let half = followed(&spec, Precision::of(Format::F16));
    assert_eq!(parameter_bytes(&half), 2 * half.root().get(Quantity::NumParameters).unwrap() as u64);
}

#[test]
fn following_reads_no_tensors() {
    // A table of 256 GiB: zeros that no disk holds, which would take minutes to read.
    let mut file = tiny_gpt2();
    let table = file.named("token_embd.weight");
    (table.dims, table.kind) = (vec![1 << 24, 4096], F32);
    file.whole("gpt2.embedding_length", 4096);
    let written = file.written("sparse");
    let spec = find(written.path());
    assert_eq!(spec.vocab_size().unwrap(), 1 << 24);
    // Its other tensors are of another width.
    let error = spec
        .trace(Size::new(1, 2))
        .and_then(|_| spec.trace(Run { precision: spec.config().precision()?, ..Size::new(1, 2).into() }));
    assert!(error.unwrap_err().to_string().contains("tensor `wpe.weight`: expected 32x4096"));
}

#[test]
fn what_is_no_whole_model_is_refused_in_one_line() {
    type Change = fn(&mut File);
    let cases: [(Change, &str); 9] = [
        (
            |file| file.text("general.architecture", "mamba2"),
            "FILE, field `general.architecture`: `mamba2` is not followed here; there are llama, qwen2,",
        ),
        (|file| file.remove("general.architecture"), "`general.architecture`: is missing: the file holds no model"),
        (|file| file.remove("gpt2.attention.head_count"), "field `n_head`: is missing"),
        (|file| file.version = 1, "FILE: is GGUF of version 1, where 2 and 3 are read: convert the model again"),
        (|file| file.version = 3 << 24, "FILE: is a big-endian GGUF file"),
        (|file| file.named("output_norm.bias").kind = Q8_K, "is stored as q8_k, which is not followed here"),
        (|file| file.named("token_embd.weight").dims[1] = 33, "has rows of 33 numbers, where q8_0 has blocks of 32"),
        (|file| file.whole("general.alignment", 24), "metadata `general.alignment` is no power of two"),
        (|file| file.named("token_embd.weight").name = "other".into(), "field `token_embd.weight`: is missing"),
    ];
    for (change, expected) in cases {
        let mut file = tiny_gpt2();
        change(&mut file);
        let written = file.written("refused");
        let refused = ModelSpec::find(written.path()).and_then(|spec| spec.trace(Size::new(1, 2)).map(drop));
        let found = refused.unwrap_err().to_string().replace(written.path(), "FILE");
        assert!(found.contains(expected) && !found.contains('\n'), "{found}");
    }
}

#[test]
fn a_file_that_lacks_a_tensor_or_its_end_is_refused_in_one_line() {
    let mut file = tiny_gpt2();
    let whole = Written::new("whole", |path| file.write(path));
    std::fs::OpenOptions::new().write(true).open(whole.path()).unwrap().set_len(file.len() - 1000).unwrap();
    let found = ModelSpec::find(whole.path()).unwrap_err().to_string();
    assert!(found.contains("the download broke off, repeat it") && !found.contains('\n'), "{found}");

    file.tensors.retain(|tensor| tensor.name != "blk.1.ffn_up.weight");
    let written = file.written("lacking");
    let spec = find(written.path());
    let run = Run { precision: spec.config().precision().unwrap(), ..Size::new(1, 2).into() };
    let found = spec.trace(run).unwrap_err().to_string();
    assert!(found.contains("`h.1.mlp.c_fc.weight`: expected 64x256, found no tensor `blk.1.ffn_up.weight`"), "{found}");
}

#[test]
fn the_parts_of_a_split_file_are_one_model() {
    let mut first = tiny_gpt2();
    let whole = first.tensor_bytes();
    first.whole("split.count", 2);
    let mut second = first.clone();
    second.tensors = first.tensors.split_off(7);
    second.whole("split.no", 1);
    let dir = Written::folder("split");
    let path = |part: usize| dir.join(format!("gpt-0000{part}-of-00002.gguf"));
    first.write(&path(1)).unwrap();
    let missing = ModelSpec::find(path(1).to_str().unwrap()).unwrap_err().to_string();
    assert!(missing.contains("gpt-00002-of-00002.gguf: No such file"), "{missing}");
    second.write(&path(2)).unwrap();
    let spec = find(path(1).to_str().unwrap());
    assert_eq!(parameter_bytes(&followed(&spec, spec.config().precision().unwrap())), whole);
    let found = ModelSpec::find(path(2).to_str().unwrap()).unwrap_err().to_string();
    assert!(found.contains("is a part of 2: name the first, which ends in `-00001-of-00002.gguf`"), "{found}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn counts_beyond_the_file_are_refused_before_memory_is_taken() {
    let start = |tensors: u64, entries: u64| {
        [b"GGUF\x03\0\0\0".as_slice(), &tensors.to_le_bytes(), &entries.to_le_bytes()].concat()
    };
    for count in [u64::MAX, 1 << 40, 1 << 20] {
        let mut files = vec![start(count, 0), start(0, count)];
        // An array of so many numbers, texts or arrays, and a text so long.
        for kind in [0u32, 7, 8, 9, 10] {
            let key = [1u64.to_le_bytes().as_slice(), b"k", &9u32.to_le_bytes(), &kind.to_le_bytes()].concat();
            files.push([start(0, 1), key, count.to_le_bytes().to_vec()].concat());
        }
        files.push([start(0, 1), count.to_le_bytes().to_vec()].concat());
        for file in files {
            let written = Written::new("counts", |path| std::fs::write(path, file));
            let info = allocation_counter::measure(|| drop(ModelSpec::find(written.path()).unwrap_err()));
            assert!(info.bytes_max < 1 << 16, "{} bytes for {count}", info.bytes_max);
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    crate::support::fixture("gguf").join(name)
}

/// The results of llama.cpp with the files (make.py).
fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("golden.json")).unwrap()).unwrap()
}

#[cfg(feature = "text")]
#[test]
fn texts_have_the_ids_that_llama_cpp_gives_them() {
    let golden = golden();
    for name in ["q8_0", "q4_k_m"] {
        let encoder = TextEncoder::read(&fixture(&format!("tiny-llama.{name}.gguf"))).unwrap();
        let texts = golden["texts"].as_array().unwrap();
        for (text, expected) in texts.iter().zip(golden[name]["texts"].as_array().unwrap()) {
            let text = text.as_str().unwrap().to_owned();
            let found = encoder.encode(std::slice::from_ref(&text), 0).unwrap().ids;
            assert_eq!(serde_json::to_value(found).unwrap(), *expected, "{text:?} by {name}");
        }
    }
}

/// Finds and follows whatever these bytes are, and reads the tokenizer.
fn tried(bytes: &[u8]) {
    let written = Written::new("fuzzed", |path| std::fs::write(path, bytes));
    if let Ok(spec) = ModelSpec::find(written.path()) {
        let precision = spec.config().precision().unwrap_or_default();
        drop(spec.trace(Run { precision, ..Size::new(1, 2).into() }));
    }
    #[cfg(feature = "text")]
    drop(TextEncoder::read(written.path().as_ref()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400), version in 0..5u32) {
        tried(&bytes);
        tried(&[b"GGUF".as_slice(), &version.to_le_bytes(), &bytes].concat());
    }

    #[test]
    fn a_damaged_file_never_panics_the_reader(
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        numbers in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 0..3),
        end in any::<Option<prop::sample::Index>>(),
    ) {
        let file = gpt2_with_words();
        let mut damaged = file.header();
        for (place, byte) in bytes {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        for (place, number) in numbers {
            let place = place.index(damaged.len() - 8);
            damaged[place..place + 8].copy_from_slice(&number.to_le_bytes());
        }
        match end {
            Some(end) => damaged.truncate(end.index(damaged.len())),
            None => damaged.resize(file.len() as usize, 0),
        }
        tried(&damaged);
    }
}

/// Root mean square of the difference of two lists.
#[cfg(feature = "candle")]
pub(crate) fn distance(x: &[f64], y: &[f64]) -> f64 {
    let squares: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
    (squares / x.len() as f64).sqrt()
}

/// The numbers of a pass's logits.
#[cfg(feature = "candle")]
fn of_output(output: &irene_models::ModelOutput) -> Vec<f64> {
    let logits = output.logits.as_ref().unwrap().candle().unwrap().flatten_all().unwrap();
    logits.to_dtype(candle_core::DType::F64).unwrap().to_vec1().unwrap()
}

#[cfg(feature = "candle")]
pub(crate) fn logits(path: &std::path::Path, ids: &[i64]) -> Vec<f64> {
    use candle_core::{DType, Device};
    use irene_models::{Batch, Cx};
    let spec = find(path.to_str().unwrap());
    let model = spec.load(&[path.to_owned()], TaskHead::Lm, DType::F32, &Device::Cpu).unwrap();
    let batch = Batch::of_ids(ids.to_vec(), None, Size::new(1, ids.len()), &Device::Cpu).unwrap();
    let both = [irene_tree::Kernels::Eager, irene_tree::Kernels::Fused]
        .map(|kernels| of_output(&model.run(&mut Cx::silent().with_kernels(kernels), &batch).unwrap()));
    assert!(distance(&both[0], &both[1]) < 1e-3, "eager and fused differ by {}", distance(&both[0], &both[1]));
    let [eager, _] = both;
    eager
}

#[cfg(feature = "candle")]
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The logits of each token, read one by one behind a cache.
#[cfg(feature = "candle")]
fn logits_by_steps(path: &std::path::Path, ids: &[i64]) -> Vec<f64> {
    use candle_core::{DType, Device};
    use irene_models::{Batch, Cache, Cx};
    let model = find(path.to_str().unwrap()).load(&[path.to_owned()], TaskHead::Lm, DType::F32, &Device::Cpu).unwrap();
    let mut cache = Cache::default();
    let mut logits = Vec::new();
    for &id in ids {
        let batch =
            Batch::of_ids(vec![id], None, Size::new(1, 1).after(cache.past), &Device::Cpu).unwrap().after(cache);
        let output = model.run(&mut Cx::silent(), &batch).unwrap();
        logits.extend(of_output(&output));
        cache = output.cache.unwrap();
    }
    logits
}

/// Products of few rows quantise these to 8 bits, as llama.cpp does: its logits come out. Those of many rows keep their 32 bits, which
/// changes logits by less than quantising the weights did.
#[cfg(feature = "candle")]
#[test]
fn logits_are_those_of_llama_cpp_within_the_error_of_the_quantisation() {
    let golden = golden();
    let ids: Vec<i64> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let plain = numbers(&golden["f32"]["logits"]);
    for name in ["q8_0", "q4_k_m"] {
        let path = fixture(&format!("tiny-llama.{name}.gguf"));
        let theirs = numbers(&golden[name]["logits"]);
        let error = distance(&theirs, &plain);
        // Steps are 1e-5 apart on x86 with AVX2; another processor may sum in another order.
        for (way, ours, share) in
            [("steps", logits_by_steps(&path, &ids), 0.05), ("one pass", logits(&path, &ids), 1.0)]
        {
            let apart = distance(&ours[ours.len() - theirs.len()..], &theirs);
            println!("{name}, {way}: {apart:.5} apart, where quantising changed the logits by {error:.5}");
            assert!(apart <= share * error, "{name}, {way}: {apart} apart, where quantising changed them by {error}");
        }
    }
}

/// Files that llama.cpp reads (convert.py), whose converter renames, permutes, transposes and adds: what comes out is what transformers
/// computed from the checkpoint.
#[cfg(feature = "candle")]
#[test]
fn converted_files_give_what_their_checkpoints_give() {
    for name in ["gemma2", "gpt_neox", "falcon", "qwen3_moe"] {
        let io = fixture(&format!("../llm/{name}/io.safetensors"));
        let io = candle_core::safetensors::load(io, &candle_core::Device::Cpu).unwrap();
        // Row 1 is padded.
        for row in [0, 2] {
            let of_row = |tensor: &str| io[tensor].get(row).unwrap().flatten_all().unwrap();
            let expected = of_row("logits").to_dtype(candle_core::DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let found = logits(&fixture(&format!("{name}.gguf")), &of_row("input_ids").to_vec1().unwrap());
            assert!(distance(&found, &expected) < 1e-5, "{name}: {} apart", distance(&found, &expected));
        }
    }
}

#[test]
fn mixed_files_of_llama_cpp_are_followed_byte_for_byte() {
    let golden = golden();
    for name in ["q8_0", "q4_k_m"] {
        let spec = find(fixture(&format!("tiny-llama.{name}.gguf")).to_str().unwrap());
        let tree = followed(&spec, spec.config().precision().unwrap());
        assert_eq!(Value::from(parameter_bytes(&tree)), golden[name]["tensor_bytes"], "{name}");
    }
}

/// Adapters are in no file: they are trained in the format of the activations, to the rank and back beside each of a layer's four products.
#[test]
fn adapters_are_trained_beside_the_blocks_of_a_file() {
    let file = tiny_gpt2();
    let written = file.written("adapters");
    let spec = find(written.path());
    let (precision, training) =
        (spec.config().precision().unwrap(), Some(Training { lora_rank: 2, ..Training::default() }));
    let memory = spec.training_memory(Run { precision, training, ..Size::new(2, 5).into() }).unwrap();
    let thin = 2 * 2 * 2 * ((64 + 192) + (64 + 64) + (64 + 256) + (256 + 64));
    assert_eq!((memory.gradients, memory.weights), (thin, file.tensor_bytes() + thin));
}
