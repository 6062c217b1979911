//! The page and its parts, inside the binary: no path of a request reaches a file.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::Response,
    routing::get,
};

use crate::{
    answer::{Answer, Asked},
    app::App,
    problem::Problem,
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

/// The page and its parts by name, each as an answer that is compressed once.
static ANSWERS: LazyLock<Vec<(&str, Answer)>> = LazyLock::new(|| {
    let answer = |kind, text: &'static str| Answer::new(kind, Bytes::from_static(text.as_bytes()));
    let parts = SCRIPTS.iter().chain([&STYLE]).map(|asset| (asset.name, answer(asset.kind, asset.text)));
    parts.chain([("", answer("text/html; charset=utf-8", INDEX))]).collect()
});

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|State(app): State<Arc<App>>, asked: Asked| async move { part(&app, "", &asked) }))
        .route("/assets/{name}", get(asset))
}

async fn asset(State(app): State<Arc<App>>, Path(name): Path<String>, asked: Asked) -> Result<Response, Problem> {
    part(&app, &name, &asked)
}

fn part(app: &App, name: &str, asked: &Asked) -> Result<Response, Problem> {
    match ANSWERS.iter().find(|(known, _)| *known == name) {
        Some((_, answer)) => answer.response(&app.answers, asked),
        None => Err(Problem::unknown("there is no such part of the page")),
    }
}
