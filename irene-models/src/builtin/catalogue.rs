use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::release::{Release, base_of};

/// The data, by series. A field of a series holds for each of its models that does not have its own.
static MODELS: LazyLock<Vec<BuiltinModel>> = LazyLock::new(|| {
    // The tests read it; a file that could not be read would leave out the models, not stop the program.
    let series: Vec<Series> = serde_json::from_str(include_str!("models.json")).unwrap_or_default();
    series.into_iter().flat_map(Series::into_models).collect()
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    series: String,
    organisations: Vec<String>,
    config: Map<String, Value>,
    models: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    also: Vec<String>,
    parameters: u64,
    active_parameters: Option<u64>,
    source: String,
    note: Option<String>,
    #[serde(default)]
    config: Map<String, Value>,
}

impl Series {
    fn into_models(self) -> impl Iterator<Item = BuiltinModel> {
        let Self { series, organisations, config, models } = self;
        models.into_iter().map(move |entry| {
            let mut fields = config.clone();
            fields.extend(entry.config.clone());
            BuiltinModel { series: series.clone(), organisations: organisations.clone(), fields, entry }
        })
    }
}

/// A built-in model: a public model's config, under the names that it has on the Hugging Face hub.
///
/// ```
/// use irene_models::BuiltinModel;
/// let gpt2 = BuiltinModel::find("openai-community/gpt2").expect("a built-in model");
/// assert_eq!((gpt2.parameters(), gpt2.layers(), gpt2.width()), (124_439_808, Some(12), Some(768)));
/// ```
#[derive(Debug)]
pub struct BuiltinModel {
    series: String,
    organisations: Vec<String>,
    fields: Map<String, Value>,
    entry: Entry,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl BuiltinModel {
    /// Every built-in model, by series.
    pub fn all() -> &'static [Self] {
        &MODELS
    }

    /// The built-in model of this name or id, of the same shape at least.
    pub fn find(name_or_id: &str) -> Option<&'static Self> {
        super::look_up(name_or_id).map(|found| found.model)
    }

    /// Its name on the hub; without the organisation where it has one name alone.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its name and those of other models of the same shape. Releases that differ by a suffix alone are not listed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.entry.name).chain(&self.entry.also).map(String::as_str)
    }

    /// The authors' name for it and its like (`Llama 3.1 and 3.3`).
    pub fn series(&self) -> &str {
        &self.series
    }

    /// The config's `model_type`.
    pub fn family(&self) -> &str {
        self.fields.get("model_type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Parameters, those of a language model's head included; a tied head counts once.
    pub fn parameters(&self) -> u64 {
        self.entry.parameters
    }

    /// Parameters that one token meets, where experts leave out the others.
    pub fn active_parameters(&self) -> Option<u64> {
        self.entry.active_parameters
    }

    /// Who published the number of parameters: `hub` (the total of its safetensors files), `paper` or `card`, a rounded figure after a
    /// colon; `class` where it was counted in transformers' class alone.
    pub fn source(&self) -> &str {
        &self.entry.source
    }

    /// How its config differs from the published one, if it does.
    pub fn note(&self) -> Option<&str> {
        self.entry.note.as_deref()
    }

    /// Its number of layers.
    pub fn layers(&self) -> Option<usize> {
        self.first(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"])
    }

    /// The width of its hidden states.
    pub fn width(&self) -> Option<usize> {
        self.first(&["hidden_size", "n_embd", "dim", "d_model"])
    }

    /// The width inside a feed-forward part, or an expert: four times the model's where the config does not say.
    pub fn inner_width(&self) -> Option<usize> {
        const FIELDS: [&str; 6] =
            ["moe_intermediate_size", "intermediate_size", "ffn_dim", "ffn_hidden_size", "hidden_dim", "n_inner"];
        self.first(&FIELDS).or_else(|| Some(4 * self.width()?))
    }

    fn first(&self, fields: &[&str]) -> Option<usize> {
        // DBRX's inner width is in an object of its own.
        let of_expert = |field: &str| self.fields.get("ffn_config")?.get(field);
        let value = |field: &str| self.fields.get(field).or_else(|| of_expert(field));
        fields.iter().find_map(|field| usize::try_from(value(field)?.as_u64()?).ok())
    }

    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The ids that a name has on the hub.
    pub(super) fn ids_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let organisations = self.organisations.iter().filter(|_| !name.contains('/'));
        let itself = name.contains('/').then(|| name.to_owned());
        organisations.map(move |organisation| format!("{organisation}/{name}")).chain(itself)
    }

    /// The listed name that this name or id is, however it is capitalised.
    pub(super) fn listed_as(&self, name_or_id: &str) -> Option<&str> {
        self.names().find(|name| {
            let is_typed = |id: &str| id.eq_ignore_ascii_case(name_or_id);
            is_typed(name) || is_typed(base_of(name)) || self.ids_of(name).any(|id| is_typed(&id))
        })
    }

    /// The listed name that a release has the shape of. Encoders have no releases: a suffix there is another model.
    pub(super) fn released_as(&self, release: &Release<'_>) -> Option<&str> {
        let is_same = |name: &&str| {
            let listed = Release::of(name);
            let owners = || self.organisations.iter().map(String::as_str).chain(listed.organisation);
            listed.stem.eq_ignore_ascii_case(release.stem)
                && release.organisation.is_none_or(|typed| owners().any(|owner| owner.eq_ignore_ascii_case(typed)))
        };
        self.names().filter(|_| self.is_decoder()).find(is_same)
    }

    pub(super) fn is_decoder(&self) -> bool {
        let class = self.fields.get("architectures").and_then(|classes| classes[0].as_str()).unwrap_or_default();
        class.ends_with("ForCausalLM") || class.ends_with("LMHeadModel")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_data_is_read_and_no_name_stands_twice() {
        let names: Vec<&str> = BuiltinModel::all().iter().flat_map(BuiltinModel::names).collect();
        let distinct: HashSet<String> = names.iter().map(|name| base_of(name).to_lowercase()).collect();
        assert!(names.len() > 60 && distinct.len() == names.len(), "{} of {}", distinct.len(), names.len());
    }

    #[test]
    fn every_model_has_its_sizes() {
        for model in BuiltinModel::all() {
            let sizes = [model.layers(), model.width(), model.inner_width()];
            assert!(sizes.iter().all(Option::is_some) && !model.family().is_empty(), "{model:?}: {sizes:?}");
        }
    }
}
