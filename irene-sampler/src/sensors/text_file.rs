//! The small text files of /proc and /sys, kept open and read from their start.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// A file whose text changes. The buffer is allocated once.
#[derive(Debug)]
pub(super) struct TextFile {
    file: File,
    buffer: Box<[u8]>,
}

impl TextFile {
    /// Opens a file whose first `len` bytes matter.
    pub(super) fn open(path: &Path, len: usize) -> std::io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: vec![0; len].into() })
    }

    /// Its text now.
    pub(super) fn read(&mut self) -> std::io::Result<&str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| std::io::ErrorKind::InvalidData.into())
    }

    /// Its bytes now.
    pub(super) fn bytes(&mut self) -> std::io::Result<&[u8]> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut len = 0;
        while len < self.buffer.len() {
            match self.file.read(&mut self.buffer[len..])? {
                0 => break,
                more => len += more,
            }
        }
        Ok(&self.buffer[..len])
    }

    /// Its number now.
    pub(super) fn number(&mut self) -> Option<f64> {
        self.read().ok()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }
}

/// Room for a number.
pub(super) const NUMBER: usize = 32;
