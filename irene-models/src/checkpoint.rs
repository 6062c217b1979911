use std::{collections::HashMap, path::Path};

use candle_core::{Device, Tensor as Candle};
use irene_tree::Shape;

use crate::{Error, Result, Tensor, WeightSource};

/// A safetensors file in memory.
///
/// Public checkpoints name the same parameter in more than one way; a key is looked for with and without the
/// architecture's prefix (`bert.`), and by its older names (LayerNorm's `gamma` and `beta`).
#[derive(Debug)]
pub struct Checkpoint {
    origin: String,
    prefix: &'static str,
    tensors: HashMap<String, Candle>,
}

impl Checkpoint {
    /// Loads a file whose keys may stand below `prefix`.
    ///
    /// # Errors
    /// [`Error::Candle`] if the file is not there or is no safetensors file.
    pub fn load(path: &Path, prefix: &'static str, device: &Device) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, device)?;
        Ok(Self { origin: path.display().to_string(), prefix, tensors })
    }

    fn find(&self, key: &str) -> Option<&Candle> {
        self.tensors.get(key).or_else(|| self.tensors.get(&format!("{}.{key}", self.prefix)))
    }
}

impl WeightSource for Checkpoint {
    fn parameter(&self, key: &str, aliases: &[String], shape: Shape) -> Result<Tensor> {
        let found = std::iter::once(key).chain(aliases.iter().map(String::as_str)).find_map(|key| self.find(key));
        let refuse = |found: String| Error::Weight {
            origin: self.origin.clone(),
            key: key.to_owned(),
            expected: Box::new(shape),
            found,
        };
        match found {
            None => Err(refuse("no such tensor".into())),
            Some(tensor) if tensor.dims() != shape.dims() => Err(refuse(format!("{:?}", tensor.dims()))),
            Some(tensor) => Tensor::from_candle(tensor.clone()),
        }
    }
}
