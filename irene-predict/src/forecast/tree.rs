//! The tree of a forecast: which node takes how much of it.

use irene_devices::{Device, Engine, Law, LawOn, Pass, PassCost, Work, WorkCost};
use irene_models::{ModelSpec, Run};
use irene_tree::{NodeId, Quantity, Size, Tree};
use serde_json::json;

use super::Forecast;
use crate::{Error, Passes, Schedule, Spent, passes::Followed};

/// How the time and energy of a node follow from its kernel's.
struct Costing<'a> {
    law: LawOn<'a>,
    gpus: f64,
    /// The share of a pipeline that is filled.
    filled: f64,
    /// The power of the pass whatever it does, W.
    static_w: f64,
    /// The energy that the power limit leaves.
    kept: f64,
    /// The time of kernels over what it would be without the power limit.
    slowed: f64,
    /// The kernels that a prompt shares its pass with.
    beside: &'a [(Work, f64)],
}

impl Costing<'_> {
    fn kernel(&self, work: &Work) -> Spent {
        let WorkCost { seconds, joules } = match self.beside.iter().find(|(step, _)| step.shares_weights(work)) {
            // The cost that the prompt adds to the step.
            Some((step, _)) => {
                let [both, alone] = [step.joined(work), *step].map(|work| self.law.work(&work));
                let seconds = (both.seconds - alone.seconds).max(0.0);
                WorkCost { seconds, joules: (both.joules - alone.joules).max(0.0) }
            }
            None => self.law.work(work),
        };
        let (seconds, dynamic) = (self.slowed * seconds, self.filled * self.kept * joules);
        Spent { passes: 1.0, seconds, joules: self.gpus * (self.static_w * seconds + dynamic) }
    }
}

/// The law, and what it is applied to.
#[derive(Clone, Copy)]
struct Setting<'a> {
    schedule: &'a Schedule,
    law: &'a Law,
    device: &'a Device,
    engine: &'a Engine,
}

impl<'a> Setting<'a> {
    fn cost(&self, pass: &Pass) -> PassCost {
        self.law.pass(pass, self.device, self.engine)
    }

    fn costing(&self, cost: &PassCost, beside: &'a [(Work, f64)]) -> Costing<'a> {
        let Self { schedule, law, device, engine } = *self;
        let law = law.on(device, engine, schedule.is_served());
        let static_w = (cost.joules - cost.dynamic_joules) / cost.seconds;
        let PassCost { kept, slowed, .. } = *cost;
        Costing { law, gpus: schedule.gpus, filled: schedule.filled, static_w, kept, slowed, beside }
    }

    /// The cost of a pass of this size, and how its kernels are costed.
    fn pass(&self, size: Size, prompt: Spent) -> Option<(Spent, Costing<'a>)> {
        let schedule = self.schedule;
        if size.past > 0 {
            let place = schedule.sizes.iter().skip(1).position(|(known, _)| *known == size)?;
            let cost = self.cost(&schedule.steps.get(place)?.0);
            return Some((schedule.spent(&cost), self.costing(&cost, &[])));
        }
        let cost = self.cost(&schedule.prompts.first()?.0);
        let beside = schedule.steps.first().filter(|_| schedule.is_mixed);
        Some((prompt, self.costing(&cost, beside.map_or(&[], |(step, _)| step.works.as_slice()))))
    }
}

impl Forecast {
    /// The tree of the passes that serve [`requests`](Self::requests), with the time and energy of every node, on all GPUs. The own part of a
    /// pass is what the engine adds to its kernels; that of the whole is the power while nothing runs.
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
        let tree = self.traced(spec)?;
        let mut spent = self.spent(&tree, Setting { schedule: &self.schedule, law, device, engine });
        spent[0].joules = self.figures.energy_per_request_j * self.requests();
        let tree = filled(tree, &spent, shows_math);
        Ok(self.annotated(tree, device, engine))
    }

