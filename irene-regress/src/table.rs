use std::collections::{HashMap, hash_map::Entry};

/// Rows of numbers, equal ones stored once: a model's layers are alike, so most rows of a tree repeat others.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    width: usize,
    values: Vec<f64>,
    /// The number of times each row was inserted.
    counts: Vec<u32>,
    places: HashMap<Box<[u64]>, u32>,
}

impl Table {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, values: Vec::new(), counts: Vec::new(), places: HashMap::new() }
    }

    /// Inserts a row as often as it counts, and gives its place among the distinct rows.
    pub(crate) fn insert(&mut self, row: &[f64], count: u32) -> u32 {
        debug_assert_eq!(row.len(), self.width);
        let next = self.counts.len() as u32;
        match self.places.entry(row.iter().map(|x| x.to_bits()).collect()) {
            Entry::Occupied(place) => {
                self.counts[*place.get() as usize] += count;
                *place.get()
            }
            Entry::Vacant(place) => {
                self.values.extend_from_slice(row);
                self.counts.push(count);
                *place.insert(next)
            }
        }
    }

    /// The number of distinct rows.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.width..][..self.width]
    }

    pub(crate) fn count(&self, index: usize) -> u32 {
        self.counts[index]
    }

    /// The distinct rows.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Every row as often as it was inserted.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.distinct().zip(&self.counts).flat_map(|(row, &count)| std::iter::repeat_n(row, count as usize))
    }
}
