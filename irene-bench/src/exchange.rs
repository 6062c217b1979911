use crate::{Failure, api::Part, request::Reply};

/// A request that is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exchange {
    /// When it was sent, s.
    pub(crate) started: f64,
    /// When its first token came, if tokens came one by one.
    pub(crate) first: Option<f64>,
    /// When its last token came.
    pub(crate) last: Option<f64>,
    /// When its answer was over, or it failed.
    pub(crate) ended: f64,
    /// Tokens of its prompt.
    pub(crate) prompt: f64,
    /// Tokens that were generated; of a failed one, the events that came.
    pub(crate) generated: f64,
    /// Why it gave no whole answer.
    pub(crate) failure: Option<Failure>,
    /// Whether it is a worker's first request, which is made shorter so that workers do not run in lockstep.
    pub(crate) is_first: bool,
}

/// A request as it was meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meant {
    /// Tokens of its prompt by calibration.
    pub(crate) prompt: f64,
    /// Tokens to generate.
    pub(crate) generate: usize,
}

/// So many tokens more or less than expected are believed.
const SLACK: f64 = 16.0;

impl Exchange {
    /// Whether it gave a whole answer at full length.
    pub(crate) fn is_good(&self) -> bool {
        self.failure.is_none() && !self.is_first
    }

    /// Tokens of the prompt and generated: as the server counts them, or as they follow from what came.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the counts cannot be those of this request; [`Failure::Malformed`] if no token came at all.
    pub(crate) fn counts(reply: &Reply, meant: Meant) -> Result<(f64, f64), Failure> {
        let Part { prompt, generated, is_full, .. } = reply.part;
        let by_events = if is_full { meant.generate as f64 } else { reply.texts as f64 };
        let counted = generated.map_or(by_events, |count| count as f64);
        if meant.generate > 0 && counted == 0.0 {
            return Err(Failure::Malformed("no token".into()));
        }
        // An event may hold several tokens; the last characters of a text may come by themselves.
        const REST: u64 = 2;
        if let Some(told) = generated.filter(|told| told.saturating_add(REST) < reply.texts) {
            let texts = reply.texts;
            return Err(Failure::Usage(format!("{told} tokens were generated, and {texts} came")));
        }
        // Servers count a few more: the end of the text, or what they drew and threw away.
        if counted > 2.0 * meant.generate as f64 + SLACK {
            let asked = meant.generate;
            return Err(Failure::Usage(format!("{counted} tokens were generated, and {asked} asked for")));
        }
        let prompt = prompt.map_or(meant.prompt, |count| count as f64);
        // Texts of as many words differ by a few tokens.
        let range = meant.prompt / 2.0 - SLACK..=meant.prompt * 2.0 + SLACK;
        if !range.contains(&prompt) {
            return Err(Failure::Usage(format!("{prompt} tokens of a prompt that has about {:.0}", meant.prompt)));
        }
        Ok((prompt, counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANT: Meant = Meant { prompt: 100.0, generate: 8 };

    fn counts(texts: u64, prompt: Option<u64>, generated: Option<u64>, is_full: bool) -> Result<(f64, f64), Failure> {
        let part = Part { prompt, generated, is_full, is_over: true, ..Part::default() };
        Exchange::counts(&Reply { texts, part, ..Reply::default() }, MEANT)
    }

    #[test]
    fn counts_come_from_the_server_else_from_what_came() {
        assert_eq!(counts(5, Some(103), Some(8), true), Ok((103.0, 8.0)));
        // Tokens that are no whole character have no event.
        assert_eq!(counts(5, None, None, true), Ok((100.0, 8.0)));
        assert_eq!(counts(5, None, None, false), Ok((100.0, 5.0)));
        // Some servers send the bytes of broken characters after all tokens, one by one.
        assert_eq!(counts(11, None, None, true), Ok((100.0, 8.0)));
        assert_eq!(counts(10, Some(100), Some(8), true), Ok((100.0, 8.0)));
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        assert!(matches!(counts(8, Some(100_000), Some(8), true), Err(Failure::Usage(_))));
        assert!(matches!(counts(8, Some(100), Some(1), true), Err(Failure::Usage(_))));
        assert!(matches!(counts(8, Some(100), Some(u64::MAX), true), Err(Failure::Usage(_))));
        assert!(matches!(counts(0, Some(100), None, false), Err(Failure::Malformed(_))));
    }
}
