use std::net::IpAddr;

use axum::http::{HeaderMap, Version, header};

use crate::problem::Problem;

/// Refuses a request of HTTP/1.1 that does not say for which host it is (RFC 9112, section 3.2).
pub(crate) fn check(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    match hosts[..] {
        [] if version < Version::HTTP_11 => Ok(()),
        [host] if host.as_bytes().iter().all(is_host) => Ok(()),
        [_] => Err(Problem::malformed("the Host of the request is neither a name nor an address")),
        [] => Err(Problem::malformed("the request has no Host, which HTTP/1.1 requires")),
        _ => Err(Problem::malformed("the request has more than one Host")),
    }
}

/// Whether a request is for `localhost` or an IP address, with or without a port.
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}
