//! The page in one file: with its style, its scripts and the answers that it would otherwise ask a server for.

use std::sync::Arc;

use irene_advice::Selection;
use irene_models::ModelSpec;
use irene_regress::DeviceProfile;
use irene_tree::Size;
use serde_json::{Map, Value};

use crate::{
    Error, Options,
    api::{self, Question, Sizes},
    app::App,
    page,
};

/// A page that shows one model at one size without a server: an HTML file that asks for nothing.
///
/// # Errors
/// [`Error::Report`] for a size or a model that cannot be predicted; [`Error::Profile`] for a bundled profile that cannot be read.
pub fn report(device: &str, profile: DeviceProfile, spec: &ModelSpec, size: Size) -> Result<String, Error> {
    let mut app = App::new(Options::default())?;
    app.add_device(device.to_owned(), profile);
    let answers = answers(&app, device, spec, size).map_err(|problem| Error::Report(problem.detail().to_owned()))?;
    let (model, on) = (encoded(spec.name()), encoded(device));
    let state = format!("model={model}&device={on}&batch={}&seq={}", size.sequences, size.new);
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
    let state = state.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let answers = Value::Object(answers).to_string().replace('<', "\\u003c");
    let holder = format!("data-state=\"{state}\">{answers}</script>");
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

/// The answers by the address that the page would ask for.
fn answers(
    app: &App,
    device: &str,
    spec: &ModelSpec,
    size: Size,
) -> Result<Map<String, Value>, crate::problem::Problem> {
    let device = app.device(Some(device))?;
    let (model, on) = (&encoded(spec.name()), &encoded(&device.name));
    let at = format!("batch_size={}&seq_len={}", size.sequences, size.new);
    let mut selection = Selection::batch(spec.name(), size.sequences, size.new);
    (selection.row.device, selection.own) = (Some(device.name.clone()), Some(Arc::new(spec.clone())));
    let prediction = |shows_math| api::prediction(app, &Selection { shows_math, ..selection.clone() });
    let answers = [
        ("models".to_owned(), api::value(&api::models_of([spec.clone()], app)?)?),
        ("devices".to_owned(), api::value(&api::devices_of([device], []))?),
        ("engines".to_owned(), api::value(&api::all_engines())?),
        ("grids".to_owned(), api::value(&api::all_grids())?),
        (format!("predict?model={model}&{at}&device={on}"), api::value(&prediction(false)?)?),
        (format!("predict?model={model}&{at}&device={on}&math=true"), api::value(&prediction(true)?)?),
        (format!("sweep?model={model}&device={on}"), api::value(&Sizes::usual(selection.clone()).answer(app)?)?),
        (format!("leaderboard?{at}&device={on}"), api::value(&api::whole_leaderboard(app, selection.clone())?)?),
    ];
    let suggestions = app.lookup.suggest(&selection, irene_advice::Bounds::default()).ok();
    let suggestions = suggestions.map(|found| api::value(&found)).transpose()?;
    let answers =
        answers.into_iter().chain(suggestions.map(|found| (format!("suggest?model={model}&{at}&device={on}"), found)));
    Ok(answers.map(|(path, answer)| (format!("/api/v1/{path}"), answer)).collect())
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
