use hyper::{Uri, header::HeaderValue};

use crate::{Error, Result, api};

/// The address of a server: the one machine and port that is ever contacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    host: String,
    port: u16,
    /// The path before the API's own, without a slash at its end.
    base: String,
    /// The path of an API that the address names.
    path: Option<&'static str>,
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Reads an address: `http://127.0.0.1:8000`, `localhost:8080`, with the path of an API or without.
    ///
    /// # Errors
    /// [`Error::Address`] if it is none, or asks for a protocol other than HTTP.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::Address { url: url.to_owned(), reason: reason.to_owned() };
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|_| refuse("not an address; give one such as http://127.0.0.1:8000"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(refuse(
                    "https is not spoken; give the http address of the server itself, or the near end of a tunnel (ssh -L 8000:localhost:8000 HOST)",
                ));
            }
            _ => return Err(refuse("only http is spoken")),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refuse("it names no machine"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refuse("a name and password in an address would end up in logs; name a variable for the key"));
        }
        if uri.port_u16().is_none() && uri.authority().is_some_and(|authority| authority.as_str() != host) {
            return Err(refuse("its port is no number from 0 to 65535"));
        }
        if uri.query().is_some() {
            return Err(refuse("an address with a query is none of a server of models"));
        }
        let path = uri.path().trim_end_matches('/');
        let named = api::ALL.iter().map(|api| api.path()).find(|own| path.ends_with(own));
        let base = named.map_or(path, |own| path.strip_suffix(own).unwrap_or(path));
        let base = base.strip_suffix("/v1").unwrap_or(base);
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(80),
            base: base.to_owned(),
            path: named,
            authorization: None,
        })
    }

    /// With a key that is sent to the server (`Authorization: Bearer KEY`).
    ///
    /// # Errors
    /// [`Error::Address`] if a header cannot carry it.
    pub fn with_key(mut self, key: &str) -> Result<Self> {
        let reason = || "the key has characters that a header cannot carry".to_owned();
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
            .map_err(|_| Error::Address { url: self.to_string(), reason: reason() })?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The machine and port, as headers name them.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// A path of the server.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The path of the API that the address names.
    pub(crate) fn named_path(&self) -> Option<&'static str> {
        self.path
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_the_path_of_an_api() {
        for (url, shown, path) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000", None),
            ("localhost:8080/", "http://localhost:8080", None),
            ("http://gpu1/v1", "http://gpu1:80", None),
            ("http://gpu1:9/proxy/v1/chat/completions", "http://gpu1:9/proxy", Some("/v1/chat/completions")),
            ("http://[::1]:3000/generate_stream", "http://[::1]:3000", Some("/generate_stream")),
            ("http://h:1/completion", "http://h:1", Some("/completion")),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.to_string().as_str(), target.named_path()), (shown, path), "{url}");
        }
    }

    #[test]
    fn other_addresses_are_refused_with_the_way_out() {
        for (url, word) in [
            ("https://api.example.com/v1", "tunnel"),
            ("ftp://h", "only http"),
            ("http://user:secret@h:1", "variable"),
            ("http://h/v1?x=1", "query"),
            ("http://", "address"),
            ("a b", "address"),
            ("localhost:99999", "port"),
        ] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(error.starts_with(url) && error.contains(word), "{error}");
        }
        let target = Target::parse("http://h:1").unwrap();
        assert!(target.clone().with_key("a\nb").is_err());
        let target = target.with_key("secret").unwrap();
        assert!(!format!("{target:?}").contains("secret"));
    }
}
