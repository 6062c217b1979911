use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The constants of a law by their names (`matrix.share`), from groups of numbers within groups.
pub fn constants_of(law: &impl Serialize) -> BTreeMap<String, f64> {
    fn collect(value: &Value, name: String, into: &mut BTreeMap<String, f64>) {
        match value {
            Value::Object(group) => group.iter().for_each(|(key, value)| {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                collect(value, name, into);
            }),
            value => into.extend(value.as_f64().map(|number| (name, number))),
        }
    }
    let mut constants = BTreeMap::new();
    collect(&serde_json::to_value(law).unwrap_or_default(), String::new(), &mut constants);
    constants
}

/// A law with other values of some constants; None if it has no constant of a name, or a value is not a number.
pub fn with_constants<'a, T: Serialize + DeserializeOwned>(
    law: &T,
    constants: impl IntoIterator<Item = (&'a str, f64)>,
) -> Option<T> {
    fn set(value: &mut Value, name: &str, constant: f64) -> Option<()> {
        match value {
            // Names of groups may have dots too.
            Value::Object(group) => group.iter_mut().find_map(|(key, value)| {
                let rest = name.strip_prefix(key.as_str())?;
                let rest = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
                set(value, rest, constant)
            }),
            Value::Number(number) if name.is_empty() => {
                *number = serde_json::Number::from_f64(constant)?;
                Some(())
            }
            _ => None,
        }
    }
    let mut value = serde_json::to_value(law).ok()?;
    for (name, constant) in constants {
        set(&mut value, name, constant)?;
    }
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KernelLaw;

    #[test]
    fn constants_are_set_by_the_names_that_they_are_listed_by() {
        let law = KernelLaw::shipped();
        let constants = constants_of(law);
        assert_eq!(constants["matrix.share"], law.matrix.share);
        let changed: KernelLaw = with_constants(law, [("matrix.share", 0.5)]).unwrap();
        assert_eq!((changed.matrix.share, changed.scalar), (0.5, law.scalar));
        assert_eq!(
            with_constants(law, constants.iter().map(|(name, value)| (name.as_str(), *value))).as_ref(),
            Some(law)
        );
        for wrong in [("matrix.shares", 0.5), ("matrix", 0.5), ("matrix.share", f64::NAN)] {
            assert!(with_constants(law, [wrong]).is_none(), "{wrong:?}");
        }
    }
}
