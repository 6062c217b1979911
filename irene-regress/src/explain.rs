use irene_tree::{Node, NodeId, Quantity, Tree};

/// What makes up the figures of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Terms whose sum is the predicted energy, J.
    pub energy: Vec<Term>,
    /// Terms whose sum is the predicted latency, s; none where it is not predicted from anything.
    pub latency: Vec<Term>,
}

/// An amount times what each of it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What is paid for.
    pub name: String,
    /// How much there is of it.
    pub amount: f64,
    /// What it is counted in.
    pub unit: &'static str,
    /// What each costs: J or s a unit.
    pub coefficient: f64,
}

impl Term {
    /// So much of something, at so many J or s a unit.
    pub fn new(name: impl Into<String>, amount: f64, unit: &'static str, coefficient: f64) -> Self {
        Self { name: name.into(), amount, unit, coefficient }
    }

    /// J or s.
    pub fn value(&self) -> f64 {
        self.amount * self.coefficient
    }
}

impl Explanation {
    /// The children of a predicted node, each as a whole and as often as it runs.
    pub fn of_children(tree: &Tree, id: NodeId) -> Self {
        let terms = |quantity: Quantity| {
            let children = tree.children(id).map(|child| tree.node(child));
            let term = |child: &Node| Some(Term::new(child.name(), child.times(), "node", child.get(quantity)?));
            children.filter_map(term).collect()
        };
        Self { energy: terms(Quantity::PredictedEnergy), latency: terms(Quantity::PredictedLatency) }
    }
}
