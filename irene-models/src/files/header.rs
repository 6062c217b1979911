//! The header of a safetensors file: its tensors without their numbers.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// A tensor's entry.
#[derive(serde::Deserialize)]
struct Entry {
    dtype: Option<String>,
}

/// The names of the tensors and their types, in the order of the names. None of a file that cannot be read: loading it says why.
pub(super) fn tensors(path: &Path) -> Option<BTreeMap<String, String>> {
    /// Safetensors' own bound.
    const LONGEST: u64 = 100_000_000;
    let mut file = File::open(path).ok()?;
    let mut len = [0; 8];
    file.read_exact(&mut len).ok()?;
    let len = Some(u64::from_le_bytes(len)).filter(|len| *len <= LONGEST)?;
    let mut text = Vec::new();
    file.take(len).read_to_end(&mut text).ok()?;
    let mut entries: BTreeMap<String, Entry> = serde_json::from_slice(&text).ok()?;
    entries.remove("__metadata__");
    Some(entries.into_iter().filter_map(|(name, entry)| Some((name, entry.dtype?))).collect())
}
