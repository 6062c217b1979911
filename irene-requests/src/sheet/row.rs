use irene_tree::{Format, Kernels, Parallel};

use super::Figures;
use crate::Error;

/// How many requests run at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// A static batch of this many sequences.
    Sequences(usize),
    /// The mean number of running sequences of an engine with continuous batching, in steady state.
    Concurrency(f64),
    /// Requests arrive at this rate, per second.
    Rate(f64),
}

impl Load {
    /// The sequences of a static batch.
    pub fn sequences(self) -> Option<usize> {
        if let Self::Sequences(sequences) = self { Some(sequences) } else { None }
    }
}

/// A setting of a request, with its figures. Unknown fields are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestRow {
    /// Its line in the file, from 1; 0 if it comes from no file.
    pub line: u64,
    /// A built-in name, an id on the Hugging Face hub, or a path.
    pub model: Option<String>,
    /// A name of the catalogue of devices.
    pub device: Option<String>,
    /// The engine with its generation (`vllm-0.11`).
    pub engine: Option<String>,
    /// Format of the weights; absent for the model's own.
    pub weights: Option<Format>,
    /// Format of the cache of keys and values; absent for that of the activations.
    pub cache: Option<Format>,
    /// How operations become kernels; absent for the engine's way.
    pub kernels: Option<Kernels>,
    /// How many requests run at once.
    pub load: Option<Load>,
    /// Tokens of the prompt; a mean may be fractional.
    pub prompt: Option<f64>,
    /// Tokens generated; a mean may be fractional.
    pub generated: Option<f64>,
    /// How the model is spread over GPUs.
    pub parallel: Parallel,
    /// Whether the row itself gives a degree of 1, for tensor, pipeline, expert and data. Flags leave such a degree alone; any other 1 stands for
    /// an empty cell, and they replace it.
    pub stated_ones: [bool; 4],
    /// Its measured or predicted figures.
    pub figures: Figures,
    /// The lower ends of a prediction's intervals.
    pub low: Figures,
    /// The upper ends of a prediction's intervals.
    pub high: Figures,
    /// Further columns with their titles, in order.
    pub further: Vec<(String, String)>,
}

impl RequestRow {
    /// The cell of a further column.
    pub fn further(&self, title: &str) -> Option<&str> {
        self.further.iter().find(|(known, _)| known == title).map(|(_, cell)| cell.as_str())
    }

    /// Sets the cell of a further column, which is added after the others if it is new.
    pub fn set_further(&mut self, title: &str, cell: impl Into<String>) {
        match self.further.iter_mut().find(|(known, _)| known == title) {
            Some((_, known)) => *known = cell.into(),
            None => self.further.push((title.to_owned(), cell.into())),
        }
    }

    /// The error of a row that cannot be used because of one of its columns; an empty column stands for the whole row.
    pub fn fault(&self, origin: &str, column: &str, reason: impl Into<String>) -> Error {
        let (origin, column) = (origin.to_owned(), column.to_owned());
        Error::Row { origin, line: self.line, column, reason: reason.into() }
    }
}
