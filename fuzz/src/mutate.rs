//! Mutations of text.

use libfuzzer_sys::fuzzer_mutate;

/// Words in place of others: what readers of numbers, lists and words may not expect.
const WORDS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e-320",
    "1e-12",
    "1e12",
    "1e300",
    "inf",
    "NaN",
    "255",
    "65536",
    "16777216",
    "2147483647",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
];

/// Changes one word of a text into one of [`WORDS`] or another one of it; every third time, and where there is none, as libFuzzer does.
pub fn mutate_text(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let [how, which, with] = [seed % 3, seed / 3, seed.rotate_left(16) / 7].map(|number| number as usize);
    let words = words(&data[..size]);
    if how == 0 || words.is_empty() {
        return fuzzer_mutate(data, size, most);
    }
    let place = words[which % words.len()].clone();
    let new = match how {
        1 => WORDS[with % WORDS.len()].as_bytes().to_vec(),
        _ => data[words[with % words.len()].clone()].to_vec(),
    };
    let text = [&data[..place.start], &new, &data[place.end..size]].concat();
    let size = text.len().min(most);
    data[..size].copy_from_slice(&text[..size]);
    size
}

/// Where the runs of letters, digits and what numbers are written with are.
fn words(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte);
    let mut words: Vec<std::ops::Range<usize>> = Vec::new();
    for place in (0..text.len()).filter(|&place| is_part(&text[place])) {
        match words.last_mut().filter(|word| word.end == place) {
            Some(word) => word.end += 1,
            None => words.push(place..place + 1),
        }
    }
    words
}
