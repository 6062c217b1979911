//! One selection (`GET` and `POST predict`), and trees that were measured (`POST predict/trees`).

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use irene_advice::Selection;
use irene_regress::{DeviceProfile, Track};
use irene_tree::{Tree, jsonl::TreeReader};

use super::{
    Shared, answer,
    answers::{Prediction, Predictions, TreePrediction},
    fields::{Fields, Params, shown},
    kinds::LONGEST_NAME,
    queries::TreesQuery,
    question::Question,
};
use crate::{
    answer::Asked,
    app::{App, Effort},
    problem::Problem,
};

/// The prediction of a selection, node by node.
pub(super) struct Predict(Selection);

impl Question for Predict {
    type Answer = Prediction;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let selection = fields.selection(model)?;
        Ok(Self(Selection { shows_math: fields.shows_math()?, ..selection }))
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.0
    }

    fn answer(self, app: &App) -> Result<Prediction, Problem> {
        prediction(app, &self.0)
    }
}

pub(crate) fn prediction(app: &App, selection: &Selection) -> Result<Prediction, Problem> {
    Prediction::of(app, &app.answer(selection)?)
}

pub(super) async fn predict_trees(
    State(app): Shared,
    asked: Asked,
    Params(query): Params<TreesQuery>,
    body: Bytes,
) -> Result<Response, Problem> {
    let predicted = move |app: &App| {
        let refuse = |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
        let device = app.device(query.device.as_deref())?;
        let bundled = match query.method {
            Track::Specs => None,
            track => Some(DeviceProfile::bundled_for(&device.name, track).map_err(|error| Problem::refused(&error))?),
        };
        let profile = bundled.as_ref().unwrap_or(&*device.profile);
        let mut predictions = Vec::new();
        for tree in TreeReader::new("body", &body[..]) {
            let mut tree = app.check_nodes(tree.map_err(|error| Problem::refused(&error))?)?;
            check_names(&tree)?;
            if predictions.len() == app.limits.trees {
                return Err(refuse(format!("at most {} trees are predicted here", app.limits.trees)));
            }
            profile.predict(&mut tree).map_err(|error| Problem::refused(&error))?;
            predictions.push(TreePrediction::by_profile(&tree, &device.name, profile)?);
        }
        if predictions.is_empty() {
            return Err(refuse("the body has no trees; it takes one a line".to_owned()));
        }
        Ok(Predictions { predictions })
    };
    answer(&app, asked, Effort::Short, predicted).await
}

/// Refuses names so long that the answer, which repeats them in every node below, is many times the body.
fn check_names(tree: &Tree) -> Result<(), Problem> {
    const LONGEST_SCOPE: usize = 1000;
    let name = (tree.model_name.as_str(), "model_name", LONGEST_NAME);
    let scopes = tree.nodes().iter().map(|node| (node.scope(), "scope", LONGEST_SCOPE));
    match std::iter::once(name).chain(scopes).find(|(name, _, most)| name.chars().count() > *most) {
        None => Ok(()),
        Some((name, field, most)) => {
            let detail = format!("{field} `{}` has more than {most} characters", shown(name));
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}
