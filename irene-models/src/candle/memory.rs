//! Memory of weights, in large pages where the system has them: reading it fast takes few look-ups of pages.

use std::{io, sync::Arc};

use memmap2::{Mmap, MmapMut};
use pulp::bytemuck::{self, Pod};

/// Numbers that no longer change; a clone shares them.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Held>);

#[derive(Debug)]
enum Held {
    /// In words, so that numbers of 8 bytes at most can lie there.
    Words(Vec<u64>),
    Pages(Mmap),
}

/// The smallest memory that is worth a mapping of its own: a large page.
const PAGE: usize = 1 << 21;

impl Memory {
    /// So many numbers, zero before `fill` changes them.
    pub(super) fn filled<T: Pod>(count: usize, fill: impl FnOnce(&mut [T])) -> io::Result<Self> {
        let bytes = size_of::<T>() * count;
        let held = if bytes < PAGE {
            let mut words = vec![0u64; bytes.div_ceil(size_of::<u64>())];
            fill(&mut bytemuck::cast_slice_mut(&mut words)[..count]);
            Held::Words(words)
        } else {
            let mut pages = MmapMut::map_anon(bytes)?;
            // A system without large pages gives small ones.
            #[cfg(target_os = "linux")]
            drop(pages.advise(memmap2::Advice::HugePage));
            fill(bytemuck::cast_slice_mut(&mut pages));
            Held::Pages(pages.make_read_only()?)
        };
        Ok(Self(Arc::new(held)))
    }

    /// The numbers, and perhaps zeros behind them.
    pub(super) fn numbers<T: Pod>(&self) -> &[T] {
        match &*self.0 {
            Held::Words(words) => bytemuck::cast_slice(words),
            Held::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_read() {
        for count in [0, 1, 3, PAGE / 4 - 1, PAGE / 4, PAGE] {
            let number = |place: usize| place as u32 ^ 5;
            let fill = |numbers: &mut [u32]| numbers.iter_mut().enumerate().for_each(|(place, x)| *x = number(place));
            let memory = Memory::filled(count, fill).unwrap();
            let numbers = &memory.numbers::<u32>()[..count];
            assert!(numbers.iter().enumerate().all(|(place, x)| *x == number(place)));
        }
    }
}
