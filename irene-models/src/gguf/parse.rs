//! The header of a GGUF file, read from its bytes. Whatever the bytes, it ends in a header or a reason: every count is checked against
//! the bytes that are left before anything is read or kept for it.

use std::{collections::BTreeMap, ops::Range};

use irene_tree::{Format, Shape};

const MAGIC: &[u8] = b"GGUF";

/// Bytes that tensors start at multiples of, where the file does not say.
const ALIGNMENT: u64 = 32;

const BROKEN_OFF: &str = "ends in its header: the download broke off, repeat it";

/// Tensors of a file, and entries of its metadata; models of many experts have some tens of thousands.
const MOST_ENTRIES: u64 = 1 << 18;

/// One file's metadata and its tensors.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<(String, Stored)>,
}

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Whole numbers of any width.
    Whole(i128),
    Number(f64),
    Flag(bool),
    Text(String),
    Array(Array),
}

/// An array, left in the file: a tokenizer's hold hundreds of thousands of texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    kind: Kind,
    len: u64,
    bytes: Range<usize>,
}

/// Where a tensor lies, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Outermost dimension first, as in a checkpoint of Hugging Face's.
    pub(crate) shape: Shape,
    pub(crate) format: Format,
    pub(crate) bytes: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Unsigned(usize),
    Signed(usize),
    Float(usize),
    Flag,
    Text,
    Array,
}

impl Kind {
    fn of(code: u32) -> Result<Self, String> {
        Ok(match code {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::Float(4),
            7 => Self::Flag,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::Float(8),
            _ => return Err(format!("is of the unknown type {code}")),
        })
    }
}

/// The formats of tensors by their number in the file, and the names of those that are not followed.
fn format_of(code: u32) -> Result<Format, String> {
    const OTHERS: [(u32, &str); 5] = [(9, "q8_1"), (15, "q8_k"), (24, "i8"), (25, "i16"), (27, "i64")];
    Ok(match code {
        0 => Format::F32,
        1 => Format::F16,
        2 => Format::Q4_0,
        3 => Format::Q4_1,
        6 => Format::Q5_0,
        7 => Format::Q5_1,
        8 => Format::Q8_0,
        10 => Format::Q2K,
        11 => Format::Q3K,
        12 => Format::Q4K,
        13 => Format::Q5K,
        14 => Format::Q6K,
        16 => Format::Iq2Xxs,
        17 => Format::Iq2Xs,
        18 => Format::Iq3Xxs,
        19 => Format::Iq1S,
        20 => Format::Iq4Nl,
        21 => Format::Iq3S,
        22 => Format::Iq2S,
        23 => Format::Iq4Xs,
        28 => Format::F64,
        29 => Format::Iq1M,
        30 => Format::BF16,
        34 => Format::Tq1_0,
        35 => Format::Tq2_0,
        39 => Format::Mxfp4,
        40 => Format::Nvfp4,
        _ => {
            let known = OTHERS.iter().find(|(number, _)| *number == code);
            let name = known.map_or_else(|| format!("type {code}"), |(_, name)| (*name).to_owned());
            return Err(format!(
                "is stored as {name}, which is not followed here: take a q4_k or q8_0 file of the model"
            ));
        }
    })
}

impl Header {
    /// Reads the header of a whole file.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        Self::within(file, file.len())
    }

    /// Reads the header from a file's first bytes.
    pub(super) fn of_head(bytes: &[u8]) -> Result<Self, String> {
        Self::within(bytes, usize::MAX).map_err(|reason| match reason.strip_suffix(BROKEN_OFF) {
            Some(_) => format!("has a header that goes on beyond the {} bytes that came", bytes.len()),
            None => reason,
        })
    }

    /// Reads the header of a file of so many bytes, whose first are at hand.
    fn within(file: &[u8], len: usize) -> Result<Self, String> {
        let mut at = Cursor { file, place: 0 };
        if at.take(MAGIC.len() as u64)? != MAGIC {
            return Err("is no GGUF file: it does not begin with `GGUF`".into());
        }
        match u32::from_le_bytes(at.bytes()?) {
            2 | 3 => {}
            version if version.swap_bytes() <= 3 => {
                return Err("is a big-endian GGUF file, which is not read here".into());
            }
            version => {
                return Err(format!("is GGUF of version {version}, where 2 and 3 are read: convert the model again"));
            }
        }
        let (tensors, entries) = (at.len()?, at.len()?);
        if tensors.max(entries) > MOST_ENTRIES {
            return Err(format!("has {tensors} tensors and {entries} entries in its header, more than any model has"));
        }
        let mut header = Self::default();
        for _ in 0..entries {
            let key = at.name()?;
            let value = at.value().map_err(|reason| format!("metadata `{key}` {reason}"))?;
            if header.metadata.insert(key.clone(), value).is_some() {
                return Err(format!("metadata `{key}` is there twice"));
            }
        }
        let mut described = Vec::new();
        for _ in 0..tensors {
            let name = at.name()?;
            described.push(
                at.described().map_err(|reason| format!("tensor `{name}` {reason}")).map(|tensor| (name, tensor))?,
            );
        }
        let start = header.start(at.place)?;
        for (name, tensor) in described {
            let stored = tensor.stored(start, len).map_err(|reason| format!("tensor `{name}` {reason}"))?;
            header.tensors.push((name, stored));
        }
        Ok(header)
    }

    /// Where tensors begin: the first aligned place after the header.
    fn start(&self, end: usize) -> Result<usize, String> {
        let alignment = match self.metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Whole(bytes)) => u64::try_from(*bytes).unwrap_or(0),
            Some(_) => 0,
        };
        // Numbers of four bytes are read where they lie.
        if !(4..=1 << 20).contains(&alignment) || !alignment.is_power_of_two() {
            return Err("metadata `general.alignment` is no power of two from 4 on".into());
        }
        Ok(end.next_multiple_of(alignment as usize))
    }
}

