//! The fields of a config that decide what code a model runs. A config that describes other code than its family's plain one is refused
//! by name, rather than followed as what it is not.

mod names;
mod table;
mod text;
mod words;

use serde_json::Value;

pub(crate) use self::{
    names::{is_read, names_read, other_names, own_name},
    table::{Family, Plain},
};
use self::{
    table::{FAMILIES, PLAIN},
    text::Text,
    words::{HARMLESS, HARMLESS_FIELDS, KNOWN_CODE, NO_MODEL_CODE, STRUCTURAL, TASKS, WITHOUT_POOLER},
};
use crate::{Config, ModelFiles, Result, models::DECODERS};

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

/// The family with this `model_type`.
fn named(model_type: &str) -> Option<&'static Family> {
    all().find(|family| family.model_type == model_type)
}

/// Finds a config's family and makes sure that the family's plain code is what the config describes.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for the fields that say otherwise, with the way out.
pub(crate) fn take(config: Config) -> Result<Taken> {
    let (mut config, of_text) = match Text::of(&config) {
        Some(text) if text.is_followed() => {
            let (config, note) = text.alone(&config)?;
            (config, Some(note))
        }
        Some(text) if named(config.word_or("model_type", "")?).is_none() => return Err(text.refused(&config)),
        _ => (config, None),
    };
    let (family, of_family) = family_of(&config)?;
    config.read_also(family.also)?;
    let filled = family.fill(&mut config, of_text.is_some());
    let note = match of_text {
        Some(note) if !filled.is_empty() => {
            Some(format!("{note}, and with the sizes of its class in transformers: {}", filled.join(", ")))
        }
        None if config.value("vision_config").is_some() => {
            Some(format!("{}: the text model of {} alone is followed", config.origin(), family.model_type))
        }
        note => note.or(of_family),
    };
    family.refuse_own_code(&config)?;
    family.refuse_other_classes(&config)?;
    family.refuse_other_design(&config)?;
    Ok(Taken { config, model_type: family.model_type, note })
}

/// Whether the config's first class is known to run without a pooler, or the config names no class.
pub(crate) fn may_lack_pooler(config: &Config) -> bool {
    let Some(class) = classes(config).first().copied().map(without_framework) else { return true };
    WITHOUT_POOLER.iter().any(|(start, tasks)| class.strip_prefix(start).is_some_and(|task| tasks.contains(&task)))
}

/// Whether the config's first class is a model without a head.
pub(crate) fn is_headless(config: &Config) -> bool {
    const WITH_HEADS: [&str; 2] = ["LMHeadModel", "DoubleHeadsModel"];
    let class = classes(config).first().copied().unwrap_or_default();
    class.ends_with("Model") && !WITH_HEADS.iter().any(|end| class.ends_with(end))
}

/// The types that there are.
fn known() -> String {
    all().map(|family| family.model_type).collect::<Vec<_>>().join(", ")
}

fn unknown(model_type: &str) -> String {
    format!("`{model_type}` is not supported; there are {}", known())
}

fn family_of(config: &Config) -> Result<(&'static Family, Option<String>)> {
    const FIELD: &str = "model_type";
    let of_class = |class| Some((class, all().find(|family| family.has_own_class(class))?));
    let by_class = classes(config).into_iter().find_map(of_class);
    let word = config.word_or(FIELD, "")?;
    match (named(word), by_class) {
        (Some(family), _) => return Ok((family, None)),
        (None, Some((class, family))) if word.is_empty() => {
            let origin = config.origin();
            let note = format!("{origin} has no `{FIELD}`: taken for {}, as its class {class} says", family.model_type);
            return Ok((family, Some(note)));
        }
        (None, Some((class, family))) => {
            let reason = format!(
                "`{word}` is not supported, but its class {class} is one of {0}: if it is a plain {0}, write that in a copy of the config",
                family.model_type
            );
            return Err(config.error(FIELD, reason));
        }
        (None, None) if word.is_empty() => {}
        (None, None) => return Err(config.error(FIELD, unknown(word))),
    }
    let (alike, known) = (alike(config), known());
    let reason = alike.first().map_or_else(
        || format!("is missing, and the fields are those of none of {known}"),
        |first| {
            let some = some_of(&alike);
            format!("is missing; the fields are those of {some}: add the right one, as in \"{FIELD}\": \"{first}\"")
        },
    );
    Err(config.error(FIELD, reason))
}

/// The types whose sizes a config gives; those that read all that any family reads of it, if there are such.
fn alike(config: &Config) -> Vec<&'static str> {
    let alike: Vec<&Family> = all().filter(|family| family.has_sizes(config)).collect();
    let reading: Vec<&Family> = alike.iter().copied().filter(|family| family.reads_all(config)).collect();
    let alike = if reading.is_empty() { alike } else { reading };
    alike.into_iter().map(|family| family.model_type).collect()
}

/// The type of a config that names neither a type nor a class, and what tells it: the beginning of its weights' keys, or a word in the
/// model's name, by which transformers goes.
pub(crate) fn told_by(config: &Config, files: &ModelFiles, name: &str) -> Option<(&'static str, &'static str)> {
    if config.value("model_type").is_some() || !classes(config).is_empty() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let of_key = |key: String| named(key.split('.').next()?).filter(|family| family.has_sizes(config));
    let by_keys = files.tensors().into_keys().find_map(of_key);
    let by_name = || {
        let meant = all().filter(|family| family.has_sizes(config) && has_word(&name, family.model_type));
        meant.max_by_key(|family| family.model_type.len())
    };
    match by_keys {
        Some(family) => Some((family.model_type, "the keys of its weights say")),
        None => Some((by_name()?.model_type, "the model's name says")),
    }
}

