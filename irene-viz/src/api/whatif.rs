//! A selection beside the same after some changes: `GET` and `POST whatif`.

use axum::http::StatusCode;
use irene_advice::{Change, Comparison, Selection};

use super::{fields::Fields, kinds::Changes, question::Question};
use crate::{app::App, problem::Problem};

/// A selection, and what is changed of it.
pub(super) struct WhatIf {
    selection: Selection,
    changes: Vec<Change>,
}

impl Question for WhatIf {
    type Answer = Comparison;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let selection = fields.selection(model)?;
        let selection = Selection { shows_math: fields.shows_math()?, ..selection };
        let about = "What differs, as NAME=VALUE with semicolons between them: names of these parameters, model among them, or else fields \
                     of the model's config.";
        let changes = fields.required("set_b", about, Changes)?;
        fields.changed(&selection, &changes, "set_b")?;
        Ok(Self { selection, changes })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Comparison, Problem> {
        let comparison = app.lookup.what_if(&self.selection, &self.changes)?;
        let (nodes, most) = (comparison.nodes.len(), app.limits.nodes);
        if nodes > most {
            let detail = format!("the models have {nodes} nodes; at most {most} are compared here");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        Ok(comparison)
    }
}
