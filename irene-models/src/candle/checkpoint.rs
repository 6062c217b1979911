//! Parameters from a checkpoint.

use std::{
    collections::HashMap,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use candle_core::{DType as CandleDType, Device, Tensor as Candle};
use irene_tree::{Format, Precision, Shape, file_fault};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use super::operations::known_format;
use crate::{Error, ParameterSpec, Result, Tensor, WeightSource, error::reading};

/// Where a checkpoint of text and images or sounds has the trunk of its text model: LLaVA, Gemma 3 and Mistral Small 3.1; Qwen2.5-VL and
/// later; SmolVLM; Qwen2.5-Omni.
const TRUNKS_INSIDE: [&str; 4] = ["language_model.model", "model.language_model", "model.text_model", "thinker.model"];

/// Where those have the whole of it, with its head.
const WHOLES_INSIDE: [&str; 2] = ["language_model", "thinker"];

/// Safetensors files, mapped into memory and read tensor by tensor.
///
/// Public checkpoints name the same parameter in more than one way; it looks for a key with and without the architecture's prefix
/// (`bert.`), by its older names (LayerNorm's `gamma` and `beta`), and where a model of text and images or sounds has its text model. It
/// ignores tensors that the model does not ask for (heads, `position_ids`, masks).
#[derive(Debug)]
pub struct Checkpoint {
    prefix: &'static str,
    files: Vec<Mapped>,
    tensors: HashMap<String, Entry>,
    dtype: CandleDType,
    device: Device,
}

#[derive(Debug)]
struct Mapped {
    path: PathBuf,
    map: Mmap,
}

#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl Checkpoint {
    /// Opens one file or all shards of a checkpoint whose keys may begin with `prefix`, for a device and an element type.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read; [`Error::Files`] if it is no safetensors file, or a damaged one.
    pub fn open(files: &[PathBuf], prefix: &'static str, dtype: CandleDType, device: &Device) -> Result<Self> {
        let mut checkpoint = Self { prefix, files: Vec::new(), tensors: HashMap::new(), dtype, device: device.clone() };
        for path in files {
            checkpoint.add(path, "")?;
        }
        Ok(checkpoint)
    }

    /// Adds the file of a module whose keys do not begin with its name.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn add_below(&mut self, module: &str, path: &Path) -> Result<()> {
        self.add(path, &format!("{module}."))
    }

    fn add(&mut self, path: &Path, before: &str) -> Result<()> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = reading(path, |path| File::open(path).map_err(io))?;
        // SAFETY: the map is only read. If another program truncates the file meanwhile, a signal ends this one, as with any memory
        // map.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let damaged = |error: safetensors::SafeTensorError| Error::Files {
            what: path.display().to_string(),
            reason: file_fault(path)
                .unwrap_or_else(|| format!("not a safetensors file, or a damaged one ({error}): download it again")),
        };
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(damaged)?;
        // Checks that the data is all there.
        SafeTensors::deserialize(&map).map_err(damaged)?;
        // Eight bytes of length before the header.
        let start = header + 8;
        for (key, info) in metadata.tensors() {
            let (from, to) = info.data_offsets;
            let entry = Entry {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                bytes: start + from..start + to,
            };
            self.tensors.insert(format!("{before}{key}"), entry);
        }
        // `save_model` of safetensors keeps one of a tensor's names, and says which of the others it stands for.
        for (other, key) in metadata.metadata().iter().flatten() {
            if let Some(entry) = self.tensors.get(&format!("{before}{key}")).cloned() {
                self.tensors.entry(format!("{before}{other}")).or_insert(entry);
            }
        }
        self.files.push(Mapped { path: path.to_owned(), map });
        Ok(())
    }

    fn find(&self, key: &str) -> Option<&Entry> {
        let bare = self.without_prefix(key);
        let found = self.tensors.get(key).or_else(|| self.tensors.get(&format!("{}.{key}", self.prefix)));
        let found = found.or_else(|| self.tensors.get(bare));
        found.or_else(|| {
            let of_trunk = TRUNKS_INSIDE.iter().map(|place| format!("{place}.{bare}"));
            let of_whole = WHOLES_INSIDE.iter().map(|place| format!("{place}.{key}"));
            of_trunk.chain(of_whole).find_map(|key| self.tensors.get(&key))
        })
    }

    fn without_prefix<'k>(&self, key: &'k str) -> &'k str {
        key.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key)
    }

    /// Says what there is in place of a tensor: the same with more before its key, as most others have it too, or another model's.
    fn instead_of(&self, key: &str) -> String {
        const SHOWN: usize = 3;
        let bare = self.without_prefix(key);
        let mut keys: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let is_common = |before: &str| 2 * keys.iter().filter(|key| key.starts_with(before)).count() > keys.len();
        let is_module = |before: &&str| before.ends_with('.');
        let before = |known: &str| {
            let before = known.strip_suffix(bare).filter(is_module)?;
            let outer = before.strip_suffix('.')?.strip_suffix(self.prefix).filter(is_module).unwrap_or(before);
            is_common(outer).then(|| outer.to_owned())
        };
        if let Some((known, before)) = keys.iter().find_map(|known| Some((known, before(known)?))) {
            return format!("no such tensor, but `{known}`: take `{before}` off the keys");
        }
        let shown: Vec<String> = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
        match keys.len() {
            0 => "no tensor at all".into(),
            len => format!("no such tensor; the first of its {len} are {}", shown.join(", ")),
        }
    }

    fn origin(&self) -> String {
        self.files.first().map_or_else(|| "no file".into(), |file| file.path.display().to_string())
    }

    /// Copies a tensor out of its file and returns the mapped pages to the system, so that the weights are in memory once.
    fn read(&self, entry: &Entry, dtype: CandleDType) -> candle_core::Result<Candle> {
        let map = &self.files[entry.file].map;
        let tensor = Candle::from_raw_buffer(&map[entry.bytes.clone()], dtype, &entry.shape, &self.device)?;
        release(map, entry.bytes.clone());
        tensor.to_dtype(self.dtype)
    }
}

