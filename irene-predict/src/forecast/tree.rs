//! The tree of a forecast: which node takes how much of it.

use irene_devices::{Device, Engine, FROM_DATA_SHEET, Law, LawOn, PassCost, Work, WorkCost, WorkParts};
use irene_models::{ModelSpec, Run};
use irene_regress::{Explanation, Term};
use irene_tree::{Node, NodeId, Quantity, Size, Tree};
use serde_json::json;

use super::Forecast;
use crate::{Error, Passes, PassesCost, Runs, Schedule, passes::Followed};

/// How the time and energy of a node follow from its kernel's.
struct Costing<'a> {
    law: &'a LawOn<'a>,
    gpus: f64,
    /// The share of the copies and their stages that is filled.
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
    /// The kernel of other requests' step that does this work too.
    fn step(&self, work: &Work) -> Option<&Work> {
        self.beside.iter().map(|(step, _)| step).find(|step| step.shares_weights(work))
    }

    fn kernel(&self, work: &Work) -> PassesCost {
        let WorkCost { seconds, joules } = match self.step(work) {
            // The cost that the prompt adds to the step.
            Some(step) => {
                let [both, alone] = [step.joined(work), *step].map(|work| self.law.work(&work));
                let seconds = (both.seconds - alone.seconds).max(0.0);
                WorkCost { seconds, joules: (both.joules - alone.joules).max(0.0) }
            }
            None => self.law.work(work),
        };
        let (seconds, dynamic) = (self.slowed * seconds, self.filled * self.kept * joules);
        PassesCost { passes: 1.0, seconds, joules: self.gpus * (self.static_w * seconds + dynamic) }
    }

    /// The terms of a kernel's energy on all GPUs and of its time, before the power limit: for a prompt those that it adds to the step beside it.
    fn terms(&self, work: &Work, node: &Node) -> Explanation {
        const MEGA: f64 = 1e6;
        const MIB: f64 = (1 << 20) as f64;
        let step = self.step(work).map(|step| (step.joined(work), step));
        let bytes = step.map_or_else(|| work.bytes(), |(both, step)| both.bytes() - step.bytes());
        let parts = step
            .map_or_else(|| self.law.parts(work), |(both, step)| added(&self.law.parts(&both), &self.law.parts(step)));
        let WorkParts { launch_s, arithmetic, traffic, link } = parts;
        let term = |name: &str, amount: f64, unit: &'static str, value: f64| {
            (amount > 0.0 && value > 0.0).then(|| Term::new(name, amount, unit, value / amount))
        };
        let seconds = node.get(Quantity::PredictedLatency).unwrap_or_default();
        let power = term("power while it runs", seconds, "s", self.gpus * self.static_w * seconds);
        let parts = |of: fn(&WorkCost) -> f64, times: f64| {
            [
                term("FLOPs", work.flops / MEGA, "MFLOP", times * of(&arithmetic)),
                term("bytes moved", bytes / MIB, "MiB", times * of(&traffic)),
                term("bytes to other GPUs", work.link_bytes / MIB, "MiB", times * of(&link)),
            ]
        };
        let energy = parts(|part| part.joules, self.gpus * self.filled);
        let launch = term("launch", work.kernels, "launch", launch_s);
        Explanation {
            energy: power.into_iter().chain(energy.into_iter().flatten()).collect(),
            latency: launch.into_iter().chain(parts(|part| part.seconds, 1.0).into_iter().flatten()).collect(),
        }
    }
}

/// The parts of a kernel beyond those of one that it takes the place of. More time is the bound's of the whole.
fn added(both: &WorkParts, alone: &WorkParts) -> WorkParts {
    let alone_s = alone.arithmetic.seconds + alone.traffic.seconds + alone.link.seconds;
    let part = |both: WorkCost, alone: WorkCost| WorkCost {
        seconds: if both.seconds > 0.0 { both.seconds - alone_s } else { 0.0 },
        joules: both.joules - alone.joules,
    };
    WorkParts {
        launch_s: both.launch_s - alone.launch_s,
        arithmetic: part(both.arithmetic, alone.arithmetic),
        traffic: part(both.traffic, alone.traffic),
        link: part(both.link, alone.link),
    }
}

