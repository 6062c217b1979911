//! The built-in models at one selection.

use irene_models::{BuiltinModel, ModelTask};
use rayon::prelude::*;

use crate::{By, Error, Estimate, Lookup, Selection};

/// Which models are ranked; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankFilter {
    /// Only this family, by the config's `model_type`.
    pub family: Option<String>,
    /// Only models for this task.
    pub task: Option<ModelTask>,
    /// Only models of at most this many parameters.
    pub max_parameters: Option<u64>,
}

/// A ranked model.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The model.
    pub builtin: &'static BuiltinModel,
    /// Its task.
    pub task: ModelTask,
    /// Its figures.
    pub estimate: Estimate,
}

/// The built-in models at one selection.
#[derive(Debug, Default)]
pub struct Ranking {
    /// The models that can run so, least energy of a request first.
    pub ranked: Vec<Ranked>,
    /// The models that cannot, each with the reason.
    pub left_out: Vec<(&'static BuiltinModel, Error)>,
}

impl RankFilter {
    /// Whether a model's family and size are asked for.
    fn takes(&self, model: &BuiltinModel) -> bool {
        self.family.as_deref().is_none_or(|family| model.family() == family)
            && self.max_parameters.is_none_or(|most| model.parameters() <= most)
    }
}

/// Ranks the built-in models by the energy of a request, on all processors. The selection's own model and changed fields do not count.
///
/// ```
/// use irene_advice::{Lookup, RankFilter, Selection, rank};
/// let filter = RankFilter { family: Some("distilbert".into()), ..RankFilter::default() };
/// let ranking = rank(&Lookup::bundled(), &Selection::batch("", 1, 128), &filter);
/// assert!(ranking.ranked.len() > 1 && ranking.left_out.is_empty());
/// ```
pub fn rank(lookup: &Lookup, selection: &Selection, filter: &RankFilter) -> Ranking {
    let models: Vec<&'static BuiltinModel> = BuiltinModel::all().iter().filter(|model| filter.takes(model)).collect();
    let of = |&model: &&'static BuiltinModel| Some((model, of_model(lookup, selection, model, filter.task)?));
    let answered: Vec<_> = models.par_iter().filter_map(of).collect();
    let mut found = Ranking::default();
    for (model, answer) in answered {
        match answer {
            Ok(ranked) => found.ranked.push(ranked),
            Err(error) => found.left_out.push((model, error)),
        }
    }
    let energy = |ranked: &Ranked| ranked.estimate.energy_j(By::Request).unwrap_or(f64::INFINITY);
    found.ranked.sort_by(|a, b| energy(a).total_cmp(&energy(b)).then_with(|| a.builtin.name().cmp(b.builtin.name())));
    found.left_out.sort_by_key(|(model, _)| model.name());
    found
}

/// The figures of a model; None for one that is made for another task.
fn of_model(
    lookup: &Lookup,
    selection: &Selection,
    builtin: &'static BuiltinModel,
    task: Option<ModelTask>,
) -> Option<Result<Ranked, Error>> {
    let mut selection = selection.clone();
    selection.row.model = Some(builtin.name().to_owned());
    selection.own = None;
    selection.config.clear();
    let spec = match lookup.model(&selection) {
        Ok(spec) => spec,
        Err(error) => return Some(Err(error)),
    };
    let own_task = spec.task();
    if task.is_some_and(|asked| asked != own_task) {
        return None;
    }
    let ranked = lookup.estimate(&selection).and_then(|estimate| match estimate.too_large() {
        Some(note) => Err(Error::DoesNotFit(note.to_owned())),
        None => Ok(Ranked { builtin, task: own_task, estimate }),
    });
    Some(ranked)
}

#[cfg(test)]
mod tests {
    use irene_requests::Load;

    use super::*;

    #[test]
    fn every_model_that_is_asked_for_is_ranked_or_left_out_with_a_reason() {
        let lookup = Lookup::bundled();
        let mut selection = Selection::batch("gpt2", 1, 512);
        (selection.row.device, selection.row.load) = (Some("l4".into()), Some(Load::Concurrency(4.0)));
        selection.row.generated = Some(64.0);
        let filter = RankFilter { family: Some("llama".into()), ..RankFilter::default() };
        let ranking = rank(&lookup, &selection, &filter);
        let asked = BuiltinModel::all().iter().filter(|model| model.family() == "llama").count();
        assert_eq!(ranking.ranked.len() + ranking.left_out.len(), asked);
        let joules: Vec<f64> = ranking.ranked.iter().filter_map(|found| found.estimate.energy_j(By::Request)).collect();
        assert!(joules.len() > 5 && joules.is_sorted());
        let large = ranking.left_out.iter().find(|(model, _)| model.name() == "Llama-3.1-405B").unwrap();
        assert!(large.1.is_too_large(), "{}", large.1);
        // The selection's model does not matter, and each has the figures that it has alone.
        let first = &ranking.ranked[0];
        selection.row.model = Some(first.builtin.name().to_owned());
        assert_eq!(lookup.estimate(&selection).unwrap().figures, first.estimate.figures);
    }

    #[test]
    fn a_model_that_has_no_room_on_a_measured_machine_is_left_out() {
        let mut selection = Selection::batch("", 8, 128);
        selection.row.device = Some("gtx-1080-ti".into());
        let filter = RankFilter { family: Some("llama".into()), ..RankFilter::default() };
        let ranking = rank(&Lookup::bundled(), &selection, &filter);
        let (_, reason) = ranking.left_out.iter().find(|(model, _)| model.name() == "Llama-3.1-70B").unwrap();
        assert!(reason.is_too_large() && reason.to_string().contains("GiB"), "{reason}");
        assert!(ranking.ranked.len() > 1 && ranking.ranked.iter().all(|found| found.estimate.too_large().is_none()));
    }

    #[test]
    fn filters_leave_out_without_a_reason() {
        let lookup = Lookup::bundled();
        let filter =
            RankFilter { task: Some(ModelTask::Embedder), max_parameters: Some(50_000_000), ..RankFilter::default() };
        let ranking = rank(&lookup, &Selection::batch("gpt2", 1, 128), &filter);
        let is_asked = |found: &Ranked| found.task == ModelTask::Embedder && found.builtin.parameters() <= 50_000_000;
        assert!(ranking.ranked.len() > 2 && ranking.ranked.iter().all(is_asked) && ranking.left_out.is_empty());
    }
}
