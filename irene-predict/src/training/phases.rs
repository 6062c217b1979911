//! The phases of a step, and what each takes.

use irene_devices::{LawOn, Pass, PassCost, Work, WorkKind};
use irene_models::{ModelSpec, Run, TrainingPhases};
use irene_tree::{Operation, Training};

use crate::Error;

/// A part of a step of training, on all GPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Its node's name: `forward`, `backward`, `optimizer` or `allreduce`.
    pub name: &'static str,
    /// The time that it adds to the step, s.
    pub seconds: f64,
    /// Energy, J.
    pub joules: f64,
}

/// The kernels of a step on the GPUs of one copy of a pipeline's stages, and how often each runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phases {
    forward: Pass,
    backward: Pass,
    optimizer: Pass,
    exchange: Pass,
}

/// The cost of a step on one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PhaseCosts {
    pub forward: PassCost,
    pub backward: PassCost,
    pub optimizer: PassCost,
    /// The part of the exchange that the step waits for.
    pub exchange: PassCost,
    /// The exchange if nothing else ran, s.
    pub exchange_s: f64,
}

/// Bytes of gradients that PyTorch's DistributedDataParallel sends together: its default, 25 MiB.
const BUCKET: f64 = 25.0 * 1024.0 * 1024.0;

impl Phases {
    pub(super) fn of(spec: &ModelSpec, run: Run) -> Result<Self, Error> {
        let TrainingPhases { forward, backward, optimizer, exchange } = spec.training_phases(run)?;
        let pass = |operations: &[(Operation, f64)]| Pass {
            works: operations.iter().map(|(operation, times)| (Work::of(operation), *times)).collect(),
            sequences: run.size.sequences as f64,
            gpus: (run.parallel.tensor * run.parallel.pipeline) as f64,
            is_served: false,
            is_sampled: false,
        };
        Ok(Self {
            forward: pass(&forward),
            backward: pass(&backward),
            optimizer: pass(&optimizer),
            exchange: pass(&exchange),
        })
    }

    /// FLOPs of products and attention, of all GPUs.
    pub(super) fn flops(&self, run: Run) -> f64 {
        let is_product = |work: &Work| matches!(work.kind, WorkKind::Product | WorkKind::Grouped | WorkKind::Attention);
        let works = self.forward.works.iter().chain(&self.backward.works);
        let of_copy: f64 = works.filter(|(work, _)| is_product(work)).map(|(work, times)| times * work.flops).sum();
        of_copy * run.parallel.gpus_of_stage() as f64
    }

    pub(super) fn costs(&self, law: &LawOn<'_>, run: Run, training: Training) -> PhaseCosts {
        let stages = run.parallel.pipeline as f64;
        // All stages but one have nothing to do at the first or the last micro-batches.
        let waiting = (stages - 1.0) / training.accumulate as f64;
        let [forward, mut backward] = [&self.forward, &self.backward].map(|pass| law.stage(pass, stages, waiting));
        let [exchange_s, exchange_j] =
            self.exchange.works.iter().fold([0.0, 0.0], |[seconds, joules], (work, times)| {
                let cost = law.work(work);
                [seconds + times * cost.seconds / stages, joules + times * cost.joules / stages]
            });
        let bytes: f64 = self.exchange.works.iter().map(|(work, times)| times * work.bytes() / 2.0 / stages).sum();
        // Gradients of earlier micro-batches stay where they are.
        let beside = backward.seconds / training.accumulate as f64;
        let exposed = exposed_s(exchange_s, (bytes / BUCKET).ceil(), beside);
        // The rest is sent during the backward pass, whose power limit holds for both.
        let hidden_j = if exchange_s > 0.0 { exchange_j * (1.0 - exposed / exchange_s).max(0.0) } else { 0.0 };
        let most = law.device().limit_w() * backward.seconds;
        let added = (backward.kept * hidden_j).min((most - backward.joules).max(0.0));
        backward.joules += added;
        backward.dynamic_joules += added;
        PhaseCosts {
            forward,
            backward,
            optimizer: law.stage(&self.optimizer, stages, 0.0),
            exchange: law.whole(exposed, exchange_j - hidden_j),
            exchange_s,
        }
    }
}

