//! The page in one file: with its style, its scripts and the answers that it would otherwise ask a server for.

use std::sync::Arc;

use irene_advice::{Bounds, GenerationOptions, Lookup, Selection};
use irene_models::ModelSpec;
use irene_requests::RequestRow;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Error, Options,
    api::{self, Question, Sizes},
    app::{App, Device},
    chart::escaped,
    page,
    problem::Problem,
};

/// The settings of a selection: their names in the page's address, which changes have too, and in the API.
pub(crate) const SETTINGS: [(&str, &str); 18] = [
    ("device", "device"),
    ("batch", "batch_size"),
    ("concurrency", "concurrency"),
    ("rate", "rate"),
    ("seq", "seq_len"),
    ("generate", "generate"),
    ("past", "past_len"),
    ("dtype", "dtype"),
    ("weights", "weights"),
    ("cache", "cache"),
    ("kernels", "kernels"),
    ("head", "head"),
    ("engine", "engine"),
    ("tp", "tensor_parallel"),
    ("pp", "pipeline_parallel"),
    ("ep", "expert_parallel"),
    ("dp", "data_parallel"),
    ("power", "power_limit_w"),
];

/// The settings that a sweep has none of: sizes are its axes.
const SIZES: [&str; 4] = ["batch_size", "concurrency", "rate", "seq_len"];

/// A page that shows one selection without a server: an HTML file that asks for nothing.
///
/// # Errors
/// [`Error::Report`] for a selection that cannot be predicted; [`Error::Profile`] for a bundled profile that cannot be read.
pub fn report(lookup: Lookup, selection: &Selection) -> Result<String, Error> {
    let mut app = App::new(Options::default())?;
    app.lookup = lookup;
    let (state, answers) =
        answers(&mut app, selection).map_err(|problem| Error::Report(problem.detail().to_owned()))?;
    Ok(filled(&state, answers))
}

/// A name in an address, as a browser's `URLSearchParams` writes it.
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// The page with the state that it shows first, as in its address, and its answers.
fn filled(state: &str, answers: Map<String, Value>) -> String {
    // Nothing in them may end the attribute or the script that holds them.
    let answers = Value::Object(answers).to_string().replace('<', "\\u003c");
    let holder = format!("data-state=\"{}\">{answers}</script>", escaped(state));
    page::REPORT.replacen("data-state=\"\">{}</script>", &holder, 1)
}

/// An empty report: the page in one file. The page fills in state and answers when a user saves it.
pub(crate) fn shell() -> String {
    let scripts = format!(
        "<script type=\"application/json\" id=\"answers\" data-state=\"\">{{}}</script>\n\
         <script type=\"module\">\n{}</script>\n",
        bundle()
    );
    let is_part = |line: &str| line.contains("/assets/");
    let page: String = page::INDEX.lines().filter(|line| !is_part(line)).flat_map(|line| [line, "\n"]).collect();
    let head = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<style>\n{}</style>\n</head>",
        page::STYLE.text
    );
    page.replacen("</head>", &head, 1).replacen("</body>", &format!("{scripts}</body>"), 1)
}

/// Allows the contents of the file, and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'";

/// The page's state, and the answers by the address that the page would ask for.
fn answers(app: &mut App, selection: &Selection) -> Result<(String, Map<String, Value>), Problem> {
    let estimate = app.lookup.estimate(selection)?;
    let (spec, name) = (estimate.model, estimate.device);
    let measured = app.lookup.profile(&name)?.map(|profile| Device { name: name.clone(), profile });
    app.devices = measured.into_iter().collect();
    let app = &*app;
    let sheet = app.lookup.device(&name);
    let row = RequestRow { model: Some(spec.name().to_owned()), device: Some(name), ..selection.row.clone() };
    let own = Some(Arc::clone(&spec));
    let selection = &Selection { row, own, config: Map::new(), ..selection.clone() };
    let settings = |name_of: fn(&(&'static str, &'static str)) -> &'static str, but: &[&str]| {
        let given = SETTINGS.iter().filter(|(_, setting)| !but.contains(setting));
        let one = |names: &(&'static str, &'static str)| {
            Some(format!("&{}={}", name_of(names), encoded(&selection.value(names.1)?)))
        };
        given.filter_map(one).collect::<String>()
    };
    let model = encoded(spec.name());
    let (at, sizes) = (settings(|names| names.1, &[]), settings(|names| names.1, &SIZES));
    let prediction = |shows_math| api::prediction(app, &Selection { shows_math, ..selection.clone() });
    let needed = [
        ("models".to_owned(), api::value(&api::models_of([ModelSpec::clone(&spec)], app)?)?),
        ("devices".to_owned(), api::value(&api::devices_of(&app.devices, &sheet))?),
        ("engines".to_owned(), api::value(&api::all_engines())?),
        ("grids".to_owned(), api::value(&api::all_grids())?),
        (format!("predict?model={model}{at}"), api::value(&prediction(false)?)?),
        (format!("predict?model={model}{at}&math=true"), api::value(&prediction(true)?)?),
    ];
    // The page leaves out the views that have no answer.
    let turn = GenerationOptions::default();
    let points = turn.points;
    let others = [
        (format!("sweep?model={model}{sizes}"), held(Sizes::usual(selection.clone()).answer(app))),
        (format!("leaderboard?{}", at.trim_start_matches('&')), held(api::whole_leaderboard(app, selection.clone()))),
        (format!("suggest?model={model}{at}"), held(app.lookup.suggest(selection, Bounds::default()))),
        (format!("generation?model={model}{at}&points={points}"), held(app.lookup.generation(selection, turn))),
    ];
    let others = others.into_iter().filter_map(|(path, answer)| Some((path, answer?)));
    let answers = needed.into_iter().chain(others).map(|(path, answer)| (format!("/api/v1/{path}"), answer)).collect();
    Ok((format!("model={model}{}", settings(|names| names.0, &[])), answers))
}