impl Schedule {
    fn costing<'a>(&self, law: &'a LawOn<'a>, cost: &PassCost, filled: f64, beside: &'a [(Work, f64)]) -> Costing<'a> {
        let working = filled * (cost.joules - cost.dynamic_joules);
        let static_w = (working + (1.0 - filled) * cost.loaded_joules) / cost.seconds;
        let PassCost { kept, slowed, .. } = *cost;
        Costing { law, gpus: self.gpus, filled, static_w, kept, slowed, beside }
    }

    /// The mean cost of the passes of this size, and how the kernels of one are costed.
    fn pass<'a>(&'a self, law: &'a LawOn<'a>, size: Size) -> Option<(PassesCost, Costing<'a>)> {
        if size.past == 0 {
            return self.prompt(law, size);
        }
        let mut passes = self.token_passes().filter(|(known, ..)| *known == size);
        let (_, pass, first) = passes.next()?;
        let cost = law.pass(pass);
        let whole = |runs: &Runs| (runs.spent(&cost, self.gpus), runs.times);
        let all: Vec<(PassesCost, f64)> =
            std::iter::once(first).chain(passes.map(|(.., runs)| runs)).map(whole).collect();
        Some((mean(&all), self.costing(law, &cost, first.filled, &[])))
    }

    /// The cost that prompts add to the passes that they are in.
    fn prompt<'a>(&'a self, law: &'a LawOn<'a>, size: Size) -> Option<(PassesCost, Costing<'a>)> {
        let first = self.prompts.iter().find(|runs| runs.size == size).or_else(|| self.prompts.first())?;
        let alike = self.prompts.iter().filter(|runs| runs.size == first.size);
        let all: Vec<(PassesCost, f64)> = alike.map(|runs| (runs.added(self.gpus, law), runs.times)).collect();
        let beside: &[(Work, f64)] = first.beside.as_ref().map_or(&[], |(_, step)| step.works.as_slice());
        Some((mean(&all), self.costing(law, &law.pass(&first.pass), first.filled, beside)))
    }
}

/// The mean of costs, each so many times.
fn mean(costs: &[(PassesCost, f64)]) -> PassesCost {
    let times: f64 = costs.iter().map(|(_, times)| times).sum();
    costs.iter().map(|(spent, of)| spent.times(of / times)).fold(PassesCost::default(), PassesCost::and)
}

