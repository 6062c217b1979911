use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use irene_numerics::{GOLDEN, mixed};

use crate::{
    Error, Failure, Result, Server,
    request::{Reply, apart, once},
    words::WORDS,
};

/// Texts that all begin differently, in this run and from run to run, so that no server has their beginnings in its cache.
#[derive(Clone, Debug)]
pub struct Prompts {
    seed: u64,
    /// The number of the next text.
    next: Arc<AtomicU64>,
    words: usize,
    shares_prefix: bool,
    /// Tokens of one, as the server counted some.
    tokens: f64,
}

/// The words that tell one text from all others.
const OWN_WORDS: usize = 4;

/// So many prompts are sent at most to find the number of words.
const MOST_PROBES: usize = 8;

/// So often a prompt is sent at most.
const MOST_TRIES: usize = 4;

/// So many prompts of the found length are counted.
const COUNTED: usize = 3;

impl Prompts {
    /// Texts of about this many tokens; the server is asked how many a text has. With a shared prefix all begin the same and their last
    /// words differ. An answer takes `timeout` at most.
    ///
    /// Blocks until the server has answered some: in an async program call it by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::Prompt`] if the server refuses them, does not count them, or adds more tokens than that by itself; [`Error::Io`] if the system
    /// gives no thread or socket.
    pub fn of_tokens(server: &Server, tokens: usize, shares_prefix: bool, timeout: Duration) -> Result<Self> {
        let prompts = Self::new(shares_prefix);
        apart(|runtime| {
            // The answer to a prompt, as short as it can be.
            let ask = |prompt: &str| {
                runtime.block_on(once(server, prompt, server.least_generated(), server.counts_in_stream, timeout))
            };
            prompts.sized(ask, tokens)
        })
    }