    /// The cost of each node.
    fn spent(&self, tree: &Tree, setting: Setting<'_>) -> Vec<Spent> {
        let mut spent = vec![Spent::default(); tree.nodes().len()];
        let (mut wholes, mut costing) = (Vec::new(), None);
        for id in tree.ids() {
            let node = tree.node(id);
            let single = (id == NodeId::ROOT && self.request.generated == 0).then_some(self.schedule.sizes[0].0);
            if let Some((whole, of_kernels)) =
                node.size.or(single).and_then(|size| setting.pass(size, self.prompt_pass))
            {
                wholes.push((id, whole));
                costing = Some(of_kernels);
            } else if let (Some(operation), Some(costing)) = (&node.operation, &costing) {
                spent[id.index()] = costing.kernel(&Work::of(operation));
            }
        }
        tree.ids().rev().filter(|id| !tree.is_leaf(*id)).for_each(|id| spent[id.index()] = parts(tree, id, &spent));
        for &(id, whole) in &wholes {
            let place = id.index();
            // A prompt lowers the power of the steps beside it where the device is at its limit: its kernels cost that less.
            let kept = (whole.joules / spent[place].joules).min(1.0);
            spent[place..place + tree.subtree(id).len()].iter_mut().for_each(|node| node.joules *= kept);
            spent[place] = whole;
        }
        let mut above: Vec<NodeId> = wholes.iter().flat_map(|(id, _)| tree.ancestors(*id)).collect();
        above.sort_unstable();
        above.dedup();
        above.into_iter().rev().for_each(|id| spent[id.index()] = parts(tree, id, &spent));
        spent
    }

    /// The number of requests that the tree covers: the batch, or in steady state the running ones, each until it is replaced.
    pub fn requests(&self) -> f64 {
        // A single pass stands for each of the waves.
        let repeats = if self.request.generated == 0 { self.schedule.sizes[0].1 } else { 1.0 };
        self.schedule.requests / repeats
    }

    fn traced(&self, spec: &ModelSpec) -> Result<Tree, Error> {
        let model = Followed { spec, passes: &Passes::default() };
        let (prompt, times) = self.schedule.sizes[0];
        if self.request.generated == 0 {
            return Ok(spec.trace(self.request.run(model, prompt)?)?);
        }
        let of_copy = self.schedule.requests / self.request.parallel.data.max(1) as f64;
        // A batch waits for its fullest copy.
        let of_copy = if self.schedule.is_steady { of_copy.round() } else { of_copy.ceil() }.max(1.0);
        let run = self.request.run(model, Size { sequences: of_copy as usize, ..prompt })?;
        let mut steps: Vec<(Size, f64)> = Vec::new();
        for &(size, times) in &self.schedule.sizes[1..] {
            match steps.last_mut().filter(|(last, _)| *last == size) {
                Some((_, of_last)) => *of_last += times,
                None => steps.push((size, times)),
            }
        }
        Ok(spec.trace_passes(Run { generate: self.request.generated, ..run }, (prompt, times), &steps)?)
    }

    fn annotated(&self, mut tree: Tree, device: &Device, engine: &Engine) -> Tree {
        own_parts(&mut tree);
        let requests = self.requests();
        let root = tree.node_mut(NodeId::ROOT);
        root.set(Quantity::PredictedPower, self.figures.power_w);
        if let Some([low, high]) = &self.interval {
            root.set(Quantity::PredictedLow, low.energy_per_request_j * requests);
            root.set(Quantity::PredictedHigh, high.energy_per_request_j * requests);
        }
        let notes: Vec<String> = self.notes.iter().map(ToString::to_string).collect();
        let predictor = json!({
            "method": "data-sheet", "provenance": self.provenance, "device": device.name, "engine": engine.name, "notes": notes,
        });
        tree.extra.insert("predictor".into(), predictor);
        tree
    }
}

/// Fills in the energy that each node takes beside its parts.
pub(crate) fn own_parts(tree: &mut Tree) {
    let whole = tree.root().get(Quantity::PredictedEnergy).unwrap_or_default();
    for id in tree.ids() {
        if let (false, Some(own)) = (tree.is_leaf(id), tree.own(id, Quantity::PredictedEnergy)) {
            // The last bits of a sum are no energy.
            let own = if own.abs() < 1e-12 * whole { 0.0 } else { own };
            tree.node_mut(id).set(Quantity::OwnEnergy, own);
        }
    }
}

/// The sum of the costs of a node's children.
pub(crate) fn parts(tree: &Tree, id: NodeId, spent: &[Spent]) -> Spent {
    let parts = tree.children(id).map(|part| spent[part.index()].times(tree.node(part).times()));
    parts.fold(Spent::default(), Spent::and)
}

/// The tree with the time and energy of every node, and without its math level unless it is to be shown.
pub(crate) fn filled(mut tree: Tree, spent: &[Spent], shows_math: bool) -> Tree {
    for (node, spent) in tree.nodes_mut().iter_mut().zip(spent) {
        node.set(Quantity::PredictedEnergy, spent.joules);
        node.set(Quantity::PredictedLatency, spent.seconds);
    }
    if shows_math { tree } else { tree.into_without_math() }
}
