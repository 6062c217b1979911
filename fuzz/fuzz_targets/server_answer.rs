//! The answer of a server of language models, after a byte that says in what pieces it comes: counts are whole numbers that can be those
//! of the request, however the answer is cut.
#![no_main]

use irene_bench::fuzzing::counts;

irene_fuzz::fuzz_text!(|bytes| {
    let Some((&piece, answer)) = bytes.split_first() else { return };
    let found = counts(answer, usize::from(piece));
    for (prompt, generated) in &found {
        assert!((0.0..=216.0).contains(prompt) && (0.0..=32.0).contains(generated), "{found:?}");
    }
    assert_eq!(found, counts(answer, answer.len()));
});