/// A tensor as the header describes it.
struct Described {
    shape: Shape,
    format: Format,
    bytes: u64,
    offset: u64,
}

impl Described {
    fn stored(self, start: usize, end: usize) -> Result<Stored, String> {
        let from = u64::try_from(start).ok().and_then(|start| start.checked_add(self.offset));
        let to = from.and_then(|from| from.checked_add(self.bytes));
        let (Some(from), Some(to)) = (from, to) else { return Err("lies beyond any file".into()) };
        if to > end as u64 {
            return Err(format!("ends at byte {to}, where the file has {end}: the download broke off, repeat it"));
        }
        if from % 4 != 0 {
            return Err(format!("begins at byte {from}, which is not aligned"));
        }
        Ok(Stored { shape: self.shape, format: self.format, bytes: from as usize..to as usize })
    }
}

/// A place in the file. Every step checks that its bytes are there.
struct Cursor<'a> {
    file: &'a [u8],
    place: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let rest = &self.file[self.place..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or(BROKEN_OFF)?;
        self.place += taken.len();
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N as u64)?);
        Ok(bytes)
    }

    fn len(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a [u8], String> {
        let len = self.len()?;
        self.take(len)
    }

    /// The name of an entry or of a tensor.
    fn name(&mut self) -> Result<String, String> {
        const LONGEST: u64 = 1 << 16;
        let len = self.len()?;
        if len > LONGEST {
            return Err(format!("has a name of {len} bytes in its header: it is damaged, download it again"));
        }
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn value(&mut self) -> Result<Value, String> {
        let kind = Kind::of(u32::from_le_bytes(self.bytes()?))?;
        if kind != Kind::Array {
            return self.scalar(kind);
        }
        let kind = Kind::of(u32::from_le_bytes(self.bytes()?))?;
        let len = self.len()?;
        let start = self.place;
        match kind {
            Kind::Unsigned(width) | Kind::Signed(width) | Kind::Float(width) => {
                self.take(len.saturating_mul(width as u64))?;
            }
            Kind::Flag => {
                self.take(len)?;
            }
            Kind::Text => {
                for _ in 0..len {
                    self.text()?;
                }
            }
            Kind::Array => return Err("is an array of arrays, which no model has".into()),
        }
        Ok(Value::Array(Array { kind, len, bytes: start..self.place }))
    }

    fn scalar(&mut self, kind: Kind) -> Result<Value, String> {
        Ok(match kind {
            Kind::Unsigned(width) => Value::Whole(whole(self.take(width as u64)?).into()),
            Kind::Signed(width) => {
                let bits = 64 - 8 * width as u32;
                Value::Whole(((whole(self.take(width as u64)?) << bits) as i64 >> bits).into())
            }
            Kind::Float(4) => Value::Number(f32::from_le_bytes(self.bytes()?).into()),
            Kind::Float(_) => Value::Number(f64::from_le_bytes(self.bytes()?)),
            Kind::Flag => Value::Flag(self.bytes::<1>()? != [0]),
            Kind::Text => Value::Text(String::from_utf8_lossy(self.text()?).into_owned()),
            Kind::Array => return Err("is an array of arrays, which no model has".into()),
        })
    }

    fn described(&mut self) -> Result<Described, String> {
        let rank = u32::from_le_bytes(self.bytes()?);
        if !(1..=4).contains(&rank) {
            return Err(format!("has {rank} dimensions, where there are 1 to 4"));
        }
        let mut dims = Vec::with_capacity(rank as usize);
        for _ in 0..rank {
            dims.push(usize::try_from(self.len()?).map_err(|_| "is too large")?);
        }
        let format = format_of(u32::from_le_bytes(self.bytes()?))?;
        let offset = self.len()?;
        let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        let elements = elements.filter(|&elements| elements < 1 << 48).ok_or("is too large")?;
        let block = format.block() as usize;
        if dims[0] % block != 0 {
            return Err(format!("has rows of {} numbers, where {format} has blocks of {block}", dims[0]));
        }
        dims.reverse();
        let shape = Shape::new(&dims).ok_or("has too many dimensions")?;
        Ok(Described { shape, format, bytes: format.bytes(elements), offset })
    }
}

/// Little-endian bytes as a whole number.
fn whole(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Array {
    /// The texts of an array of texts; none for any other array.
    pub(super) fn texts<'a>(&self, file: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let mut at = self.cursor(file)?;
        (self.kind == Kind::Text).then(|| (0..self.len).map_while(|_| at.text().ok()).collect())
    }

    /// The numbers of an array of numbers or flags; none for any other array.
    pub(super) fn numbers(&self, file: &[u8]) -> Option<Vec<f64>> {
        /// More than the words of any vocabulary.
        const MOST: u64 = 1 << 22;
        let mut at = self.cursor(file)?;
        let number = |value| match value {
            Value::Whole(number) => Some(number as f64),
            Value::Number(number) => Some(number),
            Value::Flag(on) => Some(f64::from(u8::from(on))),
            _ => None,
        };
        (0..self.len.min(MOST)).map(|_| number(at.scalar(self.kind).ok()?)).collect()
    }

    fn cursor<'a>(&self, file: &'a [u8]) -> Option<Cursor<'a>> {
        Some(Cursor { file: file.get(self.bytes.clone())?, place: 0 })
    }
}
