use std::{fmt, future::Future, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{Error, Options, api, app::App, body, connection::Connection, host, page, problem::Problem};

/// A server that has its port.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be had; [`Error::Profile`] for a bundled profile that cannot be read.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let address = options.address;
        let app = Arc::new(App::new(options)?);
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Address { address, source })?;
        Ok(Self { listener, app })
    }

    /// Where it listens: with port 0 in the options, the port that the system chose.
    ///
    /// # Errors
    /// [`Error::Address`] if the system does not say.
    pub fn address(&self) -> Result<std::net::SocketAddr, Error> {
        let unspecified = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        self.listener.local_addr().map_err(|source| Error::Address { address: unspecified, source })
    }

    /// Answers until `stop` is ready, then ends the jobs and lets the requests that are about end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let limits = self.app.limits;
        let service = TowerToHyperService::new(routes(Arc::clone(&self.app)));
        let connections = Arc::new(Semaphore::new(limits.connections));
        let open = GracefulShutdown::new();
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(MOST_HEAD);
        let accept = async {
            loop {
                // No permit is ever taken back: it waits for a connection to end.
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors, or a client that is gone: the next may do better.
                        tracing::warn!(%error, "a connection was not accepted");
                        sleep(PAUSE).await;
                        continue;
                    }
                };
                let stream = Connection::new(stream, limits.write_time);
                let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
                tokio::spawn(async move {
                    // If a connection ends early, that is its client's business.
                    let _ = connection.await;
                    drop(permit);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        drop(self.listener);
        tracing::info!("stopping");
        let end = async {
            if let Some(jobs) = &self.app.jobs {
                // Who follows one is told.
                jobs.close();
                jobs.idle().await;
            }
            open.shutdown().await;
        };
        let _ = timeout(limits.time, end).await;
    }
}

/// Bytes of a request's head, at most.
const MOST_HEAD: usize = 32 << 10;

/// Between connections that cannot be accepted.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

pub(crate) fn routes(app: Arc<App>) -> Router {
    let unknown = || async { Problem::unknown("there is nothing here; /api/v1/openapi.json tells what there is") };
    let wrong_method = || async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method") };
    Router::new()
        .merge(api::routes())
        .merge(page::routes())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // The body is read, and its length checked, before.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), answer))
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text([&app.bodies, &app.heads], &app.answers)).into_response()
}

/// Around every request: its checks, its body, its time limit, headers, metrics and the log.
async fn answer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let in_flight = InFlight::of(&app);
    let mut response = respond(&app, request, next).await.unwrap_or_else(IntoResponse::into_response);
    drop(in_flight);
    protect(response.headers_mut());
    if let Some(allowed) = app.allow_origin.as_deref() {
        // Caches must not give one origin's answer to another.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        if is_allowed(allowed, origin.as_ref()) {
            share(response.headers_mut(), allowed);
        }
    }
    let (status, took) = (response.status().as_u16(), start.elapsed());
    app.metrics.answered(&route, status, took);
    tracing::info!(%method, path, status, microseconds = took.as_micros() as u64, "request");
    response
}

async fn respond(app: &App, request: Request, next: Next) -> Result<Response, Problem> {
    host::check(request.version(), request.headers())?;
    if *request.method() == Method::OPTIONS && app.allow_origin.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (request, _room) = body::read(app, request).await?;
    timeout(app.limits.time, next.run(request)).await.map_err(|_| {
        let detail = format!(
            "the request took more than {} s; the server may have less to do later",
            app.limits.time.as_secs_f64()
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })
}

/// Counts a request until it is answered, or its client is gone.
struct InFlight<'a>(&'a App);

impl<'a> InFlight<'a> {
    fn of(app: &'a App) -> Self {
        app.metrics.in_flight.inc();
        Self(app)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// Scripts, styles and requests from this server alone, and no other page around ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn is_allowed(allowed: &str, origin: Option<&HeaderValue>) -> bool {
    allowed == "*" || origin.is_some_and(|origin| origin.as_bytes() == allowed.as_bytes())
}

fn share(headers: &mut HeaderMap, allowed: &str) {
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, if-none-match"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, location"));
    }
}
