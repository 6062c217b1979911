//! A model's file by its first bytes: what a config.json, a safetensors or a GGUF file says of the model, without its weights.

use std::{collections::BTreeMap, fmt};

use irene_tree::{Format, Kernels, Size};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::{BuiltinModel, Config, Error, ModelSpec, Result, Run, TaskHead, gguf::Gguf};

/// A model as the first bytes of its file tell it.
///
/// ```
/// use irene_models::{FileHead, FileKind};
/// // A safetensors file begins with the length of its header; the weights behind it are not needed.
/// let header = br#"{"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}"#;
/// let file = [&(header.len() as u64).to_le_bytes()[..], header].concat();
/// let head = FileHead::read("model.safetensors", &file)?;
/// assert_eq!((head.kind, head.parameters), (FileKind::Safetensors, Some(6)));
/// # Ok::<(), irene_models::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FileHead {
    /// The kind of file.
    pub kind: FileKind,
    /// The name that the file gives the model.
    pub name: Option<String>,
    /// The fields of the model's config.json, where the file has them.
    pub config: Option<Map<String, Value>>,
    /// The format that most of its numbers are stored in, by its name in the file where it is none of ours.
    pub dtype: Option<String>,
    /// Numbers in its tensors; by a config, those of the model with a language model's head, if it has one.
    pub parameters: Option<u64>,
    /// Its tensors.
    pub tensors: Option<usize>,
    /// A remark beside that, in a line.
    pub note: Option<String>,
}

/// A kind of file that a model comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A config.json.
    Config,
    /// Weights of Hugging Face's format.
    Safetensors,
    /// llama.cpp's file of a whole model.
    Gguf,
}

impl FileKind {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
        }
    }
}

impl FileHead {
    /// Reads what the first bytes of a file say; `name` is the file's, for errors.
    ///
    /// # Errors
    /// [`Error::Files`] for bytes that begin no such file, or whose header goes on beyond them; [`Error::Config`] for a model that is not
    /// followed here.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        let first = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start().first();
        if bytes.starts_with(b"GGUF") {
            Self::of_gguf(name, bytes)
        } else if first == Some(&b'{') {
            Self::of_config(name, bytes)
        } else {
            Self::of_safetensors(name, bytes)
        }
    }

    fn of(kind: FileKind) -> Self {
        Self { kind, name: None, config: None, dtype: None, parameters: None, tensors: None, note: None }
    }

    fn of_config(name: &str, bytes: &[u8]) -> Result<Self> {
        let config = Config::from_json(name, bytes)?;
        let fields = config.fields().map(|(name, value)| (name.clone(), value.clone())).collect();
        let named = config.value("_name_or_path").and_then(Value::as_str).filter(|name| !name.is_empty());
        let named = named.map(str::to_owned);
        let dtype = config.precision().ok().filter(|_| config.has_precision()).map(|own| own.weights.name().to_owned());
        let spec = ModelSpec::from_config(name, config)?;
        // As in the list of built-in models: a language model's head is among its parameters.
        let generates = spec.cache(Kernels::Eager)?.is_some() && spec.heads().contains(&TaskHead::Lm);
        let generates = generates && !spec.gives_no_tokens();
        let head = if generates { TaskHead::Lm } else { TaskHead::None };
        let tree = spec.trace(Run { head, ..Size::new(1, 1).into() })?;
        let parameters = tree.root().get(irene_tree::Quantity::NumParameters);
        let parameters = parameters.map(|count| count as u64);
        let note = spec.notes().first().cloned();
        Ok(Self { config: Some(fields), name: named, dtype, parameters, note, ..Self::of(FileKind::Config) })
    }

    fn of_gguf(name: &str, bytes: &[u8]) -> Result<Self> {
        let file = Gguf::of_head(name, bytes)?;
        let config = file.config()?;
        let fields = config.fields().map(|(name, value)| (name.clone(), value.clone())).collect();
        let remarks = ModelSpec::from_config(name, config)?.remarks_on(&file);
        let parts = file.part_count();
        let split = (parts > 1)
            .then(|| format!("the model is split into {parts} files; parameters and tensors are those of this one"));
        let notes: Vec<String> = split.into_iter().chain(mixture(&file)).chain(remarks).collect();
        Ok(Self {
            config: Some(fields),
            name: file.word("general.name").map(str::to_owned),
            dtype: Some(file.main_format().name().to_owned()),
            parameters: file.tensors().try_fold(0, |sum: u64, stored| sum.checked_add(stored.shape.elements())),
            tensors: Some(file.tensors().count()),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            ..Self::of(FileKind::Gguf)
        })
    }

    fn of_safetensors(name: &str, bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Error::Files { what: name.to_owned(), reason };
        let Header { formats, tensors, name } = header(bytes).map_err(refuse)?;
        let sum = formats.values().try_fold(0, |sum: u64, numbers| sum.checked_add(*numbers));
        let dtype = formats.into_iter().max_by_key(|(_, numbers)| *numbers).map(|(format, _)| format);
        let dtype = dtype.map(|own| own.parse().map_or(own, |format: Format| format.name().to_owned()));
        let note = match sum.and_then(builtin_of) {
            Some(model) => format!(
                "as many parameters as the built-in {model}; a safetensors file does not say the rest, its config.json does"
            ),
            None => "a safetensors file does not say how the model is built: drop its config.json too".to_owned(),
        };
        Ok(Self {
            name,
            dtype,
            parameters: sum,
            tensors: Some(tensors),
            note: Some(note),
            ..Self::of(FileKind::Safetensors)
        })
    }
}

