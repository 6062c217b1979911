//! The names of settings for what errors name by its field in Rust.

/// Fields, as the errors of the crates below name them, and the settings that fill them.
const FIELDS: [(&str, &str); 16] = [
    ("Device::read", "device_spec"),
    ("DeviceProfile::read", "predictor"),
    ("Host::Watts", "host_power"),
    ("parallel.data", "data_parallel"),
    ("parallel.expert", "expert_parallel"),
    ("parallel.pipeline", "pipeline_parallel"),
    ("parallel.tensor", "tensor_parallel"),
    ("precision.weights", "weights"),
    ("run.generate", "generate"),
    ("run.precision", "dtype"),
    ("size.past", "past"),
    ("size.sequences", "batch_size"),
    ("training.accumulate", "accumulate"),
    ("training.checkpoint", "checkpoint"),
    ("training.lora_rank", "lora_rank"),
    ("training.optimizer", "optimizer"),
];

/// A message with settings in place of fields, each as `shown` writes its name: `precision.weights int4` is `weights int4`.
pub fn in_settings(message: &str, shown: impl Fn(&str) -> String) -> String {
    FIELDS.iter().fold(message.to_owned(), |message, (field, setting)| message.replace(field, &shown(setting)))
}

/// A reason of an answer, which names settings between backticks, with each of them as `shown` writes it.
pub fn with_settings(reason: &str, shown: impl Fn(&str) -> String) -> String {
    FIELDS
        .iter()
        .fold(reason.to_owned(), |reason, (_, setting)| reason.replace(&format!("`{setting}`"), &shown(setting)))
}

/// The setting of the degree that a reason names first, if it names one.
pub(crate) fn degree(reason: &str) -> Option<&'static str> {
    let degrees = FIELDS.iter().filter(|(field, _)| field.starts_with("parallel."));
    let named = degrees.filter_map(|(field, setting)| Some((reason.find(*field)?, *setting)));
    named.min().map(|(_, setting)| setting)
}

/// An error as answers have it.
pub(crate) fn told(error: &impl ToString) -> String {
    in_settings(&error.to_string(), |setting| format!("`{setting}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_names_of_their_settings() {
        let ways = "parallel.tensor 2, or precision.weights int4 would do: leave size.past out, or read one by DeviceProfile::read";
        let here = "`tensor_parallel` 2, or `weights` int4 would do: leave `past` out, or read one by `predictor`";
        assert_eq!(told(&ways), here);
        assert_eq!(told(&"no field"), "no field");
        let flags = with_settings(here, |setting| format!("--{}", setting.replace('_', "-")));
        assert_eq!(
            flags,
            "--tensor-parallel 2, or --weights int4 would do: leave --past out, or read one by --predictor"
        );
        for (field, setting) in FIELDS {
            assert_eq!(in_settings(field, str::to_uppercase), setting.to_uppercase());
        }
    }
}
