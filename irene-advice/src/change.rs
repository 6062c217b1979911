use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Error, Result};

/// A setting of a selection with another value: `num_hidden_layers=6`, `concurrency=64`, `device=l4`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Change {
    /// A name of the selection, or a field of the model's config.
    pub name: String,
    /// The value as it is written; `default` for the usual one.
    pub value: String,
}

impl Change {
    /// A change of a setting.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// The changes of a text like `num_hidden_layers=6;hidden_act=relu`.
    ///
    /// # Errors
    /// [`Error::Change`] for a text that is no change.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
    }

    /// The text that [`list`](Self::list) reads.
    pub fn join(changes: &[Self]) -> String {
        changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
    }
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::Change { text: text.to_owned() };
        let (name, value) = text.split_once('=').ok_or_else(refuse)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() { Err(refuse()) } else { Ok(Self::new(name, value)) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_changes_is_read_as_it_is_written() {
        let text = "num_hidden_layers=6;hidden_act=relu;dtype=int4,bf16";
        assert_eq!(Change::join(&Change::list(text).unwrap()), text);
        assert!(Change::list(" ; ").unwrap().is_empty());
        for wrong in ["layers", "=6", "layers=", "a=1;b"] {
            assert!(Change::list(wrong).unwrap_err().to_string().contains("NAME=VALUE"), "{wrong}");
        }
    }
}
