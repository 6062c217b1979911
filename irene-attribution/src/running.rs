use std::sync::Arc;

use irene_sampler::{Promise, Provenance};

use crate::{
    Accounts, Options, RequestInfo, Share, Weights,
    now::nanoseconds,
    proportions::portion,
    request::{Entered, Live, Told},
    timeline::Timeline,
};

/// A request as the meter's thread sees it.
#[derive(Debug)]
pub(crate) struct Running {
    live: Arc<Live>,
    info: RequestInfo,
    weights: Weights,
    promise: Promise<Share>,
    begin: u64,
    told: Told,
    /// When it was last looked at.
    looked: u64,
    prompt: Timeline,
    decode: Timeline,
    pub(crate) given: Given,
}

/// Its energy so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    pub(crate) prompt_nj: u64,
    pub(crate) decode_nj: u64,
    pub(crate) idle_nj: u64,
    /// Taken by time, and of its prompt or its tokens: its end will tell.
    pub(crate) by_time_nj: u64,
    pub(crate) covered_ns: u64,
    pub(crate) intervals: usize,
    pub(crate) idle_watts: Option<f64>,
}

impl Given {
    pub(crate) fn energies(&self) -> [u64; 4] {
        [self.prompt_nj, self.decode_nj, self.idle_nj, self.by_time_nj]
    }
}

impl Running {
    pub(crate) fn new(entered: Entered, options: &Options) -> Self {
        let Entered { live, info, promise, begin } = entered;
        let weights = info.weights.unwrap_or(options.weights);
        let Weights { prompt, token } = weights;
        Self {
            told: Told::default(),
            looked: begin,
            prompt: Timeline::new(prompt, begin, 0),
            decode: Timeline::new(token, begin, nanoseconds(options.delay)),
            live,
            info,
            weights,
            promise,
            begin,
            given: Given::default(),
        }
    }

    pub(crate) fn model(&self) -> &Arc<str> {
        &self.info.model
    }

    /// Its time, as far as it is known.
    pub(crate) fn span(&self) -> (u64, u64) {
        (self.begin, self.told.ended.unwrap_or(u64::MAX))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.told.ended.is_some()
    }

    /// Takes what it has told by now.
    pub(crate) fn observe(&mut self, now: u64) {
        let (had_ended, looked) = (self.has_ended(), std::mem::replace(&mut self.looked, now));
        self.told = self.live.told();
        let Told { tokens, prompt_started, first_token, ended, .. } = self.told;
        let prompt = self.told.computed();
        if let Some(started) = prompt_started {
            self.prompt.start_at(started);
            self.decode.start_at(started);
        }
        if had_ended {
            return;
        }
        self.decode.report(looked, ended.unwrap_or(now), tokens);
        if let Some(worked) = first_token.or(ended) {
            self.prompt.correct(prompt);
            // A prompt that is told late, where the time before its first token is settled, is work of the time since.
            let is_late = self.prompt.newest() >= worked;
            let worked = if is_late { ended.unwrap_or(now) } else { worked };
            self.prompt.report(worked, worked, prompt);
        }
    }

    /// Whether it may still tell of work that it did before this time.
    pub(crate) fn is_open(&self, to: u64) -> bool {
        let Told { prompt, first_token, ended, .. } = self.told;
        let waits_for_prompt = self.info.prompt_comes_late && prompt == 0;
        ended.is_none() && (first_token.is_none() || waits_for_prompt || self.decode.newest() < to)
    }

    /// Whether it counts by time where it is open for too long: it works on a prompt, or on tokens that it does not tell yet.
    pub(crate) fn counts_by_time(&self, to: u64) -> bool {
        let RequestInfo { prompt_comes_late, tokens_come_late, .. } = self.info;
        let has_work = self.told.computed() > 0 || prompt_comes_late || tokens_come_late;
        self.is_open(to) && self.told.first_token.is_none() && has_work
    }