/// Whether a text has a word that is no part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, found)| {
        let (before, after) = (&text[..start], &text[start + found.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
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
    /// Whether a config gives all the sizes that every config of the family gives.
    fn has_sizes(&self, config: &Config) -> bool {
        self.sizes.iter().all(|size| config.value(size).is_some())
    }

    /// Whether the family reads every field of a config that any family reads.
    fn reads_all(&self, config: &Config) -> bool {
        let mut given = config.fields().filter(|(_, value)| !value.is_null()).map(|(field, _)| field);
        given.all(|field| self.reads(field) || !all().any(|family| family.reads(field)))
    }

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
        let Some(Value::Object(map)) = config.value(FIELD) else { return Ok(()) };
        let is_own =
            |(class, code): &(&String, &Value)| !NO_MODEL_CODE.contains(&class.as_str()) && !self.knows_code(code);
        let Some((_, code)) = map.iter().find(is_own) else { return Ok(()) };
        let reason = format!(
            "names code of the model's own, {}, which is not run here; if the model is a plain {}, leave `{FIELD}` out of a copy of \
             the config",
            shown(code),
            self.model_type
        );
        Err(config.error(FIELD, reason))
    }

    fn refuse_other_classes(&self, config: &Config) -> Result<()> {
        const FIELD: &str = "architectures";
        let (classes, own) = (classes(config), self.model_type);
        let other = classes.iter().find(|class| !is_class(self.classes, class));
        let Some(other) = other.filter(|_| !self.classes.is_empty()) else { return Ok(()) };
        let reason = match all().find(|family| family.has_own_class(other)) {
            Some(family) => format!("`{other}` is a class of {}, where `model_type` is {own}", family.model_type),
            None => format!(
                "`{other}` is no class of {own} in transformers, so that its code is unknown here; if it is a plain {own}, leave \
                 `{FIELD}` out of a copy of the config"
            ),
        };
        Err(config.error(FIELD, reason))
    }

    /// Refuses what says that the code is another than the plain one, all of it in one line.
    fn refuse_other_design(&self, config: &Config) -> Result<()> {
        let mut others = self.other_values(config);
        others.extend(self.unknown_structure(config));
        let Some(((field, reason), rest)) = others.split_first() else { return Ok(()) };
        let rest: String = rest.iter().map(|(field, reason)| format!("; field `{field}`: {reason}")).collect();
        Err(config.error(field, format!("{reason}{rest}")))
    }

    /// Fields that have another value than the plain one, and what is wrong.
    fn other_values(&self, config: &Config) -> Vec<(String, String)> {
        let is_decoder = FAMILIES.iter().all(|family| family.model_type != self.model_type);
        let own = |field: &str| self.plain.iter().any(|(known, _)| *known == field);
        let general = PLAIN.iter().filter(|(field, _)| !own(field) && !self.reads_by(field));
        let other = |(field, plain): &(&str, Plain)| {
            let value = config.value(field)?;
            let plain = match plain {
                Plain::Bias if is_decoder => &Plain::Off,
                Plain::Bias => &Plain::On,
                plain => plain,
            };
            let (is_plain, only) = match plain {
                Plain::Off => (is_off(value), String::new()),
                Plain::Number(number) => (value.as_f64() == Some(*number), format!(", only {number}")),
                Plain::Word(word) => (value == word, format!(", only `{word}`")),
                Plain::Same(other) => (config.value(other) == Some(value), format!(", only the same as `{other}`")),
                Plain::On | Plain::Bias => (*value == Value::Bool(true), ", only true".into()),
            };
            let reason = match (plain, value) {
                _ if is_plain => return None,
                (Plain::Off, Value::Bool(true)) => "is true, which is not supported here".into(),
                _ => format!("{} is not supported here{only}", shown(value)),
            };
            Some(((*field).to_owned(), reason))
        };
        self.plain.iter().chain(general).filter_map(other).collect()
    }

    /// The first field that no row knows and that may change the structure, and what it may do; the others are named beside it.
    fn unknown_structure(&self, config: &Config) -> Option<(String, String)> {
        let is_known =
            |field: &str| self.reads(field) || self.plain.iter().chain(PLAIN).any(|(known, _)| *known == field);
        let is_other = |(field, value): &(&String, &Value)| !is_known(field) && is_structural(field) && !is_off(value);
        let mut others = config.fields().filter(is_other);
        let (field, value) = others.next()?;
        let unknown = format!("{} is unknown for {}", shown(value), self.model_type);
        let rest: Vec<String> = others.map(|(field, _)| format!("`{field}`")).collect();
        let reason = if rest.is_empty() {
            format!(
                "{unknown}, and may ask for another design; if it does not, leave the field out of a copy of the config"
            )
        } else {
            format!(
                "{unknown}, and so are {}; they may ask for another design; if they do not, leave the fields out of a copy of the \
                 config",
                rest.join(", ")
            )
        };
        Some((field.clone(), reason))
    }
}

/// Whether a field's name tells of a model's structure.
pub(crate) fn is_structural(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let has = |words: &[&str]| field.split(['_', '-', '.']).any(|part| words.contains(&part));
    // Underscored fields are transformers' own notes.
    let is_harmless = field.starts_with('_') || HARMLESS_FIELDS.contains(&field.as_str()) || has(HARMLESS);
    !is_harmless && (has(STRUCTURAL) || field.starts_with("alibi") || field.starts_with("rotary"))
}

/// Whether a value says that a feature is not there, or is the plain one; -1 often does.
pub(crate) fn is_off(value: &Value) -> bool {
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
