//! The readings for Prometheus.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};
use tokio::sync::oneshot;

use super::exposition::{Exposition, Source};
use crate::output;

/// Where to listen: a port of this machine alone, or an address in full.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let of_port = |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    let local = text.strip_prefix("localhost:").unwrap_or(text);
    of_port(local).or_else(|| text.parse().ok()).ok_or_else(|| {
        "expected a port (9477, which this machine alone reaches), or an address in full (0.0.0.0:9477, [::]:9477)"
            .into()
    })
}

/// Answers from a thread of its own until it is dropped.
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the address, before anything is measured.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Server {
    pub(super) fn start(listener: TcpListener, source: Arc<Source>) -> Result<Self> {
        output::tell(&format!("http://{}/metrics until Ctrl-C", listener.local_addr()?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new().route("/metrics", get(metrics)).route("/health", get(health)).with_state(source);
        let serve = async move {
            tokio::select! {
                served = axum::serve(listener, routes).into_future() => {
                    if let Err(error) = served {
                        output::tell(&format!("nothing is served any more: {error}"));
                    }
                }
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || {
            runtime.block_on(serve);
            // A client that reads slowly does not keep the command from ending.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A collector that asks the sampler at every scrape.
#[derive(Debug)]
struct Live(Arc<Source>);

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.sampler.look(|recording| Exposition::of(&self.0, recording).encode(&mut encoder))
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// In OpenMetrics for those who ask for it, else in Prometheus' own text format.
async fn metrics(State(source): State<Arc<Source>>, headers: HeaderMap) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Live(source)));
    let mut text = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
        return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/openmetrics-text") {
        ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
    } else {
        ([(header::CONTENT_TYPE, TEXT)], plain(&text)).into_response()
    }
}

/// Prometheus' text format: there a counter is declared by the name that its samples have, and nothing marks the end.
pub(super) fn plain(open_metrics: &str) -> String {
    let mut counters = Vec::new();
    for line in open_metrics.lines() {
        counters.extend(line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" counter")));
    }
    let mut out = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                out += &format!("# {what} {name}_total {rest}\n");
            }
            _ => {
                out += line;
                out.push('\n');
            }
        }
    }
    out
}

/// Whether every sensor of the meter has a reading of now.
async fn health(State(source): State<Arc<Source>>) -> Response {
    let silent = source.sampler.look(|recording| Exposition::of(&source, recording).silent());
    if silent.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("no reading of now: {}\n", silent.join(", "))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_this_machine_s_and_an_address_is_given_in_full() {
        let local = SocketAddr::from(([127, 0, 0, 1], 9477));
        for text in ["9477", "localhost:9477", "127.0.0.1:9477"] {
            assert_eq!(address(text), Ok(local), "{text}");
        }
        assert_eq!(address("0.0.0.0:80"), Ok(SocketAddr::from(([0, 0, 0, 0], 80))));
        assert_eq!(address("[::1]:80").map(|address| address.is_ipv6()), Ok(true));
        for text in ["", ":9477", "0.0.0.0", "example.org:80", "70000", "127.0.0.1:x"] {
            assert!(address(text).unwrap_err().contains("address in full"), "{text}");
        }
    }

    #[test]
    fn counters_are_declared_by_the_name_of_their_samples() {
        let open = "# HELP a_joules Energy.\n# TYPE a_joules counter\na_joules_total{x=\"# TYPE a_joules\"} 1\n\
                    # TYPE b gauge\nb 2\n# EOF\n";
        let text = "# HELP a_joules_total Energy.\n# TYPE a_joules_total counter\na_joules_total{x=\"# TYPE a_joules\"} 1\n\
                    # TYPE b gauge\nb 2\n";
        assert_eq!(plain(open), text);
    }
}
