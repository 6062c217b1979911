use irene_tree::did_you_mean;

use crate::fields;

/// Why there is no answer, with the setting at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot have this value.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting, by its name in a selection.
        name: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// A text that is no change of a setting.
    #[error("`{text}` is no change: write NAME=VALUE, as in num_hidden_layers=6 or batch_size=32")]
    Change {
        /// The text that was written.
        text: String,
    },
    /// A machine that is neither measured nor in the catalogue.
    #[error("device: `{name}` is unknown{}; measured are {measured}, and `irene devices` lists the data sheets", did_you_mean(.similar))]
    UnknownDevice {
        /// The name that was asked for.
        name: String,
        /// Known names that look like it.
        similar: Vec<String>,
        /// The measured machines.
        measured: String,
    },
    /// A model that is not built in, while only built-in ones are looked for.
    #[error("model: `{name}` is unknown{}", did_you_mean(.similar))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// Built-in names that look like it.
        similar: Vec<String>,
    },
    /// A grid that is not known.
    #[error("grid: `{name}` is neither a country that is known nor a number of g CO2e per kWh{}", did_you_mean(.similar))]
    UnknownGrid {
        /// The name that was asked for.
        name: String,
        /// Known names that look like it.
        similar: Vec<String>,
    },
    /// The model, or its config.
    #[error("{0}")]
    Model(#[from] irene_models::Error),
    /// A measured machine's memory has no room for the run.
    #[error("{0}")]
    DoesNotFit(String),
    /// A data sheet's forecast failed.
    #[error("{}{error}", in_setting(.name))]
    Predict {
        /// The setting; empty where no single one is at fault.
        name: &'static str,
        /// The error.
        error: Box<irene_predict::Error>,
    },
}

/// `weights: `, unless the whole selection is at fault.
fn in_setting(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}

impl Error {
    pub(crate) fn setting(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), reason: reason.into() }
    }

    /// The setting or the config's field that is at fault, where a single one is; of a degree that does not divide a field, the degree.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Setting { name, .. } => Some(name),
            Self::UnknownDevice { .. } => Some("device"),
            Self::UnknownGrid { .. } => Some("grid"),
            Self::UnknownModel { .. } | Self::Model(irene_models::Error::UnknownModel { .. }) => Some("model"),
            Self::Model(irene_models::Error::Config { field, reason, .. }) => {
                Some(fields::degree(reason).unwrap_or(field.as_str()))
            }
            Self::Model(irene_models::Error::Input { reason, .. }) => fields::degree(reason),
            Self::Predict { name: "", error } => at_fault(error),
            Self::Predict { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether the selection is understood, and the model does not fit the device's memory.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::DoesNotFit(_) => true,
            Self::Predict { error, .. } => matches!(**error, irene_predict::Error::DoesNotFit { .. }),
            _ => false,
        }
    }
}

/// The setting that a forecast's error is about, where the error names no other.
fn at_fault(error: &irene_predict::Error) -> Option<&'static str> {
    let is_of_rate = matches!(error, irene_predict::Error::Overload { .. } | irene_predict::Error::TooRare { .. });
    is_of_rate.then_some("rate")
}

impl From<irene_predict::Error> for Error {
    fn from(error: irene_predict::Error) -> Self {
        match error {
            irene_predict::Error::Model(error) => Self::Model(error),
            error => Self::Predict { name: "", error: Box::new(error) },
        }
    }
}

impl From<irene_predict::Fault> for Error {
    fn from(fault: irene_predict::Fault) -> Self {
        match fault.error {
            irene_predict::Error::Model(error) => Self::Model(error),
            error => Self::Predict { name: name_of(fault.column), error: Box::new(error) },
        }
    }
}

/// The name that a column of a request sheet has in a selection.
fn name_of(column: &'static str) -> &'static str {
    match column {
        "prompt" => "seq_len",
        "generated" => "generate",
        column => column,
    }
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
