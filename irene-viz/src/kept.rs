//! Answers that are kept: the same request has the same answer while the server runs.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{extract::FromRequestParts, http::request::Parts, response::Response};
use lru::LruCache;
use serde::Serialize;

use crate::{
    answer::{Answer, Asked},
    app::{App, Effort, compute},
    problem::Problem,
};

/// A request of the method GET: its path, and its parameters in order of the alphabet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn of(path: &str, query: Option<&str>) -> Self {
        let mut parameters: Vec<&str> = query.unwrap_or_default().split('&').filter(|part| !part.is_empty()).collect();
        parameters.sort_unstable();
        Self(format!("{path}?{}", parameters.join("&")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.path(), parts.uri.query()))
    }
}

/// The answers that were asked for last.
pub(crate) struct Kept(Mutex<Cache>);

struct Cache {
    answers: LruCache<Key, Arc<Answer>>,
    /// Bytes of the answers and their keys.
    bytes: usize,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Cache { answers: LruCache::unbounded(), bytes: 0 }))
    }

    fn find(&self, key: &Key) -> Option<Arc<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(key).cloned()
    }

    /// Keeps at most so many answers, and so many bytes.
    fn keep(&self, key: Key, answer: Arc<Answer>, [most_answers, most_bytes]: [usize; 2]) {
        // Answers so large that a few fill the cache are not kept.
        const LARGEST: usize = 1 << 20;
        if answer.len() > LARGEST.min(most_bytes) {
            return;
        }
        let size = |key: &Key, answer: &Answer| key.0.len() + answer.len();
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += size(&key, &answer);
        if let Some((key, before)) = cache.answers.push(key, answer) {
            cache.bytes -= size(&key, &before);
        }
        while cache.bytes > most_bytes || cache.answers.len() > most_answers {
            let Some((key, oldest)) = cache.answers.pop_lru() else { break };
            cache.bytes -= size(&key, &oldest);
        }
    }
}

/// The answer in JSON that was given before, or else the one that this work gives.
pub(crate) async fn answer<T: Serialize>(
    app: &Arc<App>,
    key: Key,
    asked: Asked,
    effort: Effort,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    made(app, key, asked, effort, |app| Answer::json(&app.answers, &work(app)?)).await
}

/// The answer that was given before, or else the one that this makes.
pub(crate) async fn made(
    app: &Arc<App>,
    key: Key,
    asked: Asked,
    effort: Effort,
    make: impl FnOnce(&App) -> Result<Answer, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let known = app.kept.find(&key);
    app.metrics.cache(known.is_some());
    if let Some(answer) = known.as_ref().filter(|answer| answer.is_ready(&asked)) {
        return answer.response(&app.answers, &asked);
    }
    let respond = move |app: &App| {
        let answer = match known {
            Some(answer) => answer,
            None => {
                let answer = Arc::new(make(app)?);
                // The cache leaves room for answers that are being sent.
                app.kept.keep(key, Arc::clone(&answer), [app.limits.cached, app.answers.most() / 2]);
                answer
            }
        };
        answer.response(&app.answers, &asked)
    };
    compute(app, effort, respond).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answers_make_room_and_parameters_have_no_order() {
        let key = |query: &str| Key::of("/a", Some(query));
        assert_eq!(key("x=1&y=2"), key("y=2&x=1"));
        assert_ne!(key("x=1&y=2"), key("x=1&y=3"));
        let kept = Kept::new();
        let answer = |len: usize| Arc::new(Answer::new("text/plain", vec![0; len].into()));
        for number in 0..5 {
            kept.keep(key(&number.to_string()), answer(100), [3, 1000]);
        }
        assert!(kept.find(&key("1")).is_none() && kept.find(&key("2")).is_some());
        // The bytes are counted with the keys, and replaced answers no longer.
        kept.keep(key("4"), answer(600), [3, 1000]);
        kept.keep(key("4"), answer(300), [3, 1000]);
        assert!(kept.find(&key("2")).is_some() && kept.find(&key("4")).is_some());
        kept.keep(key("5"), answer(890), [3, 1000]);
        assert!(kept.find(&key("2")).is_none() && kept.find(&key("5")).is_some());
        kept.keep(key("6"), answer(1001), [3, 1000]);
        assert!(kept.find(&key("6")).is_none() && kept.find(&key("5")).is_some());
    }
}
