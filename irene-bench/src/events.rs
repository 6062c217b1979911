//! Server-sent events, whatever the pieces in which they come.

/// Takes bytes, gives the data of each event that is whole.
#[derive(Default)]
pub(crate) struct Events {
    buffer: Vec<u8>,
    taken: usize,
}

impl Events {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The data of the next event. Lines that have none, such as comments, are passed over.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let start = self.taken;
            let end = start + self.buffer[start..].iter().position(|byte| *byte == b'\n')?;
            self.taken = end + 1;
            if self.buffer[start..end].starts_with(b"data:") {
                return Some(self.buffer[start + 5..end].trim_ascii());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let stream =
            ": hello\r\nevent: x\ndata: {\"a\": \"é日\"}\r\n\r\n\u{0}junk\ndata:[DONE]\n\ndata: cut".as_bytes();
        for size in 1..stream.len() {
            let (mut events, mut found) = (Events::default(), Vec::new());
            for piece in stream.chunks(size) {
                events.push(piece);
                while let Some(data) = events.next() {
                    found.push(String::from_utf8(data.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["{\"a\": \"é日\"}", "[DONE]"], "pieces of {size}");
        }
    }
}
