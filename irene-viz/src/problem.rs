use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use irene_tree::{did_you_mean, suggestion};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::shown;

/// The fault of a request, for a program and in a line for a person (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The fault of this request, and the way out.
    detail: String,
    /// The parameter or field that is to be changed, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: one_line(detail.into()), parameter: None }
    }

    /// About this parameter or field.
    pub(crate) fn about(self, parameter: &str) -> Self {
        Self { parameter: Some(parameter.to_owned()), ..self }
    }

    /// The fault, in a line.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The request cannot be understood.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The request is understood, and nothing can be predicted for it.
    pub(crate) fn refused(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, in_parameters(error))
    }

    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A name that the list of models or of devices does not have.
    pub(crate) fn unknown_of(what: &str, name: &str, similar: &[impl AsRef<str>]) -> Self {
        let near = did_you_mean(similar);
        Self::unknown(format!("{what} `{}` is unknown{near}; /api/v1/{what}s lists the known ones", shown(name)))
    }

    /// The value of a parameter that is none of a few.
    pub(crate) fn none_of(parameter: &str, name: &str, known: &[String]) -> Self {
        let near = suggestion(name, known.iter().map(String::as_str));
        let detail = format!("{parameter} `{}` is unknown{near}; there are {}", shown(name), known.join(", "));
        Self::unknown(detail).about(parameter)
    }
}

/// An error with parameters in place of the fields that it names: `weights` f8_e4m3 rather than precision.weights f8_e4m3.
pub(crate) fn in_parameters(error: &dyn std::error::Error) -> String {
    irene_advice::in_settings(&error.to_string(), |name| format!("`{name}`"))
}

/// A detail may name what a client sent: without what would break the line, and not much longer than a line.
fn one_line(detail: String) -> String {
    const MOST: usize = 1000;
    if detail.chars().count() <= MOST && !detail.contains(char::is_control) {
        return detail;
    }
    let escaped = |c: char| if c.is_control() { c.escape_debug().collect() } else { String::from(c) };
    let mut line: String = detail.chars().take(MOST).map(escaped).collect();
    if detail.chars().nth(MOST).is_some() {
        line += "...";
    }
    line
}

/// Names are looked up in the catalogues, where one is unknown that a client may have from elsewhere.
impl From<irene_advice::Error> for Problem {
    fn from(error: irene_advice::Error) -> Self {
        use irene_advice::Error;
        let parameter = error.field().map(str::to_owned);
        let problem = match &error {
            Error::UnknownDevice { name, similar, .. } => Self::unknown_of("device", name, similar),
            Error::UnknownModel { name, similar } => Self::unknown_of("model", name, similar),
            Error::Change { .. } => Self::malformed(error.to_string()),
            _ => Self::refused(&error),
        };
        Self { parameter, ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_whatever_it_names() {
        let detail = |text: &str| Problem::malformed(text).detail().to_owned();
        assert_eq!(detail("as it is: é"), "as it is: é");
        assert_eq!(detail("a\nb\u{7}"), "a\\nb\\u{7}");
        let long = detail(&"x".repeat(5000));
        assert!(long.len() == 1003 && long.ends_with("x..."), "{}", long.len());
    }
}
