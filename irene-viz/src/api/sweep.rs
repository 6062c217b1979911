//! One model at many sizes: `GET` and `POST sweep`.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use irene_advice::{Estimate, Selection};
use irene_requests::{Load, RequestRow};

use super::{
    answers::{Cell, CellLeftOut, Figures, Sweep},
    fields::Fields,
    numbers::WholeList,
    question::Question,
};
use crate::{
    app::{App, Effort},
    problem::{Problem, in_parameters},
};

/// The default sizes of a sweep; those that a model cannot take are left out.
const BATCH_SIZES: [usize; 6] = [1, 4, 8, 16, 32, 64];
const SEQ_LENS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// A selection without load and length, and those that it is asked at.
pub(crate) struct Sizes {
    selection: Selection,
    batch_sizes: Option<Vec<usize>>,
    seq_lens: Option<Vec<usize>>,
}

impl Sizes {
    /// At the default sizes.
    pub(crate) fn usual(selection: Selection) -> Self {
        Self { selection, batch_sizes: None, seq_lens: None }
    }
}

impl Question for Sizes {
    type Answer = Sweep;

    const EFFORT: Effort = Effort::Long;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let most = fields.app.limits.cells;
        let list = |each: RangeInclusive<usize>| WholeList { each, most };
        let (batch_sizes, seq_lens) = (list(fields.batch_sizes()), list(fields.seq_lens()));
        let batch_sizes = fields.optional("batch_sizes", "Batch sizes, with commas between them.", batch_sizes)?;
        let seq_lens = fields.optional("seq_lens", "Sequence lengths, with commas between them.", seq_lens)?;
        let row = RequestRow { model, ..RequestRow::default() };
        let mut selection = Selection { row, ..Selection::default() };
        fields.generated(&mut selection)?;
        fields.way(&mut selection)?;
        let selection = fields.changed_fields(&selection)?;
        Ok(Self { selection, batch_sizes, seq_lens })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Sweep, Problem> {
        let batch_sizes = self.batch_sizes.as_deref().unwrap_or(&BATCH_SIZES);
        let seq_lens = self.seq_lens.as_deref().unwrap_or(&SEQ_LENS);
        let (count, most) = (batch_sizes.len().saturating_mul(seq_lens.len()), app.limits.cells);
        if count > most {
            let detail = format!("at most {most} sizes are swept here, found {count}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        let (mut cells, mut left_out, mut problem) = (Vec::new(), Vec::new(), None);
        let (mut device, mut estimated) = (String::new(), false);
        for (batch_size, seq_len) in batch_sizes.iter().flat_map(|&batch| seq_lens.iter().map(move |&seq| (batch, seq)))
        {
            match app.lookup.estimate(&self.at(batch_size, seq_len)) {
                Ok(estimate) => {
                    device.clone_from(&estimate.device);
                    estimated = rests_on_estimates(app, &estimate);
                    let extrapolated = estimate.marks.contains(&"extrapolated");
                    cells.push(Cell { batch_size, seq_len, figures: Figures::of(&estimate)?, extrapolated });
                }
                // Lengths that are asked for exceed no model's positions; of the default ones, some do.
                Err(error) if self.seq_lens.is_some() && !error.is_too_large() => return Err(error.into()),
                Err(error) => {
                    left_out.push(CellLeftOut { batch_size, seq_len, reason: in_parameters(&error) });
                    problem.get_or_insert(error);
                }
            }
        }
        match problem {
            Some(error) if cells.is_empty() => Err(error.into()),
            _ => {
                let model = self.selection.row.model.unwrap_or_default();
                Ok(Sweep { model, device, estimated, cells, left_out })
            }
        }
    }
}

impl Sizes {
    fn at(&self, batch_size: usize, seq_len: usize) -> Selection {
        let mut selection = self.selection.clone();
        selection.row.load = Some(Load::Sequences(batch_size));
        selection.row.prompt = Some(seq_len as f64);
        selection
    }
}

/// Whether energies rest on a model of the power.
pub(super) fn rests_on_estimates(app: &App, estimate: &Estimate) -> bool {
    app.measured(estimate).is_none_or(|known| known.profile.provenance.estimated)
}