/// The remark on a file in several formats: its config has one for all.
fn mixture(file: &Gguf) -> Option<String> {
    /// Vectors are less, which all files have in 32 bits.
    const LEAST: f64 = 0.01;
    let mut numbers = BTreeMap::new();
    for stored in file.tensors() {
        *numbers.entry(stored.format).or_insert(0.0) += stored.shape.elements() as f64;
    }
    let whole: f64 = numbers.values().sum();
    let mut shares: Vec<(Format, f64)> = numbers.into_iter().map(|(format, count)| (format, count / whole)).collect();
    shares.retain(|(_, share)| *share >= LEAST);
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let named: Vec<String> =
        shares.iter().map(|(format, share)| format!("{:.0}% {}", 100.0 * share, format.name())).collect();
    let main = file.main_format().name();
    (named.len() > 1).then(|| {
        format!(
            "its numbers are {}: its config has them all as {main}, `irene predict` of the file each as it is stored",
            named.join(", ")
        )
    })
}

/// The built-in model of so many parameters, if there is one alone.
fn builtin_of(parameters: u64) -> Option<&'static str> {
    let mut of_size = BuiltinModel::all().iter().filter(|model| model.parameters() == parameters);
    of_size.next().filter(|_| of_size.next().is_none()).map(BuiltinModel::name)
}

/// The part of a safetensors header that is kept.
#[derive(Default)]
struct Header {
    /// Numbers by their format's name.
    formats: BTreeMap<String, u64>,
    tensors: usize,
    name: Option<String>,
}

fn header(bytes: &[u8]) -> std::result::Result<Header, String> {
    /// Safetensors' own bound.
    const LONGEST: u64 = 100_000_000;
    const NONE: &str = "is neither a config.json nor a safetensors or GGUF file";
    let (len, rest) = bytes.split_first_chunk::<8>().ok_or(NONE)?;
    let len = u64::from_le_bytes(*len);
    if !(2..=LONGEST).contains(&len) || rest.first() != Some(&b'{') {
        return Err(NONE.into());
    }
    let text = usize::try_from(len).ok().and_then(|len| rest.get(..len));
    let text = text.ok_or_else(|| format!("has a header of {len} bytes, of which {} came", rest.len()))?;
    serde_json::from_slice(text).map_err(|error| format!("is no safetensors file, or a damaged one ({error})"))
}

/// A tensor as the header has it.
#[derive(serde::Deserialize)]
struct Described {
    dtype: String,
    shape: Vec<u64>,
}

/// The one field of the metadata that is read.
#[derive(serde::Deserialize)]
struct Metadata {
    name: Option<String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Header::default())
    }
}

/// Entry by entry, so that a header of any length takes little memory.
impl<'de> Visitor<'de> for Header {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<Self, A::Error> {
        /// Names of formats; there are some twenty.
        const MOST_FORMATS: usize = 64;
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if name == "__metadata__" {
                self.name = map.next_value::<Metadata>()?.name;
                continue;
            }
            let Described { dtype, shape } = map.next_value()?;
            let numbers = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
            let numbers = numbers.ok_or_else(|| serde::de::Error::custom("a tensor is too large"))?;
            if dtype.len() > 16 || self.formats.len() > MOST_FORMATS {
                return Err(serde::de::Error::custom("a tensor has no known dtype"));
            }
            let sum = self.formats.entry(dtype).or_default();
            *sum = sum.checked_add(numbers).ok_or_else(|| serde::de::Error::custom("the tensors are too large"))?;
            self.tensors += 1;
        }
        Ok(self)
    }
}
