//! Lists of modules, as the configs of quantised checkpoints have them: parts of names, globs, and regular expressions behind `re:`.

use regex::bytes::{RegexSet, RegexSetBuilder};

/// The beginnings of names that checkpoints of one model may have or lack: those of a text model alone, of one beside images, of others.
const BEGINNINGS: [&str; 5] = ["model.", "language_model.", "backbone.", "transformer.", "gpt_neox."];

/// The same as they stand before a whole name, which patterns are matched with.
const BEFORE: [&str; 7] =
    ["", "model.", "language_model.", "language_model.model.", "model.language_model.", "backbone.", "transformer."];

/// Products that some code has apart and other code joined, by the ends of their names.
const JOINT: [(&str, &str); 7] = [
    ("q_proj", "qkv_proj"),
    ("k_proj", "qkv_proj"),
    ("v_proj", "qkv_proj"),
    ("qkv_proj", "q_proj"),
    ("gate_proj", "gate_up_proj"),
    ("up_proj", "gate_up_proj"),
    ("gate_up_proj", "gate_proj"),
];

/// Some of a model's modules.
#[derive(Clone, Debug)]
pub(super) struct Modules {
    /// Parts of their names, with a dot before and behind.
    parts: Vec<String>,
    patterns: RegexSet,
}

impl Modules {
    /// The modules with one of these names as a part of theirs.
    pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { parts: names.into_iter().filter_map(part).collect(), patterns: RegexSet::empty() }
    }

    /// The modules that a list's entries mean.
    ///
    /// # Errors
    /// The first entry that is no pattern here.
    pub(super) fn read(entries: &[String]) -> Result<Self, String> {
        let build = |patterns: &[String]| {
            /// Bytes of all patterns together, which bounds the time that they take.
            const MOST: usize = 4 << 20;
            RegexSetBuilder::new(patterns).unicode(false).size_limit(MOST).build().ok()
        };
        let mut parts = Vec::new();
        let mut patterns = Vec::new();
        for entry in entries {
            match pattern(entry) {
                Some(pattern) => patterns.push((entry, pattern)),
                None => parts.extend(part(entry)),
            }
        }
        let all: Vec<String> = patterns.iter().map(|(_, pattern)| pattern.clone()).collect();
        let Some(set) = build(&all) else {
            let is_bad = |(_, pattern): &&(&String, String)| build(std::slice::from_ref(pattern)).is_none();
            let bad = patterns.iter().find(is_bad).or(patterns.first());
            return Err(bad.map_or_else(String::new, |(entry, _)| (*entry).clone()));
        };
        Ok(Self { parts, patterns: set })
    }

    /// Whether a module is among them, by the names that it goes by.
    pub(super) fn has(&self, names: &[String]) -> bool {
        let has_part = |name: &String| {
            let name = format!(".{name}.");
            self.parts.iter().any(|part| name.contains(part))
        };
        let fits = |name: &String| {
            !self.patterns.is_empty()
                && BEFORE.iter().any(|before| self.patterns.is_match(format!("{before}{name}").as_bytes()))
        };
        // MLX's own name stands in its lists as it is; others' expressions for `mlp` do not mean its experts.
        let is_mlx = |name: &str| name.contains(".switch_mlp.");
        names.iter().any(|name| has_part(name) || !is_mlx(name) && fits(name))
    }
}

/// The names that the module of the parameter with this key goes by.
pub(super) fn names_of(key: &str) -> Vec<String> {
    let key = own_name(key);
    let (module, parameter) = key.rsplit_once('.').unwrap_or((key, ""));
    let mut names = vec![module.to_owned()];
    // Stacked experts are parameters of their module; in checkpoints each has modules of its own.
    if module.ends_with("experts") {
        // The last is MLX's name.
        names.extend([key.to_owned(), format!("{module}.0.{parameter}"), key.replace("experts.", "switch_mlp.")]);
    }
    let other = |name: &String| {
        let (parent, last) = name.rsplit_once('.')?;
        let (_, other) = JOINT.iter().find(|(known, _)| *known == last)?;
        Some(format!("{parent}.{other}"))
    };
    let others: Vec<String> = names.iter().filter_map(other).collect();
    names.extend(others);
    names
}

/// A name as a part of others; None for nothing.
fn part(name: &str) -> Option<String> {
    let name = own_name(name).trim_matches('.');
    (!name.is_empty()).then(|| format!(".{name}."))
}

/// A name without its beginnings.
fn own_name(name: &str) -> &str {
    let mut name = name;
    while let Some(rest) = BEGINNINGS.iter().find_map(|beginning| name.strip_prefix(beginning)) {
        name = rest;
    }
    name
}

