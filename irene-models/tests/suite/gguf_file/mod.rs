//! GGUF files made for tests, field by field.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Types of metadata.
const U32: u32 = 4;
const FLOAT: u32 = 6;
const FLAG: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Types of tensors: the number in the file, numbers in a block, bytes of a block.
pub(crate) type Kind = (u32, usize, usize);
pub(crate) const F32: Kind = (0, 1, 4);
pub(crate) const Q8_0: Kind = (8, 32, 34);
pub(crate) const Q4_K: Kind = (12, 256, 144);
pub(crate) const Q8_K: Kind = (15, 256, 292);
pub(crate) const IQ4_NL: Kind = (20, 32, 18);
pub(crate) const MXFP4: Kind = (39, 32, 17);

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// Outermost first.
    pub(crate) dims: Vec<usize>,
    pub(crate) kind: Kind,
}

impl Stored {
    fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() / self.kind.1 * self.kind.2
    }
}

/// A file to be written; the tensors hold zeros.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) version: u32,
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<Stored>,
}

impl File {
    pub(crate) fn new(architecture: &str) -> Self {
        let mut file = Self { version: 3, metadata: Vec::new(), tensors: Vec::new() };
        file.text("general.architecture", architecture);
        file
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(known, _)| known != key);
    }

    fn set(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.remove(key);
        self.metadata.push((key.into(), [&kind.to_le_bytes(), value].concat()));
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.set(key, TEXT, &text(value));
    }

    pub(crate) fn whole(&mut self, key: &str, value: u32) {
        self.set(key, U32, &value.to_le_bytes());
    }

    pub(crate) fn number(&mut self, key: &str, value: f32) {
        self.set(key, FLOAT, &value.to_le_bytes());
    }

    pub(crate) fn texts<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        let mut bytes = [TEXT.to_le_bytes().as_slice(), &(values.len() as u64).to_le_bytes()].concat();
        values.iter().for_each(|value| bytes.extend(text(value.as_ref())));
        self.set(key, ARRAY, &bytes);
    }

    pub(crate) fn wholes(&mut self, key: &str, values: &[u32]) {
        let len = (values.len() as u64).to_le_bytes();
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.set(key, ARRAY, &[U32.to_le_bytes().as_slice(), &len, &values].concat());
    }

    pub(crate) fn flags(&mut self, key: &str, values: &[bool]) {
        let len = (values.len() as u64).to_le_bytes();
        let values: Vec<u8> = values.iter().map(|&on| u8::from(on)).collect();
        self.set(key, ARRAY, &[FLAG.to_le_bytes().as_slice(), &len, &values].concat());
    }

    pub(crate) fn tensor(&mut self, name: impl Into<String>, dims: &[usize], kind: Kind) {
        self.tensors.push(Stored { name: name.into(), dims: dims.to_vec(), kind });
    }

    pub(crate) fn named(&mut self, name: &str) -> &mut Stored {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    pub(crate) fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes() as u64).sum()
    }

    /// All but the tensors' numbers.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = [b"GGUF".as_slice(), &self.version.to_le_bytes()].concat();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().rev().for_each(|&dim| bytes.extend((dim as u64).to_le_bytes()));
            bytes.extend(tensor.kind.0.to_le_bytes());
            bytes.extend((offset as u64).to_le_bytes());
            offset += tensor.bytes().next_multiple_of(32);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes
    }

    /// The length of the file.
    pub(crate) fn len(&self) -> u64 {
        let tensors = self.tensors.iter().map(|tensor| tensor.bytes().next_multiple_of(32)).sum::<usize>();
        (self.header().len() + tensors) as u64
    }

    /// Writes the file; a system that can keeps no zeros.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.header())?;
        std::fs::OpenOptions::new().write(true).open(path)?.set_len(self.len())
    }

    /// Writes the file with these numbers in its tensors, all of 32-bit floats.
    #[cfg(feature = "candle")]
    pub(crate) fn write_with(
        &self,
        path: &Path,
        numbers: &std::collections::HashMap<String, Vec<f32>>,
    ) -> std::io::Result<()> {
        let mut bytes = self.header();
        for tensor in &self.tensors {
            bytes.extend(numbers[&tensor.name].iter().flat_map(|number| number.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(32), 0);
        }
        std::fs::write(path, bytes)
    }

    pub(crate) fn written(&self, name: &str) -> Written {
        Written::new(name, |path| self.write(path))
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

/// A file in a folder of its own, removed in the end.
pub(crate) struct Written(PathBuf);

impl Written {
    pub(crate) fn folder(name: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("irene-gguf-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    pub(crate) fn new(name: &str, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Self {
        let path = Self::folder(name).join("tiny.gguf");
        write(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// Two layers, 64 wide, under the name of an architecture.
fn sizes(file: &mut File, architecture: &str) {
    for (key, size) in [
        ("embedding_length", 64),
        ("block_count", 2),
        ("attention.head_count", 4),
        ("feed_forward_length", 256),
        ("context_length", 32),
    ] {
        file.whole(&format!("{architecture}.{key}"), size);
    }
}

/// A file of one layer with these sizes beside the usual ones, and these tensors beside the table of tokens. The names of the layer's begin
/// with a dot. Biases, vectors and short rows have 32 bits.
pub(crate) fn tiny(architecture: &str, more: &[(&str, u32)], tensors: &[(&str, &[usize])]) -> File {
    let mut file = File::new(architecture);
    sizes(&mut file, architecture);
    for (key, size) in [("block_count", 1)].iter().chain(more) {
        file.whole(&format!("{architecture}.{key}"), *size);
    }
    file.tensor("token_embd.weight", &[96, 64], Q8_0);
    for (name, dims) in tensors {
        let name = if name.starts_with('.') { format!("blk.0{name}") } else { (*name).to_owned() };
        let in_blocks = dims.len() > 1 && dims[dims.len() - 1].is_multiple_of(32) && !name.ends_with("bias");
        let kind = if in_blocks { Q8_0 } else { F32 };
        file.tensor(name, dims, kind);
    }
    file
}

/// A GPT-2 of two layers, 64 wide, whose matrices are q8_0 but for one of 32-bit floats.
pub(crate) fn tiny_gpt2() -> File {
    let mut file = File::new("gpt2");
    sizes(&mut file, "gpt2");
    file.number("gpt2.attention.layer_norm_epsilon", 1e-5);
    file.tensor("token_embd.weight", &[96, 64], Q8_0);
    file.tensor("position_embd.weight", &[32, 64], F32);
    for layer in 0..2 {
        for (name, rows, columns) in
            [("attn_qkv", 192, 64), ("attn_output", 64, 64), ("ffn_up", 256, 64), ("ffn_down", 64, 256)]
        {
            file.tensor(format!("blk.{layer}.{name}.weight"), &[rows, columns], Q8_0);
            file.tensor(format!("blk.{layer}.{name}.bias"), &[rows], F32);
        }
        norms(&mut file, &format!("blk.{layer}.attn_norm"));
        norms(&mut file, &format!("blk.{layer}.ffn_norm"));
    }
    norms(&mut file, "output_norm");
    file.named("blk.0.ffn_down.weight").kind = Q4_K;
    file
}

fn norms(file: &mut File, name: &str) {
    file.tensor(format!("{name}.weight"), &[64], F32);
    file.tensor(format!("{name}.bias"), &[64], F32);
}

/// The tiny GPT-2 with a byte-level vocabulary of a few letters.
pub(crate) fn gpt2_with_words() -> File {
    let mut file = tiny_gpt2();
    let tokens: Vec<String> = ["a", "b", "c", "ab", "abc", "Ġ", "Ġa", "<|end|>"].map(str::to_owned).into();
    let unused = (0..96 - tokens.len()).map(|place| format!("<unused{place}>"));
    let tokens: Vec<String> = tokens.into_iter().chain(unused).collect();
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "gpt-2");
    file.texts("tokenizer.ggml.tokens", &tokens);
    file.texts("tokenizer.ggml.merges", &["a b", "ab c", "Ġ a"]);
    file.whole("tokenizer.ggml.eos_token_id", 7);
    file
}
