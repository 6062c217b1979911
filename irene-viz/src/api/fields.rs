//! Reads the fields of a query or of a JSON object, and describes them: the same code does both, so that the OpenAPI document
//! cannot say anything else than what is read.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use irene_tree::suggestion;
use serde_json::{Map, Value};

use super::kinds::Kind;
use crate::{app::App, problem::Problem};

/// Something that is read field by field.
pub(crate) trait FromFields: Sized {
    /// Asks for each field once.
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem>;
}

/// The fields of a request, or the place where what is asked for is written down.
pub(crate) struct Fields<'a> {
    pub(crate) app: &'a App,
    given: Given,
    asked: Vec<&'static str>,
    described: Vec<Description>,
}

enum Given {
    /// Nothing is read: the fields are described.
    Nothing,
    Query(Vec<(String, String)>),
    Object(Map<String, Value>),
}

/// A field, for the OpenAPI document.
pub(crate) struct Description {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) is_required: bool,
    pub(crate) schema: Value,
}

impl<'a> Fields<'a> {
    fn new(app: &'a App, given: Given) -> Self {
        Self { app, given, asked: Vec::new(), described: Vec::new() }
    }

    /// A field that must be there; the default value stands for it while a query is described.
    pub(crate) fn required<K: Kind<Value: Default>>(
        &mut self,
        name: &'static str,
        about: &'static str,
        kind: K,
    ) -> Result<K::Value, Problem> {
        if self.is_described() {
            self.describe(name, about, true, &kind);
            return Ok(K::Value::default());
        }
        let found = self.find(name, &kind)?;
        found.ok_or_else(|| Problem::malformed(format!("{name} is missing: {}", lowercase(about))).about(name))
    }

    /// A field that may be left out.
    pub(crate) fn optional<K: Kind>(
        &mut self,
        name: &'static str,
        about: &'static str,
        kind: K,
    ) -> Result<Option<K::Value>, Problem> {
        if self.is_described() {
            self.describe(name, about, false, &kind);
            return Ok(None);
        }
        self.find(name, &kind)
    }

    /// Whether the fields are only described.
    pub(crate) fn is_described(&self) -> bool {
        matches!(self.given, Given::Nothing)
    }

    fn describe(&mut self, name: &'static str, about: &'static str, is_required: bool, kind: &impl Kind) {
        self.described.push(Description { name, about, is_required, schema: kind.schema(self.app) });
    }

    fn find<K: Kind>(&mut self, name: &'static str, kind: &K) -> Result<Option<K::Value>, Problem> {
        self.asked.push(name);
        let refuse = |found: &str, reason: String| {
            Problem::malformed(format!("{name}: `{}` {reason}", shown(found))).about(name)
        };
        match &self.given {
            Given::Nothing => Ok(None),
            Given::Query(given) => {
                let mut values = given.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
                let value = values.next();
                if values.next().is_some() {
                    return Err(Problem::malformed(format!("{name} is given more than once")).about(name));
                }
                value.map(|text| kind.read(text).map_err(|reason| refuse(text, reason))).transpose()
            }
            Given::Object(given) => {
                let value = given.get(name);
                value
                    .map(|value| kind.read_json(value).map_err(|reason| refuse(&value.to_string(), reason)))
                    .transpose()
            }
        }
    }

    /// Refuses what was not asked for: whoever sends it expects it to be heeded.
    fn check_names(&self) -> Result<(), Problem> {
        let (what, unknown) = match &self.given {
            Given::Nothing => return Ok(()),
            Given::Query(given) => ("parameter", given.iter().map(|(name, _)| name).find(|name| !self.has_asked(name))),
            Given::Object(given) => ("field", given.keys().find(|name| !self.has_asked(name))),
        };
        let Some(name) = unknown else { return Ok(()) };
        let near = suggestion(name, self.asked.iter().copied());
        let known = match self.asked.join(", ") {
            known if known.is_empty() => "it takes none".to_owned(),
            known => format!("there are {known}"),
        };
        Err(Problem::malformed(format!("there is no {what} `{}` here{near}; {known}", shown(name))))
    }

    fn has_asked(&self, name: &str) -> bool {
        self.asked.contains(&name)
    }

    fn read<T: FromFields>(mut self) -> Result<T, Problem> {
        let read = T::read(&mut self);
        if read.is_err() {
            // It stopped at the first error, which may come of a name that is misspelt: ask for all of them.
            self.asked = describe::<T>(self.app).iter().map(|field| field.name).collect();
        }
        self.check_names()?;
        read
    }
}

/// The fields that are asked for.
pub(crate) fn describe<T: FromFields>(app: &App) -> Vec<Description> {
    let mut fields = Fields::new(app, Given::Nothing);
    // Nothing is read, so that nothing can be wrong.
    let _ = T::read(&mut fields);
    fields.described
}

/// Reads the fields of a JSON object.
pub(crate) fn from_json<T: FromFields>(app: &App, text: &[u8]) -> Result<T, Problem> {
    let object = serde_json::from_slice(text).map_err(|error| Problem::malformed(format!("the body: {error}")))?;
    match object {
        Value::Object(given) => Fields::new(app, Given::Object(given)).read(),
        _ => Err(Problem::malformed("the body is not a JSON object")),
    }
}

/// The parameters of a query.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: FromFields> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(given) = given.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        Fields::new(app, Given::Query(given)).read().map(Self)
    }
}

/// The text of a client, shortened to fit into a line.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown += "...";
    }
    shown
}

fn lowercase(about: &str) -> String {
    let mut chars = about.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
