//! The small text files of /proc and /sys, kept open and read from their start.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use super::Unavailable;

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

    /// Opens a file of a number that can be read now: the device may sleep, or permission may lack. `fix` is the way out of the latter.
    pub(super) fn readable(path: &Path, fix: impl FnOnce() -> String) -> Result<Self, Unavailable> {
        let opened = Self::open(path, NUMBER).and_then(|mut file| {
            file.read()?;
            Ok(file)
        });
        opened.map_err(|error| refusal(path, &error, fix))
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

/// Linux counts in microwatts and microjoules.
pub(super) const MICRO: f64 = 1e-6;

/// The number of a file that tells something beside the readings; 0 says that there is no such thing.
pub(super) fn told(path: &Path) -> Option<f64> {
    TextFile::open(path, NUMBER).ok()?.number().filter(|&number| number > 0.0)
}

/// The text of a file as one word.
pub(super) fn word(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().replace(' ', "-")).filter(|word| !word.is_empty())
}

/// The names in a directory.
pub(super) fn sorted(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn refusal(path: &Path, error: &std::io::Error, fix: impl FnOnce() -> String) -> Unavailable {
    let unavailable = Unavailable::at(path, error);
    if error.kind() == ErrorKind::PermissionDenied { unavailable.fixed_by(fix()) } else { unavailable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_comes_with_the_way_out() {
        let refused = |kind: ErrorKind| refusal(Path::new("/sys/x"), &kind.into(), || "chmod a+r".into());
        assert_eq!(refused(ErrorKind::PermissionDenied).to_string(), "/sys/x: permission denied; chmod a+r");
        assert_eq!(refused(ErrorKind::NotFound).fix, None);
    }
}
