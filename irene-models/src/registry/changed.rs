//! A model with other fields in its config: the question "what if it had half the layers?".

use irene_tree::suggestion;
use serde_json::{Map, Value};

use super::ModelSpec;
use crate::{Config, Error, Result, families};

impl ModelSpec {
    /// The model with other values in fields of its config, followed anew. A general name (`num_hidden_layers`) stands for the family's own
    /// (`n_layer`), and the other way round; lists with an entry for each layer get as many entries as there are layers then.
    ///
    /// ```
    /// use irene_models::ModelSpec;
    /// use irene_tree::{Quantity, Size};
    /// use serde_json::{Map, json};
    /// # fn main() -> irene_models::Result<()> {
    /// let gpt2 = ModelSpec::find("gpt2")?;
    /// let half = gpt2.with_fields(&Map::from_iter([("num_hidden_layers".to_owned(), json!(6))]))?;
    /// let parameters = |spec: &ModelSpec| Ok::<_, irene_models::Error>(spec.trace(Size::new(1, 8))?.root().get(Quantity::NumParameters));
    /// assert!(parameters(&half)? < parameters(&gpt2)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a field that the config does not have and the architecture does not read, with near names; those of
    /// [`from_config`](Self::from_config).
    pub fn with_fields(&self, changes: &Map<String, Value>) -> Result<Self> {
        if changes.is_empty() {
            return Ok(self.clone());
        }
        let mut config = self.config.clone();
        for (name, value) in changes {
            let own = self.own_field(name)?;
            families::other_names(self.model_type(), &own).for_each(|other| config.remove(other));
            config.set(&own, value.clone());
        }
        // Names of classes would say another number of them.
        if changes.contains_key("num_labels") && !changes.contains_key("id2label") {
            config.remove("id2label");
        }
        self.resize_lists(&mut config, changes);
        let changed = Self::from_config(self.name.clone(), config)?;
        let notes = self.notes.iter().chain(&changed.notes).cloned().collect();
        Ok(Self { origin: self.origin.clone(), sentence: self.sentence.clone().or(changed.sentence), notes, ..changed })
    }

    /// A field of the config, by its own name or by another that it goes by; None where the config does not give it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let own = families::own_name(&self.config, self.model_type(), name)?;
        self.config.value(&own)
    }

    /// Whether the code that is followed reads a field of the config, by any of its names.
    pub fn reads_field(&self, name: &str) -> bool {
        families::own_name(&self.config, self.model_type(), name)
            .is_some_and(|own| families::is_read(&self.config, self.model_type(), &own))
    }

    /// The names of the fields that [`with_fields`](Self::with_fields) takes: those of the config, and those that the architecture reads.
    fn field_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = families::names_read(self.model_type()).collect();
        names.extend(self.config.fields().map(|(name, _)| name.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The name that the family's code reads a field by.
    fn own_field(&self, name: &str) -> Result<String> {
        families::own_name(&self.config, self.model_type(), name).ok_or_else(|| self.unknown_field(name))
    }

    fn unknown_field(&self, name: &str) -> Error {
        let near = suggestion(name, self.field_names());
        let reason = format!(
            "{} has no such field, and its architecture ({}) reads none of that name{near}",
            self.name,
            self.model_type()
        );
        self.config.error(name, reason)
    }

    /// Lists that have an entry for each layer follow the number of layers: they go on as they began, or end earlier.
    fn resize_lists(&self, config: &mut Config, changes: &Map<String, Value>) {
        const LAYERS: &str = "num_hidden_layers";
        let count = |config: &Config| {
            let own = families::own_name(config, self.model_type(), LAYERS)?;
            usize::try_from(config.value(&own)?.as_u64()?).ok()
        };
        let (Some(before), Some(after)) = (count(&self.config), count(config)) else { return };
        if before == after || before < 2 || after > 4096 {
            return;
        }
        let fields = self.config.fields().filter(|(name, _)| !changes.contains_key(*name));
        let of_layers = |(name, value): (&String, &Value)| Some((name.clone(), resized(name, value, [before, after])?));
        let lists: Vec<(String, Value)> = fields.filter_map(of_layers).collect();
        lists.into_iter().for_each(|(name, list)| config.set(&name, list));
    }
}

/// A list with an entry for each layer, or a pattern with a letter for each, of another number of layers.
fn resized(name: &str, value: &Value, [before, after]: [usize; 2]) -> Option<Value> {
    match value {
        Value::Array(list) if list.len() == before => {
            Some(list.iter().cycle().take(after).cloned().collect::<Vec<_>>().into())
        }
        Value::String(letters) if name.contains("pattern") && letters.chars().count() == before => {
            Some(letters.chars().cycle().take(after).collect::<String>().into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Quantity, Size};
    use serde_json::json;

    use super::*;

    fn changed(model: &str, name: &str, value: Value) -> Result<ModelSpec> {
        ModelSpec::find(model)?.with_fields(&Map::from_iter([(name.to_owned(), value)]))
    }

    fn parameters(spec: &ModelSpec) -> f64 {
        spec.trace(Size::new(1, 4)).unwrap().root().get(Quantity::NumParameters).unwrap()
    }

    #[test]
    fn a_field_has_one_value_by_all_of_its_names() {
        let layers = ["num_hidden_layers", "n_layer", "n_layers"];
        for model in ["gpt2", "bert-base-uncased", "distilbert-base-uncased", "Llama-3.2-1B", "bigscience/bloom-560m"] {
            let found: Vec<f64> =
                layers.iter().map(|name| parameters(&changed(model, name, json!(3)).unwrap())).collect();
            assert!(found.iter().all(|count| *count == found[0]), "{model}: {found:?}");
            assert!(found[0] < parameters(&ModelSpec::find(model).unwrap()), "{model}");
        }
    }

    #[test]
    fn every_built_in_model_takes_half_its_layers() {
        for name in ModelSpec::builtin_names() {
            let spec = ModelSpec::find(&name).unwrap();
            let Some(layers) = spec.field("num_hidden_layers").and_then(Value::as_u64).filter(|layers| *layers > 3)
            else {
                continue;
            };
            let half = changed(&name, "num_hidden_layers", json!(layers / 2)).unwrap();
            assert!(half.trace(Size::new(1, 4)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_number_of_labels_stands_for_their_names() {
        let config = br#"{"model_type":"bert","hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "vocab_size":9,"max_position_embeddings":16,"id2label":{"0":"no","1":"yes","2":"perhaps"}}"#;
        let spec = ModelSpec::from_config("mine", Config::from_json("config.json", config).unwrap()).unwrap();
        let five = spec.with_fields(&Map::from_iter([("num_labels".to_owned(), json!(5))])).unwrap();
        assert_eq!([&spec, &five].map(|spec| spec.config().num_labels().unwrap()), [3, 5]);
    }

    #[test]
    fn an_unknown_field_is_refused_with_near_names() {
        let said = changed("gpt2", "num_hiden_layers", json!(3)).unwrap_err().to_string();
        assert!(said.contains("did you mean `num_hidden_layers`?"), "{said}");
        let said = changed("gpt2", "rope_theta", json!(3)).unwrap_err().to_string();
        assert!(said.contains("`rope_theta`") && said.contains("gpt2"), "{said}");
    }

    #[test]
    fn a_value_that_is_none_is_refused_by_its_field() {
        for (name, value) in [("n_head", json!(5)), ("n_layer", json!("two")), ("activation_function", json!(3))] {
            let spec = changed("gpt2", name, value);
            let error = spec.and_then(|spec| spec.trace(Size::new(1, 4))).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
