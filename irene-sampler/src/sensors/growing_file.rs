//! A file to which another program appends lines.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// The new whole lines of a growing file. It begins again if the file is emptied, as logs are when they have grown too long.
pub(super) struct GrowingFile {
    file: File,
    /// Bytes that were read and not given yet: the last of them may be half a line.
    buffer: Box<[u8]>,
    filled: usize,
    /// So many bytes at the start were given.
    given: usize,
}

/// Room for many lines. A line that is longer is given up.
pub(super) const ROOM: usize = 1 << 14;

impl GrowingFile {
    /// Opens a file, and begins so many bytes before its end, after half a line.
    pub(super) fn open(path: &Path, head_start: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let start = file.seek(SeekFrom::Start(end.saturating_sub(head_start)))?;
        let mut growing = Self { file, buffer: vec![0; ROOM].into(), filled: 0, given: 0 };
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

    /// Looks whether the file was emptied; once before the new lines are taken.
    pub(super) fn follow_truncation(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
            (self.filled, self.given) = (0, 0);
        }
        Ok(())
    }

    /// The next whole lines, each with its end; None until the file grows.
    pub(super) fn next_lines(&mut self) -> Option<&[u8]> {
        loop {
            self.buffer.copy_within(self.given..self.filled, 0);
            self.filled -= self.given;
            self.given = 0;
            let more = self.file.read(&mut self.buffer[self.filled..]).ok().filter(|&more| more > 0)?;
            let before = self.filled;
            self.filled += more;
            if let Some(end) = self.buffer[before..self.filled].iter().rposition(|&byte| byte == b'\n') {
                self.given = before + end + 1;
                return Some(&self.buffer[..self.given]);
            }
            if self.filled == ROOM {
                self.given = ROOM;
            }
        }
    }
}

/// The text of a line; one that is no text has none.
pub(super) fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or("?").trim()
}
