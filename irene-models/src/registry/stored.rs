//! A GGUF file beside the model that is followed of it.

use irene_tree::Precision;

use super::ModelSpec;
use crate::{
    TaskHead, Weights,
    gguf::{Gguf, StoredShapes},
};

impl ModelSpec {
    /// The tensors of a file's layers that the model has no parameters of; none where the file lacks some that the model has.
    fn left_out_of(&self, file: &Gguf) -> Vec<String> {
        let Ok(shapes) = StoredShapes::new(file.clone(), Precision::F32) else { return Vec::new() };
        let built = self.architecture.build(&self.config, &Weights::root(&shapes), TaskHead::None);
        if built.is_ok() { shapes.left_out() } else { Vec::new() }
    }

    /// Remarks on the file that this model was read from.
    pub(crate) fn remarks_on(&self, file: &Gguf) -> Vec<String> {
        let (origin, model_type) = (file.origin(), self.model_type());
        let mut remarks = Vec::new();
        if let [first, others @ ..] = &self.left_out_of(file)[..] {
            let others = match others.len() {
                0 => String::new(),
                1 => " and another".to_owned(),
                others => format!(" and {others} others"),
            };
            remarks.push(format!("{origin}: a plain {model_type} is followed, without tensor `{first}`{others}"));
        }
        if file.has_classifier() && self.heads().contains(&TaskHead::Classification) {
            remarks.push(format!("{origin} has a classifier, which head=classification adds"));
        }
        remarks
    }

    /// Refuses to run a file with layers of another model.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first tensor that would be left out.
    #[cfg(feature = "candle")]
    pub(super) fn refuse_to_leave_out(&self, file: &Gguf) -> crate::Result<()> {
        match self.left_out_of(file).first() {
            Some(first) => Err(file.no_part_of(first, self.model_type())),
            None => Ok(()),
        }
    }
}
