//! Smaller models: kin of the family, and the model itself with fewer layers.

use irene_models::BuiltinModel;
use serde_json::Value;

use super::{Accuracy, Advice, Idea, Kind};
use crate::Change;

/// Kin that are tried beside those that were distilled.
const KIN: usize = 2;

/// The share of the parameters that kin have at most, to be worth another model.
const SMALLER: f64 = 0.75;

/// A vocabulary that differs by less is padded otherwise, and its tokens are the same.
const PADDING: f64 = 0.02;

/// The word that a series and its kin begin with: `bert` of BERT and DistilBERT, `llama` of Llama 3.1 and 3.2.
fn stem(series: &str) -> String {
    let word = series.split_whitespace().next().unwrap_or_default().to_lowercase();
    word.strip_prefix("distil").map(str::to_owned).unwrap_or(word)
}

fn is_distilled(model: &BuiltinModel) -> bool {
    model.series().to_lowercase().starts_with("distil")
}

fn vocabulary(model: &BuiltinModel) -> Option<f64> {
    let spec = irene_models::ModelSpec::builtin(model.name())?;
    spec.vocab_size().ok().map(|size| size as f64)
}

/// Built-in kin with the same tokens and fewer parameters, the largest first.
pub(super) fn kin(name: &str) -> Vec<&'static BuiltinModel> {
    let Some(own) = BuiltinModel::find(name) else { return Vec::new() };
    let Some(of_own) = vocabulary(own) else { return Vec::new() };
    let is_kin = |other: &&BuiltinModel| {
        other.parameters() < own.parameters()
            && stem(other.series()) == stem(own.series())
            && vocabulary(other).is_some_and(|size| (size / of_own - 1.0).abs() < PADDING)
    };
    let mut kin: Vec<&BuiltinModel> = BuiltinModel::all().iter().filter(is_kin).collect();
    kin.sort_by_key(|model| std::cmp::Reverse(model.parameters()));
    kin.dedup_by_key(|model| model.parameters());
    kin
}

impl Advice<'_> {
    pub(super) fn models(&mut self) {
        self.smaller_models();
        self.fewer_layers();
    }

    fn smaller_models(&mut self) {
        let kind = Kind::SmallerModel;
        let name = self.a.model.name().to_owned();
        let kin = kin(&name);
        let of_own = BuiltinModel::find(&name).map_or(0, BuiltinModel::parameters);
        let is_much_smaller = |model: &&BuiltinModel| model.parameters() as f64 <= SMALLER * of_own as f64;
        let kin = kin.into_iter().filter(is_much_smaller);
        let (distilled, others): (Vec<_>, Vec<_>) = kin.partition(|model| is_distilled(model));
        if distilled.is_empty() && others.is_empty() {
            return self.leave_out(
                kind,
                format!("no built-in model is a smaller one of {name}'s family with the same tokens"),
            );
        }
        for model in distilled.into_iter().take(1).chain(others.into_iter().take(KIN)) {
            let title = format!("{} instead of {name}", model.name());
            let share = 100.0 * model.parameters() as f64 / of_own as f64;
            let why = format!("it has {share:.0}% of the parameters");
            let idea = Idea::new(kind, vec![Change::new("model", model.name())], title, why);
            self.try_out(Idea { accuracy: Accuracy::Unknown, ..idea });
        }
    }

    fn fewer_layers(&mut self) {
        let kind = Kind::FewerLayers;
        let layers = self.a.model.field("num_hidden_layers").and_then(Value::as_u64);
        let Some(layers) = layers.filter(|layers| *layers > 1) else {
            return self.leave_out(kind, "the config gives no number of layers that could be halved");
        };
        let half = layers / 2;
        let title = format!("{half} layers instead of {layers}");
        let why = "every layer takes the same, and only embeddings and head stay as they are";
        let idea = Idea::new(kind, vec![Change::new("num_hidden_layers", half.to_string())], title, why);
        let assumed = Some("a model of this depth is trained, or distilled from this one".to_owned());
        self.try_out(Idea { accuracy: Accuracy::Unknown, assumed, ..idea });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kin_have_the_same_tokens_and_fewer_parameters() {
        let names = |of: &str| kin(of).iter().map(|model| model.name()).collect::<Vec<_>>();
        assert!(names("bert-base-uncased").contains(&"distilbert-base-uncased"));
        assert!(!names("bert-base-cased").contains(&"distilbert-base-uncased"));
        assert_eq!(names("Llama-3.1-8B"), ["Llama-3.2-3B", "Llama-3.2-1B"]);
        assert!(names("Llama-3.1-70B").iter().any(|name| name.ends_with("8B")));
        assert!(names("gpt2").contains(&"distilgpt2") && names("Llama-3.2-1B").is_empty());
    }
}
