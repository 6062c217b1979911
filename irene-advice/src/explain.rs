use irene_regress::{Explanation, find_node};
use irene_tree::NodeId;

use crate::{Answer, Lookup, Result, Selection, lookup::Way};

/// One node of an answer's tree, and what its energy and time consist of.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The answer, with single operations in its tree.
    pub answer: Answer,
    /// The node.
    pub node: NodeId,
    /// By a measured profile its own terms, by a data sheet those of the law: launches, FLOPs, bytes, the power that is always drawn.
    pub explanation: Explanation,
}

impl Lookup {
    /// Answers a selection, and explains the figures of the first node of this scope.
    ///
    /// # Errors
    /// As [`answer`](Self::answer); [`Error::Predict`](crate::Error::Predict) for a scope that the tree does not have.
    pub fn explain(&self, selection: &Selection, scope: &str) -> Result<Explained> {
        let selection = &Selection { shows_math: true, ..selection.clone() };
        let model = self.followed(selection)?;
        match self.way(selection, &model)? {
            Way::Measured { name, profile, run } => {
                let answer = Answer::measured(selection, model.spec, name, &profile, run)?;
                let node = find_node(&answer.tree, scope).map_err(irene_predict::Error::from)?;
                let explained = profile.predictor.explain(&answer.tree, node);
                Ok(Explained { answer, node, explanation: explained.map_err(irene_predict::Error::from)? })
            }
            Way::Sheet(setting) => {
                let forecast = setting.forecast()?;
                let answer = Answer::of_sheet(selection, &setting, &forecast)?;
                let (node, explanation) = setting.explain(&forecast, &answer.tree, scope)?;
                Ok(Explained { answer, node, explanation })
            }
        }
    }
}
