use std::{cell::RefCell, collections::HashSet};

use irene_tree::{Format, Precision, Shape};

use super::{
    Gguf, Names,
    names::{Place, elsewhere},
};
use crate::{Error, ParameterKind, ParameterSpec, Result, Tensor, WeightSource};

/// The parameters of a file as shapes, each in the format that it is stored in.
#[derive(Clone, Debug)]
pub(crate) struct StoredShapes {
    file: Gguf,
    names: Names,
    precision: Precision,
    /// Whether parameters have the sizes of one GPU's share.
    is_share: bool,
    /// The tensors that parameters were taken from.
    taken: RefCell<HashSet<String>>,
}

impl StoredShapes {
    /// The parameters of this file, with activations and cache in these formats.
    pub(crate) fn new(file: Gguf, precision: Precision) -> Result<Self> {
        Ok(Self { names: file.names()?, file, precision, is_share: false, taken: RefCell::default() })
    }

    /// The same for one of several GPUs: parameters may be smaller than they are stored.
    pub(crate) fn shared(self, is_share: bool) -> Self {
        Self { is_share, ..self }
    }

    /// The format of a parameter whose numbers the file has in other tensors, if it is one.
    fn elsewhere(&self, key: &str, shape: Shape) -> Result<Option<Format>> {
        let stored = |names: Vec<String>| {
            let stored: Option<Vec<_>> = names.iter().map(|name| self.file.tensor(name)).collect();
            Some((names, stored?))
        };
        let found = elsewhere(key).find_map(stored).filter(|_| !self.has(key));
        let Some((names, stored)) = found else { return Ok(None) };
        let numbers: u64 = stored.iter().map(|part| part.shape.elements()).sum();
        if numbers != shape.elements() && !self.is_share {
            let found = format!("{} of {numbers} numbers", names.join(" and "));
            let (origin, expected) = (self.file.origin(), Box::new(shape));
            return Err(Error::Weight { origin, key: key.to_owned(), expected, found });
        }
        let format = stored.first().map(|first| first.format);
        self.taken.borrow_mut().extend(names);
        Ok(format)
    }

    /// The tensors of layers that no parameter was taken from, by name: the layers are others than those that are followed.
    pub(crate) fn left_out(&self) -> Vec<String> {
        /// The ends of tensors that belong to no plain layer and change none: scales of nvfp4's blocks, and frequencies.
        const BESIDE: [&str; 4] = [".scale", ".input_scale", ".attn_rot_embd.weight", ".rope_freqs.weight"];
        let taken = self.taken.borrow();
        let layer = |name: &str| {
            name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map(|(layer, _)| layer.to_owned())
        };
        let names = || self.file.0.tensors.keys();
        // A layer that guesses further tokens is no part of the model.
        let guessing: HashSet<String> =
            names().filter(|name| name.contains(".nextn.")).filter_map(|name| layer(name)).collect();
        let is_left_out = |name: &&String| {
            let is_beside = || BESIDE.iter().any(|end| name.ends_with(end));
            !taken.contains(*name) && layer(name).is_some_and(|layer| !guessing.contains(&layer)) && !is_beside()
        };
        let mut left_out: Vec<String> = names().filter(is_left_out).cloned().collect();
        left_out.sort_unstable();
        left_out
    }
}

impl WeightSource for StoredShapes {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let ParameterSpec { key, shape, kind, .. } = *spec;
        if kind == ParameterKind::Adapter {
            return Ok(Tensor::of_shape(shape, self.precision.activations));
        }
        if let Some(format) = self.elsewhere(key, shape)? {
            return Ok(Tensor::of_shape(shape, format));
        }
        let known = || self.file.find(&self.names, key).or_else(|| self.names.place(key));
        let of_share = if self.is_share { known() } else { None };
        let place = match of_share {
            Some(place) => place,
            None => self.file.place_of(&self.names, key, shape)?,
        };
        let stored = self.file.tensor(&place.name).map_or(self.precision.weights, |stored| stored.format);
        self.taken.borrow_mut().insert(place.name);
        Ok(Tensor::of_shape(shape, stored))
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn has(&self, key: &str) -> bool {
        self.file.find(&self.names, key).is_some()
    }
}

impl Gguf {
    /// The place of a parameter of this shape.
    ///
    /// # Errors
    /// [`Error::Weight`] if the file lacks it or has it in another shape.
    pub(crate) fn place_of(&self, names: &Names, key: &str, shape: Shape) -> Result<Place> {
        let refuse = |found: String| Error::Weight {
            origin: self.origin(),
            key: key.to_owned(),
            expected: Box::new(shape),
            found,
        };
        let Some(place) = self.find(names, key).or_else(|| names.place(key)) else {
            let lacking = elsewhere(key).next().map(|names| format!("no tensor {}", names.join(" and ")));
            return Err(refuse(lacking.unwrap_or_else(|| "no name for it in GGUF files".into())));
        };
        let Some(stored) = self.tensor(&place.name) else { return Err(refuse(format!("no tensor `{}`", place.name))) };
        if fits(&place, stored.shape.dims(), shape.dims()) {
            return Ok(place);
        }
        Err(refuse(format!("`{}` of shape {}", place.name, stored.shape)))
    }
}

/// Whether a tensor holds a parameter: as it is, transposed as the weights of GPT-2's Conv1D, or as one of a stack or of three.
fn fits(place: &Place, stored: &[usize], wanted: &[usize]) -> bool {
    let rows_fit = wanted.first().is_none_or(|&rows| place.rows.divides(rows));
    rows_fit
        && match (place.expert, stored, wanted) {
            (Some(expert), [experts, one @ ..], wanted) => expert < *experts && one == wanted,
            (Some(_), ..) => false,
            (None, [rows, columns], [inputs, outputs]) if place.is_conv1d => rows == outputs && columns == inputs,
            (None, [rows, one @ ..], [third, wanted @ ..]) if place.third.is_some() => {
                third.checked_mul(3) == Some(*rows) && one == wanted
            }
            // A vector may be stored in rows, and dimensions of one are left out: of a single row, and of a convolution of each channel alone.
            (None, stored, [numbers]) => stored.iter().product::<usize>() == *numbers,
            (None, stored, wanted) => wanted == stored || wanted.iter().filter(|dim| **dim != 1).eq(stored),
        }
}
