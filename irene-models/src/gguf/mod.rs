//! GGUF files, llama.cpp's: a model's tensors, sizes and tokenizer in one file.
//!
//! Opening one reads its header alone, through a memory map, so that a file of any size takes the time of its metadata.

mod architectures;
mod config;
mod ends;
mod hybrids;
mod names;
mod parse;
mod shapes;
#[cfg(feature = "text")]
mod tokenizer;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use irene_tree::file_fault;
use memmap2::Mmap;

#[cfg(feature = "candle")]
pub(crate) use self::names::{Place, Rows};
use self::parse::{Array, Header, Value};
pub(crate) use self::{names::Names, parse::Stored, shapes::StoredShapes};
use crate::{Error, Result, error::reading};

/// A GGUF file, or all parts of a split one.
#[derive(Clone)]
pub(crate) struct Gguf(Arc<Parts>);

struct Parts {
    path: PathBuf,
    maps: Vec<Contents>,
    /// The metadata of the first part.
    metadata: BTreeMap<String, Value>,
    /// By name: the part, and the place in it.
    tensors: HashMap<String, (usize, Stored)>,
}

/// The bytes of a file that are at hand.
enum Contents {
    Map(Mmap),
    /// The first ones of a file that is elsewhere.
    Head(Vec<u8>),
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Head(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gguf").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// Whether this is the name of a GGUF file.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gguf")
}

impl Gguf {
    /// Reads the header of a file, and of the other parts if it is the first of a split model.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read; [`Error::Files`] for one that is damaged or no GGUF file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (map, header) = header(path)?;
        let mut parts = Parts::new(path, Contents::Map(map), header)?;
        for path in parts.others()? {
            let (map, header) = self::header(&path)?;
            parts.add(&path, Contents::Map(map), header)?;
        }
        Ok(Self(Arc::new(parts)))
    }

    /// Reads the header of a file from its first bytes; the tensors behind it may be missing.
    ///
    /// # Errors
    /// [`Error::Files`] if the header is damaged, goes on beyond the bytes, or is none.
    pub(crate) fn of_head(name: &str, bytes: &[u8]) -> Result<Self> {
        let path = Path::new(name);
        let header = Header::of_head(bytes).map_err(|reason| refuse(path, reason))?;
        Ok(Self(Arc::new(Parts::new(path, Contents::Head(bytes.to_vec()), header)?)))
    }

    /// Every tensor.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &Stored> {
        self.0.tensors.values().map(|(_, stored)| stored)
    }

    /// The parts that the model is split into.
    pub(crate) fn part_count(&self) -> u64 {
        match self.0.metadata.get("split.count") {
            Some(Value::Whole(count)) => u64::try_from(*count).unwrap_or(1).max(1),
            _ => 1,
        }
    }

    pub(crate) fn origin(&self) -> String {
        self.0.path.display().to_string()
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&Stored> {
        self.0.tensors.get(name).map(|(_, stored)| stored)
    }

    fn has(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }

    /// The part that a tensor lies in, and the tensor.
    #[cfg(feature = "candle")]
    pub(crate) fn mapped(&self, name: &str) -> Option<(&Mmap, &Stored)> {
        match self.0.tensors.get(name).map(|(part, stored)| (&self.0.maps[*part], stored)) {
            Some((Contents::Map(map), stored)) => Some((map, stored)),
            _ => None,
        }
    }

    /// Whether there is a tensor whose numbers are at hand.
    fn holds(&self, name: &str) -> bool {
        self.0.tensors.get(name).is_some_and(|(part, stored)| self.0.maps[*part].len() >= stored.bytes.end)
    }

    /// The numbers of a small tensor of 32-bit floats.
    fn floats(&self, name: &str) -> Option<Vec<f64>> {
        const MOST: u64 = 1 << 16;
        let (part, stored) = self.0.tensors.get(name).filter(|(_, stored)| stored.shape.elements() <= MOST)?;
        let bytes = self.0.maps[*part].get(stored.bytes.clone())?;
        let number = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes));
        (stored.format == irene_tree::Format::F32).then(|| bytes.as_chunks().0.iter().map(number).collect())
    }

    /// A word of the metadata.
    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        match self.0.metadata.get(key)? {
            Value::Text(word) => Some(word),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.0.metadata.get(key)? {
            Value::Flag(on) => Some(*on),
            _ => None,
        }
    }

    /// An array of the metadata.
    fn array(&self, key: &str) -> Option<&Array> {
        match self.0.metadata.get(key)? {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The numbers of an array of the metadata.
    fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.array(key)?.numbers(self.first())
    }

    /// The bytes of the file that the metadata is in.
    fn first(&self) -> &[u8] {
        &self.0.maps[0]
    }

    /// Whether there is a classifier behind the layers, as in a reranker's file.
    pub(crate) fn has_classifier(&self) -> bool {
        self.has(config::CLASSIFIER)
    }

    /// The error of a tensor that a model does not have.
    #[cfg(feature = "candle")]
    pub(crate) fn no_part_of(&self, tensor: &str, model_type: &str) -> Error {
        let reason = format!(
            "is no part of a plain {model_type}, so that another model would be run: take the model's safetensors"
        );
        self.error(tensor, reason)
    }

    /// An error about an entry of the metadata.
    fn error(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::Config { origin: self.origin(), field: key.to_owned(), reason: reason.into() }
    }
}