/// An answer as the page has it, where there is one.
fn held<E>(answer: Result<impl Serialize, E>) -> Option<Value> {
    api::value(&answer.ok()?).ok()
}

/// All scripts in one: each module becomes a function that returns its exports, placed after the modules it imports.
fn bundle() -> String {
    let mut out = String::from("const modules = {};\n");
    let mut done = Vec::new();
    add("app.js", &mut done, &mut out);
    out
}

fn add(name: &'static str, done: &mut Vec<&'static str>, out: &mut String) {
    let Some(script) = page::SCRIPTS.iter().find(|script| script.name == name) else { return };
    if done.contains(&script.name) {
        return;
    }
    done.push(script.name);
    let mut body = String::new();
    let mut exported = Vec::new();
    let mut lines = script.text.lines();
    while let Some(line) = lines.next() {
        if let Some(first) = line.strip_prefix("import {") {
            let mut import = first.to_owned();
            while !import.ends_with(';') {
                import += lines.next().unwrap_or(";");
            }
            let Some((names, from)) = import.split_once("} from \"./") else { continue };
            let from = from.trim_end_matches("\";");
            if let Some(known) = page::SCRIPTS.iter().find(|script| script.name == from) {
                add(known.name, done, out);
            }
            body += &format!("const {{{}}} = modules[\"{from}\"];\n", names.replace(" as ", ": "));
        } else if let Some(declaration) = line.strip_prefix("export ") {
            let name =
                declaration.split_whitespace().find(|word| !["async", "function", "const", "class"].contains(word));
            exported.extend(name.map(|name| name.split('(').next().unwrap_or(name)));
            body += &format!("{declaration}\n");
        } else if let Some((before, name, after)) = late_import(line) {
            add(name, done, out);
            body += &format!("{before}modules[\"{name}\"]{after}\n");
        } else {
            body += &format!("{line}\n");
        }
    }
    // The first module waits for answers, which a function called here could not.
    *out += &match name {
        "app.js" => format!("{{\n{body}}}\n"),
        _ => format!("modules[\"{name}\"] = (() => {{\n{body}return {{ {} }};\n}})();\n", exported.join(", ")),
    };
}

/// A line that imports a script when it runs: what comes before, the script, what comes after.
fn late_import(line: &str) -> Option<(&str, &'static str, &str)> {
    let (before, rest) = line.split_once("await import(\"./")?;
    let (name, after) = rest.split_once("\")")?;
    let script = page::SCRIPTS.iter().find(|script| script.name == name)?;
    Some((before, script.name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_page_asks_for_them() {
        assert_eq!(encoded("R&D?/my model+é"), "R%26D%3F%2Fmy+model%2B%C3%A9");
        assert_eq!(encoded("Llama-3.1_8B*"), "Llama-3.1_8B*");
    }

    #[test]
    fn every_script_is_in_the_bundle_and_no_import_is_left() {
        let bundle = bundle();
        for script in page::SCRIPTS {
            assert!(
                script.name == "app.js" || bundle.contains(&format!("modules[\"{}\"] = ", script.name)),
                "{}",
                script.name
            );
        }
        assert!(!bundle.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")));
        assert!(!bundle.contains("</script") && !bundle.contains("import("));
    }
}
