//! The built-in models: public configs in models.json, found by the names that they have on the Hugging Face hub.

mod catalogue;
mod release;

use serde_json::{Map, Value};

pub use self::catalogue::BuiltinModel;
use self::release::Release;
use crate::Config;

/// A built-in model under one of its names.
struct Found {
    model: &'static BuiltinModel,
    /// The name to show: the listed one, or the release's.
    name: String,
    quantisation: Option<Value>,
}

/// The built-in model with this name or id: a listed one, else a release of the same shape.
fn look_up(name_or_id: &str) -> Option<Found> {
    let listed = BuiltinModel::all().iter().find_map(|model| Some((model, model.listed_as(name_or_id)?)));
    if let Some((model, name)) = listed {
        return Some(Found { model, name: name.to_owned(), quantisation: None });
    }
    let release = Release::of(name_or_id);
    let (model, listed) = BuiltinModel::all().iter().find_map(|model| Some((model, model.released_as(&release)?)))?;
    let name = if release.is_bare() { listed } else { release.name };
    Some(Found { model, name: name.to_owned(), quantisation: release.quantisation() })
}

/// The name and config of the built-in model with this name or id, and a note where it differs from the published one.
pub(crate) fn find(name_or_id: &str) -> Option<(String, Config, Option<String>)> {
    let Found { model, name, quantisation } = look_up(name_or_id)?;
    let mut fields: Map<String, Value> = model.fields().clone();
    if let Some(quantisation) = quantisation {
        fields.insert("quantization_config".to_owned(), quantisation);
    }
    let note = model.note().map(|note| format!("{name}: {note}"));
    Some((name.clone(), Config::of_fields(format!("built-in model {name}"), fields), note))
}

/// The ids by which the hub may have a model: for a built-in one all of its ids, the present one first, else the id itself.
pub(crate) fn hub_ids(name_or_id: &str) -> Vec<String> {
    let Some(Found { model, name, .. }) = look_up(name_or_id) else { return vec![name_or_id.to_owned()] };
    let mut ids: Vec<String> = model.ids_of(&name).collect();
    // An organisation that was typed is meant; a name without one is how the hub had a few models at first.
    if let Some(typed) = ids.iter().position(|id| id.eq_ignore_ascii_case(name_or_id)) {
        ids[..=typed].rotate_right(1);
    }
    if !ids.contains(&name) {
        ids.push(name);
    }
    ids
}

/// The built-in names that a name may be a slip of, or the beginning of, best first; for a release those of its shape.
pub(crate) fn similar(name: &str) -> Vec<String> {
    let near = similar_listed(name);
    if !near.is_empty() {
        return near;
    }
    let release = Release::of(name);
    if let Some(respelled) = release.respelled().filter(|name| look_up(name).is_some()) {
        return vec![respelled];
    }
    // An encoder has no releases, and a bare name was looked for.
    let decoders = BuiltinModel::all().iter().filter(|model| model.is_decoder() && !release.is_bare());
    let shapes: Vec<(&str, &str)> =
        decoders.flat_map(|model| model.names().map(|name| (Release::of(name).stem, name))).collect();
    let of_stem = |stem: &str| shapes.iter().find(|(known, _)| *known == stem).map(|(_, name)| (*name).to_owned());
    irene_tree::similar(release.stem, shapes.iter().map(|(stem, _)| *stem)).into_iter().filter_map(of_stem).collect()
}

fn similar_listed(name: &str) -> Vec<String> {
    let names: Vec<(&str, Vec<String>)> = BuiltinModel::all()
        .iter()
        .flat_map(|model| model.names().map(|name| (name, model.ids_of(name).collect())))
        .collect();
    let known = names.iter().flat_map(|(name, ids)| std::iter::once(*name).chain(ids.iter().map(String::as_str)));
    let name_of = |near: &str| {
        let is_it = |(name, ids): &&(&str, Vec<String>)| *name == near || ids.iter().any(|id| id == near);
        names.iter().find(is_it).map_or(near, |(name, _)| name).to_owned()
    };
    let mut near: Vec<String> = irene_tree::similar(name, known).into_iter().map(name_of).collect();
    near.dedup();
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name_or_id: &str) -> Option<String> {
        Some(look_up(name_or_id)?.name)
    }

    #[test]
    fn the_typed_organisation_comes_first_among_the_ids() {
        assert_eq!(hub_ids("gpt2"), ["openai-community/gpt2", "gpt2"]);
        assert_eq!(hub_ids("someone/else"), ["someone/else"]);
    }

    #[test]
    fn a_slip_in_a_releases_name_is_told_too() {
        assert_eq!(similar("gpt2-large-intsruct"), ["gpt2-large-instruct"]);
        assert_eq!(similar("openai-community/gtp2-large-chat"), ["gpt2-large"]);
        assert!(similar("gpt2-large-tuned").is_empty() && similar("bert-base-uncased-chat").is_empty());
    }

    #[test]
    fn an_organisation_that_is_not_the_models_own_is_no_match() {
        assert_eq!(named("OPENAI-community/GPT2").as_deref(), Some("gpt2"));
        assert_eq!(named("someone/gpt2"), None);
        assert_eq!(named("a/openai-community/gpt2"), None);
    }
}
