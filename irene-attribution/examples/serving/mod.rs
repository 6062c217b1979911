//! The common part of the examples: the meter of this machine, waiting for a share, and `/metrics`.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use irene_attribution::{Meter, Options, Share};
use irene_sampler::{
    Pending, Sampler, SamplerOptions,
    sensors::{Places, Selection},
};
use prometheus_client::registry::Registry;

/// The best meter of a machine, read every 10 ms.
pub(crate) fn meter(places: &Places, options: Options) -> Result<Meter, Box<dyn Error>> {
    let found = Selection::automatic(places);
    let period = SamplerOptions { period: Duration::from_millis(10), ..SamplerOptions::default() };
    Ok(Meter::new(Arc::new(Sampler::start(found.sensors, period)?), options)?)
}

/// The longest time that an answer waits for its energy, which beside a long answer in one piece is known at the end of that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A request's share, if it comes in time.
pub(crate) async fn share(pending: Pending<Share>) -> Option<Share> {
    tokio::time::timeout(PATIENCE, pending).await.ok()
}

/// Puts the energy into an answer's headers.
pub(crate) fn with_headers(mut response: Response, share: Option<&Share>) -> Response {
    for (name, value) in share.map(Share::headers).unwrap_or_default() {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Answers Prometheus at `/metrics`.
pub(crate) fn with_metrics(router: Router, meter: &Meter) -> Router {
    let mut registry = Registry::default();
    meter.register(&mut registry);
    let registry = Arc::new(registry);
    let metrics = move || async move {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => {
                let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(CONTENT_TYPE, form)], text).into_response()
            }
            Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    router.route("/metrics", get(metrics))
}

/// Serves until the process ends.
pub(crate) fn serve(router: Router, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        axum::serve(listener, router).await
    })?;
    Ok(())
}
