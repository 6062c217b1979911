//! The tree of a step of training: which node takes how much of it.

use irene_devices::{Device, Engine, Law, LawOn, Work};
use irene_models::ModelSpec;
use irene_tree::{NodeId, Tree};

use super::{TrainingForecast, phases::PhaseCosts};
use crate::{
    Error, PassesCost,
    forecast::{annotated, filled, parts},
};

impl TrainingForecast {
    /// The tree of the step, with the time and energy of every node, on all GPUs. The own part of a phase is waiting: for the host, for other
    /// stages of a pipeline, for buckets; that of the root is the machine around the devices.
    ///
    /// # Errors
    /// As [`ModelSpec::trace`].
    pub fn tree(
        &self,
        spec: &ModelSpec,
        device: &Device,
        engine: &Engine,
        law: &Law,
        shows_math: bool,
    ) -> Result<Tree, Error> {
        let tree = spec.trace(irene_models::Run { shows_math: true, ..self.run })?;
        let law = law.in_training(device, engine);
        let costs = self.parts.costs(&law, self.run, self.run.training.unwrap_or_default());
        let spent = self.spent(&tree, &law, &costs);
        let [low_j, high_j] = self.interval.map(|end| end.joules);
        let (tree, figures) = (filled(tree, &spent, shows_math), [self.figures.watts, low_j, high_j]);
        Ok(annotated(tree, (device, engine), &self.provenance, figures, &self.notes))
    }

    /// The time and energy of each node.
    fn spent(&self, tree: &Tree, law: &LawOn<'_>, costs: &PhaseCosts) -> Vec<PassesCost> {
        let mut spent = vec![PassesCost::default(); tree.nodes().len()];
        for phase in tree.children(NodeId::ROOT) {
            self.phase(tree, phase, law, costs, &mut spent);
        }
        spent[0] = PassesCost { passes: 1.0, seconds: self.figures.seconds, joules: self.figures.joules };
        spent
    }

    fn phase(&self, tree: &Tree, phase: NodeId, law: &LawOn<'_>, costs: &PhaseCosts, spent: &mut [PassesCost]) {
        let name = tree.node(phase).name();
        let Some(cost) = costs.of(name) else { return };
        let parallel = self.run.parallel;
        // A kernel runs on the GPUs of its own stage.
        let (gpus, of_stage) = (parallel.gpus() as f64, parallel.gpus_of_stage() as f64);
        let static_w = (cost.joules - cost.dynamic_joules) / cost.seconds.max(f64::MIN_POSITIVE);
        let shown = if name == "allreduce" { cost.seconds / costs.exchange_s } else { cost.slowed };
        let ids: Vec<NodeId> = tree.ids().skip(phase.index()).take(tree.subtree(phase).len()).collect();
        for &id in &ids {
            let Some(operation) = tree.node(id).operation.as_deref().filter(|_| tree.is_leaf(id)) else { continue };
            let kernel = law.work(&Work::of(operation));
            let seconds = shown * kernel.seconds;
            let joules = of_stage * (static_w * seconds + cost.kept * kernel.joules);
            spent[id.index()] = PassesCost { passes: 1.0, seconds, joules };
        }
        for &id in ids.iter().rev().filter(|id| !tree.is_leaf(**id)) {
            spent[id.index()] = parts(tree, id, spent);
        }
        let whole = PassesCost { passes: 1.0, seconds: cost.seconds, joules: gpus * cost.joules };
        spent[phase.index()] = whole.times(tree.node(phase).times().recip());
    }
}
