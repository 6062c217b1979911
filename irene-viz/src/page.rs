//! The page and its parts, inside the binary: no path of a request reaches a file.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, RawQuery, State},
    response::Response,
    routing::get,
};
use tokio::time::timeout;

use crate::{
    answer::{Answer, Asked},
    app::{App, Effort},
    kept::{self, Key},
    preview::Preview,
    problem::Problem,
    report,
};

const PAGE: &str = "text/html; charset=utf-8";

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

macro_rules! styles {
    ($($name:literal),* $(,)?) => {
        concat!($(include_str!(concat!("../page/", $name))),*)
    };
}

/// Its style, of several files and served as one.
pub(crate) const STYLE: Asset = Asset {
    name: "style.css",
    kind: "text/css; charset=utf-8",
    text: styles!["base.css", "controls.css", "answer.css", "tables.css", "drawings.css", "layout.css", "views.css"],
};

/// Its scripts.
pub(crate) const SCRIPTS: &[Asset] = &scripts![
    "api.js",
    "app.js",
    "bars.js",
    "bounds.js",
    "changes.js",
    "chart.js",
    "columns.js",
    "combobox.js",
    "compare.js",
    "controls.js",
    "details.js",
    "difference-icicle.js",
    "dom.js",
    "downloads.js",
    "drawing.js",
    "drop.js",
    "field.js",
    "fold.js",
    "form.js",
    "format.js",
    "generation.js",
    "headline.js",
    "icicle.js",
    "jobs.js",
    "knobs.js",
    "leaderboard.js",
    "list.js",
    "memory.js",
    "nodes.js",
    "openness.js",
    "own-scores.js",
    "pairs.js",
    "plan-columns.js",
    "plan.js",
    "planform.js",
    "presets.js",
    "readymade.js",
    "sandwich.js",
    "score-chart.js",
    "share.js",
    "side-cards.js",
    "sides.js",
    "sizes.js",
    "state.js",
    "states.js",
    "suggest.js",
    "table.js",
    "tabs.js",
    "term.js",
    "tree.js",
    "uploads.js",
    "whatif.js",
];

/// The page in one file, to be filled with what it shows.
pub(crate) static REPORT: LazyLock<String> = LazyLock::new(report::shell);

/// The page and its parts by name, each as an answer that is compressed once.
static ANSWERS: LazyLock<Vec<(&str, Answer)>> = LazyLock::new(|| {
    let answer = |kind, text: &'static str| Answer::new(kind, Bytes::from_static(text.as_bytes()));
    let parts = SCRIPTS.iter().chain([&STYLE]).map(|asset| (asset.name, answer(asset.kind, asset.text)));
    static PLAIN: LazyLock<String> = LazyLock::new(|| Preview::plain().page(INDEX));
    parts.chain([("", answer(PAGE, &PLAIN)), ("report.html", answer(PAGE, &REPORT))]).collect()
});

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(index)).route("/assets/{name}", get(asset))
}

/// The longest time that the page waits for its preview.
const PATIENCE: Duration = Duration::from_millis(500);

/// The page, with a preview of what its query shows where there is a figure for it.
async fn index(
    State(app): State<Arc<App>>,
    key: Key,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let given: Option<Vec<(String, String)>> = query.and_then(|query| {
        let query = format!("/?{query}").parse().ok()?;
        Query::try_from_uri(&query).ok().map(|Query(given)| given)
    });
    let Some(given) = given.filter(|given| !given.is_empty()) else { return part(&app, "", &asked) };
    let make = move |app: &App| {
        let preview = Preview::of(app, &given).unwrap_or_else(Preview::plain);
        Answer::text(&app.answers, PAGE, preview.page(INDEX))
    };
    match timeout(PATIENCE, kept::made(&app, key, asked.clone(), Effort::Short, make)).await {
        Ok(Ok(page)) => Ok(page),
        _ => part(&app, "", &asked),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let is_served = SCRIPTS.iter().chain([&STYLE]).any(|asset| asset.text.contains(&text)) || INDEX == text;
            assert!(is_served, "{}", path.display());
        }
    }
    /// Adds `name` and the scripts that it imports, directly or not.
    fn needed(name: &str, found: &mut Vec<String>) {
        if found.iter().any(|known| known == name) {
            return;
        }
        found.push(name.to_owned());
        let script = SCRIPTS.iter().find(|script| script.name == name).unwrap();
        for part in script.text.split("from \"./").skip(1) {
            needed(part.split('"').next().unwrap(), found);
        }
    }

    #[test]
    fn what_the_first_view_needs_is_asked_for_at_once_and_nothing_else() {
        let mut expected = Vec::new();
        needed("app.js", &mut expected);
        needed("tree.js", &mut expected);
        expected.retain(|name| name != "app.js");
        expected.sort();
        let preloads = INDEX.split("modulepreload\" href=\"/assets/").skip(1);
        let mut preloaded: Vec<String> = preloads.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        preloaded.sort();
        assert_eq!(preloaded, expected);
    }
}
