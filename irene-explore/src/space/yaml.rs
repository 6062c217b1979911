use std::path::Path;

use irene_models::flexibert::Head;
use serde_json::Value;

use super::{DesignSpace, choices::MOST_CHOICES};
use crate::Error;

/// Far above any model's.
const MOST_LAYERS: usize = 64;
const MOST_HEADS: usize = 1024;
const WIDEST: usize = 1 << 20;
const MOST_STACKS: usize = 16;
const LONGEST_LIST: usize = 64;

/// The name of a field, and what is wrong with it.
type Wrong = (&'static str, String);

impl DesignSpace {
    /// A space from the text of a file in the published form: below `architecture` the lists `encoder_layers`, `hidden_size`,
    /// `num_heads`, `operation_types`, `feed-forward_hidden` and `number_of_feed-forward_stacks`, numbers ascending, and
    /// `operation_parameters`, a list for each type. Other fields are left to others.
    ///
    /// # Errors
    /// [`Error::File`] with the origin, the field and what was expected.
    pub fn from_yaml(origin: &str, text: &str) -> crate::Result<Self> {
        let refuse = |reason: String| Error::File { origin: origin.to_owned(), reason };
        let root: Value = serde_saphyr::from_str(text).map_err(|error| {
            let message = error.without_snippet().to_string();
            refuse(message.lines().next().unwrap_or("is no YAML").to_owned())
        })?;
        Self::try_from(root).map_err(refuse)
    }

    /// A space from a file; see [`Self::from_yaml`].
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, and as [`Self::from_yaml`].
    pub fn read(path: impl AsRef<Path>) -> crate::Result<Self> {
        let path = path.as_ref();
        let text = irene_tree::read_text(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::from_yaml(&path.display().to_string(), &text)
    }

    fn read_fields(fields: &Value) -> Result<Self, Wrong> {
        let numbers = |field, most| numbers(fields.get(field), most).map_err(|reason| (field, reason));
        Ok(Self {
            layers: numbers("encoder_layers", MOST_LAYERS)?,
            hidden: numbers("hidden_size", WIDEST)?,
            heads: numbers("num_heads", MOST_HEADS)?,
            operations: operations(fields)?,
            feed_forward: numbers("feed-forward_hidden", WIDEST)?,
            stacks: numbers("number_of_feed-forward_stacks", MOST_STACKS)?,
        })
    }

    fn check_sizes(&self) -> Result<(), Wrong> {
        let narrowest = self.hidden.iter().min().copied().unwrap_or(0);
        if let Some(heads) = self.heads.iter().find(|heads| **heads > narrowest) {
            return Err(("num_heads", format!("{heads} heads do not fit a hidden size of {narrowest}")));
        }
        let most = |what| format!("there are more than {MOST_CHOICES} {what}; leave out some");
        self.head_choices().ok_or_else(|| ("num_heads", most("multisets of heads")))?;
        let stacks = "number_of_feed-forward_stacks";
        self.feed_forward_choices().ok_or_else(|| (stacks, most("lists of feed-forward widths")))?;
        Ok(())
    }
}

/// The fields that [`DesignSpace::from_yaml`] reads, as irene's files hold them.
impl TryFrom<Value> for DesignSpace {
    type Error = String;

    fn try_from(root: Value) -> Result<Self, String> {
        let fields = root.get("architecture").ok_or("field `architecture`: is missing")?;
        let space = Self::read_fields(fields).and_then(|space| space.check_sizes().map(|()| space));
        space.map_err(|(field, reason)| format!("field `architecture.{field}`: {reason}"))
    }
}

impl From<DesignSpace> for Value {
    fn from(space: DesignSpace) -> Self {
        let mut parameters: Vec<(String, Vec<String>)> = Vec::new();
        for head in &space.operations {
            let name = head.to_string();
            let (kind, parameter) = name.split_once('_').unwrap_or((&name, ""));
            match parameters.iter_mut().find(|(known, _)| known == kind) {
                Some((_, all)) => all.push(parameter.to_owned()),
                None => parameters.push((kind.to_owned(), vec![parameter.to_owned()])),
            }
        }
        let types: Vec<&String> = parameters.iter().map(|(kind, _)| kind).collect();
        let parameters: serde_json::Map<String, Self> =
            parameters.iter().map(|(kind, all)| (kind.clone(), all.clone().into())).collect();
        serde_json::json!({ "architecture": {
            "encoder_layers": space.layers,
            "hidden_size": space.hidden,
            "num_heads": space.heads,
            "operation_types": types,
            "operation_parameters": parameters,
            "feed-forward_hidden": space.feed_forward,
            "number_of_feed-forward_stacks": space.stacks,
        }})
    }
}

fn list<'a>(field: Option<&'a Value>, of: &str) -> Result<&'a [Value], String> {
    let field = field.ok_or("is missing")?;
    match field.as_array() {
        None => Err(format!("expected a list of {of}, found {}", shortened(field))),
        Some(list) if list.is_empty() => Err(format!("expected a list of {of}, found an empty one")),
        Some(list) if list.len() > LONGEST_LIST => {
            Err(format!("expected a list of at most {LONGEST_LIST} {of}, found {}", list.len()))
        }
        Some(list) => Ok(list),
    }
}

