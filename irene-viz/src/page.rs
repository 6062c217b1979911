//! The page and its parts, inside the binary: no path of a request reaches a file.

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// A part of the page.
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    kind: &'static str,
    pub(crate) text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(Asset { name: $name, kind: SCRIPT, text: include_str!(concat!("../page/", $name)) }),*]
    };
}

/// The page itself.
pub(crate) const INDEX: &str = include_str!("../page/index.html");

/// Its style.
pub(crate) const STYLE: Asset =
    Asset { name: "style.css", kind: "text/css; charset=utf-8", text: include_str!("../page/style.css") };

/// Its scripts.
pub(crate) const SCRIPTS: [Asset; 23] = scripts![
    "api.js",
    "app.js",
    "chart.js",
    "columns.js",
    "compare.js",
    "comparison.js",
    "details.js",
    "dom.js",
    "downloads.js",
    "form.js",
    "format.js",
    "icicle.js",
    "list.js",
    "nodes.js",
    "openness.js",
    "sizes.js",
    "state.js",
    "table.js",
    "tabs.js",
    "totals.js",
    "tradeoff.js",
    "tree.js",
    "uploads.js",
];

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let index = || async { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], INDEX) };
    Router::new().route("/", get(index)).route("/assets/{name}", get(asset))
}

async fn asset(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    match SCRIPTS.iter().chain([&STYLE]).find(|asset| asset.name == name) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.kind)], asset.text).into_response(),
        None => {
            crate::problem::Problem::new(StatusCode::NOT_FOUND, "there is no such part of the page").into_response()
        }
    }
}