    /// Takes energy by time.
    pub(crate) fn take_by_time(&mut self, nanojoules: u64) {
        let Given { prompt_nj, by_time_nj, .. } = &mut self.given;
        *(if self.info.tokens_come_late { by_time_nj } else { prompt_nj }) += nanojoules;
    }

    /// The part of its prompt in what it took by time: as in the work that it told, and all if it told of no token.
    fn prompt_in_time(&self) -> u64 {
        let (Given { by_time_nj, .. }, Told { tokens, .. }) = (self.given, self.told);
        let prompt = u128::from(self.told.computed()) * u128::from(self.weights.prompt);
        let decode = u128::from(tokens) * u128::from(self.weights.token);
        if decode == 0 { by_time_nj } else { portion(by_time_nj, prompt, prompt.saturating_add(decode)) }
    }

    /// Whether it was there between two moments, or told of work too late for its own time.
    pub(crate) fn is_present(&self, from: u64, to: u64) -> bool {
        let end = self.span().1.max(self.prompt.newest()).max(self.decode.newest());
        self.begin < to && end > from
    }

    /// The nanoseconds that it ran between two moments.
    pub(crate) fn time(&self, from: u64, to: u64) -> u64 {
        let (begin, end) = self.span();
        end.min(to).saturating_sub(begin.max(from))
    }

    /// Its work, on its prompt and on its tokens.
    pub(crate) fn timelines(&mut self) -> [&mut Timeline; 2] {
        [&mut self.prompt, &mut self.decode]
    }

    /// When the first of its work began that ended after this time.
    pub(crate) fn work_across(&self, time: u64) -> Option<u64> {
        let pieces = [&self.prompt, &self.decode].into_iter().flat_map(Timeline::pieces);
        pieces.filter(|piece| piece.to > time).map(|piece| piece.from).min()
    }

    /// Whether nothing of it is left to settle.
    pub(crate) fn is_settled(&self, to: u64) -> bool {
        self.has_ended() && !self.is_present(to, u64::MAX)
    }

    /// Gives its share, at the end of the meter if it has not ended before.
    pub(crate) fn finish(
        self,
        now: u64,
        provenance: Option<Provenance>,
        accounts: &mut Accounts,
    ) -> impl FnOnce() + use<> {
        let Given { prompt_nj, decode_nj, idle_nj, by_time_nj, covered_ns, intervals, idle_watts } = self.given;
        let of_prompt = self.prompt_in_time();
        let of_tokens = by_time_nj - of_prompt;
        let (prompt_nj, decode_nj) = (prompt_nj + of_prompt, decode_nj + of_tokens);
        let nanoseconds = self.told.ended.unwrap_or(now).saturating_sub(self.begin);
        let covered = match nanoseconds {
            // One that takes no time by the clock can have told of work.
            0 if prompt_nj + decode_nj > 0 => 1.0,
            0 => 0.0,
            nanoseconds => (covered_ns as f64 / nanoseconds as f64).min(1.0),
        };
        let share = Share {
            operation: self.info.operation,
            prompt_tokens: self.told.prompt,
            tokens: self.told.tokens,
            seconds: nanoseconds as f64 * 1e-9,
            prompt_nj,
            decode_nj,
            idle_nj,
            covered,
            intervals,
            idle_watts,
            provenance,
            is_cancelled: self.told.is_cancelled || !self.has_ended(),
            model: self.info.model,
        };
        accounts.total_nj += u128::from(by_time_nj);
        let account = accounts.model(&share.model);
        account.prompt_nj += u128::from(of_prompt);
        account.decode_nj += u128::from(of_tokens);
        account.running = account.running.saturating_sub(1);
        *(if share.is_cancelled { &mut account.cancelled } else { &mut account.ended }) += 1;
        if let Some(joules) = share.joules() {
            account.observe(joules);
        }
        let promise = self.promise;
        move || promise.keep(share)
    }
}
