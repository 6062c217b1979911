//! JSON Schema, as far as the OpenAPI document uses it: what is wrong with a value, and values at random.

use irene_numerics::{GOLDEN, mixed};
use serde_json::{Map, Value, json};

/// The faults of a value, each with its place. A keyword that is not known here stops the test: nothing is passed over.
pub(crate) fn errors(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "$", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, is) in schema.as_object().unwrap() {
        let length = || value.as_str().map(|text| text.chars().count() as f64);
        let count = || value.as_array().map(|items| items.len() as f64);
        let is_met = match keyword.as_str() {
            "contentSchema" => {
                let content = serde_json::from_str(value.as_str().unwrap()).unwrap();
                check(document, is, &content, &format!("{at}'s content"), found);
                true
            }
            "contentMediaType" => is == "application/json",
            "title" | "description" | "format" | "examples" | "example" | "default" => true,
            "$ref" => {
                check(document, resolve(document, is.as_str().unwrap()), value, at, found);
                true
            }
            "type" => match is {
                Value::Array(types) => types.iter().any(|one| has_type(value, one.as_str().unwrap())),
                one => has_type(value, one.as_str().unwrap()),
            },
            "const" => value == is,
            "enum" => is.as_array().unwrap().contains(value),
            "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > is.as_f64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|number| number >= is.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= is.as_f64().unwrap()),
            "minLength" => length().is_none_or(|length| length >= is.as_f64().unwrap()),
            "maxLength" => length().is_none_or(|length| length <= is.as_f64().unwrap()),
            "minItems" => count().is_none_or(|count| count >= is.as_f64().unwrap()),
            "maxItems" => count().is_none_or(|count| count <= is.as_f64().unwrap()),
            "required" => value.as_object().is_none_or(|members| {
                is.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                let members = value.as_object().into_iter().flatten();
                for (name, member) in members.filter(|(name, _)| is.get(name.as_str()).is_some()) {
                    check(document, &is[name], member, &format!("{at}.{name}"), found);
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(is, false, "another form of additionalProperties");
                value
                    .as_object()
                    .is_none_or(|members| members.keys().all(|name| schema["properties"].get(name).is_some()))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, is, item, &format!("{at}[{index}]"), found);
                }
                true
            }
            "allOf" => {
                is.as_array().unwrap().iter().for_each(|one| check(document, one, value, at, found));
                true
            }
            "anyOf" | "oneOf" => {
                let fits = is.as_array().unwrap().iter().filter(|one| errors(document, one, value).is_empty()).count();
                fits == 1 || (fits > 1 && keyword == "anyOf")
            }
            _ => unreachable!("keyword {keyword} at {at}"),
        };
        if !is_met {
            let shown: String = value.to_string().chars().take(80).collect();
            found.push(format!("{at}: {keyword} {is} is not met by {shown}"));
        }
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => unreachable!("type {name}"),
    }
}

/// The part of the document that a reference leads to; a dangling one stops the test.
pub(crate) fn resolve<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let path = reference.strip_prefix('#').unwrap();
    document.pointer(path).unwrap_or_else(|| unreachable!("{reference} leads nowhere"))
}

/// Numbers at random, the same for the same seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A value within a schema's bounds; often at their ends.
    pub(crate) fn within(&mut self, schema: &Value) -> Value {
        if let Some(all) = schema["examples"].as_array().or(schema["enum"].as_array()) {
            return self.one_of(all).clone();
        }
        match schema["type"].as_str().unwrap() {
            "integer" => {
                let [least, most] = ["minimum", "maximum"].map(|end| schema[end].as_u64().unwrap());
                let small = least + self.next() % 64.min(most - least + 1);
                json!(*self.one_of(&[small, small, small, least, most]))
            }
            "number" => {
                let most = schema["maximum"].as_f64().unwrap();
                json!(*self.one_of(&[1.0, 2.5, 0.125, most]))
            }
            "boolean" => json!(self.next().is_multiple_of(2)),
            "string" => {
                let most = schema["maxLength"].as_u64().unwrap().min(300);
                let length = 1 + self.below(most as usize);
                json!(self.text(length))
            }
            "array" => {
                let count = 1 + self.below(3);
                json!((0..count).map(|_| self.within(&schema["items"])).collect::<Vec<_>>())
            }
            "object" => {
                let properties = schema["properties"].as_object().cloned().unwrap_or_default();
                let names = properties.iter().filter(|(name, _)| {
                    let is_required = schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
                    is_required || self.next().is_multiple_of(2)
                });
                let names: Vec<_> = names.map(|(name, _)| name.clone()).collect();
                json!(
                    names
                        .into_iter()
                        .map(|name| (name.clone(), self.within(&properties[&name])))
                        .collect::<Map<_, _>>()
                )
            }
            other => unreachable!("type {other}"),
        }
    }

    /// A value that breaks a schema; None where every text would fit it.
    pub(crate) fn beyond(&mut self, schema: &Value) -> Option<Value> {
        if schema.get("enum").is_some() || schema.get("pattern").is_some() {
            return Some(json!(format!("no-{}", self.next())));
        }
        Some(match schema["type"].as_str().unwrap() {
            "integer" => {
                let most = schema["maximum"].as_u64().unwrap();
                let wrong = [json!(-1), json!(1.5), json!("x"), json!("1e2"), json!("+1"), json!(most.checked_add(1)?)];
                self.one_of(&wrong).clone()
            }
            "number" => {
                let most = schema["maximum"].as_f64().unwrap();
                let below = if schema["minimum"].as_f64() > Some(0.0) { 0 } else { -1 };
                let wrong = [
                    json!(below),
                    json!(-1.5),
                    json!("x"),
                    json!("inf"),
                    json!("NaN"),
                    json!("1,5"),
                    json!(most * 1.01),
                ];
                self.one_of(&wrong).clone()
            }
            "boolean" => json!(*self.one_of(&["yes", "1", "True", ""])),
            "string" => json!("x".repeat(schema["maxLength"].as_u64()? as usize + 1)),
            "array" => {
                let wrong = [json!([]), json!(["x"]), json!([1, -1]), json!([0])];
                self.one_of(&wrong).clone()
            }
            "object" => json!([1]),
            other => unreachable!("type {other}"),
        })
    }

    fn text(&mut self, length: usize) -> String {
        const LETTERS: [char; 12] = ['a', 'Z', '0', ' ', '/', '&', '%', '\'', '\n', '\u{0}', 'é', '\u{1f600}'];
        (0..length).map(|_| *self.one_of(&LETTERS)).collect()
    }
}