/// Each size once, and how often it runs.
fn each(sizes: impl Iterator<Item = (Size, f64)>) -> Vec<(Size, f64)> {
    let mut found: Vec<(Size, f64)> = Vec::new();
    for (size, times) in sizes {
        match found.iter_mut().find(|(known, _)| *known == size) {
            Some((_, of_known)) => *of_known += times,
            None => found.push((size, times)),
        }
    }
    found
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
        let law = law.on(device, engine, self.schedule.is_served());
        let mut spent = self.spent(&tree, &law);
        spent[0].joules = self.whole_joules();
        let tree = filled(tree, &spent, shows_math);
        let [low_j, high_j] = self.interval.map(|end| end.energy_per_request_j * self.requests());
        let figures = [self.figures.power_w, low_j, high_j];
        Ok(annotated(tree, (device, engine), &self.provenance, figures, &self.notes))
    }

    /// The cost of each node.
    fn spent(&self, tree: &Tree, law: &LawOn<'_>) -> Vec<PassesCost> {
        let mut spent = vec![PassesCost::default(); tree.nodes().len()];
        let (mut wholes, mut costing) = (Vec::new(), None);
        for id in tree.ids() {
            let node = tree.node(id);
            let pass = self.size_of_pass(tree, id).and_then(|size| self.schedule.pass(law, size));
            if let Some((whole, of_kernels)) = pass {
                // The waves of a batch differ, and their mean is told.
                let joules = if self.is_single_pass(id) { self.whole_joules() } else { whole.joules };
                wholes.push((id, PassesCost { joules, ..whole }));
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

    fn is_single_pass(&self, id: NodeId) -> bool {
        id == NodeId::ROOT && self.request.generated == 0
    }

    /// The size of the pass that a node is, if it is one.
    fn size_of_pass(&self, tree: &Tree, id: NodeId) -> Option<Size> {
        let single = || self.schedule.prompts.first().filter(|_| self.is_single_pass(id)).map(|runs| runs.size);
        tree.node(id).size.or_else(single)
    }

    /// The terms of the energy and the time of a node of its [`tree`](Self::tree) with single operations: the law's parts for a kernel, the
    /// children for others.
    pub(crate) fn explain(&self, tree: &Tree, id: NodeId, law: &LawOn<'_>) -> Explanation {
        let node = tree.node(id);
        let of_pass = |id: NodeId| self.size_of_pass(tree, id).and_then(|size| self.schedule.pass(law, size));
        let costing = std::iter::once(id).chain(tree.ancestors(id)).find_map(of_pass);
        let operation = node.operation.as_ref().filter(|_| tree.is_leaf(id));
        let (mut explanation, rest) = match operation.zip(costing) {
            Some((operation, (_, costing))) => {
                let is_measured = self.provenance != FROM_DATA_SHEET;
                let rest = if is_measured { "power limit and calibration" } else { "power limit" };
                (costing.terms(&Work::of(operation), node), rest)
            }
            None if id == NodeId::ROOT => {
                let mut all = Explanation::of_children(tree, id);
                all.energy.extend(self.beside_passes());
                (all, "beside its parts")
            }
            None => (Explanation::of_children(tree, id), "the engine"),
        };
        let of_rest = |terms: &[Term], quantity: Quantity| {
            let figure = node.get(quantity)?;
            let value = figure - terms.iter().map(Term::value).sum::<f64>();
            (value.abs() > 1e-9 * figure.abs()).then(|| Term::new(rest, 1.0, "run", value))
        };
        explanation.energy.extend(of_rest(&explanation.energy, Quantity::PredictedEnergy));
        explanation.latency.extend(of_rest(&explanation.latency, Quantity::PredictedLatency));
        explanation
    }

    /// The energy of all requests that no pass takes.
    fn beside_passes(&self) -> impl Iterator<Item = Term> {
        let requests = self.requests();
        [("idle between requests", self.idle_j), ("the machine around the devices", self.machine_j)]
            .into_iter()
            .filter(|(_, joules)| *joules > 0.0)
            .map(move |(name, joules)| Term::new(name, requests, "request", joules))
    }

    /// The number of requests that the tree covers: the batch, or in steady state the running ones, each until it is replaced.
    pub fn requests(&self) -> f64 {
        // A single pass stands for each of the waves.
        if self.request.generated == 0 { self.schedule.of_wave } else { self.schedule.requests }
    }

    fn whole_joules(&self) -> f64 {
        self.figures.energy_per_request_j * self.requests()
    }

    fn traced(&self, spec: &ModelSpec) -> Result<Tree, Error> {
        let model = Followed { spec, passes: &Passes::default() };
        let prompts = each(self.schedule.prompts.iter().map(|runs| (runs.size, runs.times)));
        let prompt = prompts.first().map_or_else(|| Size::new(1, self.request.prompt), |(size, _)| *size);
        if self.request.generated == 0 {
            return Ok(spec.trace(self.request.run(model, prompt)?)?);
        }
        let of_copy = self.schedule.requests / self.request.parallel.data.max(1) as f64;
        // A batch waits for its fullest copy.
        let of_copy = if self.schedule.is_steady { of_copy.round() } else { of_copy.ceil() }.max(1.0);
        let run = self.request.run(model, Size { sequences: of_copy as usize, ..prompt })?;
        let steps = each(self.schedule.token_passes().map(|(size, _, runs)| (size, runs.times)));
        Ok(spec.trace_passes(Run { generate: self.request.generated, ..run }, &prompts, &steps)?)
    }
}

/// The tree with what each node takes beside its parts, the power of the whole and the ends of its energy, and where the figures come from.
pub(crate) fn annotated(
    mut tree: Tree,
    (device, engine): (&Device, &Engine),
    provenance: &str,
    [power_w, low_j, high_j]: [f64; 3],
    notes: &[impl ToString],
) -> Tree {
    own_parts(&mut tree);
    let root = tree.node_mut(NodeId::ROOT);
    root.set(Quantity::PredictedPower, power_w);
    root.set(Quantity::PredictedLow, low_j);
    root.set(Quantity::PredictedHigh, high_j);
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let predictor = json!({
        "method": "data-sheet", "provenance": provenance, "device": device.name, "engine": engine.name, "notes": notes,
    });
    tree.extra.insert("predictor".into(), predictor);
    tree
}

/// Fills in the energy that each node takes beside its parts.
fn own_parts(tree: &mut Tree) {
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
pub(crate) fn parts(tree: &Tree, id: NodeId, spent: &[PassesCost]) -> PassesCost {
    let parts = tree.children(id).map(|part| spent[part.index()].times(tree.node(part).times()));
    parts.fold(PassesCost::default(), PassesCost::and)
}

/// The tree with the time and energy of every node, and without its math level unless it is to be shown.
pub(crate) fn filled(mut tree: Tree, spent: &[PassesCost], shows_math: bool) -> Tree {
    for (node, spent) in tree.nodes_mut().iter_mut().zip(spent) {
        node.set(Quantity::PredictedEnergy, spent.joules);
        node.set(Quantity::PredictedLatency, spent.seconds);
    }
    if shows_math { tree } else { tree.into_without_math() }
}
