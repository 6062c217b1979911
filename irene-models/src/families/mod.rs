//! The fields of a config that decide what code a model runs. A config that describes other code than its family's plain one is refused
//! by name, rather than followed as what it is not.

mod names;
mod table;

use serde_json::Value;

use self::table::{
    FAMILIES, HARMLESS, HARMLESS_FIELDS, KNOWN_CODE, NO_MODEL_CODE, PLAIN, STRUCTURAL, TASKS, WITHOUT_POOLER,
};
pub(crate) use self::{
    names::{is_read, names_read, other_names, own_name},
    table::{Family, Plain},
};
use crate::{Config, Result, models::DECODERS};

/// Every family that is followed.
fn all() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().chain(DECODERS.iter().map(|decoder| &decoder.family))
}

/// A config as its family's code reads it, and a note where something was taken for granted.
pub(crate) struct Taken {
    pub(crate) config: Config,
    pub(crate) model_type: &'static str,
    pub(crate) note: Option<String>,
}

/// Finds a config's family and makes sure that the family's plain code is what the config describes.
///
/// # Errors
/// [`Error::Config`] for the first field that says otherwise, with the way out.
pub(crate) fn take(config: Config) -> Result<Taken> {
    let (mut config, of_text) = match text_model(&config) {
        Some(text) => {
            let whole = config.word_or("model_type", "")?;
            let note = format!(
                "{}: the text model of {whole} alone is followed, as its `text_config` has it",
                config.origin()
            );
            (text, Some(note))
        }
        None => (config, None),
    };
    let (family, note) = family_of(&config)?;
    let note = note.or(of_text);
    config.read_also(family.also)?;
    family.refuse_own_code(&config)?;
    family.refuse_other_classes(&config)?;
    family.refuse_other_values(&config)?;
    family.refuse_unknown_structure(&config)?;
    Ok(Taken { config, model_type: family.model_type, note })
}

/// The config of the text model in one of text and images, if its family is followed and the whole's is not.
fn text_model(config: &Config) -> Option<Config> {
    const SHARED: [&str; 4] = ["torch_dtype", "dtype", "quantization_config", "quantization"];
    let is_family = |value: &Value| all().any(|family| value == family.model_type);
    let text = config.value("text_config")?.as_object()?;
    if config.value("model_type").is_some_and(is_family) || !text.get("model_type").is_some_and(is_family) {
        return None;
    }
    let mut fields = text.clone();
    for field in SHARED {
        if let (None | Some(Value::Null), Some(value)) = (text.get(field), config.value(field)) {
            fields.insert(field.to_owned(), value.clone());
        }
    }
    Some(Config::of_fields(config.origin(), fields))
}

/// Whether the config's first class is known to run without a pooler, or the config names no class.
pub(crate) fn may_lack_pooler(config: &Config) -> bool {
    let Some(class) = classes(config).first().copied().map(without_framework) else { return true };
    WITHOUT_POOLER.iter().any(|(start, tasks)| class.strip_prefix(start).is_some_and(|task| tasks.contains(&task)))
}

fn family_of(config: &Config) -> Result<(&'static Family, Option<String>)> {
    const FIELD: &str = "model_type";
    let known = || all().map(|family| family.model_type).collect::<Vec<_>>().join(", ");
    match config.word_or(FIELD, "")? {
        "" => {}
        word => {
            let found = all().find(|family| family.model_type == word).map(|family| (family, None));
            return found
                .ok_or_else(|| config.error(FIELD, format!("`{word}` is not supported; there are {}", known())));
        }
    }
    let of_class = |class| Some((class, all().find(|family| family.has_own_class(class))?));
    if let Some((class, family)) = classes(config).into_iter().find_map(of_class) {
        let origin = config.origin();
        let note = format!("{origin} has no `{FIELD}`: taken for {}, as its class {class} says", family.model_type);
        return Ok((family, Some(note)));
    }
    let has_its_sizes = |family: &&Family| family.sizes.iter().all(|size| config.value(size).is_some());
    let alike: Vec<_> = all().filter(has_its_sizes).map(|family| family.model_type).collect();
    Err(config.error(
        FIELD,
        match alike.first() {
            Some(first) => format!(
                "is missing; the fields are those of {}: add the right one, as in \"{FIELD}\": \"{first}\"",
                some_of(&alike)
            ),
            None => format!("is missing, and the fields are those of none of {}", known()),
        },
    ))
}

/// The first of some names, and how many others there are.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        others => format!("{shown} and {others} others"),
    }
}

/// The names in `architectures`.
fn classes(config: &Config) -> Vec<&str> {
    match config.value("architectures") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(name)) => vec![name],
        _ => Vec::new(),
    }
}

/// A class's name without TensorFlow's or Flax's mark.
fn without_framework(class: &str) -> &str {
    class.strip_prefix("TF").or_else(|| class.strip_prefix("Flax")).unwrap_or(class)
}

fn is_class(starts: &[&str], class: &str) -> bool {
    let class = without_framework(class);
    starts.iter().any(|start| class.strip_prefix(start).is_some_and(|task| TASKS.contains(&task)))
}

