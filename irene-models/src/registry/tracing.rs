//! Models followed by shape alone, whole or pass by pass.

use irene_tree::{Kernels, Operation, Precision, Quantity, Size, Tree};

use super::{Model, ModelSpec};
use crate::{
    Batch, Cache, Cx, Error, Result, Run, ShapesOnly, TaskHead, TreeVisitor, Visitor, WeightSource, generation,
    gguf::StoredShapes, quantisation::Quantisation, trace::LaunchVisitor,
};

impl ModelSpec {
    /// The whole tree of a run, or of a generation, with its counts, followed by shape alone: no weights and no arithmetic.
    ///
    /// # Errors
    /// [`Error::Config`] from the config; [`Error::Input`] for a size of zero, a sequence that is too long, or a head or a cache that
    /// the model does not have.
    pub fn trace(&self, run: impl Into<Run>) -> Result<Tree> {
        let run = run.into();
        let tree = if run.training.is_some() {
            self.training_tree(run)?
        } else if run.generate > 0 {
            generation::trace(self, run)?
        } else {
            let mut visitor = self.visitor(run);
            let share = self.share(run)?;
            self.follow(self.model_of(share)?.model.as_ref(), share, &mut visitor)?;
            let mut tree = visitor.finish()?;
            if share.size != run.size {
                tree.nodes_mut()[0].size = Some(share.size);
            }
            tree
        };
        Ok(if run.shows_math { tree } else { tree.into_without_math() })
    }

    /// Refuses to run a model that is followed by shape alone (states, several streams), before its weights are read.
    ///
    /// # Errors
    /// [`Error::Input`] with the layers that cannot be run.
    pub fn check_run(&self) -> Result<()> {
        self.architecture.check_run(&self.config)
    }

    /// Refuses a generation after a prompt that is longer than the model has positions.
    ///
    /// # Errors
    /// [`Error::Input`] with the lengths.
    pub fn check_generation(&self, prompt: usize, generated: usize) -> Result<()> {
        generation::check(self, Size::new(1, prompt), generated)
    }

    /// The tree of a generation with these passes of one copy of the model, each with how often it runs: of prompts, and steps of one token.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn trace_passes(&self, run: Run, prompts: &[(Size, f64)], steps: &[(Size, f64)]) -> Result<Tree> {
        let tree = generation::trace_passes(self, run, prompts, steps)?;
        Ok(if run.shows_math { tree } else { tree.into_without_math() })
    }

    /// The operations of one pass and how often each runs, on one GPU of a run: what [`trace`](Self::trace) has as nodes, in a fraction of
    /// the time. Operations differ in more than the identities of their parameters.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn launches(&self, run: Run) -> Result<Vec<(Operation, u64)>> {
        let share = self.share(run)?;
        let mut visitor = LaunchVisitor::default();
        self.follow(self.model_of(share)?.model.as_ref(), share, &mut visitor)?;
        Ok(visitor.finish())
    }

    /// The FLOPs of a language model's head as a share of those of the run, where the model goes on from text and the run is a single pass
    /// without a head.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn left_out_head(&self, run: Run) -> Result<Option<f64>> {
        let is_single_pass = run.head == TaskHead::None && run.generate == 0;
        let is_left_out = is_single_pass && self.heads().contains(&TaskHead::Lm) && !self.gives_no_tokens();
        if !is_left_out || self.cache(run.kernels)?.is_none() {
            return Ok(None);
        }
        let flops = |head| Ok::<_, Error>(self.trace(Run { head, ..run })?.root().get(Quantity::Flops));
        let (without, with) = (flops(TaskHead::None)?, flops(TaskHead::Lm)?);
        Ok(without.zip(with).map(|(without, with)| (with - without) / without))
    }

    /// A visitor for the tree of a run.
    pub(crate) fn visitor(&self, run: Run) -> TreeVisitor {
        let visitor = TreeVisitor::new(&self.name, run.size).followed_in(run.precision, run.kernels);
        visitor.spread_over(run.parallel).training(run.training)
    }

    /// Follows a model of [`model_of`](Self::model_of) through a pass over one GPU's sequences, with a visitor.
    pub(crate) fn follow(&self, model: &dyn Model, share: Run, visitor: &mut dyn Visitor) -> Result<()> {
        model.run(&mut self.context(share, visitor), &self.batch(share)?)?;
        Ok(())
    }

    /// The context of a pass by shape.
    pub(crate) fn context<'v>(&self, share: Run, visitor: &'v mut dyn Visitor) -> Cx<'v> {
        let cx = Cx::visited(visitor).with_kernels(share.kernels).with_cache_format(share.precision.cache);
        cx.with_parallel(share.parallel)
    }

    /// Refuses a pass whose sequences are longer than the model has positions.
    pub(crate) fn check_length(&self, size: Size) -> Result<()> {
        let cache = Cache { past: size.past, ..Cache::default() };
        Batch::of_shape(size).after(cache).check_positions(&self.name, self.longest_sequence()?)
    }

    /// The parameters as shapes: those of the model's own format as they are stored, those of another as a checkpoint in it has them.
    pub(super) fn shapes(&self, Run { precision, parallel, .. }: Run) -> Result<Box<dyn WeightSource + '_>> {
        // A config whose own precision is unknown is followed in another.
        let is_own = self.config.precision().is_ok_and(|own| own.weights == precision.weights);
        if let Some(file) = self.stored.as_ref().filter(|_| is_own) {
            let shapes = StoredShapes::new(file.clone(), precision)?;
            return Ok(Box::new(shapes.shared(!parallel.is_single())));
        }
        let own = if is_own { Quantisation::read(&self.config) } else { None };
        match own.or_else(|| Quantisation::of(precision)) {
            Some(quantisation) => Ok(Box::new(quantisation.shapes(precision))),
            None => Ok(Box::new(ShapesOnly(precision))),
        }
    }

    /// The run's input, followed by its shape.
    pub(crate) fn batch(&self, run: Run) -> Result<Batch> {
        let batch = Batch::of_shape(run.size);
        let batch = match (self.cache(run.kernels)?, run.size.past > 0 || run.keeps_cache) {
            (_, false) => batch,
            (Some(shape), true) => {
                let shape = shape.shared_by(run.parallel.tensor);
                // Eager kernels cache keys and values in the activations' format.
                let Precision { activations, cache, .. } = run.precision;
                let format = if run.kernels == Kernels::Eager { activations } else { cache };
                // In a generation the caller gives positions, which skip padding.
                let position_ids = run.is_padded.then(|| batch.input_ids.clone());
                Batch { position_ids, ..batch.after(Cache::of_shape(run.size, &shape, format)) }
            }
            (None, true) => {
                let field = if run.size.past > 0 { "size.past" } else { "run.generate" };
                let reason = format!("it reads whole sequences and keeps no keys and values: leave {field} out");
                return Err(self.refuse(reason));
            }
        };
        Ok(Batch { scores_last: run.keeps_cache, ..batch.padded(run.is_padded) })
    }
}
