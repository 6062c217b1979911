//! Attributes of OpenTelemetry's semantic conventions for generative AI (version 1.37).

use crate::Share;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
}

impl Share {
    /// Names and values for a span or an event of OpenTelemetry.
    ///
    /// The model, the operation, the tokens and the error have the names of the conventions for generative AI. The conventions have no
    /// energy, so the joules are under `irene.energy`. Unknown values are left out.
    pub fn attributes(&self) -> Vec<(&'static str, Value)> {
        let count = |tokens: u64| Value::Int(i64::try_from(tokens).unwrap_or(i64::MAX));
        let mut attributes = vec![
            ("gen_ai.operation.name", Value::Text(self.operation.name().to_owned())),
            ("gen_ai.request.model", Value::Text(self.model.to_string())),
            ("gen_ai.usage.input_tokens", count(self.prompt_tokens)),
            ("gen_ai.usage.output_tokens", count(self.tokens)),
            ("irene.energy.covered_ratio", Value::Float(self.covered)),
        ];
        let provenance = self.provenance.map(|provenance| Value::Text(provenance.name().to_owned()));
        attributes.extend(provenance.map(|provenance| ("irene.energy.provenance", provenance)));
        let energies = [
            ("irene.energy.joules", self.joules()),
            ("irene.energy.prompt_joules", self.prompt_joules()),
            ("irene.energy.decode_joules", self.decode_joules()),
            ("irene.energy.idle_joules", self.idle_joules()),
        ];
        attributes.extend(energies.into_iter().filter_map(|(name, joules)| Some((name, Value::Float(joules?)))));
        if self.is_cancelled {
            attributes.push(("error.type", Value::Text("cancelled".into())));
        }
        attributes
    }
}