impl Family {
    fn has_own_class(&self, class: &str) -> bool {
        self.classes.first().is_some_and(|own| is_class(&[own], class))
    }

    fn knows_code(&self, code: &Value) -> bool {
        let is_it = |(model_type, path): &(&str, &str)| {
            *model_type == self.model_type && code.as_str().is_some_and(|code| code.contains(path))
        };
        KNOWN_CODE.iter().any(is_it)
    }

    fn refuse_own_code(&self, config: &Config) -> Result<()> {
        const FIELD: &str = "auto_map";
        let code = match config.value(FIELD) {
            Some(Value::Object(map)) => {
                map.iter().find(|(class, code)| !NO_MODEL_CODE.contains(&class.as_str()) && !self.knows_code(code))
            }
            _ => return Ok(()),
        };
        let Some((_, code)) = code else { return Ok(()) };
        let reason = format!(
            "names code of the model's own, {}, which is not run here; if the model is a plain {}, leave `{FIELD}` out of a copy of \
             the config",
            shown(code),
            self.model_type
        );
        Err(config.error(FIELD, reason))
    }

    fn refuse_other_classes(&self, config: &Config) -> Result<()> {
        let classes = classes(config);
        let other = classes.iter().find(|class| !is_class(self.classes, class));
        let (Some(other), Some(own)) = (other, self.classes.first()) else { return Ok(()) };
        let reason = match all().find(|family| family.has_own_class(other)) {
            Some(family) => {
                format!("`{other}` is a class of {}, where `model_type` is {}", family.model_type, self.model_type)
            }
            None => format!(
                "`{other}` is no class of {} in transformers, so that its code is unknown here; if it is a plain {}, write \
                 `{own}Model` in a copy of the config",
                self.model_type, self.model_type
            ),
        };
        Err(config.error("architectures", reason))
    }

    fn refuse_other_values(&self, config: &Config) -> Result<()> {
        let own = |field: &str| self.plain.iter().any(|(known, _)| *known == field);
        let general = PLAIN.iter().filter(|(field, _)| !own(field) && !self.reads.contains(field));
        for (field, plain) in self.plain.iter().chain(general) {
            let Some(value) = config.value(field) else { continue };
            let reason = match plain {
                Plain::Off if is_off(value) => continue,
                Plain::On if *value == Value::Bool(true) => continue,
                Plain::On => format!("{} is not supported here, only true", shown(value)),
                Plain::Off if *value == Value::Bool(true) => "is true, which is not supported here".into(),
                Plain::Off => format!("{} is not supported here", shown(value)),
                Plain::Number(number) if value.as_f64() == Some(*number) => continue,
                Plain::Number(number) => format!("{} is not supported here, only {number}", shown(value)),
                Plain::Word(word) if value == word => continue,
                Plain::Word(word) => format!("{} is not supported here, only `{word}`", shown(value)),
                Plain::Same(other) if config.value(other) == Some(value) => continue,
                Plain::Same(other) => format!("{} is not supported here, only the same as `{other}`", shown(value)),
            };
            return Err(config.error(field, reason));
        }
        Ok(())
    }

    fn refuse_unknown_structure(&self, config: &Config) -> Result<()> {
        let is_known = |field: &str| {
            let mut plain = self.plain.iter().chain(PLAIN);
            self.sizes.contains(&field)
                || self.reads.contains(&field)
                || self.also.iter().any(|(also, _)| *also == field)
                || plain.any(|(known, _)| *known == field)
        };
        let is_other = |(field, value): &(&String, &Value)| !is_known(field) && is_structural(field) && !is_off(value);
        let Some((field, value)) = config.fields().find(is_other) else { return Ok(()) };
        let reason = format!(
            "{} is unknown for {}, and may ask for another design; if it does not, leave the field out of a copy of the config",
            shown(value),
            self.model_type
        );
        Err(config.error(field, reason))
    }
}

/// Whether a field's name tells of a model's structure.
fn is_structural(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let has = |words: &[&str]| field.split(['_', '-', '.']).any(|part| words.contains(&part));
    // Underscored fields are transformers' own notes.
    let is_harmless = field.starts_with('_') || HARMLESS_FIELDS.contains(&field.as_str()) || has(HARMLESS);
    !is_harmless && (has(STRUCTURAL) || field.starts_with("alibi") || field.starts_with("rotary"))
}

/// Whether a value says that a feature is not there, or is the plain one; -1 often does.
fn is_off(value: &Value) -> bool {
    const WORDS: &[&str] =
        &["", "none", "no", "false", "absolute", "multihead", "default", "standard", "original_full"];
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64().is_some_and(|number| number <= 0.0),
        Value::String(word) => WORDS.contains(&word.to_ascii_lowercase().as_str()),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.values().all(is_off),
    }
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_its_row() {
        let rows: Vec<_> = all().map(|family| family.model_type).collect();
        let mut known: Vec<_> = crate::models::architectures().map(crate::Architecture::model_type).collect();
        assert!(known.iter().all(|known| rows.contains(known)), "{known:?} {rows:?}");
        known.dedup();
        assert_eq!(known.len(), rows.len());
    }
}