impl Parts {
    /// The first part.
    fn new(path: &Path, contents: Contents, header: Header) -> Result<Self> {
        let tensors = HashMap::with_capacity(header.tensors.len());
        let mut parts = Self { path: path.to_owned(), maps: Vec::new(), metadata: BTreeMap::new(), tensors };
        parts.metadata = parts.add(path, contents, header)?;
        Ok(parts)
    }

    fn add(&mut self, path: &Path, map: Contents, header: Header) -> Result<BTreeMap<String, Value>> {
        for (name, stored) in header.tensors {
            if self.tensors.contains_key(&name) {
                return Err(refuse(path, format!("tensor `{name}` is there twice")));
            }
            self.tensors.insert(name, (self.maps.len(), stored));
        }
        self.maps.push(map);
        Ok(header.metadata)
    }

    /// The other parts of a split model.
    fn others(&self) -> Result<Vec<PathBuf>> {
        let whole = |key: &str| match self.metadata.get(key) {
            Some(Value::Whole(number)) => *number,
            _ => 0,
        };
        // The files' names have five digits for it.
        const MOST: i128 = 99_999;
        let count = whole("split.count").min(MOST);
        if count <= 1 {
            return Ok(Vec::new());
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let suffix = |part: i128| format!("-{part:05}-of-{count:05}.gguf");
        let Some(start) = name.strip_suffix(&suffix(1)).filter(|_| whole("split.no") == 0) else {
            return Err(refuse(
                &self.path,
                format!("is a part of {count}: name the first, which ends in `{}`", suffix(1)),
            ));
        };
        Ok((2..=count).map(|part| self.path.with_file_name(start.to_owned() + &suffix(part))).collect())
    }
}

fn refuse(path: &Path, reason: String) -> Error {
    Error::Files { what: path.display().to_string(), reason }
}

/// The file in memory, and its header.
fn header(path: &Path) -> Result<(Mmap, Header)> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let map = reading(path, |path| {
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is only read. If another program truncates the file meanwhile, a signal ends this one, as with any memory map.
        #[allow(unsafe_code)]
        unsafe { Mmap::map(&file) }.map_err(io)
    })?;
    let header = Header::read(&map).map_err(|reason| {
        // If it begins as GGUF, the header's own fault is told, not that it is another kind of file.
        let fault = if map.starts_with(b"GGUF") { None } else { file_fault(path) };
        refuse(path, fault.unwrap_or(reason))
    })?;
    Ok((map, header))
}