/// The regular expression that an entry is, if it is more than a name. A glob means the modules inside of those that it names too.
fn pattern(entry: &str) -> Option<String> {
    const OF_EXPRESSIONS: [char; 6] = ['\\', '(', '|', '^', '$', '+'];
    // No module's name begins with a dot.
    let is_expression = entry.starts_with(".*") || entry.contains(OF_EXPRESSIONS);
    let expression = entry.strip_prefix("re:").or_else(|| is_expression.then_some(entry));
    if let Some(expression) = expression {
        // Python's `match`, which those who read such lists use, begins at the first letter.
        return Some(format!("^(?:{expression})"));
    }
    let glob = || regex::escape(entry).replace(r"\*", ".*").replace(r"\?", ".");
    entry.contains(['*', '?']).then(|| format!(r"^{}(?:\..*)?$", glob()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(entry: &str, key: &str) -> bool {
        Modules::read(&[entry.to_owned()]).unwrap().has(&names_of(key))
    }

    #[test]
    fn an_entry_is_found_by_every_beginning_that_checkpoints_have() {
        const KEY: &str = "layers.0.mlp.down_proj.weight";
        for entry in [
            "model.layers.0.mlp.down_proj",
            "language_model.model.layers.0.mlp.down_proj",
            "model.language_model.layers.0.mlp",
            "layers.0",
            "mlp.down_proj",
            "model.layers.*.mlp.down_proj",
            "*mlp*",
            "model.layers.0*",
            "model.layers.?.mlp",
            "language_model.model.layers.*",
            r"re:.*mlp\.(gate|up|down)_proj",
            r"re:model\.layers\.0\.mlp\.down_proj$",
            r".*down_proj$",
            ".*mlp.*",
        ] {
            for key in [KEY, "model.layers.0.mlp.down_proj.weight"] {
                assert!(has(entry, key), "{entry} {key}");
            }
            assert!(!has(entry, "layers.10.self_attn.q_proj.weight") || entry.ends_with("layers.*"), "{entry}");
        }
        for entry in
            ["model.layers.1", "layers.0.mlp.down", "down", "re:mlp.*", r"re:.*mlp\.(gate|up)_proj", "mlp*", ""]
        {
            assert!(!has(entry, KEY), "{entry}");
        }
        assert!(has("backbone.layers.*.mixer.in_proj", "backbone.layers.3.mixer.in_proj.weight"));
        assert!(has("backbone.layers.*.mixer.in_proj", "layers.3.mixer.in_proj.weight"));
        assert!(has("model.lm_head", "lm_head.weight") && has("lm_head*", "lm_head.weight"));
    }

    #[test]
    fn products_are_found_apart_and_joined() {
        for (entry, key) in [
            ("model.layers.*.self_attn.qkv_proj", "layers.4.self_attn.k_proj.weight"),
            ("layers.4.mlp.gate_up_proj", "layers.4.mlp.up_proj.weight"),
            ("layers.4.self_attn.q_proj", "layers.4.self_attn.qkv_proj.weight"),
            (r"re:.*mlp\.gate_proj", "layers.4.mlp.gate_up_proj.weight"),
            (r"re:.*experts\.\d+\.gate_proj", "layers.4.mlp.experts.gate_up_proj"),
            ("model.layers.4.mlp.experts.*.down_proj", "layers.4.mlp.experts.down_proj"),
            ("model.layers.4.mlp.experts", "layers.4.mlp.experts.down_proj"),
            ("model.layers.4.mlp.switch_mlp.down_proj", "layers.4.mlp.experts.down_proj"),
            ("model.layers.4.mlp.switch_mlp.gate_proj", "layers.4.mlp.experts.gate_up_proj"),
        ] {
            assert!(has(entry, key), "{entry} {key}");
        }
        // A dense layer's product is none of an expert's.
        assert!(!has(r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", "layers.4.mlp.experts.gate_up_proj"));
        assert!(!has("layers.4.mlp.gate", "layers.4.mlp.gate_proj.weight"));
    }

    #[test]
    fn an_entry_that_is_no_pattern_is_given_back() {
        let entries =
            |entries: &[&str]| Modules::read(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>());
        assert_eq!(entries(&["lm_head", "re:a.*", "re:(b", "re:c)"]).unwrap_err(), "re:(b");
        assert_eq!(entries(&["re:(?!x)y"]).unwrap_err(), "re:(?!x)y");
        assert!(entries(&["re:(((a{1000}){1000}){1000})"]).is_err());
        assert!(entries(&[]).is_ok());
    }
}
