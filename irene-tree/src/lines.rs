/// The lines of a table that say something, to name that of a record.
///
/// The csv crate's own numbers are those of where it looks for a record: of a line that it skips before it, and of the line before where
/// lines end with `\r\n`.
///
/// ```
/// use irene_tree::Lines;
/// let lines = Lines::of(b"model,tp\r\n# a note\r\na,1\r\n", Some(b'#'));
/// assert_eq!((lines.at(0), lines.at(9)), (1, 3));
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    /// Where each begins, and its number.
    lines: Vec<(u64, u64)>,
}

impl Lines {
    /// Those of a text that are not empty, and not comments if those begin with this byte.
    pub fn of(text: &[u8], comment: Option<u8>) -> Self {
        let mut begin = 0;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            let is_comment = comment.is_some() && line.first().copied() == comment;
            if !is_comment && line.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
                lines.push((begin, number));
            }
            begin += line.len() as u64;
        }
        Self { lines }
    }

    /// The number, from 1, of the line with the record that is looked for from this byte on.
    pub fn at(&self, byte: u64) -> u64 {
        let at = self.lines.partition_point(|(begin, _)| *begin < byte);
        self.lines.get(at).or(self.lines.last()).map_or(1, |(_, number)| *number)
    }
}