/// How much longer a step takes for an exchange whose buckets each begin as soon as the backward pass has filled them and the one before is sent.
fn exposed_s(exchange_s: f64, buckets: f64, backward_s: f64) -> f64 {
    if exchange_s <= 0.0 {
        return 0.0;
    }
    let buckets = buckets.max(1.0);
    // Either the last bucket is sent at the end, or they wait for each other from the first on.
    let end = (backward_s + exchange_s / buckets).max(backward_s / buckets + exchange_s);
    end - backward_s
}

impl PhaseCosts {
    /// The phases of the step, on all GPUs.
    pub(super) fn phases(&self, gpus: f64) -> Vec<Phase> {
        let named = [
            ("forward", self.forward),
            ("backward", self.backward),
            ("allreduce", self.exchange),
            ("optimizer", self.optimizer),
        ];
        let of =
            |(name, cost): (&'static str, PassCost)| Phase { name, seconds: cost.seconds, joules: gpus * cost.joules };
        named.into_iter().map(of).filter(|phase| phase.seconds > 0.0).collect()
    }

    /// The cost of the node with this name.
    pub(super) fn of(&self, name: &str) -> Option<&PassCost> {
        match name {
            "forward" => Some(&self.forward),
            "backward" => Some(&self.backward),
            "optimizer" => Some(&self.optimizer),
            "allreduce" => Some(&self.exchange),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use irene_devices::{Catalogue, Engine, Law};
    use irene_tree::{Format, Parallel, Precision, Size};

    use super::*;

    #[test]
    fn an_exchange_hides_behind_the_backward_pass_up_to_its_last_bucket() {
        assert_eq!(exposed_s(0.0, 4.0, 1.0), 0.0);
        // A short one: the last of four buckets.
        assert!((exposed_s(0.4, 4.0, 1.0) - 0.1).abs() < 1e-12);
        // A long one: it starts after a quarter of the pass, and goes on after it.
        assert!((exposed_s(2.0, 4.0, 1.0) - 1.25).abs() < 1e-12);
        assert!((exposed_s(2.0, 1.0, 1.0) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn an_exchange_that_is_hidden_keeps_its_energy() {
        let (spec, device) = (ModelSpec::builtin("gpt2-large").unwrap(), Catalogue::find("a100-sxm-80gb").unwrap());
        let law = Law::shipped().in_training(&device, Engine::find("transformers").unwrap());
        let of_copies = |data: usize| {
            let training = Training::default();
            let run = Run {
                precision: Precision::of(Format::BF16),
                training: Some(training),
                parallel: Parallel { data, ..Parallel::default() },
                ..Size::new(4 * data, 512).into()
            };
            let run = Run { head: spec.training_head(run.head).unwrap(), ..run };
            let phases = Phases::of(&spec, run).unwrap();
            let costs = phases.costs(&law, run, training);
            (phases, costs)
        };
        let ((_, alone), (phases, costs)) = (of_copies(1), of_copies(4));
        assert!(costs.exchange.seconds < 0.1 * costs.exchange_s, "{costs:?}");
        let sent: f64 = phases.exchange.works.iter().map(|(work, times)| times * law.work(work).joules).sum();
        let waited = law.whole(costs.exchange.seconds, 0.0).joules;
        let taken = costs.backward.joules + costs.exchange.joules - alone.backward.joules - waited;
        // The power limit keeps a part of it back, as of all that runs in the backward pass.
        assert!(0.9 * costs.backward.kept * sent < taken && taken <= sent, "{taken} of {sent}: {costs:?}");
    }
}
