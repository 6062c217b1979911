//! Answers without a socket, for the fuzzer.

use crate::{
    api::{ALL, Api},
    exchange::{Exchange, Meant},
    request::{Reply, Stream},
};

/// Reads an answer in each API, whole and as it may come in pieces of so many bytes: the tokens of the prompt and generated, for a request
/// of 100 and 8, where it is one.
pub fn counts(answer: &[u8], piece: usize) -> Vec<(f64, f64)> {
    let read = |api: &dyn Api| {
        let mut reply = Reply::default();
        if reply.take_whole(answer, api).is_err() {
            let mut stream = Stream::default();
            reply = Reply { is_stream: true, ..Reply::default() };
            for (now, bytes) in answer.chunks(piece.max(1)).enumerate() {
                stream.take(bytes, now as f64, api, &mut reply).ok()?;
            }
            stream.end(&reply).ok()?;
        }
        let meant = Meant { prompt: 100.0, generate: if api.generates() { 8 } else { 0 } };
        Exchange::counts(&reply, meant).ok()
    };
    ALL.into_iter().filter_map(read).collect()
}
