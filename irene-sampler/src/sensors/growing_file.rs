//! A file to which another program appends lines.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::Unavailable;

/// The new whole lines of a growing file. It begins again if the file is emptied or another one takes its name, as
/// happens to logs that have grown too long.
pub(super) struct GrowingFile {
    path: PathBuf,
    file: File,
    /// Bytes that were read and not given yet: the last of them may be half a line.
    buffer: Box<[u8]>,
    filled: usize,
    /// So many bytes at the start were given.
    given: usize,
    /// Whether what comes is the rest of a line that was given up.
    skips: bool,
}

/// Room for many lines. A line that is longer is given up.
pub(super) const ROOM: usize = 1 << 14;

impl GrowingFile {
    /// Opens a file, and begins so many bytes before its end, after half a line.
    pub(super) fn open(path: &Path, head_start: u64) -> Result<Self, Unavailable> {
        Self::begun(path, head_start).map_err(|error| Unavailable::at(path, error))
    }

    fn begun(path: &Path, head_start: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let start = file.seek(SeekFrom::Start(end.saturating_sub(head_start)))?;
        let mut growing =
            Self { path: path.to_owned(), file, buffer: vec![0; ROOM].into(), filled: 0, given: 0, skips: false };
        if start > 0 {
            growing.skip_half_line()?;
        }
        Ok(growing)
    }

    fn skip_half_line(&mut self) -> std::io::Result<()> {
        let mut byte = [0];
        while self.file.read(&mut byte)? == 1 && byte[0] != b'\n' {}
        Ok(())
    }

    /// Hands over the new lines, some at a time, each with its end; none while the file cannot be asked.
    pub(super) fn follow(&mut self, mut take: impl FnMut(&[u8])) {
        if self.begin_again().is_ok() {
            while let Some(lines) = self.next_lines() {
                take(lines);
            }
        }
    }

    /// Looks whether the file was emptied, or another one has its name; once before the new lines are taken.
    fn begin_again(&mut self) -> std::io::Result<()> {
        // Whoever writes has gone on to the new file once that has something, so that the old one is whole when it is looked at.
        let is_renamed = self.has_successor();
        let (len, read) = (self.file.metadata()?.len(), self.file.stream_position()?);
        if len < read {
            self.file.seek(SeekFrom::Start(0))?;
        } else if len == read && is_renamed {
            self.file = File::open(&self.path)?;
        } else {
            return Ok(());
        }
        (self.filled, self.given, self.skips) = (0, 0, false);
        Ok(())
    }

    /// Whether the path names another file by now, with something in it.
    #[cfg(unix)]
    fn has_successor(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let identity = |data: &std::fs::Metadata| (data.dev(), data.ino());
        let (Ok(named), Ok(own)) = (std::fs::metadata(&self.path), self.file.metadata()) else { return false };
        named.len() > 0 && identity(&named) != identity(&own)
    }

    /// Only Unix tells whether two files are one.
    #[cfg(not(unix))]
    fn has_successor(&self) -> bool {
        false
    }

    /// The next whole lines, each with its end; None until the file grows.
    fn next_lines(&mut self) -> Option<&[u8]> {
        loop {
            self.buffer.copy_within(self.given..self.filled, 0);
            self.filled -= self.given;
            self.given = 0;
            let more = self.file.read(&mut self.buffer[self.filled..]).ok().filter(|&more| more > 0)?;
            let mut before = self.filled;
            self.filled += more;
            if self.skips {
                let end = self.buffer[..self.filled].iter().position(|&byte| byte == b'\n');
                let rest = end.map_or(self.filled, |end| end + 1);
                self.buffer.copy_within(rest..self.filled, 0);
                (before, self.filled, self.skips) = (0, self.filled - rest, end.is_none());
            }
            if let Some(end) = self.buffer[before..self.filled].iter().rposition(|&byte| byte == b'\n') {
                self.given = before + end + 1;
                return Some(&self.buffer[..self.given]);
            }
            if self.filled == ROOM {
                (self.given, self.skips) = (ROOM, true);
            }
        }
    }
}

/// The texts of lines; one that is no text has none.
pub(super) fn texts(lines: &[u8]) -> impl DoubleEndedIterator<Item = &str> {
    lines.split(|&byte| byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or("?").trim())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The lines that are read of a file with this text, and of what is added then.
    fn read(text: &str, head_start: u64, more: &str) -> [String; 2] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, text).unwrap();
        let mut growing = GrowingFile::open(&path, head_start).unwrap();
        let mut lines = || String::from_utf8(growing.next_lines().unwrap_or_default().to_vec()).unwrap();
        let first = lines();
        File::options().append(true).open(&path).unwrap().write_all(more.as_bytes()).unwrap();
        [first, lines()]
    }

    #[test]
    fn it_begins_after_half_a_line_before_its_end() {
        assert_eq!(read("one\ntwo\n", 100, "three\n"), ["one\ntwo\n", "three\n"]);
        assert_eq!(read("one\ntwo\n", 8, "three\n"), ["one\ntwo\n", "three\n"]);
        assert_eq!(read("one\ntwo\n", 6, "three\n"), ["two\n", "three\n"]);
        assert_eq!(read("one\ntwo\n", 3, "three\n"), ["", "three\n"]);
        assert_eq!(read("one\ntwo\n", 0, "three\nfo"), ["", "three\n"]);
        assert_eq!(read("one\ntw", 100, "o\nth"), ["one\n", "two\n"]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up_and_the_next_one_read() {
        assert_eq!(read(&"x".repeat(ROOM), 1 << 20, "y\none\n"), ["", "one\n"]);
        assert_eq!(read(&"x".repeat(3 * ROOM), 1 << 20, "y\none\ntw"), ["", "one\n"]);
    }
}
