//! A generation from the prompt to its last token: `GET` and `POST generation`.

use irene_advice::{Generation, GenerationOptions, Selection};

use super::{fields::Fields, numbers::Whole, question::Question};
use crate::{app::App, problem::Problem};

/// Tokens that are looked at on their own, at most.
const MOST_POINTS: usize = 256;

/// A selection that generates.
pub(super) struct Course {
    selection: Selection,
    options: GenerationOptions,
}

impl Question for Course {
    type Answer = Generation;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let usual = GenerationOptions::default();
        let selection = fields.selection(model)?;
        let points = "Tokens that are looked at on their own, spread over the generation; 24 by default.";
        let new_tokens = "Tokens of the next turn's message; 64 by default.";
        let options = GenerationOptions {
            points: fields.optional("points", points, Whole(1..=MOST_POINTS))?.unwrap_or(usual.points),
            new_tokens: fields
                .optional("new_tokens", new_tokens, Whole(fields.seq_lens()))?
                .unwrap_or(usual.new_tokens),
        };
        Ok(Self { selection, options })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Generation, Problem> {
        Ok(app.lookup.generation(&self.selection, self.options)?)
    }
}