    /// Texts of a word, whose tokens nobody has counted.
    pub(crate) fn new(shares_prefix: bool) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self { seed, next: Arc::default(), words: 1, shares_prefix, tokens: 0.0 }
    }

    /// Tokens of a prompt, as the server counts them: the mean of a few.
    pub fn tokens(&self) -> f64 {
        self.tokens
    }

    pub(crate) fn shares_prefix(&self) -> bool {
        self.shares_prefix
    }

    /// The next text.
    pub(crate) fn next(&self) -> String {
        self.text(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn of_words(&self, words: usize) -> Self {
        Self { words: words.max(1), ..self.clone() }
    }

    fn text(&self, number: u64) -> String {
        // The factor is odd, so that its multiples by different numbers differ.
        let own = own_words(number.wrapping_mul(GOLDEN).wrapping_add(self.seed));
        let own = own.into_iter().take(self.words);
        let rest = self.words.saturating_sub(OWN_WORDS);
        let text: Vec<&str> = if self.shares_prefix {
            random_words(self.seed).take(rest).chain(own).collect()
        } else {
            own.chain(random_words(self.seed ^ number.wrapping_mul(GOLDEN)).take(rest)).collect()
        };
        text.join(" ")
    }

    /// The same of about this many tokens.
    fn sized(&self, ask: impl Fn(&str) -> Result<Reply, Failure>, asked: usize) -> Result<Self> {
        let refuse = |reason: String| Error::Prompt { asked, reason };
        let count = |words: usize| self.of_words(words).count(&ask).map_err(|failure| refuse(failure.to_string()));
        let (words, tokens) = find_words(asked, count)?;
        if words == 1 && tokens > 1.5 * asked as f64 + 2.0 {
            return Err(refuse(format!("the server makes at least {tokens} of one word: ask for more")));
        }
        let mut sum = 0.0;
        for _ in 0..COUNTED {
            sum += count(words)?;
        }
        Ok(Self { tokens: sum / COUNTED as f64, ..self.of_words(words) })
    }

    /// The tokens of a text, as the server counts them. Failures that may pass are tried again.
    fn count(&self, ask: impl Fn(&str) -> Result<Reply, Failure>) -> Result<f64, Failure> {
        let mut tries = 1;
        loop {
            let counted = ask(&self.next()).and_then(|reply| {
                let tokens = reply.part.prompt.ok_or_else(|| Failure::Malformed("it does not count tokens".into()))?;
                // A word of four letters has a few tokens, and a chat's template a few hundred.
                if tokens > 64 * self.words as u64 + 4096 {
                    return Err(Failure::Usage(format!("{tokens} tokens of {} words", self.words)));
                }
                Ok(tokens as f64)
            });
            match counted {
                Err(failure) if tries < MOST_TRIES && failure.is_passing() => tries += 1,
                counted => return counted,
            }
        }
    }
}

/// The number of words whose text has about so many tokens, and its tokens.
fn find_words(asked: usize, count: impl Fn(usize) -> Result<f64>) -> Result<(usize, f64)> {
    const FIRST: [usize; 2] = [OWN_WORDS, 2 * OWN_WORDS];
    let target = asked as f64;
    let mut seen: Vec<(usize, f64)> = Vec::new();
    let off = |(_, tokens): &(usize, f64)| (tokens - target).abs();
    for probe in 0..MOST_PROBES {
        let words = FIRST.get(probe).copied().unwrap_or_else(|| guess(&seen, target));
        if seen.iter().any(|(known, _)| *known == words) {
            break;
        }
        seen.push((words, count(words)?));
        if seen.last().map_or(f64::INFINITY, off) < 0.5 {
            break;
        }
    }
    let best = seen.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    best.ok_or_else(|| Error::Prompt { asked, reason: "nothing was counted".into() })
}

/// The number of words by a straight line through the two closest counts on either side, or through the two closest.
fn guess(seen: &[(usize, f64)], target: f64) -> usize {
    let mut closest = seen.to_vec();
    closest.sort_by(|a, b| (a.1 - target).abs().total_cmp(&(b.1 - target).abs()));
    let ((words, tokens), (other_words, other_tokens)) = (closest[0], closest[1]);
    let slope = (tokens - other_tokens) / (words as f64 - other_words as f64);
    // A line that does not rise tells nothing: a word has a few tokens.
    let slope = if slope > 0.1 { slope } else { 1.0 };
    (words as f64 + (target - tokens) / slope).round().clamp(1.0, 1e7) as usize
}

/// The words of a number: different numbers below 2^32 have different ones, and close ones differ in the first.
fn own_words(number: u64) -> [&'static str; OWN_WORDS] {
    std::array::from_fn(|place| WORDS[(number >> (8 * place)) as usize % WORDS.len()])
}

/// Words by a generator of pseudo-random numbers (SplitMix64).
fn random_words(seed: u64) -> impl Iterator<Item = &'static str> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(GOLDEN);
        WORDS[mixed(state) as usize % WORDS.len()]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_differ_from_their_first_word_on_and_with_a_shared_prefix_in_their_last() {
        let prompts = Prompts::new(false).of_words(40);
        let texts: Vec<String> = (0..1000).map(|_| prompts.next()).collect();
        let beginnings = |words: usize| {
            let of = |text: &String| text.split(' ').take(words).collect::<Vec<_>>().join(" ");
            texts.iter().map(of).collect::<HashSet<_>>().len()
        };
        assert_eq!((beginnings(1), beginnings(4)), (256, 1000));
        assert!(texts.iter().all(|text| text.split(' ').count() == 40));
        let first = |text: &String| text[..4].to_owned();
        assert!(texts.windows(2).all(|pair| first(&pair[0]) != first(&pair[1])));

        let shared = Prompts::new(true).of_words(40);
        let (one, other) = (shared.next(), shared.next());
        assert_eq!(one[..36 * 5], other[..36 * 5]);
        assert_ne!(one, other);
        assert_ne!(Prompts::new(false).of_words(40).next(), Prompts::new(false).of_words(40).next());
    }

    #[test]
    fn the_number_of_words_is_found_for_any_tokenizer() {
        // Tokens a word, and those that the server adds.
        for (slope, added) in [(1.0, 1.0), (1.3, 12.0), (5.0, 0.0), (0.8, 30.0)] {
            for asked in [32, 128, 1000] {
                let count = |words: usize| Ok((slope * words as f64 + added).round());
                let (words, tokens) = find_words(asked, count).unwrap();
                let off = (tokens - asked as f64).abs();
                let is_least = words == 1 || words == OWN_WORDS;
                assert!(
                    off <= slope / 2.0 + 0.5 || (is_least && tokens > asked as f64),
                    "{slope} {added} {asked}: {tokens}"
                );
            }
        }
    }
}
