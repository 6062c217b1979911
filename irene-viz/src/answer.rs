//! Answers in memory: their text, what names it (an ETag), and the text compressed.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    sync::OnceLock,
};

use axum::{
    body::Bytes,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::{problem::Problem, room::Room};

/// The version of the answers' form, which every answer in JSON carries.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Shorter texts are sent as they are.
const LEAST_TO_COMPRESS: usize = 1 << 10;

/// An answer that may be sent more than once.
pub(crate) struct Answer {
    kind: &'static str,
    text: Bytes,
    tag: HeaderValue,
    compressed: OnceLock<Bytes>,
}

/// The form in which a client wants its answer.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Whether it reads gzip.
    gzip: bool,
    /// The tags of the answers that it has.
    has: Vec<HeaderValue>,
}

/// The first member of every answer in JSON.
#[derive(Serialize)]
struct Versioned<T> {
    schema_version: u32,
    #[serde(flatten)]
    answer: T,
}

impl Answer {
    /// In JSON.
    pub(crate) fn json(room: &Room, answer: &impl Serialize) -> Result<Self, Problem> {
        let versioned = Versioned { schema_version: SCHEMA_VERSION, answer };
        let text = serde_json::to_vec(&versioned).map_err(|error| Problem::refused(&error))?;
        Ok(Self::new("application/json", hold(room, text)?))
    }

    /// A text that was made for this request.
    pub(crate) fn text(room: &Room, kind: &'static str, text: String) -> Result<Self, Problem> {
        Ok(Self::new(kind, hold(room, text.into_bytes())?))
    }

    /// A text that is in memory anyway.
    pub(crate) fn new(kind: &'static str, text: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        // Weak: the compressed text has the same tag.
        let tag = HeaderValue::from_str(&format!("W/\"{:016x}\"", hasher.finish()));
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static("W/\"\""));
        Self { kind, text, tag, compressed: OnceLock::new() }
    }

    /// Bytes of the text.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether [`response`](Self::response) takes no time.
    pub(crate) fn is_ready(&self, asked: &Asked) -> bool {
        !asked.gzip || self.len() < LEAST_TO_COMPRESS || self.compressed.get().is_some()
    }

    /// In the form that is asked for. The text is compressed when that is first asked for.
    pub(crate) fn response(&self, room: &Room, asked: &Asked) -> Result<Response, Problem> {
        let about = [(header::ETAG, self.tag.clone()), (header::VARY, HeaderValue::from_static("accept-encoding"))];
        if asked.has(&self.tag) {
            return Ok((StatusCode::NOT_MODIFIED, about).into_response());
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(self.kind))];
        if !asked.gzip || self.len() < LEAST_TO_COMPRESS {
            return Ok((about, kind, self.text.clone()).into_response());
        }
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        Ok((about, kind, encoding, self.compressed(room)?).into_response())
    }

    fn compressed(&self, room: &Room) -> Result<Bytes, Problem> {
        if let Some(bytes) = self.compressed.get() {
            return Ok(bytes.clone());
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.len() / 8), Compression::fast());
        let written = encoder.write_all(&self.text).and_then(|()| encoder.finish());
        let bytes = hold(room, written.map_err(|error| Problem::refused(&error))?)?;
        Ok(self.compressed.get_or_init(|| bytes).clone())
    }
}

fn hold(room: &Room, bytes: Vec<u8>) -> Result<Bytes, Problem> {
    let (len, most) = (bytes.len(), room.most());
    if len > most {
        let detail = format!("the answer has {len} bytes, and at most {most} are in memory here; ask for less");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    room.hold(bytes).ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many answers wait for their clients to read them; try again")
    })
}

impl Asked {
    fn has(&self, tag: &HeaderValue) -> bool {
        self.has.iter().filter_map(|has| has.to_str().ok()).flat_map(|has| has.split(',')).any(|has| {
            let strip = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            has.trim() == "*" || tag.to_str().is_ok_and(|tag| strip(tag) == strip(has))
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The condition of another method would mean something else.
        let reads = ["GET", "HEAD"].contains(&parts.method.as_str());
        let has =
            if reads { parts.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect() } else { Vec::new() };
        Ok(Self { gzip: reads_gzip(&parts.headers), has })
    }
}

/// Whether gzip is among the encodings that a client takes, with a weight above 0.
fn reads_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for encoding in given.flat_map(|value| value.split(',')) {
        let (name, parameters) = encoding.split_once(';').unwrap_or((encoding, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f64>);
        let takes = weight.is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return takes,
            "*" => any = takes,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_read_by_those_who_say_so() {
        let reads = |value: &'static str| {
            reads_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for value in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "identity;q=0, gzip ; q=1.0"] {
            assert!(reads(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzip;q=x", "gzipped"] {
            assert!(!reads(value), "{value}");
        }
        assert!(!reads_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_found_among_others() {
        let asked = |has: &'static str| Asked { gzip: false, has: vec![HeaderValue::from_static(has)] };
        let tag = HeaderValue::from_static("W/\"01\"");
        assert!(asked("\"00\", W/\"01\"").has(&tag) && asked("\"01\"").has(&tag) && asked("*").has(&tag));
        assert!(!asked("\"0\"").has(&tag) && !asked("").has(&tag));
    }
}