fn numbers(field: Option<&Value>, most: usize) -> Result<Vec<usize>, String> {
    let number = |value: &Value| {
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| format!("expected whole numbers from 1 to {most}, found {}", shortened(value)))
    };
    let numbers = list(field, "numbers")?.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    match numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("expected numbers in ascending order, found {} after {}", pair[1], pair[0])),
        None => Ok(numbers),
    }
}

/// Each type with each of its parameters: `sa` with `sdp` is `sa_sdp`.
fn operations(fields: &Value) -> Result<Vec<Head>, Wrong> {
    const TYPES: &str = "operation_types";
    const PARAMETERS: &str = "operation_parameters";
    let mut found: Vec<Head> = Vec::new();
    for kind in list(fields.get(TYPES), "names").map_err(|reason| (TYPES, reason))? {
        let kind = kind.as_str().ok_or_else(|| (TYPES, format!("expected names, found {}", shortened(kind))))?;
        let wrong = |reason| (PARAMETERS, format!("for the type `{}`: {reason}", shortened(&kind.into())));
        let parameters = fields.get(PARAMETERS).ok_or((PARAMETERS, "is missing".to_owned()))?;
        for parameter in list(parameters.get(kind), "names or numbers").map_err(wrong)? {
            let parameter = parameter.as_str().map_or_else(|| shortened(parameter), str::to_owned);
            let head: Head = format!("{kind}_{parameter}").parse().map_err(wrong)?;
            if found.contains(&head) {
                return Err(wrong(format!("{head} is there twice")));
            }
            found.push(head);
        }
    }
    Ok(found)
}

/// A value in a line.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = include_str!("../../spaces/flexibert.yaml");

    #[test]
    fn the_published_space_is_read_as_specified() {
        let space = DesignSpace::published();
        assert_eq!(space.layers, [2, 4, 6, 8, 10, 12]);
        assert_eq!(space.hidden, [128, 256, 512, 768]);
        assert_eq!(space.heads, [2, 4, 8, 12]);
        let operations: Vec<String> = space.operations.iter().map(ToString::to_string).collect();
        assert_eq!(operations, ["sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5", "c_9", "c_13"]);
        assert_eq!(space.feed_forward, [256, 512, 1024, 2048, 3072, 4096]);
        assert_eq!(space.stacks, [1, 2, 3]);
        assert_eq!(space.embedding_len(), 37);
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line() {
        let cases = [
            ("[128, 256, 512, 768]", "[]", "hidden_size`: expected a list of numbers, found an empty one"),
            ("[128, 256, 512, 768]", "768", "hidden_size`: expected a list of numbers, found 768"),
            ("128, 256,", "0, 256,", "hidden_size`: expected whole numbers from 1 to 1048576, found 0"),
            ("128, 256,", "128, 2.5,", "hidden_size`: expected whole numbers from 1 to 1048576, found 2.5"),
            ("128, 256,", "256, 256,", "hidden_size`: expected numbers in ascending order, found 256 after 256"),
            ("10, 12]", "10, 65]", "encoder_layers`: expected whole numbers from 1 to 64, found 65"),
            ("  num_heads", "  number_of_heads", "num_heads`: is missing"),
            ("8, 12]", "8, 300]", "num_heads`: 300 heads do not fit a hidden size of 128"),
            ("8, 12]", "8, 60]", "num_heads`: there are more than 16777216 multisets of heads; leave out some"),
            (
                "[1, 2, 3]",
                "[1, 16]",
                "number_of_feed-forward_stacks`: there are more than 16777216 lists of feed-forward widths; leave out some",
            ),
            ("[sa, l, c]", "[sa, l, d]", "operation_parameters`: for the type `\"d\"`: is missing"),
            ("[sa, l, c]", "[sa, l, 3]", "operation_types`: expected names, found 3"),
            ("[5, 9, 13]", "[5, 9, 9]", "operation_parameters`: for the type `\"c\"`: c_9 is there twice"),
            (
                "[5, 9, 13]",
                "[5, 8]",
                "operation_parameters`: for the type `\"c\"`: `c_8` is no head; there are sa_sdp, sa_wma, l_dft, l_dct and c_ with an odd kernel",
            ),
        ];
        for (from, to, expected) in cases {
            assert!(PUBLISHED.contains(from));
            let error = DesignSpace::from_yaml("space.yaml", &PUBLISHED.replace(from, to)).unwrap_err().to_string();
            assert_eq!(error, format!("space.yaml: field `architecture.{expected}"));
        }
        for (text, expected) in
            [("layers: [1]", "field `architecture`: is missing"), ("", "field `architecture`: is missing")]
        {
            let error = DesignSpace::from_yaml("space.yaml", text).unwrap_err().to_string();
            assert_eq!(error, format!("space.yaml: {expected}"));
        }
        let error = DesignSpace::from_yaml("space.yaml", "a: [1\nb: }").unwrap_err().to_string();
        assert!(error.starts_with("space.yaml: ") && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn spaces_that_come_along_are_found_by_name() {
        for (name, _) in super::super::BUILTIN {
            DesignSpace::find(name).unwrap();
        }
        assert_eq!(DesignSpace::find("flexibert").unwrap(), DesignSpace::published());
        let error = DesignSpace::find("smal").unwrap_err().to_string();
        assert_eq!(error, "smal: is neither a file nor a design space that comes along (flexibert, small)");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = DesignSpace::read("no/such/space.yaml").unwrap_err();
        assert!(error.to_string().starts_with("no/such/space.yaml: "));
    }
}
