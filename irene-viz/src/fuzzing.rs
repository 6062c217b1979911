//! Requests without a socket, for the fuzzer.

use std::{fmt, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::{Limits, Options, app::App, serve::routes};

/// A server that has no port.
pub struct Requests {
    service: TowerToHyperService<Router>,
    runtime: tokio::runtime::Runtime,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    /// The server that `irene serve` starts without options. It refuses nothing for its time: the fuzzer has a limit of its own, and a
    /// machine that is busy is no finding.
    ///
    /// # Panics
    /// If the system has no threads for it.
    #[allow(clippy::new_without_default, clippy::expect_used)] // a fuzzer has nobody to tell
    pub fn new() -> Self {
        let limits = Limits { time: Duration::from_secs(3600), ..Limits::default() };
        let app = App::new(Options { limits, ..Options::default() }).expect("the bundled profiles");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { service: TowerToHyperService::new(routes(Arc::new(app))), runtime }
    }

    /// Status and body of the answer; None for what is no request.
    pub fn answer(&self, method: &str, uri: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let request = Request::builder().method(method).uri(uri).header("host", "localhost");
        let request = request.body(Body::from(body.to_vec())).ok()?;
        self.runtime.block_on(async {
            let answer = self.service.call(request).await.ok()?;
            let status = answer.status().as_u16();
            Some((status, axum::body::to_bytes(answer.into_body(), usize::MAX).await.ok()?.to_vec()))
        })
    }
}