/// Returns mapped pages to the system, once what they hold is elsewhere in memory.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(super) fn release(map: &Mmap, bytes: Range<usize>) {
    #[cfg(unix)]
    {
        // SAFETY: the map is read-only and backed by its file, so that dropped pages come back as they were.
        #[allow(unsafe_code)]
        let advised =
            unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, bytes.start, bytes.len()) };
        // If the system ignores the advice, that costs memory and nothing else.
        drop(advised);
    }
}

/// The element types of parameters.
fn float(dtype: Dtype) -> Option<CandleDType> {
    match dtype {
        Dtype::F64 => Some(CandleDType::F64),
        Dtype::F32 => Some(CandleDType::F32),
        Dtype::F16 => Some(CandleDType::F16),
        Dtype::BF16 => Some(CandleDType::BF16),
        _ => None,
    }
}

impl WeightSource for Checkpoint {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let ParameterSpec { key, shape, .. } = *spec;
        let found = spec.keys().find_map(|key| self.find(key));
        let refuse = |found: String| Error::Weight {
            origin: self.origin(),
            key: key.to_owned(),
            expected: Box::new(shape),
            found,
        };
        let entry = found.ok_or_else(|| refuse(self.instead_of(key)))?;
        if entry.shape != shape.dims() {
            return Err(refuse(
                Shape::new(&entry.shape).map_or_else(|| format!("{:?}", entry.shape), |s| s.to_string()),
            ));
        }
        let dtype = float(entry.dtype).ok_or_else(|| refuse(format!("elements of type {:?}", entry.dtype)))?;
        Tensor::from_candle(self.read(entry, dtype)?)
    }

    fn precision(&self) -> Precision {
        precision_of(self.dtype)
    }

    fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }
}

/// One format for all, by candle's type; every type that a model is loaded in has a format.
pub(super) fn precision_of(dtype: CandleDType) -> Precision {
    Precision::of(known_format(dtype).unwrap_or(Format::F32))
}
